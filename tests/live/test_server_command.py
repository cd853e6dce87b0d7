"""`golabs server`: what it says of the server that it starts and stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from golabs_infra import cli
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer

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
    finally:
        data: Path = EmbeddedServer(project.server_home).stop().data_directory
    assert capsys.readouterr().out == f"stopped PostgreSQL 18.4 on 127.0.0.1:{port}; its data stays in {data}\n"
    golabs(project, "server", "stop")
    assert capsys.readouterr().out == f"the embedded PostgreSQL did not run; its data is in {data}\n"
