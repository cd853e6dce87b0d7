"""The sessions that are open on a database: who has them, whether the admin may end them, and ending them.

When they are to be ended is decided elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from .inspection import read_rows


@dataclass(frozen=True)
class Session:
    """One session of a user. `application` and `client` (an address; empty for a local socket) are as it says."""

    pid: int
    user: str
    application: str
    client: str
    endable: bool


def open_sessions(
    connection: psycopg.Connection[Any], database: str, users: Collection[str] | None = None
) -> tuple[Session, ...]:
    """The sessions on a database but our own, of these users only if any are given. Raises ServerConnectionError."""
    found = [
        Session(row["pid"], row["user_name"], row["application"], row["client"], row["endable"])
        for row in read_rows(connection, "sessions", database=database)
    ]
    return tuple(session for session in found if users is None or session.user in users)


def end_sessions(connection: psycopg.Connection[Any], sessions: Iterable[Session]) -> None:
    """Asks the server to end sessions. Raises psycopg.Error where the admin may not."""
    for session in sessions:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND usename = %s",
            [session.pid, session.user],
        )


def in_words(sessions: Iterable[Session]) -> str:
    """How many sessions each user has: `billing_app_tst_user (2), ops (1)`."""
    counts = Counter(session.user for session in sessions)
    return ", ".join(f"{user} ({count})" for user, count in sorted(counts.items()))
