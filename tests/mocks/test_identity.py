"""What Pulumi knows a resource by: its type, its name and its parents. A change here replaces it in users' stacks."""

from __future__ import annotations

import pytest

from .conftest import Bench
from .fake_engine import (
    DATABASE_COMPONENT,
    PROVIDER,
    RANDOM_BYTES,
    SERVICE_COMPONENT,
    STACK,
    Registered,
    Run,
    urn_of,
)
from .samples import ENVIRONMENTS, SERVICES

STACK_URN = "urn:pulumi:tst::golabs-infra::pulumi:pulumi:Stack::golabs-infra-tst"

THREE_SERVICES = """\
golabs:postgresql:Database$postgresql:index/database:Database::go-labs-tst
golabs:postgresql:Database$postgresql:index/extension:Extension::go-labs-tst-extension-pg_trgm
golabs:postgresql:Database$postgresql:index/grant:Grant::go-labs-tst-public-database
golabs:postgresql:Database$postgresql:index/grant:Grant::go-labs-tst-public-schema-extensions
golabs:postgresql:Database$postgresql:index/grant:Grant::go-labs-tst-public-schema-public
golabs:postgresql:Database$postgresql:index/schema:Schema::go-labs-tst-extensions
golabs:postgresql:Database::go-labs-tst
golabs:postgresql:ServiceSchema$postgresql:index/defaultPrivileges:DefaultPrivileges::billing-app-later-sequence
golabs:postgresql:ServiceSchema$postgresql:index/defaultPrivileges:DefaultPrivileges::billing-app-later-table
golabs:postgresql:ServiceSchema$postgresql:index/defaultPrivileges:DefaultPrivileges::catalog-app-later-sequence
golabs:postgresql:ServiceSchema$postgresql:index/defaultPrivileges:DefaultPrivileges::catalog-app-later-table
golabs:postgresql:ServiceSchema$postgresql:index/defaultPrivileges:DefaultPrivileges::order-app-later-sequence
golabs:postgresql:ServiceSchema$postgresql:index/defaultPrivileges:DefaultPrivileges::order-app-later-table
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::billing-app-database
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::billing-app-schema
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::billing-app-sequence
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::billing-app-table
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::billing-migration-database
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::catalog-app-database
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::catalog-app-schema
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::catalog-app-sequence
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::catalog-app-table
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::catalog-migration-database
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::order-app-database
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::order-app-schema
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::order-app-sequence
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::order-app-table
golabs:postgresql:ServiceSchema$postgresql:index/grant:Grant::order-migration-database
golabs:postgresql:ServiceSchema$postgresql:index/role:Role::billing-app
golabs:postgresql:ServiceSchema$postgresql:index/role:Role::billing-migration
golabs:postgresql:ServiceSchema$postgresql:index/role:Role::catalog-app
golabs:postgresql:ServiceSchema$postgresql:index/role:Role::catalog-migration
golabs:postgresql:ServiceSchema$postgresql:index/role:Role::order-app
golabs:postgresql:ServiceSchema$postgresql:index/role:Role::order-migration
golabs:postgresql:ServiceSchema$postgresql:index/schema:Schema::billing
golabs:postgresql:ServiceSchema$postgresql:index/schema:Schema::catalog
golabs:postgresql:ServiceSchema$postgresql:index/schema:Schema::order
golabs:postgresql:ServiceSchema$random:index/randomPassword:RandomPassword::billing-app
golabs:postgresql:ServiceSchema$random:index/randomPassword:RandomPassword::billing-migration
golabs:postgresql:ServiceSchema$random:index/randomPassword:RandomPassword::catalog-app
golabs:postgresql:ServiceSchema$random:index/randomPassword:RandomPassword::catalog-migration
golabs:postgresql:ServiceSchema$random:index/randomPassword:RandomPassword::order-app
golabs:postgresql:ServiceSchema$random:index/randomPassword:RandomPassword::order-migration
golabs:postgresql:ServiceSchema::billing
golabs:postgresql:ServiceSchema::catalog
golabs:postgresql:ServiceSchema::order
pulumi:providers:postgresql::go-labs-tst
random:index/randomBytes:RandomBytes::verifier-salt
""".splitlines()


def service_of(resource: Registered) -> str | None:
    """The service that a resource is for, as its name says; None for the database's own."""
    return next((service for service in SERVICES if resource.name.split("-")[0] == service), None)


def below_the_stack(run: Run) -> list[Registered]:
    """Every resource but those that stand directly in the stack: components, provider and salt."""
    top = {SERVICE_COMPONENT, DATABASE_COMPONENT, PROVIDER, RANDOM_BYTES}
    return [resource for resource in run if resource.type not in top]


def test_three_services_with_an_extension_are_these_resources(bench: Bench) -> None:
    run = bench.declared(services=["billing", {"name": "catalog", "extensions": ["pg_trgm"]}, "order"])
    assert sorted(resource.urn for resource in run) == [
        f"urn:pulumi:tst::golabs-infra::{name}" for name in THREE_SERVICES
    ]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_resources_are_named_alike_in_every_environment(bench: Bench, environment: str) -> None:
    names = {resource.urn for resource in bench.declared(environment)}
    assert names == {resource.urn.replace("tst", environment) for resource in bench.declared()}


def test_the_order_and_the_form_of_services_in_the_config_change_nothing(bench: Bench) -> None:
    turned = bench.declared(services=[{"name": "order"}, "catalog", {"name": "billing"}])
    assert {(resource.urn, str(resource.inputs)) for resource in turned} == {
        (resource.urn, str(resource.inputs)) for resource in bench.declared()
    }


def test_another_service_leaves_the_resources_of_the_others_alone(bench: Bench) -> None:
    before = {resource.urn: (resource.inputs, resource.parent) for resource in bench.declared()}
    after = {
        resource.urn: (resource.inputs, resource.parent)
        for resource in bench.declared(services=["aaa", "billing", "catalog", "order"])
    }
    assert {urn: after[urn] for urn in before} == before


def test_components_have_stable_type_tokens_and_stand_in_the_stack(bench: Bench) -> None:
    run = bench.declared()
    assert set(run.of("golabs:postgresql:ServiceSchema")) == set(SERVICES)
    assert set(run.of("golabs:postgresql:Database")) == {"go-labs-tst"}
    for resource in run:
        if resource not in below_the_stack(run):
            assert resource.parent == STACK_URN


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_resource_has_the_component_of_its_service_or_of_the_database_as_parent(
    bench: Bench, environment: str
) -> None:
    run = bench.declared(environment, services=["billing", {"name": "catalog", "extensions": ["pg_trgm"]}])
    for resource in below_the_stack(run):
        service = service_of(resource)
        owner = (SERVICE_COMPONENT, service) if service else (DATABASE_COMPONENT, f"go-labs-{environment}")
        assert resource.parent == urn_of(environment, *owner)


def test_components_tell_what_they_made(bench: Bench) -> None:
    outputs = {urn: found for urn, found in bench.declared().raw_outputs.items() if f"::{STACK}::" not in urn}
    assert outputs == {
        urn_of("tst", DATABASE_COMPONENT, "go-labs-tst"): {"name": "go-labs-tst"},
        **{
            urn_of("tst", SERVICE_COMPONENT, service): {
                "schema": service,
                "migrationUser": f"{service}_migration_tst_user",
                "appUser": f"{service}_app_tst_user",
            }
            for service in SERVICES
        },
    }
