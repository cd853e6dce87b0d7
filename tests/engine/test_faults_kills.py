"""`golabs up` and `golabs destroy` on the real Pulumi engine, killed (SIGKILL) with the engine and all plugins at 50 points each.

A point is a line that the command prints. What the next run says is done literally, `pulumi cancel` where a lock was left;
then `up` converges, with rows, passwords and connection files intact.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from golabs_infra.endpoint import Endpoint

from ..faults.ledger import Faults, points
from ..support import wipe
from .checkout import Checkout, Ran
from .database import can_work, login, migrate, passwords, rows, users
from .killing import follow, kill_at_line, started_golabs

BOUND_S = 60.0
"""How long any run may take; it is a few seconds on an idle machine."""
SERVICES = ("billing", "catalog", "order")


@dataclass
class Killing:
    """A series of kills of one command on one stack."""

    checkout: Checkout
    stack: str
    locks: int = 0
    killed: int = 0
    seconds: list[float] = field(default_factory=list)

    def golabs(self, *words: str, fails: bool | None = False) -> Ran:
        """Runs the command on the stack, in bounded time."""
        began = time.monotonic()
        ran = self.checkout.golabs(words[0], self.stack, *words[1:], fails=fails)
        self.seconds.append(time.monotonic() - began)
        assert self.seconds[-1] < BOUND_S
        return ran

    def go_on(self) -> None:
        """`up`, doing what it asks for where a dead run has left its lock."""
        ran = self.golabs("up", fails=None)
        if ran.code:
            assert ran.code == 1
            assert "a run that is dead" in ran.text, ran
            assert ran.text.count("error:") == 1, ran
            self.locks += 1
            assert follow(self.checkout, ran, self.stack).code == 0
            self.golabs("up")

    def at_each(
        self, words: tuple[str, ...], at: list[int], of: int, prepare: Callable[[], None], check: Callable[[int], None]
    ) -> None:
        """Kills a command at points of `of`, spread over the lines of a whole run up to its last step, each time on prepared ground."""
        prepare()
        whole = self.golabs(*words)
        steps = [number for number, line in enumerate(whole.out.splitlines(), start=1) if re.match(r"\s+[-+~] ", line)]
        for point in at:
            prepare()
            process = started_golabs(self.checkout, words[0], self.stack, *words[1:])
            line = 1 + round(point * (steps[-1] - 1) / (of - 1))
            if not kill_at_line(process, line):  # the last lines come all at once
                prepare()
                assert kill_at_line(started_golabs(self.checkout, words[0], self.stack, *words[1:]), line // 2)
            self.killed += 1
            self.go_on()
            check(point)

    def record(self, faults: Faults, kind: str) -> None:
        """Takes down each kill."""
        for number in range(self.killed):
            how = "killed; after the `pulumi cancel` that is asked for, " if number < self.locks else "killed; "
            faults.record(kind, "pulumi", f"{how}the next `up` converged, nothing lost", max(self.seconds))


def assert_whole(checkout: Checkout, stack: str, server: Endpoint, services: tuple[str, ...]) -> None:
    """There is what the configuration says, and each login of the connection files works."""
    records = checkout.connections(stack)
    assert set(records) >= set(services)
    for service in services:
        for kind in ("migration", "app"):
            login(records[service], kind).close()
    assert users(server) == {f"{service}_{kind}_{stack}_user" for service in services for kind in ("migration", "app")}


@pytest.mark.timeout(3600)
def test_a_first_up_that_is_killed_is_finished_by_the_next(
    checkout: Checkout, server: Endpoint, pytestconfig: pytest.Config, faults: Faults
) -> None:
    checkout.services("tst", *SERVICES)
    checkout.point_at("tst", server)
    killing = Killing(checkout, "tst")

    def prepare() -> None:
        wipe(server)
        shutil.rmtree(checkout.project.private_folder, ignore_errors=True)
        shutil.rmtree(checkout.project.output_folder("tst"), ignore_errors=True)
        checkout.init("tst")

    def check(point: int) -> None:
        assert_whole(checkout, "tst", server, SERVICES)
        if point % 5 == 0:
            checkout.unchanged("tst", "--refresh")

    killing.at_each(("up",), points(pytestconfig, 25, few=1), 25, prepare, check)
    killing.record(faults, "kill -9 of the first `up` (tst)")


@pytest.mark.timeout(3600)
def test_an_up_that_is_killed_loses_no_row_no_password_and_no_file(
    checkout: Checkout, server: Endpoint, pytestconfig: pytest.Config, faults: Faults
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    killing = Killing(checkout, "dev")
    killing.golabs("up")
    records = checkout.connections("dev")
    for record in records.values():
        migrate(record)
        can_work(record)
    held = {service: rows(server, f'SELECT * FROM "{service}".invoice', "go-labs-dev") for service in SERVICES}
    services = list(SERVICES)

    def prepare() -> None:
        services.append(f"added{len(services)}")
        checkout.services("dev", *services)

    def check(point: int) -> None:
        assert passwords(records).items() <= passwords(checkout.connections("dev")).items()
        now = {service: rows(server, f'SELECT * FROM "{service}".invoice', "go-labs-dev") for service in SERVICES}
        assert now == held
        assert_whole(checkout, "dev", server, tuple(services))
        if point % 5 == 0:
            checkout.unchanged("dev", "--refresh")

    killing.at_each(("up",), points(pytestconfig, 25, few=1), 25, prepare, check)
    killing.record(faults, "kill -9 of `up` over data (dev)")


@pytest.mark.timeout(3600)
def test_a_destroy_that_is_killed_is_followed_by_an_up_that_converges(
    checkout: Checkout, server: Endpoint, pytestconfig: pytest.Config, faults: Faults
) -> None:
    checkout.services("tst", *SERVICES)
    checkout.point_at("tst", server)
    killing = Killing(checkout, "tst")

    def check(point: int) -> None:
        assert_whole(checkout, "tst", server, SERVICES)
        if point % 5 == 0:
            checkout.unchanged("tst", "--refresh")

    killing.at_each(("destroy", "--yes"), points(pytestconfig, 40, few=1), 40, lambda: assert_up(killing), check)
    killing.record(faults, "kill -9 of `destroy` (tst)")


@pytest.mark.timeout(3600)
def test_a_destroy_of_what_is_kept_loses_nothing_when_it_is_killed(
    checkout: Checkout, server: Endpoint, pytestconfig: pytest.Config, faults: Faults
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    killing = Killing(checkout, "dev")
    killing.golabs("up")
    records = checkout.connections("dev")
    for record in records.values():
        migrate(record)

    def check(_point: int) -> None:
        assert passwords(checkout.connections("dev")) == passwords(records)
        assert_whole(checkout, "dev", server, SERVICES)
        for record in records.values():
            can_work(record)

    killing.at_each(("destroy",), points(pytestconfig, 10, few=1), 10, lambda: assert_up(killing), check)
    killing.record(faults, "kill -9 of `destroy` (dev)")


def assert_up(killing: Killing) -> None:
    """The environment as it is to be before the next kill."""
    assert killing.golabs("up").code == 0
