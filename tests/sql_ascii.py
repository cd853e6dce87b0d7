"""A fixture: a server whose databases have no encoding (SQL_ASCII), as a bare initdb makes one where no locale is set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.server_binaries import SystemUser

from .support import home_in_memory, running_server


@pytest.fixture(scope="module")
def sql_ascii(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The superuser's endpoint there. It is made by initdb itself, which is told another encoding."""
    usual = SystemUser.run

    def without_encoding(account: SystemUser, command: Sequence[str], **how: Any) -> Any:
        if str(command[0]).endswith("initdb"):
            command = ["--encoding=SQL_ASCII" if word.startswith("--encoding") else word for word in command]
            command = [word for word in command if "locale-provider" not in word and "builtin-locale" not in word]
        return usual(account, command, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SystemUser, "run", without_encoding)
        with home_in_memory(tmp_path_factory.mktemp("sql_ascii")) as home, running_server(home) as endpoint:
            yield endpoint
