"""A server that can't be reached, or not so: one clear message each, in time. Real sockets, nothing mocked."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydantic import SecretStr

from golabs_infra import connecting
from golabs_infra.connecting import Refusal, RefusalReason, connect_admin, connect_user
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ServerConnectionError, ServerError
from golabs_infra.project import Project

from ..support import direct_engine, free_port, write_stack
from . import tools
from .tools import engine


def failure(project: Project, endpoint: Endpoint) -> ServerConnectionError:
    """The error of a run, within 15 seconds: what is wrong where, and the mend."""
    begin = time.monotonic()
    with pytest.raises(ServerConnectionError) as caught:
        engine(project, endpoint).up()
    assert time.monotonic() - begin < 15
    assert len(str(caught.value).splitlines()) == 2
    assert endpoint.admin_password.get_secret_value() not in str(caught.value)
    assert sorted(tools.files(project)) == ["Pulumi.yaml"]
    return caught.value


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_nothing_listens(server: Endpoint, project: Project, host: str) -> None:
    error = failure(project, replace(server, host=host, port=free_port()))
    assert "no PostgreSQL answers there" in error.what
    assert host in error.where


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_admins_password_is_wrong(server: Endpoint, project: Project, host: str) -> None:
    error = failure(project, replace(server, host=host, admin_password=SecretStr("no-such-password")))
    assert "refuses the password of postgres" in error.what
    assert "golabs set-password tst --admin" in error.mend


def test_the_admin_does_not_exist(server: Endpoint, project: Project) -> None:
    assert "refuses the password of nobody" in failure(project, replace(server, admin_user="nobody")).what


def test_the_host_is_unknown(server: Endpoint, project: Project) -> None:
    error = failure(project, replace(server, host="no-such-host.invalid"))
    assert "can't be resolved" in error.what
    assert "golabs-infra:host" in error.mend


@pytest.mark.parametrize("name", ["missing", 'with"quotes', "Umlautä", "SSL", "timeout", "FATAL:"])
def test_the_admin_database_is_missing(server: Endpoint, project: Project, name: str) -> None:
    error = failure(project, replace(server, admin_database=name))
    assert f'database "{name}" does not exist' in error.what
    assert "adminDatabase" in error.mend


def test_the_server_has_no_tls(server: Endpoint, project: Project) -> None:
    error = failure(project, replace(server, ssl_mode="require"))
    assert "TLS" in error.what
    assert "sslMode" in error.mend


def test_the_admin_may_not_log_in(server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(server)
    tools.as_superuser(server, "ALTER ROLE deployer NOLOGIN")
    assert "not permitted to log in" in failure(project, admin).what


def test_something_else_answers(server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_S", 2)  # the rule is the same, the test shorter
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = failure(project, replace(server, port=silent.getsockname()[1]))
    assert "no answer within" in error.what


def told(endpoint: Endpoint, database: str | None = None) -> tuple[str, str]:
    """What is wrong with an admin's connection, and the mend."""
    with pytest.raises(ServerConnectionError) as caught:
        connect_admin(endpoint, database)
    return caught.value.what, caught.value.mend


def test_an_environments_database_is_missing(server: Endpoint) -> None:
    what, mend = told(server, "go-labs-tst")
    assert what == 'database "go-labs-tst" does not exist'
    assert f"golabs up {server.environment} makes it" in mend


def test_a_database_is_closed(server: Endpoint) -> None:
    tools.as_superuser(server, 'CREATE DATABASE "go-labs-tst" ALLOW_CONNECTIONS false')
    what, mend = told(server, "go-labs-tst")
    assert what == 'database "go-labs-tst" is not currently accepting connections'
    assert "ALLOW_CONNECTIONS true" in mend


def test_the_admin_has_no_connection_left(server: Endpoint) -> None:
    admin = tools.with_admin(server)
    tools.as_superuser(server, "ALTER ROLE deployer CONNECTION LIMIT 0")
    what, mend = told(admin)
    assert what == 'too many connections for role "deployer"'
    assert "close connections" in mend


@contextmanager
def answering(endpoint: Endpoint, said: bytes) -> Iterator[Endpoint]:
    """A server that says this to every login and ends the connection."""

    def answer(listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            with client:
                while struct.unpack("!2i", client.recv(4096)[:8])[1] in (80877103, 80877104):  # TLS or GSSAPI?
                    client.sendall(b"N")
                client.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=answer, args=[listening])
        thread.start()
        try:
            yield replace(endpoint, port=listening.getsockname()[1])
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def error(severity: str, message: str) -> bytes:
    """An ErrorResponse of PostgreSQL's protocol."""
    fields = b"".join(kind + text.encode() + b"\0" for kind, text in ((b"S", severity), (b"M", message))) + b"\0"
    return b"E" + struct.pack("!i", 4 + len(fields)) + fields


@pytest.mark.parametrize(
    ("said", "what", "mend"),
    [
        ("the database system is starting up", "is not ready: the database system is starting up", "wait until it is"),
        ("the database system is shutting down", "is not ready", "wait until it is"),
        ("the database system is in recovery mode", "is not ready", "wait until it is"),
        ("sorry, too many clients already", "too many clients already", "raise max_connections"),
        (
            "remaining connection slots are reserved for roles with the SUPERUSER attribute",
            "remaining connection slots",
            "raise max_connections",
        ),
        ("terminating connection due to administrator command", "ended the connection: terminating", "that it runs"),
        ("", "the server ended the connection", "see that it runs"),
    ],
)
def test_a_server_that_has_no_time_for_us_says_so(server: Endpoint, said: str, what: str, mend: str) -> None:
    with answering(server, error("FATAL", said) if said else b"") as endpoint:
        seen = told(endpoint)
    assert what in seen[0]
    assert mend in seen[1]


@pytest.mark.parametrize("severity", ["FATAL", "ВАЖНО", "致命错误", "FATALE"])
def test_a_refusal_of_a_server_that_speaks_another_language_is_one(server: Endpoint, severity: str) -> None:
    with answering(server, error(severity, "роли «billing» вход не разрешён")) as endpoint:
        seen = connect_user(endpoint, "postgres", "billing", SecretStr("c4n4ry"))
        what, _ = told(endpoint)
    assert isinstance(seen, Refusal)
    assert (seen.reason, seen.message, seen.state) == (RefusalReason.OTHER, what, "")
    assert what == "роли «billing» вход не разрешён"


def test_the_embedded_server_does_not_run(project: Project) -> None:
    write_stack(project, "tst", services=["billing"])
    with pytest.raises(ServerError, match="does not run") as caught:
        direct_engine(project)
    assert caught.value.mend == "golabs server start"


def test_the_clients_environment_does_not_lead_elsewhere(
    server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGHOST": "elsewhere.invalid",
        "PGHOSTADDR": "127.0.0.2",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGPASSWORD": "nothing",
        "PGDATABASE": "nowhere",
        "PGSSLMODE": "verify-full",
        "PGOPTIONS": "-c default_transaction_read_only=on -c search_path=pg_temp",
    }.items():
        monkeypatch.setenv(name, value)
    engine(project, server).up()
    assert engine(project, server).up().changes == ()
