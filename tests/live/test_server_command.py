"""`golabs server`: what it says of the server that it starts and stops."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from golabs_infra import cli
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import SHARED_FOLDER

from ..support import free_port


def golabs(project: Project, *words: str) -> None:
    """Runs a command that succeeds."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(project.root), *words])
    assert ended.value.code == 0


def test_stop_says_what_it_has_stopped_and_where_the_data_stays(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    try:
        golabs(project, "server", "start", "--port", str(port))
        capsys.readouterr()
        golabs(project, "server", "stop")
        said = capsys.readouterr().out
        golabs(project, "server", "stop")
        again = capsys.readouterr().out
    finally:
        data: Path = EmbeddedServer(project.server_home).stop().data_directory
        if data.parent.parent == SHARED_FOLDER:
            shutil.rmtree(data.parent)
    assert re.fullmatch(
        rf"stopped PostgreSQL 18\.\d+ on 127\.0\.0\.1:{port}; its data stays in {re.escape(str(data))}\n", said
    )
    assert again == f"the embedded PostgreSQL did not run; its data is in {data}\n"
