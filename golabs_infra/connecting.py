"""Opens connections to PostgreSQL, as the admin or to try a login, and says in plain words why one failed.

It sends no statement of its own. Only `inspection`, `direct` and `verification` use it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any

import psycopg
from pydantic import SecretStr

from .endpoint import Endpoint
from .errors import ServerConnectionError

CONNECT_TIMEOUT_S = 10
APPLICATION = "golabs"

_REFUSED_AFTERWARDS = re.compile(
    r"^(role .* is not permitted to log in|permission denied for database|too many connections for (role|database)"
    r"|database .* (does not exist|is not currently accepting connections)$)"
)


class LoginAnswer(Enum):
    """What the server said to a user's login."""

    ACCEPTED = "accepted"
    WRONG_PASSWORD = "wrong password"  # noqa: S105  (the name of an answer)
    NO_PASSWORD_ASKED = "no password asked"  # noqa: S105  (the name of an answer)


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


def _connect(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any]:
    try:
        return _open(endpoint, database, user, password)
    except psycopg.OperationalError as error:
        raise _explained(error, endpoint, database, user) from error


def _open(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=endpoint.host,
        hostaddr="",  # so that PGHOSTADDR and PGOPTIONS don't lead elsewhere
        options="",
        port=endpoint.port,
        dbname=database,
        user=user,
        password=password.get_secret_value(),
        sslmode=endpoint.ssl_mode,
        sslrootcert=endpoint.ssl_root_cert,
        sslcert=endpoint.ssl_cert if user == endpoint.admin_user else None,
        sslkey=endpoint.ssl_key if user == endpoint.admin_user else None,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name=APPLICATION,
        autocommit=True,
    )


def _said_by_the_server(error: psycopg.OperationalError) -> str:
    """The server's own words, empty where it said none; the last of them where a host has several addresses."""
    found: list[str] = re.findall(r"FATAL:\s+(.*)", str(error))
    return found[-1] if found else ""


def _explained(error: psycopg.OperationalError, endpoint: Endpoint, database: str, user: str) -> ServerConnectionError:
    said = _said_by_the_server(error)
    reason = str(error).strip().splitlines()[0].removeprefix("connection failed: ")
    unquoted = re.sub(r'"[^"]*"', "", str(error))  # hosts, files and databases may be called anything
    if "password authentication failed" in said:
        what, mend = f"the server refuses the password of {user}", "pulumi config set --secret adminPassword"
    elif said:
        what, mend = said, "check host, port, adminUser and adminDatabase in the stack's configuration"
    elif "SSL" in unquoted or "certificate" in unquoted:
        what, mend = f"TLS failed: {reason}", "correct golabs-infra:sslMode and sslRootCert"
    elif "Connection refused" in unquoted or "No such file" in unquoted:
        what, mend = "no PostgreSQL answers there", "start it, or correct host and port (systemctl status postgresql)"
    elif "resolve" in unquoted or "Name or service" in unquoted:
        what, mend = "the host's name can't be resolved", "correct golabs-infra:host"
    elif "timeout" in unquoted or "timed out" in unquoted:
        what, mend = f"no answer within {CONNECT_TIMEOUT_S} s", "check the address, the network and the firewall"
    else:
        what, mend = reason, "check host, port, adminUser and adminDatabase in the stack's configuration"
    return ServerConnectionError(what, where=f"{user}@{endpoint.address}/{database}", mend=mend)
