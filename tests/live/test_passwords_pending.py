"""Passwords that a killed run has made: they are known to every later run until connection files hold them."""

from __future__ import annotations

from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import direct_engine, write_stack
from .killed import Killer
from .tools import can_log_in


def pending(project: Project) -> Path:
    """Where they are written down meanwhile."""
    return project.private_folder / "pending" / "dev.json"


@pytest.fixture
def killed(server: Endpoint, project: Project) -> Endpoint:
    """A server with the users of billing and order, whose passwords a killed run has noted."""
    write_stack(project, "dev", server, services=["billing", "order"])
    with Killer(project, {}) as killer:
        killer.kill_after("commit", "up", "dev", "--engine", "direct")
    assert not list(project.output_folder("dev").glob("*-connections.yaml"))
    return server


def test_the_next_run_keeps_them_and_forgets_the_note(killed: Endpoint, project: Project) -> None:
    direct_engine(project, "dev").up()
    assert can_log_in(project, ["billing", "order"], "dev")
    assert not pending(project).exists()


def test_those_of_a_service_that_is_left_out_meanwhile_are_not_lost(killed: Endpoint, project: Project) -> None:
    write_stack(project, "dev", killed, services=["billing"])
    direct_engine(project, "dev").up()
    write_stack(project, "dev", killed, services=["billing", "catalog"])
    direct_engine(project, "dev").up()  # which notes and forgets new ones of its own
    assert can_log_in(project, ["billing", "catalog"], "dev")
    write_stack(project, "dev", killed, services=["billing", "catalog", "order"])
    direct_engine(project, "dev").up()
    assert can_log_in(project, ["billing", "catalog", "order"], "dev")
    assert not pending(project).exists()
