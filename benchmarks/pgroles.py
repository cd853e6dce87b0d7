"""pgroles: roles, schemas and privileges from a YAML manifest. It needs a database that exists; psql makes and drops it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .contenders import GivenPasswords, Session, ask, find_program
from .ground import Ground
from .scripts import find_psql, psql_command
from .values import DATABASE, PEER_SIZES, Command, Scenario, Service, password_of

MANIFEST = "manifest.yaml"
_DML = ["SELECT", "INSERT", "UPDATE", "DELETE"]
_SEQUENCE = ["USAGE", "SELECT"]


def manifest(listed: Sequence[Service]) -> dict[str, Any]:
    """What ours provisions, in pgroles' words."""
    on_database = {"type": "database", "name": DATABASE}
    grants: list[dict[str, Any]] = [
        _grant("PUBLIC", ["CONNECT", "TEMPORARY"], on_database, ensure="absent"),
        _grant("PUBLIC", ["USAGE"], {"type": "schema", "name": "public"}, ensure="absent"),
    ]
    for service in listed:
        grants += [
            _grant(service.migration_user, ["CONNECT", "TEMPORARY"], on_database),
            _grant(service.app_user, ["CONNECT"], on_database),
            _grant(service.app_user, ["USAGE"], {"type": "schema", "name": service.name}),
            _grant(service.app_user, _DML, {"type": "table", "schema": service.name, "name": "*"}),
            _grant(service.app_user, _SEQUENCE, {"type": "sequence", "schema": service.name, "name": "*"}),
        ]
    return {
        "schemas": [{"name": service.name, "owner": service.migration_user} for service in listed],
        "roles": [
            {
                "name": user,
                "login": True,
                "password": {"from_env": _variable(user)},
                "config": {"search_path": service.name},
            }
            for service in listed
            for user in service.users
        ],
        "grants": grants,
        "default_privileges": [
            {
                "owner": service.migration_user,
                "schema": service.name,
                "grant": [
                    {"role": service.app_user, "privileges": _DML, "on_type": "table"},
                    {"role": service.app_user, "privileges": _SEQUENCE, "on_type": "sequence"},
                ],
            }
            for service in listed
        ],
    }


def _grant(role: str, privileges: Sequence[str], on: Mapping[str, str], **more: str) -> dict[str, Any]:
    return {"role": role, "privileges": list(privileges), "object": dict(on), **more}


def _variable(user: str) -> str:
    return f"PASSWORD_{user.upper()}"


@dataclass
class PgrolesSession(GivenPasswords):
    """One manifest; the passwords are in variables."""

    program: Path
    psql: Path
    folder: Path
    ground: Ground
    users: tuple[str, ...] = ()

    def configure(self, listed: Sequence[Service]) -> None:
        self.users = tuple(user for service in listed for user in service.users)
        (self.folder / MANIFEST).write_text(yaml.safe_dump(manifest(listed), sort_keys=False), encoding="utf-8")

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        create = f"CREATE DATABASE \"{DATABASE}\" TEMPLATE template0 ENCODING 'UTF8'"
        drop = f'DROP DATABASE "{DATABASE}" WITH (FORCE)'
        match scenario:
            case Scenario.FRESH:
                return self._sql(create), self._apply()
            case Scenario.RESET:
                return self._sql(drop, create), self._apply()
            case _:
                return (self._apply(),)

    def _apply(self) -> Command:
        endpoint = self.ground.endpoint
        address = f"{endpoint.admin_user}:{self.ground.password}@{endpoint.address}"
        environ = {"DATABASE_URL": f"postgresql://{address}/{DATABASE}"}
        environ |= {_variable(user): password_of(user) for user in self.users}
        return Command((str(self.program), "apply", "-f", MANIFEST), self.folder, environ)

    def _sql(self, *lines: str) -> Command:
        options = [word for line in lines for word in ("-c", line)]
        return psql_command(self.psql, self.folder, self.ground, *options)


@dataclass(frozen=True)
class Pgroles:
    """`pgroles apply`."""

    key: str = "pgroles"
    label: str = "pgroles"
    sizes: tuple[int, ...] = PEER_SIZES
    install: str = "cargo install pgroles-cli, or BENCH_PGROLES=/path/to/pgroles"
    notes: tuple[str, ...] = ("its database is made and dropped by psql, within the time",)
    accepted: tuple[str, ...] = ()
    quiet: bool = False

    @cached_property
    def _programs(self) -> tuple[Path | None, Path | None]:
        return find_program("pgroles", "BENCH_PGROLES", "~/.cargo/bin", "~/.local/bin"), find_psql()

    def version(self) -> str | None:
        program, psql = self._programs
        return ask(program, "--version") if program and psql else None

    def open(self, ground: Ground, folder: Path) -> Session:
        program, psql = self._programs
        if program is None or psql is None:
            raise AssertionError("only what has a version is opened")
        return PgrolesSession(program, psql, folder, ground)
