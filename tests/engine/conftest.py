"""Fixtures of the engine ring: copies of the project, driven by the real Pulumi CLI. Nothing is mocked.

Where the CLI or one of its plugins is not there, every test is skipped with the reason.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import SHARED_FOLDER
from golabs_infra.toolchain import Toolchain, find_toolchain

from ..support import running_server, wipe
from .checkout import Checkout, make_checkout


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The Pulumi CLI and its plugins, found as any user's are."""
    found = find_toolchain(os.environ)
    if not found.complete:
        pytest.skip(f"not found: {found.missing_in_words} (golabs setup)")
    return found


@pytest.fixture
def checkout(tmp_path: Path, toolchain: Toolchain) -> Iterator[Checkout]:
    """A copy of the project of this test's own; its embedded server, where one was started, ends with the test."""
    copy = make_checkout(tmp_path, toolchain)
    yield copy
    home = copy.project.server_home
    if home.exists():
        elsewhere = EmbeddedServer(home).stop().data_directory.parent
        if elsewhere.parent == SHARED_FOLDER:
            shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.fixture(scope="session")
def second_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Another real server, with a system identifier of its own."""
    with ExitStack() as stack:
        yield stack.enter_context(running_server(tmp_path_factory.mktemp("second")))


@pytest.fixture
def second_server(second_postgresql: Endpoint) -> Endpoint:
    """The second server, without databases and roles of ours."""
    wipe(second_postgresql)
    return second_postgresql
