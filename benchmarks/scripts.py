"""psql, the yardstick: with the statements that the direct engine sends, and with the script that `golabs sql` prints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from golabs_infra.server_binaries import PACKAGE

from .contenders import GivenPasswords, Session, ask, find_program
from .golabs import Checkout
from .ground import Ground
from .model import reset_script, script
from .values import ALL_SIZES, DATABASE, ENVIRONMENT, Command, Scenario, Service, password_of


def find_psql() -> Path | None:
    """psql on PATH. Debian's is a script that looks for the real one, which is taken: the yardstick shall be a fast one."""
    found = find_program("psql", "BENCH_PSQL")
    if found is not None and found.resolve().name == "pg_wrapper":
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"), key=lambda path: int(path.parts[4]))
        return installed[-1] if installed else found
    return found or _bundled()


def _bundled() -> Path | None:
    """The psql that comes with the embedded server."""
    import importlib.util

    spec = importlib.util.find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    found = sorted(path for place in places or () for path in Path(place).glob("pginstall*/bin/psql"))
    return found[-1] if found and os.access(found[-1], os.X_OK) else None


def psql_command(psql: Path, folder: Path, ground: Ground, *options: str) -> Command:
    """psql on the admin database, stopping at the first error."""
    argv = (str(psql), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres", *options)
    return Command(argv, folder, ground.libpq_environ)


@dataclass
class StatementsSession(GivenPasswords):
    """The engine's own statements, and no others: what it would send on the server as it is now."""

    psql: Path
    folder: Path
    ground: Ground
    listed: Sequence[Service] = ()

    def configure(self, listed: Sequence[Service]) -> None:
        self.listed = listed

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        if scenario is Scenario.SAME:
            return ()  # the engine would send none
        compose = reset_script if scenario is Scenario.RESET else script
        (self.folder / "all.sql").write_text(compose(self.ground.endpoint, self.listed), encoding="utf-8")
        return (psql_command(self.psql, self.folder, self.ground, "-f", "all.sql"),)


@dataclass(frozen=True)
class GeneratedSession(GivenPasswords):
    """`golabs sql tst --verifiers > all.sql`; the passwords are in the configuration."""

    psql: Path
    folder: Path
    checkout: Checkout

    def configure(self, listed: Sequence[Service]) -> None:
        given = {
            service.name: {"migration": password_of(service.migration_user), "app": password_of(service.app_user)}
            for service in listed
        }
        self.checkout.configure(listed, passwords=given)
        command = self.checkout.golabs("sql", ENVIRONMENT, "--verifiers")
        (self.folder / "all.sql").write_text(ask(*command.argv, cwd=command.cwd) + "\n", encoding="utf-8")

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        drop = ("-c", f'DROP DATABASE "{DATABASE}" WITH (FORCE)') if scenario is Scenario.RESET else ()
        return (psql_command(self.psql, self.folder, self.checkout.ground, *drop, "-f", "all.sql"),)


@dataclass(frozen=True)
class Psql:
    """psql with either script."""

    key: str
    label: str
    generated: bool
    notes: tuple[str, ...]
    sizes: tuple[int, ...] = ALL_SIZES
    install: str = "apt install postgresql-client, or BENCH_PSQL=/path/to/psql"
    accepted: tuple[str, ...] = ()
    quiet: bool = False

    @cached_property
    def _psql(self) -> Path | None:
        return find_psql()

    def version(self) -> str | None:
        return ask(self._psql, "--version") if self._psql else None

    def open(self, ground: Ground, folder: Path) -> Session:
        if self._psql is None:
            raise AssertionError("only what has a version is opened")
        if self.generated:
            root = folder / "checkout"
            root.mkdir()
            return GeneratedSession(self._psql, folder, Checkout(root, ground).make())
        return StatementsSession(self._psql, folder, ground)
