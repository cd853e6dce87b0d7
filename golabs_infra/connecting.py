"""Opens connections to PostgreSQL, as the admin or to try a login, and says in plain words why one failed.

It sends no statement of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

import psycopg
from pydantic import SecretStr

from .endpoint import Endpoint
from .errors import ServerConnectionError
from .tls_failures import explain

CONNECT_TIMEOUT_S = 10
APPLICATION = "golabs"

_REFUSED_AFTERWARDS = re.compile(
    r"^(role .* is not permitted to log in|permission denied for database|too many connections for (role|database)"
    r"|database .* (does not exist|is not currently accepting connections)$|cannot connect to invalid database)"
)
_NOT_UP = re.compile(r"^the database system is ")
_NO_DATABASE = re.compile(r"^database .* does not exist$")
_CLOSED = re.compile(r"^database .* is not currently accepting connections$")
_INVALID = re.compile(r"^cannot connect to invalid database")
_FULL = re.compile(r"^(sorry, )?(too many clients|too many connections|remaining connection slots)")
_SAID = re.compile(r"(?:FATAL:\s+|(?:\A|failed: )\S+: {2,})(.*)")
"""What the server said, after its word for how bad that is. The word may be of any language; two spaces follow it."""


_UNHEARD = (
    (
        ("Connection refused", "No such file"),
        ("no PostgreSQL answers there", "start it, or correct host and port (systemctl status postgresql)"),
    ),
    (("resolve", "Name or service"), ("the host's name can't be resolved", "correct golabs-infra:host")),
    (
        ("expected authentication request", "invalid response to SSL negotiation"),
        (
            "something answers there that does not speak PostgreSQL's protocol",
            "correct golabs-infra:host and golabs-infra:port",
        ),
    ),
    (
        ("timeout", "timed out"),
        ("no answer within {timeout} s", "check the address, the network and the firewall"),
    ),
)
"""What libpq says where no server has said anything: its words, what that means, and the mend."""


class LoginAnswer(Enum):
    """What the server said to a user's login."""

    ACCEPTED = "accepted"
    WRONG_PASSWORD = "wrong password"  # noqa: S105  (the name of an answer)
    NO_PASSWORD_ASKED = "no password asked"  # noqa: S105  (the name of an answer)


class RefusalReason(StrEnum):
    """Why the server did not let a user in. An expired password looks wrong to whoever logs in with it."""

    WRONG_PASSWORD = "wrong or expired password"  # noqa: S105  (the name of a reason)
    NO_LOGIN = "not permitted to log in"
    NO_CONNECT = "no CONNECT privilege on the database"
    ROLE_FULL = "too many connections for the role"
    DATABASE_FULL = "too many connections for the database"
    SERVER_FULL = "too many connections for the server"
    CLOSED = "the database allows no connections"
    NO_DATABASE = "the database does not exist"
    HOST_REFUSED = "pg_hba.conf refuses"
    OTHER = "another reason"


_REASONS = (
    (re.compile(r"authentication failed for user"), RefusalReason.WRONG_PASSWORD, "28P01"),
    (re.compile(r"^role .* is not permitted to log in"), RefusalReason.NO_LOGIN, "28000"),
    (re.compile(r"^permission denied for database"), RefusalReason.NO_CONNECT, "42501"),
    (re.compile(r"^too many connections for role"), RefusalReason.ROLE_FULL, "53300"),
    (re.compile(r"^too many connections for database"), RefusalReason.DATABASE_FULL, "53300"),
    (re.compile(r"^(sorry, too many clients already|remaining connection slots)"), RefusalReason.SERVER_FULL, "53300"),
    (
        re.compile(r"^(database .* is not currently accepting connections|cannot connect to invalid database)"),
        RefusalReason.CLOSED,
        "55000",
    ),
    (re.compile(r"^database .* does not exist"), RefusalReason.NO_DATABASE, "3D000"),
    (re.compile(r"^(no pg_hba\.conf entry|pg_hba\.conf rejects)"), RefusalReason.HOST_REFUSED, "28000"),
)
"""libpq gives the words of a refusal, and not its SQLSTATE."""


@dataclass(frozen=True)
class Refusal:
    """A login that the server refused: why, in its own words too, and whether it had asked for the password by then.

    `state` is the SQLSTATE, empty for another reason.
    """

    reason: RefusalReason
    message: str
    password_asked: bool
    state: str = ""


def connect_admin(endpoint: Endpoint, database: str | None = None) -> psycopg.Connection[Any]:
    """An autocommit connection as the admin, to the admin database unless another is named.

    Raises ServerConnectionError with the host, the reason and the mend.
    """
    return _connect(endpoint, database or endpoint.admin_database, endpoint.admin_user, endpoint.admin_password)


