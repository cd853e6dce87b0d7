"""A stack on a server, and a process that runs `golabs` on it on the direct engine, as a test of faults has it disturbed."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field

from golabs_infra.connections import known_passwords, read_records
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import tools
from ..live.killed import Killer, Run
from ..support import direct_engine, wipe, write_stack

SERVICES = ["billing", "catalog", "order", "returns", "shipping", "stock"]
BOUND_S = 20.0
"""How long any run may take, the one after a fault too; it is a fraction of a second on an idle machine."""
BREAK = """REVOKE ALL ON ALL TABLES IN SCHEMA "{0}" FROM {0}_app_{1}_user; REVOKE USAGE ON SCHEMA "{0}" FROM {0}_app_{1}_user"""
"""What somebody has taken away by hand, so that `up` has something to do where all is there."""


@dataclass
class Ground:
    """A stack on a server, which the superuser reaches by `server` and golabs by what the stack's file says."""

    server: Endpoint
    project: Project
    killer: Killer
    environment: str
    admin: Endpoint
    seconds: list[float] = field(default_factory=list)
    _turn: int = 0

    def write(self, services: object = None) -> None:
        """The stack's file anew."""
        write_stack(self.project, self.environment, self.admin, services=services or SERVICES)

    @property
    def passwords(self) -> dict[str, str]:
        """What the connection files say, by user."""
        known = known_passwords(read_records(self.project, self.environment))
        return {user: password.get_secret_value() for user, password in known.items()}

    @property
    def rows(self) -> dict[str, list[object]]:
        """Everything that the services' tables hold, read with the logins of the connection files."""
        return tools.rows(self.project, SERVICES, self.environment)

    def run(self, command: str, *, kill_at: int | None = None) -> Run:
        """Runs `golabs COMMAND`, to its end or to a point."""
        yes = ["--yes"] if command in ("destroy", "reset") else []
        engine = [] if command in ("verify", "reset") else ["--engine", "direct"]
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

    def migrate(self) -> None:
        """Every service's first migration, with rows."""
        tools.migrate(self.project, SERVICES, self.environment)

    def forget_all(self) -> None:
        """As if no run had ever been."""
        wipe(self.server)
        shutil.rmtree(self.project.private_folder, ignore_errors=True)
        shutil.rmtree(self.project.output_folder(self.environment), ignore_errors=True)

    def break_all(self) -> None:
        """Gives `up` something to do with each service: privileges that are gone, and another limit."""
        for service in SERVICES:
            broken = BREAK.format(service, self.environment).split(";")
            tools.as_superuser(self.server, *broken, database=f"go-labs-{self.environment}")
        self._turn += 1
        self.write([{"name": service, "connectionLimit": 5 + self._turn % 2} for service in SERVICES])
