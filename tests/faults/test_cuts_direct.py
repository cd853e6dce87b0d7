"""Sessions that are ended, connections that are cut and servers that restart under a command of the direct engine.

Each at 20 statements of the command, spread from the first to the last: one message with its mend, then `up` converges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from golabs_infra.server import EmbeddedServer

from ..live.killed import Killer, Run
from ..support import home_in_memory, make_project, running_server
from .ground import BOUND_S, Ground
from .ledger import Faults, points
from .wire import DURABLE, Happening, Wire, cut, restarted, terminated, unanswered, wire

CUTS = 20
DISPOSABLE = ("destroy", "reset")
"""Commands that are for tst only; the others meet dev, with rows."""


@dataclass(kw_only=True)
class Scene(Ground):
    """Ground that golabs reaches through a wire; the server is no other test's, so that it may be restarted."""

    wire: Wire
    home: EmbeddedServer

    def provision(self, environment: str) -> None:
        """The environment from nothing, with rows where no command drops them."""
        self.environment = environment
        self.write()
        self.forget_all()
        self.done("up")
        if environment != "tst":
            self.migrate()

    def prepare(self, command: str) -> None:
        """Whole, and something to do for the command."""
        self.done("up")
        if command == "up":
            self.break_all()

    def statements(self, command: str) -> int:
        """How many there are in an undisturbed run."""
        self.prepare(command)
        self.wire.arm()
        self.done(command)
        return self.wire.seen

    def disturbed(self, command: str, at: int, happening: Happening) -> Run:
        """Runs a command through what happens at one of its statements."""
        self.prepare(command)
        self.wire.arm(at, happening)
        run = self.run(command)
        assert self.wire.over.wait(BOUND_S), (command, at, self.wire.seen)
        self.wire.arm()
        return run


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """For all tests here, each of which provisions its environment anew."""
    project = make_project(tmp_path_factory.mktemp("cuts") / "project")
    with (
        home_in_memory(tmp_path_factory.mktemp("server")) as folder,
        running_server(folder, settings=DURABLE) as server,
        wire(server) as way,
        Killer(project, {}) as killer,
    ):
        home = EmbeddedServer(folder, port=server.port)
        yield Scene(server, project, killer, "tst", way.endpoint, wire=way, home=home)


@pytest.mark.parametrize("command", ["up", "destroy", "verify", "reset"])
def test_it_is_one_message_with_its_mend_and_the_next_up_converges(
    command: str, scene: Scene, faults: Faults, pytestconfig: pytest.Config
) -> None:
    kinds = {
        "session ended by the server": terminated,
        "server restarted (immediate)": restarted(scene.home, "immediate"),
        "connection cut": cut,
        "connection cut, an answer lost": unanswered,
        "server restarted (fast)": restarted(scene.home, "fast"),
    }
    scene.provision("tst" if command in DISPOSABLE else "dev")
    passwords, rows = scene.passwords, {} if command in DISPOSABLE else scene.rows
    number = scene.statements(command)
    assert number >= CUTS / 2, "there is something to disturb"
    for kind, happening in list(kinds.items())[: None if pytestconfig.getoption("--faults") else 2]:
        for at in points(pytestconfig, CUTS, few=1):
            run = scene.disturbed(command, round(at * (number - 1) / (CUTS - 1)), happening)
            took = scene.seconds[-1]
            scene.done("up")
            if command not in DISPOSABLE:
                assert scene.passwords == passwords
                assert scene.rows == rows
            assert scene.is_whole()
            faults.record(f"{kind} during `{command}`", "direct", _ending(command, run), took)


def _ending(command: str, run: Run) -> str:
    """How a command ended: with one error and its mend, or in order, where nothing was to lose or it was tried again."""
    if run.code == 0:
        assert "error:" not in run.printed
        assert command != "verify" or "proven twice" in run.printed, run.printed
        return "exit 0: the lost login was repeated" if command == "verify" else "exit 0: all was done by then"
    assert run.code == 1, (run.code, run.printed)
    assert run.printed.count("error: ") == 1, run.printed
    assert run.printed.count("mend: ") == 1, run.printed
    assert len(run.printed) < 4000, run.printed
    return "exit 1: the connection was lost; the next `up` converged"