def try_login(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> LoginAnswer:
    """Logs in as a user and out again. Raises ServerConnectionError where the server could not be asked."""
    try:
        with _open(endpoint, database, user, password) as connection:
            return LoginAnswer.ACCEPTED if connection.pgconn.used_password else LoginAnswer.NO_PASSWORD_ASKED
    except psycopg.OperationalError as error:
        said = _said_by_the_server(error)
        asked = error.pgconn is not None and error.pgconn.used_password
        if "password authentication failed" in said:
            return LoginAnswer.WRONG_PASSWORD
        # The server looks at all of this only after the password, if it asks for one, was found to be right.
        if _REFUSED_AFTERWARDS.search(said):
            return LoginAnswer.ACCEPTED if asked else LoginAnswer.NO_PASSWORD_ASKED
        raise _explained(error, endpoint, database, user) from error


def connect_user(
    endpoint: Endpoint, database: str, user: str, password: SecretStr
) -> psycopg.Connection[Any] | Refusal:
    """An autocommit connection as a user, or why the server refuses it.

    Raises ServerConnectionError where the server does not answer, or is not up.
    """
    try:
        return _open(endpoint, database, user, password)
    except psycopg.OperationalError as error:
        said = _said_by_the_server(error)
        if not said or _NOT_UP.search(said):
            raise _explained(error, endpoint, database, user) from error
        known = ((reason, state) for pattern, reason, state in _REASONS if pattern.search(said))
        reason, state = next(known, (RefusalReason.OTHER, ""))
        asked = error.pgconn is not None and error.pgconn.used_password
        return Refusal(reason, said, asked, error.sqlstate or state)


def _connect(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any]:
    try:
        return _open(endpoint, database, user, password)
    except psycopg.OperationalError as error:
        raise _explained(error, endpoint, database, user) from error


def _open(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any]:
    is_admin = user == endpoint.admin_user
    return psycopg.connect(
        host=endpoint.host,
        hostaddr="",  # so that PGHOSTADDR and PGOPTIONS don't lead elsewhere
        options="",
        port=endpoint.port,
        dbname=database,
        user=user,
        password=password.get_secret_value(),
        sslmode=endpoint.ssl_mode,
        sslrootcert=endpoint.ssl_root_cert or "",  # nor PGSSLROOTCERT prove another server
        sslcert=(endpoint.ssl_cert if is_admin else None) or "",
        sslkey=(endpoint.ssl_key if is_admin else None) or "",
        sslcertmode="allow" if is_admin else "disable",  # not that of ~/.postgresql either, which services don't have
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=APPLICATION,
        client_encoding="UTF8",  # else names come as bytes where the database has no encoding (SQL_ASCII)
        autocommit=True,
    )


def _said_by_the_server(error: psycopg.OperationalError) -> str:
    """The server's own words, empty where it said none; the last of them where a host has several addresses."""
    found: list[str] = _SAID.findall(str(error))
    return found[-1] if found else ""


def _explained(error: psycopg.OperationalError, endpoint: Endpoint, database: str, user: str) -> ServerConnectionError:
    said = _said_by_the_server(error)
    reason = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
    unquoted = re.sub(r'"[^"]*"', "", str(error))  # hosts, files and databases may be called anything
    if about_tls := explain(str(error), said, endpoint, user):
        what, mend = about_tls
    elif "password authentication failed" in said:
        what, mend = (
            f"the server refuses the password of {user}",
            f"golabs set-password {endpoint.environment} --admin (or correct adminUser)",
        )
    elif _NOT_UP.search(said):
        what, mend = f"PostgreSQL is not ready: {said}", "wait until it is, and run this again"
    elif said.startswith("terminating connection") or "closed the connection unexpectedly" in unquoted:
        what = f"the server ended the connection{f': {said}' if said else ''}"
        mend = "see that it runs (its log says what happened), and run this again"
    elif _FULL.search(said):
        what, mend = said, "close connections that nobody needs, or raise max_connections, and run this again"
    elif _NO_DATABASE.search(said) and database != endpoint.admin_database:
        what, mend = said, f"it is gone or was never made: golabs up {endpoint.environment} makes it"
    elif _INVALID.search(said):
        what = f"{said}: a DROP DATABASE that was interrupted has left it, and PostgreSQL can only drop it"
        mend = f"golabs doctor {endpoint.environment} says how to go on"
    elif _CLOSED.search(said):
        what, mend = said, "somebody has closed it; to open it, as its owner: ALTER DATABASE ... ALLOW_CONNECTIONS true"
    elif said:
        what, mend = said, "check host, port, adminUser and adminDatabase in the stack's configuration"
    else:
        what, mend = next(
            (told for words, told in _UNHEARD if any(word in unquoted for word in words)),
            (reason, "check host, port, adminUser and adminDatabase in the stack's configuration"),
        )
        what = what.replace("{timeout}", str(CONNECT_TIMEOUT_S))
    return ServerConnectionError(what, where=f"{user}@{endpoint.address}/{database}", mend=mend)
