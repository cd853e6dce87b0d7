"""The sessions that are open on a database: who has them, whether the admin may end them, and ending them.

When they are to be ended is decided elsewhere.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.errors import InsufficientPrivilege

from .inspection import lost_in_words, read_rows

_MOMENT_S = 2.0
"""So long may a session that was asked to end take for it."""


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


def end_sessions(connection: psycopg.Connection[Any], sessions: Iterable[Session]) -> tuple[Session, ...]:
    """Asks the server to end sessions. Gives those that it has asked: others have left, or changed hands, since they were
    seen. Raises ServerConnectionError where the server can't be asked any more."""
    asked: list[Session] = []
    for session in sessions:
        with lost_in_words(connection, "open sessions could not be ended", ""), suppress(InsufficientPrivilege):
            row = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND usename = %s",
                [session.pid, session.user],
            ).fetchone()
            asked += [session] if row is not None and row[0] else []
    return tuple(asked)


def close_sessions(connection: psycopg.Connection[Any], database: str, users: Collection[str]) -> tuple[Session, ...]:
    """Ends the sessions of users that the admin may end, and gives them. Raises ServerConnectionError."""
    return end_sessions(connection, [each for each in open_sessions(connection, database, users) if each.endable])


def sessions_left(
    connection: psycopg.Connection[Any], database: str, users: Collection[str], ended: Collection[Session] = ()
) -> tuple[Session, ...]:
    """The sessions that users still have, after those that were `ended` have had a moment to go."""
    going = {session.pid for session in ended}
    deadline = time.monotonic() + _MOMENT_S
    left = open_sessions(connection, database, users)
    while going & {session.pid for session in left} and time.monotonic() < deadline:
        time.sleep(_MOMENT_S / 40)
        left = open_sessions(connection, database, users)
    return left


def in_words(sessions: Iterable[Session]) -> str:
    """How many sessions each user has: `billing_app_tst_user (2), ops (1)`."""
    counts = Counter(session.user for session in sessions)
    return ", ".join(f"{user} ({count})" for user, count in sorted(counts.items()))
