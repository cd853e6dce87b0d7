"""Java properties, `<service>-<kind>.properties`: url, user and password for the driver, and Spring's names for the same.

HikariCP takes no names but its own from a file: hand these three to its setters, or let Spring Boot do so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .connection_urls import jdbc_address
from .formats_login import Credentials, ExportFormat, heading, refuse_password

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
_SOCKET_NOTE = "# The driver reaches a socket by a library that has to be on the class path: com.kohlschutter.junixsocket:junixsocket-core\n"


def render_jdbc(users: Iterable[Credentials]) -> dict[str, str]:
    """A file for each user."""
    return {f"{user.service}-{user.kind}.properties": _file(user) for user in users}


def _file(user: Credentials) -> str:
    if "${" in user.password:
        raise refuse_password(
            user, ExportFormat.JDBC, "has ${ in it, which Spring takes for the name of another property"
        )
    url = jdbc_address(user.host, user.port, user.database, user.sslmode, user.sslrootcert)
    values = {
        "url": url,
        "user": user.username,
        "password": user.password,
        "spring.datasource.url": url,
        "spring.datasource.username": user.username,
        "spring.datasource.password": user.password,
    }
    note = _SOCKET_NOTE if user.is_socket else ""
    lines = (f"{name}={_escaped(value)}\n" for name, value in values.items())
    return heading(user.environment, ExportFormat.JDBC) + note + "".join(lines)


def _escaped(value: str) -> str:
    """A value as java.util.Properties reads it: ASCII, the rest as UTF-16 units; spaces at its ends where they are seen."""
    text = "".join(_character(character) for character in value)
    return re.sub(r"\A +| +\Z", lambda spaces: r"\u0020" * len(spaces[0]), text)


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if " " <= character <= "~":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
