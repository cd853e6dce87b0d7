"""Opens connections to PostgreSQL, as the admin or to try a login, and says in plain words why one failed.

It sends no statement of its own. Only `inspection`, `direct` and `verification` use it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import psycopg
from pydantic import SecretStr

from .endpoint import Endpoint
from .errors import ServerConnectionError

CONNECT_TIMEOUT_S = 10
APPLICATION = "golabs"


class LoginAnswer(Enum):
    """What the server said to a user's login."""

    ACCEPTED = "accepted"
    WRONG_PASSWORD = "wrong password"  # noqa: S105  (the name of an answer)
    NO_PASSWORD_ASKED = "no password asked"  # noqa: S105  (the name of an answer)
    REFUSED = "refused"


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
        text = str(error)
        if "password authentication failed" in text:
            return LoginAnswer.WRONG_PASSWORD
        # The server looks at database, CONNECT and limits only after the password was found to be right.
        if "does not exist" in text and "database" in text:
            return LoginAnswer.ACCEPTED
        if "permission denied for database" in text or "too many connections for role" in text:
            return LoginAnswer.ACCEPTED
        if "is not permitted to log in" in text:
            return LoginAnswer.REFUSED
        raise _explained(error, endpoint, database, user) from error


def _connect(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any]:
    try:
        return _open(endpoint, database, user, password)
    except psycopg.OperationalError as error:
        raise _explained(error, endpoint, database, user) from error


def _open(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=endpoint.host,
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


def _explained(error: psycopg.OperationalError, endpoint: Endpoint, database: str, user: str) -> ServerConnectionError:
    reason = str(error).strip().splitlines()[-1].removeprefix("connection failed: ")
    if "password authentication failed" in reason:
        what, mend = f"the server refuses the password of {user}", "pulumi config set --secret adminPassword"
    elif "Connection refused" in reason or "No such file" in reason:
        what, mend = "no PostgreSQL answers there", "start it, or correct host and port (systemctl status postgresql)"
    elif "resolve" in reason or "Name or service" in reason or "name resolution" in reason:
        what, mend = "the host's name can't be resolved", "correct golabs-infra:host"
    elif "SSL" in reason or "certificate" in reason:
        what, mend = f"TLS failed: {reason}", "correct golabs-infra:sslMode and sslRootCert"
    elif "timeout" in reason or "timed out" in reason:
        what, mend = f"no answer within {CONNECT_TIMEOUT_S} s", "check the address, the network and the firewall"
    else:
        what, mend = reason, "check host, port, adminUser and adminDatabase in the stack's configuration"
    return ServerConnectionError(what, where=f"{user}@{endpoint.address}/{database}", mend=mend)
