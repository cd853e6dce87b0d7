"""Makes the attempts of one session: many of them in one round trip, inside of a transaction that is rolled back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from importlib import resources
from typing import Any, TypeVar

import psycopg
from pydantic import SecretStr

from .attempts import Attempt, Observation, Outcome
from .connecting import Refusal, RefusalReason, connect_user
from .endpoint import Endpoint
from .statement import filled

STATEMENT_TIMEOUT_S = 20
LOCK_TIMEOUT_MS = 300
FREED_WITHIN_S = 1.0
"""How long a user's login waits for a connection to become free that it may have used itself a moment ago."""

SAFE = f"""
SET LOCAL search_path TO pg_catalog, pg_temp;
SET LOCAL statement_timeout TO '{STATEMENT_TIMEOUT_S}s';
SET LOCAL lock_timeout TO '{LOCK_TIMEOUT_MS}ms';
SET LOCAL idle_in_transaction_session_timeout TO '60s';
SET LOCAL row_security TO on;
"""
"""From here on no function of the user's own search path is run in a transaction, and nothing waits for long."""

Result = TypeVar("Result")


def log_in(endpoint: Endpoint, database: str, user: str, password: SecretStr) -> psycopg.Connection[Any] | Refusal:
    """A user's session. A role's limit also counts sessions that we have just ended, so it is asked again for a while."""
    deadline = time.monotonic() + FREED_WITHIN_S
    while True:
        session = connect_user(endpoint, database, user, password)
        if not isinstance(session, Refusal):
            return session
        if session.reason is not RefusalReason.ROLE_FULL or time.monotonic() > deadline:
            return session
        time.sleep(0.05)


def beginning(session: psycopg.Connection[Any]) -> str:
    """What begins a transaction as SAFE says. Only a standby has to have a read-only one. Raises psycopg.Error."""
    return f"BEGIN ISOLATION LEVEL READ COMMITTED {'READ ONLY' if _is_standbys(session) else 'READ WRITE'};\n{SAFE}"


def _is_standbys(session: psycopg.Connection[Any]) -> bool:
    told = session.pgconn.parameter_status(b"in_hot_standby")
    if told is not None:
        return told == b"on"
    try:  # before PostgreSQL 14 a server does not tell by itself
        return session.execute(b"SELECT pg_catalog.pg_is_in_recovery()").fetchone() == (True,)
    except psycopg.errors.InsufficientPrivilege:
        return False


def try_all(session: psycopg.Connection[Any], user: str, attempts: Sequence[Attempt]) -> list[Observation]:
    """What came of each attempt, in their order. Nothing that the server says makes it fail."""
    said: list[str] = []
    try:
        while attempts and len(said) < len(attempts) and _cancelled(said) < 2:
            made = _in_one_round(session, attempts[len(said) :])
            if not made:
                said += _one_by_one(session, attempts[len(said) :])
                break
            said += made
    except psycopg.Error as error:
        said += [f"{error.sqlstate or '08006'} {message_of(error)}"] * (len(attempts) - len(said))
    said += ["57014 not tried: attempts before were cancelled"] * (len(attempts) - len(said))
    return [Observation(user, attempt, *_understood(each)) for attempt, each in zip(attempts, said, strict=True)]


def _cancelled(said: Iterable[str]) -> int:
    return sum(each.startswith("57014") for each in said)


def _in_one_round(session: psycopg.Connection[Any], attempts: Sequence[Attempt]) -> list[str]:
    """An SQLSTATE and a message for each of the first attempts, none where the user can't run such a block."""
    listed = json.dumps([[each.statement, each.object, each.asks] for each in attempts])
    script = f"{beginning(session)}{filled(_attempts_script(), listed)};\nROLLBACK;"
    try:
        cursor = session.execute(script.encode())
        row = cursor.fetchone() if cursor.description else None
        while cursor.nextset():
            row = cursor.fetchone() if cursor.description else row
    except psycopg.Error:
        if session.closed:
            raise
        session.execute(b"ROLLBACK")
        return []
    made: list[str] = json.loads(row[0]) if row else []
    return made


def _one_by_one(session: psycopg.Connection[Any], attempts: Iterable[Attempt]) -> list[str]:
    """As `_in_one_round`, with a round trip or more for each: for users that may not run what it takes."""
    said: list[str] = []
    session.execute(beginning(session).encode())
    for attempt in attempts:
        session.execute(b"SAVEPOINT golabs")
        try:
            cursor = session.execute(attempt.statement.encode())
            answer = cursor.fetchone() if attempt.asks else (True,)
            permitted = answer[0] if answer else None
            said.append("02000" if permitted is None else "00000" if permitted else "42501")
        except psycopg.Error as error:
            said.append(f"{error.sqlstate or '08006'} {message_of(error)}")
        session.execute(b"ROLLBACK TO SAVEPOINT golabs")
        if _cancelled(said) == 2:
            break
    session.execute(b"ROLLBACK")
    return said


def _understood(said: str) -> tuple[Outcome, str, str]:
    """The outcome, the detail and the SQLSTATE that an observation has."""
    state, _, message = said.partition(" ")
    match state:
        case "00000":
            return Outcome.PERMITTED, "", ""
        case "42501":
            return Outcome.DENIED, message, state
        case _:
            return Outcome.UNDECIDED, message or f"SQLSTATE {state}", state


def message_of(error: psycopg.Error) -> str:
    """What the server said, or else what the driver did."""
    return error.diag.message_primary or str(error).strip()


@cache
def _attempts_script() -> str:
    return resources.files(__package__).joinpath("queries", "attempts.sql").read_text(encoding="utf-8").strip()


def for_each(
    work: Callable[[Any], Result],
    items: Sequence[Any],
    workers: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Result]:
    """What work gives for each item, in their order. Where one fails, or somebody interrupts, no other one is begun."""
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [pool.submit(work, item) for item in items]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            progress(done, len(items))
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
