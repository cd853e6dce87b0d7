"""What the tests of the program's own flow need: a configured stack, objects on the server, and an earlier state."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pulumi
import pytest
from psycopg import sql

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.names import USER_KINDS
from golabs_infra.program import run as program
from golabs_infra.project import PROJECT_NAME

from .fake_engine import (
    DATABASE,
    DATABASE_COMPONENT,
    RANDOM_PASSWORD,
    ROLE,
    SERVICE_COMPONENT,
    STACK,
    FakeEngine,
    Run,
    StateEntry,
    secret,
    urn_of,
)
from .samples import CANARIES


def configure(engine: FakeEngine, endpoint: Endpoint, **values: object) -> None:
    """A stack for this server with the service billing, unless said otherwise; a value of None leaves a key out."""
    given: dict[str, object] = {
        "host": endpoint.host,
        "port": str(endpoint.port),
        "adminUser": endpoint.admin_user,
        "adminPassword": endpoint.admin_password.get_secret_value(),
        "services": ["billing"],
    } | values
    engine.config = {
        f"{PROJECT_NAME}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in given.items()
        if value is not None
    }
    engine.secret_keys = (f"{PROJECT_NAME}:adminPassword", f"{PROJECT_NAME}:passwords")


def up(engine: FakeEngine, environment: str = "tst") -> Run:
    """`pulumi up`: the whole program."""
    return engine.run(program, environment)


def preview(engine: FakeEngine, environment: str = "tst") -> Run:
    """`pulumi preview`: the whole program."""
    return engine.run(program, environment, preview=True)


def refused(engine: FakeEngine, environment: str, *, in_preview: bool = False) -> str:
    """The message of a run that is refused: one readable text, and nothing registered."""
    with pytest.raises(pulumi.RunError) as raised:
        preview(engine, environment) if in_preview else up(engine, environment)
    assert engine.last.registered == []
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    message = str(raised.value)
    assert "Traceback" not in message
    told = [message, *(text for _, text in engine.last.logged)]
    assert not [text for text in told if any(canary in text for canary in CANARIES)]
    return message


def confirm(monkeypatch: pytest.MonkeyPatch, environment: str) -> None:
    """Confirms an `up` of a guarded environment; others don't ask."""
    monkeypatch.setenv("GOLABS_CONFIRM", f"go-labs-{environment}")


def create_user(endpoint: Endpoint, name: str, password: str) -> None:
    """A login, as if somebody had made it by hand; `password` in clear or as a verifier."""
    with connect_admin(endpoint) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password)))


def create_database(endpoint: Endpoint, name: str) -> None:
    """An empty database, as if somebody had made it by hand."""
    with connect_admin(endpoint) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def system_identifier(endpoint: Endpoint) -> str:
    """What tells this server from every other."""
    with connect_admin(endpoint) as admin:
        row = admin.execute("SELECT system_identifier::text FROM pg_control_system()").fetchone()
        assert row is not None
        return str(row[0])


def make_real(endpoint: Endpoint, run: Run) -> None:
    """Makes the roles and the database of a run on the server, which the fake engine does not."""
    for role in run.of(ROLE).values():
        with connect_admin(endpoint) as admin:
            admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role.inputs["name"])))
        create_user(endpoint, role.inputs["name"], role.inputs["password"])
    for name in run.of(DATABASE):
        with connect_admin(endpoint) as admin:
            exists = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        if not exists:
            create_database(endpoint, name)


def state_of(
    environment: str,
    *,
    identifier: str | None = None,
    holds_database: bool = False,
    users: Iterable[str] = (),
    generated: Mapping[str, str] | None = None,
    passwords: Mapping[str, str] | None = None,
) -> dict[str, StateEntry]:
    """A state that an earlier run left: roles `users`, `generated` passwords by resource name, and the connections.

    `passwords` are by user name, as the stack's output tells them.
    """
    outputs: dict[str, Any] = {"database": f"go-labs-{environment}"}
    if identifier is not None:
        outputs["systemIdentifier"] = identifier
    if passwords is not None:
        outputs["connections"] = secret(connections_of(passwords))
    state: dict[str, StateEntry] = {
        urn_of(environment, STACK, f"{PROJECT_NAME}-{environment}"): {"type": STACK, "outputs": outputs}
    }
    if holds_database:
        name = f"go-labs-{environment}"
        urn = urn_of(environment, DATABASE, name, parent_types=DATABASE_COMPONENT)
        state[urn] = {"type": DATABASE, "outputs": {"name": name}}
    for user in users:
        service, kind = user.split("_")[:2]
        urn = urn_of(environment, ROLE, f"{service}-{kind}", parent_types=SERVICE_COMPONENT)
        state[urn] = {"type": ROLE, "outputs": {"name": user, "password": secret("SCRAM-SHA-256$4096:x$y:z")}}
    for name, password in (generated or {}).items():
        urn = urn_of(environment, RANDOM_PASSWORD, name, parent_types=SERVICE_COMPONENT)
        state[urn] = {"type": RANDOM_PASSWORD, "outputs": {"length": 32, "result": secret(password)}}
    return state


def connections_of(passwords: Mapping[str, str]) -> dict[str, Any]:
    """The `connections` output by service; what is not given is some password."""
    found: dict[str, Any] = {}
    for user in passwords:
        service, _, environment, suffix = user.split("_")
        names = {kind: f"{service}_{kind}_{environment}_{suffix}" for kind in USER_KINDS}
        found[service] = {
            **{"environment": environment, "service": service, "database": f"go-labs-{environment}", "schema": service},
            **{"host": "127.0.0.1", "port": 5432, "sslmode": "prefer"},
            "users": {
                kind: {
                    "username": name,
                    "password": passwords.get(name, "Canary2Other"),
                    **{key: f"{key} of {name}" for key in ("url", "jdbcUrl")},
                }
                for kind, name in names.items()
            },
        }
    return found
