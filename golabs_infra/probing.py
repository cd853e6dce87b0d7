"""Logs in as every user of an environment and makes the attempts of `probes`; tells what the server said to each.

Attempts are made inside of a transaction that is rolled back. In disposable environments each migration user makes a
table first, which is dropped in the end whatever happens. What the results mean is judged elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from pydantic import SecretStr

from .attempting import for_each, log_in, try_all
from .attempts import NO_SCHEMA, SCRATCH_PREFIX, Observation, Outcome, Relation
from .connecting import Refusal, RefusalReason
from .endpoint import Endpoint
from .model import Desired, Role
from .probes import Program
from .scratch import Scratch

_FACTS = """
SELECT current_user::pg_catalog.text,
       pg_catalog.current_setting('is_superuser'),
       pg_catalog.current_setting('search_path')
"""
_WORKERS = 4


@dataclass(frozen=True)
class SessionFacts:
    """What a user's session is like from its start; `search_path` as PostgreSQL writes it."""

    current_user: str
    is_superuser: bool
    search_path: str


@dataclass(frozen=True)
class LoginSeen:
    """A user's login to the environment's database: the session's facts, or the refusal.

    Both are None where the user was let in, and its session was lost before it could be asked.
    """

    user: str
    password_asked: bool
    facts: SessionFacts | None = None
    refusal: Refusal | None = None

    @property
    def accepted(self) -> bool:
        """Whether the server let the user in."""
        return self.refusal is None


@dataclass(frozen=True)
class Probed:
    """What was seen. A user that was not let in has no other observation than its logins.

    `scratch` are the services with a table made for this; `without_scratch` says of others that are not retired why
    not; `left_behind` are the tables that could not be dropped.
    """

    logins: tuple[LoginSeen, ...]
    observations: tuple[Observation, ...]
    scratch: tuple[str, ...]
    without_scratch: Mapping[str, str]
    left_behind: tuple[str, ...]
    seconds: float


