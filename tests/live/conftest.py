"""Servers of the live ring besides the session's own: PostgreSQL 16, and a second one that logs every statement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer

from ..support import home_in_memory, running_server, wipe
from . import tools
from .rotations import passphrase_given  # noqa: F401  (a fixture of all rotation tests)


@dataclass(frozen=True)
class OwnServer:
    """A server whose files a test may read and change."""

    endpoint: Endpoint
    home: Path
    begin: int = 0
    """Bytes of the log that were there before the test."""

    @property
    def log(self) -> str:
        """Everything that it has logged since the test began."""
        return self.log_file.read_bytes()[self.begin :].decode("utf-8", errors="replace")

    @property
    def log_file(self) -> Path:
        """Where it logs."""
        return self.home / "server.log"

    @property
    def data(self) -> Path:
        """Its data folder."""
        return EmbeddedServer(self.home).status().data_directory


@pytest.fixture(scope="session")
def _second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnServer]:
    with (
        home_in_memory(tmp_path_factory.mktemp("second")) as home,
        running_server(home, settings={"log_statement": "all"}) as endpoint,
    ):
        yield OwnServer(endpoint, home)


@pytest.fixture
def second(_second_server: OwnServer) -> OwnServer:
    """Another server than `server`, emptied too; it logs every statement."""
    wipe(_second_server.endpoint)
    return replace(_second_server, begin=_second_server.log_file.stat().st_size)


@pytest.fixture(scope="session")
def postgresql16(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The session's older server, PostgreSQL 16; most tests want `each_server`, which is empty."""
    with (
        home_in_memory(tmp_path_factory.mktemp("postgresql16")) as home,
        running_server(home, major=16) as endpoint,
    ):
        yield endpoint


@pytest.fixture(params=[18, 16], ids=["18", "16"])
def each_server(request: pytest.FixtureRequest) -> Endpoint:
    """An emptied server of each major version."""
    endpoint: Endpoint = request.getfixturevalue("postgresql" if request.param == 18 else "postgresql16")
    wipe(endpoint)
    return endpoint


@pytest.fixture
def provisioned(server: Endpoint, project: Project) -> Endpoint:
    """The superuser's endpoint on a server where tst was provisioned and its services have migrated."""
    tools.engine(project, server).up()
    tools.migrate(project)
    return server
