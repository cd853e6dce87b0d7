"""The options that make plain `pulumi destroy` and `pulumi up` keep to the policy of each environment."""

from __future__ import annotations

import pytest

from golabs_infra.inspection import Cluster

from .conftest import Bench
from .fake_engine import (
    DATABASE,
    DATABASE_COMPONENT,
    DEFAULT_PRIVILEGES,
    EXTENSION,
    GRANT,
    PROVIDER,
    RANDOM_BYTES,
    RANDOM_PASSWORD,
    ROLE,
    SCHEMA,
    SERVICE_COMPONENT,
    Run,
    urn_of,
)
from .samples import ENVIRONMENTS, GUARDED, a_cluster

TRIGRAMS = ["billing", {"name": "catalog", "extensions": ["pg_trgm"]}]
INSIDE = (SCHEMA, GRANT, DEFAULT_PRIVILEGES, EXTENSION)
OUTSIDE = (
    ROLE,
    DATABASE,
    RANDOM_PASSWORD,
    RANDOM_BYTES,
    PROVIDER,
    SERVICE_COMPONENT,
    DATABASE_COMPONENT,
)
IN_COMPONENTS = (*INSIDE, ROLE, DATABASE, RANDOM_PASSWORD)


def everything(bench: Bench, environment: str, **values: object) -> Run:
    """A run in which every type of resource occurs."""
    run = bench.declared(environment, services=TRIGRAMS, **values)
    assert {resource.type for resource in run} == {*INSIDE, *OUTSIDE}
    return run


def database_urn(environment: str) -> str:
    return urn_of(environment, DATABASE, f"go-labs-{environment}", parent_types=DATABASE_COMPONENT)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_everything_is_protected_in_guarded_stacks_and_nothing_in_others(bench: Bench, environment: str) -> None:
    run = everything(bench, environment)
    assert {resource.protect for resource in run} == {environment in GUARDED}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_a_stack_that_keeps_forgets_its_resources_and_leaves_them_in_place(bench: Bench, environment: str) -> None:
    for resource in everything(bench, environment):
        if resource.type in IN_COMPONENTS:
            assert resource.retain_on_delete is (environment == "dev")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_in_the_database_goes_with_it_in_disposable_stacks_only(bench: Bench, environment: str) -> None:
    expected = database_urn(environment) if environment == "tst" else ""
    for resource in everything(bench, environment):
        assert resource.deleted_with == (expected if resource.type in INSIDE else "")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_role_is_never_taken_for_deleted_with_something_else(bench: Bench, environment: str) -> None:
    assert {role.deleted_with for role in everything(bench, environment).of(ROLE).values()} == {""}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_taken_for_deleted_with_a_role(bench: Bench, environment: str) -> None:
    assert not [resource for resource in everything(bench, environment) if ROLE in resource.deleted_with]


@pytest.mark.parametrize("policy", ["disposable", "keep", "guarded"])
def test_a_stack_of_another_name_has_the_options_of_its_declared_policy(bench: Bench, policy: str) -> None:
    like = {"disposable": "tst", "keep": "dev", "guarded": "prd"}[policy]
    declared, known = everything(bench, "review", policy=policy), everything(bench, like)
    for resource in known:
        twin = declared.one(resource.type, resource.name.replace(like, "review"))
        assert (twin.protect, twin.retain_on_delete, bool(twin.deleted_with)) == (
            resource.protect,
            resource.retain_on_delete,
            bool(resource.deleted_with),
        )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_default_privileges_alone_are_deleted_before_they_are_replaced(bench: Bench, environment: str) -> None:
    for resource in everything(bench, environment):
        assert resource.delete_before_replace is (resource.type == DEFAULT_PRIVILEGES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_on_an_empty_server_nothing_is_imported(bench: Bench, environment: str) -> None:
    assert {resource.import_id for resource in everything(bench, environment)} == {""}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize(
    ("users", "database_exists"),
    [
        ((), True),
        (("billing_app_{}_user",), False),
        (("billing_app_{}_user", "billing_migration_{}_user"), True),
    ],
)
def test_exactly_the_roles_and_the_database_that_exist_are_imported_by_their_names(
    bench: Bench, environment: str, users: tuple[str, ...], database_exists: bool
) -> None:
    existing = {user.format(environment) for user in users}
    run = bench.declare(
        environment, cluster=a_cluster(*existing, database_exists=database_exists), services=["billing"]
    )
    imported = {(resource.type, resource.import_id) for resource in run if resource.import_id}
    expected = {(ROLE, user) for user in existing}
    if database_exists:
        expected.add((DATABASE, f"go-labs-{environment}"))
    assert imported == expected
    for resource in run:
        if resource.import_id:
            assert resource.inputs["name"] == resource.import_id


def test_a_user_of_a_service_that_is_not_configured_is_left_alone(bench: Bench) -> None:
    cluster: Cluster = a_cluster("legacy_app_tst_user", "billing_app_tst_user")
    run = bench.declare(cluster=cluster, services=["billing"])
    assert [resource.import_id for resource in run if resource.import_id] == ["billing_app_tst_user"]
    assert "legacy" not in str(list(run))