def probe(
    endpoint: Endpoint,
    desired: Desired,
    passwords: Mapping[str, SecretStr],
    relations: Sequence[Relation],
    *,
    other_databases: Sequence[str] = (),
    scratch: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Probed:
    """Makes every attempt as every user whose password is known, with one connection at a time for each.

    `progress` is called with the number of users that are done and their total. Without `scratch` nothing is made
    anywhere. Raises ServerConnectionError where the server does not answer.
    """
    began = time.monotonic()
    roles = [role for role in desired.roles if role.name in passwords]
    tables = Scratch(endpoint, desired, passwords, _WORKERS)
    with tables.kept() if scratch else nullcontext():
        if scratch:  # their names are those of tables that may just have been removed
            relations = [relation for relation in relations if not relation.name.startswith(SCRATCH_PREFIX)]
        program = Program(
            desired,
            endpoint.admin_user,
            relations,
            scratch=dict.fromkeys(tables.made, tables.name),
            passing=f"{tables.name}_passing" if scratch else "",
        )
        prober = _Prober(endpoint, desired.database.name, program, passwords, other_databases)
        seen = for_each(prober, roles, _WORKERS, progress)
    return Probed(
        logins=tuple(login for login, _ in seen),
        observations=tuple(observation for _, observations in seen for observation in observations),
        scratch=tuple(service.name for service in desired.services if service.schema.name in tables.made),
        without_scratch=dict(sorted(tables.refused.items())),
        left_behind=tuple(sorted(tables.left_behind)),
        seconds=time.monotonic() - began,
    )


class _Prober:
    """Tries everything as one user after the other."""

    def __init__(
        self,
        endpoint: Endpoint,
        database: str,
        program: Program,
        passwords: Mapping[str, SecretStr],
        other_databases: Sequence[str],
    ) -> None:
        self._endpoint = endpoint
        self._database = database
        self._program = program
        self._passwords = passwords
        self._other_databases = other_databases

    def __call__(self, role: Role) -> tuple[LoginSeen, list[Observation]]:
        user = role.name
        login, observations, lost = self._at_home(role)
        if lost:  # the server was restarted, the network cut: a session that ends again was ended by what it tried
            login, observations, _ = self._at_home(role)
        if login.refusal is None or login.refusal.reason is not RefusalReason.WRONG_PASSWORD:
            observations += map(self._elsewhere, [user] * len(self._other_databases), self._other_databases)
        return login, observations

    def _at_home(self, role: Role) -> tuple[LoginSeen, list[Observation], bool]:
        """What a user meets in the environment's own database, and whether its session was lost on the way."""
        user = role.name
        attempt = self._program.log_in(user)
        session = log_in(self._endpoint, self._database, user, self._passwords[user])
        if isinstance(session, Refusal):
            login = LoginSeen(user, session.password_asked, refusal=session)
            refused = Observation(user, attempt, _of_own_login(session, role), session.message, session.state)
            return login, [refused], False
        with closing(session):
            version = session.info.server_version
            login = _look(session, user)
            observations = [Observation(user, attempt, Outcome.PERMITTED)]
            observations += self._inside(session, user, version)
            return login, observations, session.broken

    def _inside(self, session: psycopg.Connection[Any], user: str, version: int) -> list[Observation]:
        seen = try_all(session, user, self._program.first(user, version))
        seen += try_all(session, user, self._program.further(user, seen))
        seen = [each for each in seen if not _of_nothing(each)]
        doubtful = {
            index: question
            for index, each in enumerate(seen)
            if each.outcome is Outcome.DENIED
            and (question := self._program.asked(each.attempt))
            and self._can_look_into(each.attempt.schema, seen)
        }
        answers = try_all(session, user, list(doubtful.values()))
        for index, answer in zip(doubtful, answers, strict=True):
            if answer.outcome is Outcome.PERMITTED:
                detail = f"has the privilege, yet: {seen[index].detail}"
                seen[index] = replace(seen[index], outcome=Outcome.UNDECIDED, detail=detail)
        return seen

    def _can_look_into(self, schema: str, seen: Iterable[Observation]) -> bool:
        return any(
            each.attempt.action == "use-schema" and each.attempt.schema == schema and each.outcome is Outcome.PERMITTED
            for each in seen
        )

    def _elsewhere(self, user: str, database: str) -> Observation:
        attempt = self._program.elsewhere(user, database)
        session = log_in(self._endpoint, database, user, self._passwords[user])
        if isinstance(session, Refusal):
            by_privilege = session.reason in (RefusalReason.NO_CONNECT, RefusalReason.NO_LOGIN)
            outcome = Outcome.DENIED if by_privilege else Outcome.UNDECIDED
            return Observation(user, attempt, outcome, session.message, session.state)
        session.close()
        return Observation(user, attempt, Outcome.PERMITTED)


def _of_own_login(refusal: Refusal, role: Role) -> Outcome:
    """A service that is running may hold all connections that its user may have: that says nothing."""
    match refusal.reason:
        case RefusalReason.ROLE_FULL:
            return Outcome.UNDECIDED if role.connection_limit > 0 else Outcome.DENIED
        case RefusalReason.DATABASE_FULL | RefusalReason.SERVER_FULL | RefusalReason.OTHER:
            return Outcome.UNDECIDED
        case _:
            return Outcome.DENIED


def _of_nothing(observation: Observation) -> bool:
    """Whether a schema was tried that nobody is to use and that is not there, as a `public` that was dropped."""
    attempt = observation.attempt
    return (
        observation.state in NO_SCHEMA and attempt.action in ("use-schema", "create-in-schema") and not attempt.expected
    )


def _look(session: psycopg.Connection[Any], user: str) -> LoginSeen:
    asked = bool(session.pgconn.used_password)
    try:
        session.execute(b"SET client_encoding TO 'UTF8'")
        row = session.execute(_FACTS.encode()).fetchone()
    except psycopg.Error:
        return LoginSeen(user, asked)
    if row is None:
        raise AssertionError("a SELECT without FROM gives a row")
    current, superuser, path = row
    return LoginSeen(user, asked, SessionFacts(current, superuser == "on", path))
