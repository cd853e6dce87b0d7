"""A fixture: a server in recovery, as a replica is, where an environment was provisioned before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer

from .live import tools
from .support import home_in_memory, make_project, running_server


@pytest.fixture(scope="module")
def standby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Endpoint, Project]]:
    """A server in recovery with a provisioned and migrated tst in it, and its project."""
    project = make_project(tmp_path_factory.mktemp("project"))
    with (
        home_in_memory(tmp_path_factory.mktemp("standby")) as home,
        running_server(home, settings={"hot_standby": "on"}) as endpoint,
    ):
        tools.engine(project, endpoint).up()
        tools.migrate(project)
        server = EmbeddedServer(home, port=endpoint.port)
        data = server.stop().data_directory
        (data / "standby.signal").touch()
        shutil.chown(data / "standby.signal", data.stat().st_uid, data.stat().st_gid)
        server.start()
        yield endpoint, project
