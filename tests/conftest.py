"""Fixtures of every ring. A real PostgreSQL is started once a session, and emptied before each test that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from .support import make_project, running_server, wipe


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The session's server, PostgreSQL 18; most tests want `server`, which is empty."""
    with running_server(tmp_path_factory.mktemp("postgresql")) as endpoint:
        yield endpoint


@pytest.fixture
def server(postgresql: Endpoint) -> Endpoint:
    """The superuser's endpoint on a server without databases and roles of ours."""
    wipe(postgresql)
    return postgresql


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project folder."""
    return make_project(tmp_path / "project")
