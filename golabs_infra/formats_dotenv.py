"""Environment files, `<service>-<kind>.env`: libpq's variables and DATABASE_URL, read alike by shells and dotenv readers.

A value is written bare where it can be, which every reader takes, also `docker run --env-file` that knows no quotes.
Quotes are used such that a POSIX shell (`set -a; . file`) and python-dotenv agree; what they can't agree on is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .formats_login import Credentials, ExportFormat, heading, refuse_password, refuse_root_certificate

_BARE = re.compile(r"[A-Za-z0-9/:][A-Za-z0-9_.,:/@%+=?\[\]-]*")
"""No tilde: a shell expands one also after a colon."""


def render_dotenv(users: Iterable[Credentials]) -> dict[str, str]:
    """A file for each user."""
    return {f"{user.service}-{user.kind}.env": _file(user) for user in users}


def _file(user: Credentials) -> str:
    values = {
        "PGHOST": user.host,
        "PGPORT": str(user.port),
        "PGDATABASE": user.database,
        "PGUSER": user.username,
        "PGPASSWORD": user.password,
        "PGSSLMODE": user.sslmode,
        **({"PGSSLROOTCERT": user.sslrootcert} if user.sslrootcert else {}),
        "DATABASE_URL": user.url,
    }
    return heading(user.environment, ExportFormat.DOTENV) + "".join(
        f"{name}={_written(user, name, value)}\n" for name, value in values.items()
    )


def _written(user: Credentials, name: str, value: str) -> str:
    quoted = _quoted(value)
    if quoted is None:
        why = "has quotes, backslashes and $ in it that shells and dotenv readers take for different things"
        refuse = refuse_root_certificate if name == "PGSSLROOTCERT" else refuse_password
        raise refuse(user, ExportFormat.DOTENV, why)
    return quoted


def _quoted(value: str) -> str | None:
    """The value as it stands in a file; None where readers would not agree on any way to write it."""
    if _BARE.fullmatch(value):
        return value
    if "\r" in value or "${" in value:  # python-dotenv makes line ends alike, and expands ${...} in any quotes
        return None
    if not re.search(r"'|\\\\|\\\Z", value):
        return f"'{value}'"
    if not re.search(r"[$`]", value):  # in double quotes a shell has escapes for these that python-dotenv does not know
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return None
