"""`golabs up` and `golabs destroy` of the direct engine, killed (SIGKILL) at 50 points each: the next `up` converges.

A point is before or after something that reaches outside: a file that takes its place or goes, a statement that changes
something, a commit, a login. Fifty of them are taken, spread from the first to the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import tools
from ..live.killed import Killer
from .ground import Ground
from .ledger import Faults, points

KILLS = 50


@dataclass
class Killing(Ground):
    """Ground on which one command is killed again and again."""

    killed: list[str] = field(default_factory=list)

    def kill_at_each(
        self, command: str, config: pytest.Config, prepare: Callable[[], None], check: Callable[[], None]
    ) -> None:
        """Kills a command at the points that this run takes, each time on prepared ground, and looks at what is left."""
        prepare()
        whole = self.run(command)
        assert whole.code == 0, whole.printed
        assert len(whole.points) >= KILLS, whole.points
        spread = [round(at * (len(whole.points) - 1) / (KILLS - 1)) for at in range(KILLS)]
        for at in points(config, KILLS):
            prepare()
            run = self.run(command, kill_at=spread[at])
            assert run.code is None, (run.points[-1:], run.printed)
            self.killed.append(run.points[-1])
            check()

    def record(self, faults: Faults, kind: str) -> None:
        """Takes down each kill."""
        for _ in self.killed:
            faults.record(kind, "direct", "killed; the next `up` converged, nothing lost", max(self.seconds))


@pytest.fixture(params=["tst", "dev"])
def ground(request: pytest.FixtureRequest, server: Endpoint, project: Project) -> Iterator[Killing]:
    """A disposable stack and one that keeps everything."""
    with Killer(project, {}) as killer:
        made = Killing(server, project, killer, request.param, server)
        made.write()
        yield made


def test_a_first_up_that_is_killed_is_finished_by_the_next(
    ground: Killing, pytestconfig: pytest.Config, faults: Faults
) -> None:
    def check() -> None:
        begun = ground.passwords
        ground.done("up")
        assert begun.items() <= ground.passwords.items(), "what a connection file says stays"
        assert ground.is_whole()

    ground.kill_at_each("up", pytestconfig, ground.forget_all, check)
    ground.record(faults, f"kill -9 of the first `up` ({ground.environment})")


def test_an_up_that_is_killed_loses_no_row_no_password_and_no_file(
    ground: Killing, pytestconfig: pytest.Config, faults: Faults
) -> None:
    ground.done("up")
    ground.migrate()
    rows, passwords = ground.rows, ground.passwords

    def check() -> None:
        assert ground.passwords == passwords, "connection files are whole at any time"
        ground.done("up")
        assert ground.passwords == passwords
        assert ground.rows == rows
        assert ground.is_whole()

    ground.kill_at_each("up", pytestconfig, ground.break_all, check)
    ground.record(faults, f"kill -9 of `up` over data ({ground.environment})")


@pytest.mark.parametrize("ground", ["tst"], indirect=True)
def test_a_destroy_that_is_killed_is_finished_by_the_next_and_an_up_after_it_converges(
    ground: Killing, pytestconfig: pytest.Config, faults: Faults
) -> None:
    def check() -> None:
        left = ground.passwords
        ground.done("up")
        assert left.items() <= ground.passwords.items(), "what a connection file says stays"
        assert ground.is_whole()

    ground.kill_at_each("destroy", pytestconfig, lambda: assert_up(ground), check)
    ground.record(faults, "kill -9 of `destroy`")
    ground.done("destroy")
    assert tools.role_names(ground.server) == []
    assert not tools.database_exists(ground.server)


@pytest.mark.parametrize("ground", ["dev"], indirect=True)
def test_a_destroy_of_what_is_kept_loses_nothing_when_it_is_killed(ground: Killing, faults: Faults) -> None:
    ground.done("up")
    ground.migrate()
    rows, passwords = ground.rows, ground.passwords
    for at in range(len(ground.run("destroy").points)):
        ground.done("up")
        ground.killed.append(ground.run("destroy", kill_at=at).points[-1])
        assert ground.passwords == passwords
        assert ground.rows == rows
    ground.done("up")
    assert ground.passwords == passwords
    assert ground.is_whole()
    assert ground.killed, "a destroy that forgets writes something, too"
    ground.record(faults, "kill -9 of `destroy` (dev)")


def assert_up(ground: Killing) -> None:
    """The environment as it is to be before the next kill."""
    assert ground.done("up")
