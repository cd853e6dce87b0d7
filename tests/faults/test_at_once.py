"""Many runs of the direct engine at once, servers that restart and connections that are cut: one message, and `up` converges."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from golabs_infra.changes import Change
from golabs_infra.direct import DirectEngine
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ApplyError, GolabsError
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer

from ..live import tools
from ..support import REPOSITORY, direct_engine, home_in_memory, running_server, write_stack
from .ledger import Faults, points

CUTS = 20


@pytest.mark.parametrize("number", [2, 10])
@pytest.mark.parametrize("stacks", [["tst"], ["tst", "dev"]], ids=["one stack", "two stacks"])
def test_many_ups_at_once_all_succeed(
    number: int, stacks: list[str], server: Endpoint, project: Project, faults: Faults
) -> None:
    for stack in stacks:
        write_stack(project, stack, server, services=list(tools.SERVICES))
    began = time.monotonic()
    runs = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "golabs_infra",
                "--project",
                str(project.root),
                "up",
                stacks[at % len(stacks)],
                "--engine",
                "direct",
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for at in range(number)
    ]
    ended = [(run.communicate(timeout=120)[0], run.returncode) for run in runs]
    seconds = time.monotonic() - began
    assert [code for _, code in ended] == [0] * number, ended
    for stack in stacks:
        assert tools.can_log_in(project, environment=stack)
        assert direct_engine(project, stack).up().changes == ()
    for _ in ended:
        faults.record(f"{number} `up` at once on {len(stacks)} stack(s)", "direct", "exit 0: all is there", seconds)


class Cut:
    """Has something happen to the server when a change of this number begins."""

    def __init__(self, number: int, server: Endpoint, restarted: EmbeddedServer | None = None) -> None:
        self.left = number
        self._server = server
        self._restarted = restarted

    def __call__(self, _change: Change) -> None:
        self.left -= 1
        if self.left != 0:
            return
        if self._restarted is not None:
            self._restarted.stop()
            self._restarted.start()
            return
        tools.as_superuser(
            self._server,
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name = 'golabs' AND pid <> pg_backend_pid()",
        )


def _interrupted(engine: DirectEngine, command: str, cut: Cut) -> float:
    """Runs a command through a cut; gives its seconds. The last statement's loss may be seen or not."""
    began = time.monotonic()
    with pytest.raises(GolabsError) as caught:
        getattr(engine, command)(cut)
    assert isinstance(caught.value, ApplyError), caught.value
    assert caught.value.mend, caught.value
    assert str(caught.value).count("mend:") == 1
    return time.monotonic() - began


@pytest.mark.parametrize("command", ["up", "destroy", "reset"])
def test_a_connection_that_is_cut_is_one_message_and_the_next_run_converges(
    command: str, server: Endpoint, project: Project, faults: Faults, pytestconfig: pytest.Config
) -> None:
    write_stack(project, "tst", server, services=list(tools.SERVICES))
    engine = direct_engine(project)
    changes = len(engine.up().changes)
    if command == "destroy":
        changes = len(engine.destroy().changes)
    if command == "reset":
        changes = len(engine.reset().changes) - 1
    for at in points(pytestconfig, CUTS):
        if command == "up":
            engine.destroy()
        else:
            engine.up()
        seconds = _interrupted(engine, command, Cut(1 + round(at * (changes - 1) / (CUTS - 1)), server))
        engine.up()
        assert engine.up().changes == ()
        assert tools.can_log_in(project)
        faults.record(f"connection cut during `{command}`", "direct", "one message; the next `up` converged", seconds)


def test_a_server_that_restarts_is_one_message_and_the_next_run_converges(
    project: Project, faults: Faults, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with home_in_memory(tmp_path_factory.mktemp("restarts")) as home, running_server(home) as server:
        write_stack(project, "tst", server, services=list(tools.SERVICES))
        engine = direct_engine(project)
        changes = len(engine.up().changes)
        for at in points(pytestconfig, CUTS // 2):
            engine.destroy()
            restarted = EmbeddedServer(home, port=server.port)
            seconds = _interrupted(
                engine, "up", Cut(1 + round(at * (changes - 1) / (CUTS // 2 - 1)), server, restarted)
            )
            engine.up()
            assert engine.up().changes == ()
            assert tools.can_log_in(project)
            faults.record("server restarted during `up`", "direct", "one message; the next `up` converged", seconds)
