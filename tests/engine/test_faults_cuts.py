"""Sessions that are ended, connections that are cut and servers that restart under commands on the real Pulumi engine.

Each at points spread over the statements of a whole run, the provider's and golabs' own: one message with its mend, then
`up` converges with rows, passwords and connection files intact.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.server import EmbeddedServer

from ..faults.ledger import Faults, points
from ..faults.wire import DURABLE, Happening, Wire, cut, restarted, terminated, unanswered, wire
from ..support import home_in_memory, running_server, wipe
from .checkout import Checkout, Ran
from .database import can_work, login, migrate, passwords, rows, users

BOUND_S = 60.0
"""How long any run may take; it is a few seconds on an idle machine."""
CUTS = 3
"""How many of each kind, on each command."""
SERVICES = ("billing", "catalog")


@dataclass(frozen=True)
class Restarting:
    """A server of this module's own, which may be restarted, and the wire to it."""

    server: Endpoint
    wire: Wire
    home: EmbeddedServer

    @property
    def kinds(self) -> dict[str, Happening]:
        """Whatever may happen to a session."""
        return {
            "server restarted (immediate)": restarted(self.home, "immediate"),
            "session ended by the server": terminated,
            "connection cut, an answer lost": unanswered,
            "connection cut": cut,
            "server restarted (fast)": restarted(self.home, "fast"),
        }


@pytest.fixture(scope="module")
def server_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarting]:
    """For all tests here."""
    with (
        home_in_memory(tmp_path_factory.mktemp("server")) as home,
        running_server(home, settings=DURABLE) as server,
        wire(server) as way,
    ):
        yield Restarting(server, way, EmbeddedServer(home, port=server.port))


@dataclass
class Scene:
    """One stack, and the way to its server."""

    checkout: Checkout
    restarting: Restarting
    stack: str
    services: list[object] = field(default_factory=lambda: list(SERVICES))
    turn: int = 0

    def begin(self) -> None:
        """Provisions it from nothing, with rows in its tables."""
        wipe(self.restarting.server)
        for folder in (self.checkout.project.private_folder, self.checkout.project.output_folder(self.stack)):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.checkout.backend, ignore_errors=True)  # which tst does not use
        self.services = list(SERVICES)
        self.configure()
        self.checkout.init(self.stack)
        self.checkout.point_at(self.stack, self.restarting.wire.endpoint)
        self.checkout.golabs("up", self.stack)
        for record in self.checkout.connections(self.stack).values():
            migrate(record)
            can_work(record)

    def configure(self) -> None:
        self.checkout.services(self.stack, *self.services)

    def prepare(self, command: str) -> None:
        """Whole, and with something to do for `up`: another limit of users, and a service more."""
        self.checkout.golabs("up", self.stack)
        if command == "up":
            self.turn += 1
            self.services[:2] = [{"name": name, "connectionLimit": 5 + self.turn} for name in SERVICES]
            self.services.append(f"added{self.turn}")
            self.configure()

    def run(self, command: str) -> tuple[Ran, float]:
        """Runs a command, in bounded time; gives its seconds too."""
        words = [command, self.stack, *(["--yes"] if command in ("destroy", "reset") else [])]
        began = time.monotonic()
        ran = self.checkout.golabs(*words, fails=None)
        seconds = time.monotonic() - began
        assert seconds < BOUND_S
        return ran, seconds

    def statements(self, command: str) -> int:
        """How many there are in an undisturbed run."""
        self.prepare(command)
        self.restarting.wire.arm()
        ran, _ = self.run(command)
        assert ran.code == 0, str(ran)
        return self.restarting.wire.seen

    def disturbed(self, command: str, at: int, happening: Happening) -> tuple[Ran, float]:
        """Runs a command through what happens at one of its statements."""
        self.prepare(command)
        self.restarting.wire.arm(at, happening)
        told = self.run(command)
        assert self.restarting.wire.over.wait(BOUND_S), (at, self.restarting.wire.seen, str(told[0]))
        self.restarting.wire.arm()
        return told

    @property
    def held(self) -> dict[str, list[tuple[object, ...]]]:
        """The rows that must never be lost."""
        database = f"go-labs-{self.stack}"
        return {name: rows(self.restarting.server, f'SELECT * FROM "{name}".invoice', database) for name in SERVICES}

    def is_whole(self) -> bool:
        """Whether each login works, and neither the proofs nor the engine find anything."""
        records = self.checkout.connections(self.stack)
        for record in records.values():
            for kind in ("migration", "app"):
                login(record, kind).close()
        expected = {record["users"][kind]["username"] for record in records.values() for kind in ("migration", "app")}
        assert users(self.restarting.server) == expected
        assert "proven twice" in self.checkout.golabs("verify", self.stack).text
        self.checkout.unchanged(self.stack, "--refresh")
        return True


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", ["up", "destroy", "reset"])
def test_it_is_one_message_with_its_mend_and_the_next_up_converges(
    command: str, checkout: Checkout, server_of_its_own: Restarting, faults: Faults, pytestconfig: pytest.Config
) -> None:
    keeps = command == "up"
    scene = Scene(checkout, server_of_its_own, "dev" if keeps else "tst")
    kinds = list(scene.restarting.kinds.items())
    for kind, happening in (kinds[at] for at in points(pytestconfig, len(kinds), few=1)):
        scene.begin()
        known, held = passwords(checkout.connections(scene.stack)), scene.held
        number = scene.statements(command)
        for at in points(pytestconfig, CUTS, few=1):
            ran, seconds = scene.disturbed(command, round((at + 0.5) * number / CUTS), happening)
            again, _ = scene.run("up")
            assert again.code == 0, (str(ran), str(again))
            if keeps:
                assert known.items() <= passwords(checkout.connections(scene.stack)).items()
                assert scene.held == held
            assert scene.is_whole()
            faults.record(f"{kind} during `{command}`", "pulumi", _ending(ran), seconds)


def _ending(ran: Ran) -> str:
    """How a command ended: with one error and its mend, or in order, where what was lost was said or tried again."""
    if ran.code == 0:
        assert "error:" not in ran.text, str(ran)
        return "exit 0: the lost connection was opened again"
    assert ran.code == 1, str(ran)
    assert ran.text.count("error: ") == 1, str(ran)
    assert ran.err.count("mend: ") == 1, str(ran)
    return "exit 1: the connection was lost; the next `up` converged"
