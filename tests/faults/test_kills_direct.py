"""`golabs up` and `golabs destroy` of the direct engine, killed (SIGKILL) at 50 points each: the next `up` converges.

A point is before or after something that reaches outside: a file that takes its place or goes, a statement that changes
something, a commit, a login. Fifty of them are taken, spread from the first to the last.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from golabs_infra.connections import known_passwords, read_records
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import tools
from ..live.killed import Killer, Run
from ..support import direct_engine, wipe, write_stack
from .ledger import Faults, points

KILLS = 50
SERVICES = ["billing", "catalog", "order", "returns", "shipping", "stock"]
BOUND_S = 20.0
"""How long any run may take, the one after a kill too; it is a fraction of a second on an idle machine."""
BREAK = """REVOKE ALL ON ALL TABLES IN SCHEMA "{0}" FROM {0}_app_{1}_user; REVOKE USAGE ON SCHEMA "{0}" FROM {0}_app_{1}_user"""
"""What somebody has taken away by hand, so that `up` has something to do where all is there."""


@dataclass
class Ground:
    """A stack on a server of its own, and the process that runs commands on it and kills them."""

    server: Endpoint
    project: Project
    killer: Killer
    environment: str
    killed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def passwords(self) -> dict[str, str]:
        """What the connection files say, by user."""
        known = known_passwords(read_records(self.project, self.environment))
        return {user: password.get_secret_value() for user, password in known.items()}

    def run(self, command: str, *, kill_at: int | None = None) -> Run:
        """Runs `golabs COMMAND`, to its end or to a point."""
        yes = ["--yes"] if command == "destroy" else []
        engine = [] if command == "verify" else ["--engine", "direct"]
        began = time.monotonic()
        run = self.killer.run(command, self.environment, *yes, *engine, kill_at=kill_at)
        self.seconds.append(time.monotonic() - began)
        assert self.seconds[-1] < BOUND_S
        assert "Traceback" not in run.printed
        return run

    def done(self, command: str) -> str:
        """Runs what must succeed; gives what it printed."""
        run = self.run(command)
        assert run.code == 0, run.printed
        return run.printed

    def is_whole(self) -> bool:
        """Whether every login of the connection files works, the proofs find nothing, and another `up` has nothing to do."""
        assert tools.can_log_in(self.project, SERVICES, self.environment)
        assert "proven twice" in self.done("verify")
        assert direct_engine(self.project, self.environment).up().changes == ()
        return True

    def forget_all(self) -> None:
        """As if no run had ever been."""
        wipe(self.server)
        shutil.rmtree(self.project.private_folder, ignore_errors=True)
        shutil.rmtree(self.project.output_folder(self.environment), ignore_errors=True)

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
def ground(request: pytest.FixtureRequest, server: Endpoint, project: Project) -> Iterator[Ground]:
    """A disposable stack and one that keeps everything."""
    write_stack(project, request.param, server, services=SERVICES)
    with Killer(project, {}) as killer:
        yield Ground(server, project, killer, request.param)


def test_a_first_up_that_is_killed_is_finished_by_the_next(
    ground: Ground, pytestconfig: pytest.Config, faults: Faults
) -> None:
    def check() -> None:
        begun = ground.passwords
        ground.done("up")
        assert begun.items() <= ground.passwords.items(), "what a connection file says stays"
        assert ground.is_whole()

    ground.kill_at_each("up", pytestconfig, ground.forget_all, check)
    ground.record(faults, f"kill -9 of the first `up` ({ground.environment})")


def test_an_up_that_is_killed_loses_no_row_no_password_and_no_file(
    ground: Ground, pytestconfig: pytest.Config, faults: Faults
) -> None:
    ground.done("up")
    tools.migrate(ground.project, SERVICES, ground.environment)
    rows = tools.rows(ground.project, SERVICES, ground.environment)
    passwords = ground.passwords
    turn = [0]

    def prepare() -> None:
        for service in SERVICES:
            broken = BREAK.format(service, ground.environment).split(";")
            tools.as_superuser(ground.server, *broken, database=f"go-labs-{ground.environment}")
        turn[0] += 1
        limited = [{"name": service, "connectionLimit": 5 + turn[0] % 2} for service in SERVICES]
        write_stack(ground.project, ground.environment, ground.server, services=limited)

    def check() -> None:
        assert ground.passwords == passwords, "connection files are whole at any time"
        ground.done("up")
        assert ground.passwords == passwords
        assert tools.rows(ground.project, SERVICES, ground.environment) == rows
        assert ground.is_whole()

    ground.kill_at_each("up", pytestconfig, prepare, check)
    ground.record(faults, f"kill -9 of `up` over data ({ground.environment})")


@pytest.mark.parametrize("ground", ["tst"], indirect=True)
def test_a_destroy_that_is_killed_is_finished_by_the_next_and_an_up_after_it_converges(
    ground: Ground, pytestconfig: pytest.Config, faults: Faults
) -> None:
    def prepare() -> None:
        ground.done("up")

    def check() -> None:
        left = ground.passwords
        ground.done("up")
        assert left.items() <= ground.passwords.items(), "what a connection file says stays"
        assert ground.is_whole()

    ground.kill_at_each("destroy", pytestconfig, prepare, check)
    ground.record(faults, "kill -9 of `destroy`")
    ground.done("destroy")
    assert tools.role_names(ground.server) == []
    assert not tools.database_exists(ground.server)


@pytest.mark.parametrize("ground", ["dev"], indirect=True)
def test_a_destroy_of_what_is_kept_loses_nothing_when_it_is_killed(ground: Ground, faults: Faults) -> None:
    ground.done("up")
    tools.migrate(ground.project, SERVICES, ground.environment)
    rows, passwords = tools.rows(ground.project, SERVICES, ground.environment), ground.passwords
    for at in range(len(ground.run("destroy").points)):
        ground.done("up")
        ground.killed.append(ground.run("destroy", kill_at=at).points[-1])
        assert ground.passwords == passwords
        assert tools.rows(ground.project, SERVICES, ground.environment) == rows
    ground.done("up")
    assert ground.passwords == passwords
    assert ground.is_whole()
    assert ground.killed, "a destroy that forgets writes something, too"
    ground.record(faults, "kill -9 of `destroy` (dev)")
