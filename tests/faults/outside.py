"""What can be wrong outside of golabs, each as a context manager: servers that can't be reached, won't let in, or can't be written.

A fault is made for a scene, which is an environment that was provisioned on a real server, and it is over at the end. All of
them are real: nothing is mocked. `FAULTS` names each as the documentation does.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ServerConnectionError

from ..live.tools import answer, as_superuser
from ..support import free_port


@dataclass(frozen=True)
class Scene:
    """An environment and its server: `superuser` can always reach it, `admin` is who golabs is, `point` configures that."""

    superuser: Endpoint
    admin: Endpoint
    database: str
    point: Callable[[Endpoint], None]


@dataclass(frozen=True)
class Outside:
    """A fault: what it is called, how it is made, and what every message about it says."""

    name: str
    make: Callable[[Scene], AbstractContextManager[None]]
    says: str
    readable: bool = False
    """Whether what only looks may work all the same."""
    without: tuple[str, ...] = ()
    """Commands that it does not stop, on purpose."""


@contextmanager
def _pointed(scene: Scene, **changed: object) -> Iterator[None]:
    scene.point(replace(scene.admin, **changed))  # type: ignore[arg-type]
    try:
        yield
    finally:
        scene.point(scene.admin)


@contextmanager
def _answering(say: bytes | None) -> Iterator[int]:
    """A port where something else answers, or nothing ever does though it accepts; gives its number."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as open_ones:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    open_ones.callback(client.close)
                    if say is not None:
                        client.sendall(say)
                        client.close()

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def _wrong_port(scene: Scene) -> Iterator[None]:
    with _pointed(scene, port=free_port()):
        yield


@contextmanager
def _unknown_host(scene: Scene) -> Iterator[None]:
    with _pointed(scene, host="db.golabs.invalid", ssl_mode="require"):
        yield


@contextmanager
def _something_else(scene: Scene) -> Iterator[None]:
    with _answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, _pointed(scene, port=port):
        yield


@contextmanager
def _silence(scene: Scene) -> Iterator[None]:
    with _answering(None) as port, _pointed(scene, port=port):
        yield


@contextmanager
def _wrong_password(scene: Scene) -> Iterator[None]:
    with _pointed(scene, admin_password=SecretStr("not-the-password-77")):
        yield


@contextmanager
def _wrong_database(scene: Scene) -> Iterator[None]:
    as_superuser(scene.superuser, "ALTER DATABASE postgres RENAME TO maintenance", database="template1")
    try:
        yield
    finally:
        as_superuser(scene.superuser, "ALTER DATABASE maintenance RENAME TO postgres", database="template1")


@contextmanager
def _no_tls(scene: Scene) -> Iterator[None]:
    with _pointed(scene, ssl_mode="require"):
        yield


@contextmanager
def _setting(scene: Scene, name: str, value: str) -> Iterator[None]:
    """A setting of the admin's sessions, as a DBA may have made it."""
    role, setting = sql.Identifier(scene.admin.admin_user), sql.Identifier(name)
    with connect_admin(scene.superuser) as superuser:
        superuser.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(role, setting, sql.Literal(value)))
    try:
        yield
    finally:
        with connect_admin(scene.superuser) as superuser:
            superuser.execute(sql.SQL("ALTER ROLE {} RESET {}").format(role, setting))


@contextmanager
def _read_only(scene: Scene) -> Iterator[None]:
    with _setting(scene, "default_transaction_read_only", "on"):
        yield


@contextmanager
def _statement_timeout(scene: Scene) -> Iterator[None]:
    with _setting(scene, "statement_timeout", "1ms"):
        yield


@contextmanager
def _full_server(scene: Scene) -> Iterator[None]:
    """Every connection that the server has is taken, but those that it keeps for superusers."""
    database = scene.superuser.admin_database
    as_superuser(scene.superuser, "CREATE ROLE crowd LOGIN PASSWORD 'crowds-round-11'")
    with ExitStack() as crowd:
        crowd.callback(as_superuser, scene.superuser, "DROP ROLE crowd")
        limit = int(answer(scene.superuser, "SELECT setting FROM pg_settings WHERE name = 'max_connections'"))
        given = replace(scene.superuser, admin_user="crowd", admin_password=SecretStr("crowds-round-11"))
        for _ in range(limit):
            with suppress(ServerConnectionError):
                crowd.enter_context(connect_admin(given, database))
        with pytest.raises(ServerConnectionError, match="connection"):
            connect_admin(given, database)
        yield


@contextmanager
def _locked(scene: Scene) -> Iterator[None]:
    """Somebody is in the middle of changing a service's user."""
    with connect_admin(scene.superuser) as other, other.transaction(force_rollback=True):
        other.execute("SELECT 1 FROM pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"golabs:{scene.database}"])
        yield


@contextmanager
def _no_longer_admin(scene: Scene) -> Iterator[None]:
    role = psycopg.sql.Identifier(scene.admin.admin_user)
    with connect_admin(scene.superuser) as superuser:
        superuser.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
    try:
        yield
    finally:
        with connect_admin(scene.superuser) as superuser:
            superuser.execute(sql.SQL("ALTER ROLE {} LOGIN").format(role))


FAULTS = (
    Outside("wrong port: nothing listens there", _wrong_port, "no PostgreSQL answers there"),
    Outside("wrong host: its name is not known (DNS)", _unknown_host, "the host's name can't be resolved"),
    Outside("wrong port: something else answers", _something_else, "does not speak PostgreSQL's protocol"),
    Outside("wrong port: it accepts and never answers", _silence, "no answer within 2 s"),
    Outside("wrong password of the admin", _wrong_password, "refuses the password"),
    Outside("the admin's database is missing", _wrong_database, "does not exist"),
    Outside("TLS is wanted, the server has none", _no_tls, "TLS"),
    Outside("the admin may not log in any more", _no_longer_admin, "log in"),
    Outside("no connection is free (max_connections)", _full_server, "connection"),
    Outside("the server is read-only", _read_only, "read-only", readable=True, without=("drift",)),
    Outside("statement_timeout of the admin", _statement_timeout, "SHOW statement_timeout"),
    Outside("another run is at work and does not end", _locked, "another golabs run", readable=True),
)
