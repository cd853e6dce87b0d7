"""The two files that libpq reads by itself: passwords (PGPASSFILE) and services (PGSERVICEFILE), one of each an environment.

Both are read line by line, which sets what they can hold. Sources: passwordFromFile and parseServiceFile in fe-connect.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .formats_login import Credentials, ExportFormat, heading, refuse_password, refuse_root_certificate

PASSWORD_FILE = "pgpass"  # noqa: S105  (a file's name)
SERVICE_FILE = "pg_service.conf"

DEFAULT_SOCKET_FOLDERS = ("/tmp", "/var/run/postgresql", "/run/postgresql")  # noqa: S108  (names to compare with)
"""A libpq looks for its own default socket folder, one of these, under the name `localhost`."""

_LONGEST_LINE = 1021
"""Bytes that libpq takes for a line of a service file, from version 13 on."""
_SPACE = b" \t\n\v\f\r\x85\xa0"
"""What libpq strips from a line's end, byte by byte; the last two in some locales only."""


def render_pgpass(users: Iterable[Credentials]) -> dict[str, str]:
    """The password file of an environment; no file where it has no users."""
    listed = list(users)
    lines = [line for user in listed for line in _password_lines(user)]
    return {PASSWORD_FILE: heading(listed[0].environment, ExportFormat.PGPASS) + "".join(lines)} if listed else {}


def _password_lines(user: Credentials) -> list[str]:
    """Also those of another login that is good for a while: whoever has its name in a configuration looks it up here.

    Of two passwords that a login may have, libpq would take the first that stands here: only that of the connection file is.
    """
    others = {name: password for name, password in reversed(user.others) if name != user.username}
    return [
        line
        for name, password in ((user.username, user.password), *others.items())
        for line in _lines_of(replace(user, username=name, password=password))
    ]


def _lines_of(user: Credentials) -> list[str]:
    if "\n" in user.password or "\r" in user.password:
        raise refuse_password(
            user, ExportFormat.PGPASS, "has a line break in it, and a password file has one line for each"
        )
    hosts = [user.host, *(["localhost"] if user.host in DEFAULT_SOCKET_FOLDERS else [])]
    rest = (str(user.port), user.database, user.username, user.password)
    return [":".join(_escaped(field) for field in (host, *rest)) + "\n" for host in hosts]


def _escaped(field: str) -> str:
    return field.replace("\\", "\\\\").replace(":", "\\:")


def render_pgservice(users: Iterable[Credentials]) -> dict[str, str]:
    """The service file of an environment, a section for each user; no file where it has no users."""
    listed = list(users)
    sections = [f"\n[{user.label}]\n{_parameters(user)}" for user in listed]
    return {SERVICE_FILE: heading(listed[0].environment, ExportFormat.PGSERVICE) + "".join(sections)} if listed else {}


def _parameters(user: Credentials) -> str:
    if problem := _service_problem(f"password={user.password}"):
        raise refuse_password(user, ExportFormat.PGSERVICE, problem)
    lines = {
        "host": user.host,
        "port": str(user.port),
        "dbname": user.database,
        "user": user.username,
        "password": user.password,
        "sslmode": user.sslmode,
    }
    if user.sslrootcert:
        if problem := _service_problem(f"sslrootcert={user.sslrootcert}"):
            raise refuse_root_certificate(user, ExportFormat.PGSERVICE, problem)
        lines["sslrootcert"] = user.sslrootcert
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _service_problem(line: str) -> str | None:
    """Why libpq would read a line as something else than it says, or None."""
    written = line.encode()
    if "\n" in line:
        return "has a line break in it, and a service file has one line for each value"
    if written.rstrip(_SPACE) != written:
        return "ends with white space, which libpq strips from a service file's lines"
    if len(written) > _LONGEST_LINE:
        return f"makes a line of {len(written)} bytes, and libpq reads {_LONGEST_LINE} of a service file's line"
    return None
