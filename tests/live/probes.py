"""Proofs for the tests: what each user of an environment sees and may do, seen by logging in."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pydantic import SecretStr

from golabs_infra.attempts import (
    SCRATCH_PREFIX,
    Observation,
    Outcome,
    Relation,
)
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.probing import Probed, probe
from golabs_infra.project import Project
from golabs_infra.scratch import read_relations

from . import tools
from .tools import DATABASE, SERVICES

APP, MIGRATION = "billing_app_tst_user", "billing_migration_tst_user"
DENIED, PERMITTED, UNDECIDED = Outcome.DENIED, Outcome.PERMITTED, Outcome.UNDECIDED
OTHER = "go-labs-ci"


def passwords(project: Project, services: Iterable[str] = SERVICES) -> dict[str, SecretStr]:
    """What the connection files say, by user."""
    users = [user for service in services for user in tools.record(project, service)["users"].values()]
    return {user["username"]: SecretStr(user["password"]) for user in users}


def relations(server: Endpoint, services: Iterable[str] = SERVICES) -> tuple[Relation, ...]:
    """What the admin sees in the services' schemas."""
    with connect_admin(server, DATABASE) as connection:
        return read_relations(connection, services)


def probed(
    server: Endpoint,
    project: Project,
    *,
    known: dict[str, SecretStr] | None = None,
    seen: tuple[Relation, ...] | None = None,
    others: Collection[str] = (),
    scratch: bool = False,
) -> Probed:
    """A proof of tst."""
    return probe(
        server,
        tools.engine(project, server).desired,
        passwords(project) if known is None else known,
        relations(server) if seen is None else seen,
        other_databases=tuple(others),
        scratch=scratch,
    )


def unexpected(result: Probed) -> set[tuple[str, str, str, Outcome]]:
    """Who, what, on which object, and what came of it, wherever it was not as the model says."""
    return {
        (each.user, each.attempt.action, each.attempt.object, each.outcome)
        for each in result.observations
        if not each.as_expected
    }


def of(result: Probed, user: str, action: str, words: str) -> Observation:
    """What came of one attempt."""
    (found,) = [
        each
        for each in result.observations
        if (each.user, each.attempt.action, each.attempt.object) == (user, action, words)
    ]
    return found


def sequences(server: Endpoint) -> list[object]:
    """Where every sequence stands."""
    with connect_admin(server, DATABASE) as connection:
        return connection.execute(
            "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
        ).fetchall()


def scratch_tables(server: Endpoint) -> list[str]:
    """The tables that were made for a proof, in every schema."""
    query = "SELECT coalesce(array_agg(oid::regclass::text ORDER BY oid), '{}') FROM pg_class WHERE relkind = 'r' AND relname ^@ %s"
    names: list[str] = tools.answer(server, query, SCRATCH_PREFIX, database=DATABASE)
    return names
