"""What comes before what. Removal goes the other way round, so each of these decides that order too."""

from __future__ import annotations

import pytest

from .conftest import Bench
from .fake_engine import (
    DATABASE,
    DEFAULT_PRIVILEGES,
    EXTENSION,
    GRANT,
    PROVIDER,
    RANDOM_BYTES,
    RANDOM_PASSWORD,
    ROLE,
    SCHEMA,
    Registered,
    Run,
)
from .samples import ENVIRONMENTS, KINDS, a_cluster

SERVICES = ("billing", "catalog")
TRIGRAMS = ["billing", {"name": "catalog", "extensions": ["pg_trgm"]}]

pytestmark = pytest.mark.parametrize("environment", ENVIRONMENTS)


def before(run: Run, resource: Registered) -> set[tuple[str, str]]:
    """Type and name of everything that a resource waits for, however indirectly."""
    by_urn = {found.urn: found for found in run}
    seen: set[str] = set()
    todo = set(resource.dependencies)
    while todo:
        urn = todo.pop()
        if urn not in seen:
            seen.add(urn)
            todo |= by_urn[urn].dependencies
    return {(by_urn[urn].type, by_urn[urn].name) for urn in seen}


@pytest.fixture
def run(bench: Bench, environment: str) -> Run:
    return bench.declared(environment, services=TRIGRAMS)


def test_the_database_comes_after_every_role_so_that_it_is_dropped_first(run: Run, environment: str) -> None:
    (database,) = run.of(DATABASE).values()
    assert {role.urn for role in run.of(ROLE).values()} <= database.dependencies
    assert len(run.of(ROLE)) == 4


def test_no_role_waits_for_the_database_or_for_anything_in_it(run: Run, environment: str) -> None:
    for name, role in run.of(ROLE).items():
        assert before(run, role) == {(RANDOM_PASSWORD, name), (RANDOM_BYTES, "verifier-salt")}


def test_whatever_is_in_the_database_comes_after_it(run: Run, environment: str) -> None:
    database = run.one(DATABASE, f"go-labs-{environment}").urn
    for resource in run:
        if resource.type in (SCHEMA, GRANT, DEFAULT_PRIVILEGES, EXTENSION):
            assert database in resource.dependencies
            assert resource.property_dependencies["database"] == {database}


def test_a_schema_comes_after_the_database_and_its_owner(run: Run, environment: str) -> None:
    for service in SERVICES:
        schema = run.one(SCHEMA, service)
        assert run.one(DATABASE, f"go-labs-{environment}").urn in schema.dependencies
        assert run.one(ROLE, f"{service}-migration").urn in schema.dependencies


def test_grants_in_a_schema_come_after_it_and_after_their_grantee(run: Run, environment: str) -> None:
    for service in SERVICES:
        for kind in ("schema", "table", "sequence"):
            grant = run.one(GRANT, f"{service}-app-{kind}")
            assert run.one(SCHEMA, service).urn in grant.dependencies
            assert run.one(ROLE, f"{service}-app").urn in grant.dependencies


def test_grants_on_the_database_wait_for_nothing_but_it_and_the_grantee(run: Run, environment: str) -> None:
    database = run.one(DATABASE, f"go-labs-{environment}").urn
    for service in SERVICES:
        for kind in KINDS:
            grant = run.one(GRANT, f"{service}-{kind}-database")
            assert grant.dependencies == {database, run.one(ROLE, f"{service}-{kind}").urn}
    assert run.one(GRANT, f"go-labs-{environment}-public-database").dependencies == {database}


def test_default_privileges_come_after_every_grant_in_their_schema(run: Run, environment: str) -> None:
    for service in SERVICES:
        grants = {run.one(GRANT, f"{service}-app-{kind}").urn for kind in ("schema", "table", "sequence")}
        for kind in ("table", "sequence"):
            entry = run.one(DEFAULT_PRIVILEGES, f"{service}-app-later-{kind}")
            assert grants <= entry.dependencies
            assert run.one(SCHEMA, service).urn in entry.dependencies


def test_an_extension_comes_after_its_schema_and_so_does_the_grant_on_it(run: Run, environment: str) -> None:
    name = f"go-labs-{environment}"
    schema = run.one(SCHEMA, f"{name}-extensions").urn
    assert schema in run.one(EXTENSION, f"{name}-extension-pg_trgm").dependencies
    assert schema in run.one(GRANT, f"{name}-public-schema-extensions").dependencies


def test_no_service_waits_for_another_one(run: Run, environment: str) -> None:
    for resource in run:
        service = resource.name.split("-")[0]
        if service in SERVICES:
            (other,) = set(SERVICES) - {service}
            # What both are in waits for the users of both; everything else of a service is its own.
            foreign = {(type_, name) for type_, name in before(run, resource) if name.split("-")[0] == other}
            assert {type_ for type_, _ in foreign} <= {ROLE, RANDOM_PASSWORD}


def test_nothing_names_a_resource_that_the_run_does_not_declare(run: Run, environment: str) -> None:
    urns = {resource.urn for resource in run}
    for resource in run:
        assert resource.dependencies <= urns
        assert resource.urn not in resource.dependencies
        assert {urn for found in resource.property_dependencies.values() for urn in found} <= urns


def test_a_resource_is_registered_only_after_what_it_waits_for(run: Run, environment: str) -> None:
    done: set[str] = set()
    for resource in run:
        assert resource.dependencies <= done
        done.add(resource.urn)


def test_adoption_changes_no_dependency(bench: Bench, run: Run, environment: str) -> None:
    users = [f"{service}_{kind}_{environment}_user" for service in SERVICES for kind in KINDS]
    adopted = bench.declare(environment, cluster=a_cluster(*users, database_exists=True), services=TRIGRAMS)
    for resource in adopted:
        assert resource.dependencies == run.one(resource.type, resource.name).dependencies


def test_the_provider_waits_for_nothing(run: Run, environment: str) -> None:
    assert {provider.dependencies for provider in run.of(PROVIDER).values()} == {frozenset()}
