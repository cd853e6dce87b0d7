"""What each resource is declared with, in every environment."""

from __future__ import annotations

import re

import pytest

from golabs_infra.adoption import Password
from golabs_infra.passwords import verifier_matches

from .conftest import Bench
from .fake_engine import (
    DATABASE,
    DEFAULT_PRIVILEGES,
    EXTENSION,
    GRANT,
    RANDOM_BYTES,
    RANDOM_PASSWORD,
    ROLE,
    SCHEMA,
    Run,
    generated_password,
)
from .samples import (
    CANARIES,
    CONFIGURED_PASSWORD,
    ENVIRONMENTS,
    KEPT_PASSWORD,
    KINDS,
    SERVICES,
    a_cluster,
    a_decision,
    configured,
    kept,
    some_settings,
)

VERIFIER = re.compile(r"SCRAM-SHA-256\$4096:[A-Za-z0-9+/]{22}==\$[A-Za-z0-9+/]{43}=:[A-Za-z0-9+/]{43}=")
WITH_TRIGRAMS = ["billing", {"name": "catalog", "extensions": ["pg_trgm"]}, "order"]
RETIRED = ["billing", {"name": "catalog", "retired": True, "connectionLimit": 7, "statementTimeout": "30s"}]


def inputs(run: Run, type_: str) -> dict[str, dict[str, object]]:
    return {name: resource.inputs for name, resource in run.of(type_).items()}


def without_password(values: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if key != "password"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_user_logs_in_and_has_no_other_attribute(bench: Bench, environment: str, kind: str) -> None:
    role = bench.declared(environment).one(ROLE, f"catalog-{kind}")
    assert without_password(role.inputs) == {
        "name": f"catalog_{kind}_{environment}_user",
        "login": True,
        "superuser": False,
        "createDatabase": False,
        "createRole": False,
        "replication": False,
        "bypassRowLevelSecurity": False,
        "inherit": True,
        "connectionLimit": -1,
        "searchPaths": ["catalog"],
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_service_has_its_two_users_and_no_other_role_is_made(bench: Bench, environment: str) -> None:
    run = bench.declared(environment)
    expected = {f"{service}-{kind}" for service in SERVICES for kind in KINDS}
    assert set(run.of(ROLE)) == expected
    assert {role.inputs["name"] for role in run.of(ROLE).values()} == {
        f"{service}_{kind}_{environment}_user" for service in SERVICES for kind in KINDS
    }


def test_every_role_gets_a_scram_verifier_of_its_password(bench: Bench) -> None:
    settings = some_settings()
    decision = a_decision(settings, {"billing_app_tst_user": configured(), "catalog_app_tst_user": kept()})
    roles = bench.declare(decision=decision).of(ROLE)
    clear = {name: generated_password(name) for name in roles}
    clear |= {"billing-app": CONFIGURED_PASSWORD, "catalog-app": KEPT_PASSWORD}
    for name, role in roles.items():
        verifier = role.inputs["password"]
        assert VERIFIER.fullmatch(verifier)
        assert verifier_matches(verifier, clear[name], role.inputs["name"])
        assert not any(canary in str(role.inputs) for canary in CANARIES)


def test_equal_passwords_have_different_verifiers(bench: Bench) -> None:
    settings = some_settings()
    decision = a_decision(settings, dict.fromkeys(settings.users, configured()))
    verifiers = [role.inputs["password"] for role in bench.declare(decision=decision).of(ROLE).values()]
    assert len(set(verifiers)) == 6


def test_a_verifier_is_the_same_in_the_next_run(bench: Bench) -> None:
    first, second = bench.declare(), bench.declare()
    assert inputs(first, ROLE) == inputs(second, ROLE)


def test_an_ascii_password_of_any_form_that_came_with_a_user_is_taken_as_it_is(bench: Bench) -> None:
    odd = "Canary2 'quoted\"; DROP ROLE x; -- \\ $1 %s {}"
    decision = a_decision(some_settings(), {"order_app_tst_user": configured(odd)})
    role = bench.declare(decision=decision).one(ROLE, "order-app")
    assert verifier_matches(role.inputs["password"], odd, "order_app_tst_user")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_limits_hold_for_the_app_user_only(bench: Bench, environment: str) -> None:
    limited = {
        "name": "catalog",
        "connectionLimit": 50,
        "statementTimeout": "30s",
        "idleInTransactionTimeout": "1min",
    }
    roles = inputs(bench.declared(environment, services=["billing", limited]), ROLE)
    names = ("connectionLimit", "statementTimeout", "idleInTransactionSessionTimeout")
    assert [roles["catalog-app"].get(name) for name in names] == [50, 30_000, 60_000]
    assert [roles["catalog-migration"].get(name) for name in names] == [-1, None, None]
    assert [roles["billing-app"].get(name) for name in names] == [-1, None, None]


def test_the_schema_of_extensions_is_second_on_every_search_path_if_a_service_asks_for_one(bench: Bench) -> None:
    with_one, without = bench.declared(services=WITH_TRIGRAMS), bench.declared()
    for service in SERVICES:
        for kind in KINDS:
            assert with_one.one(ROLE, f"{service}-{kind}").inputs["searchPaths"] == [service, "extensions"]
            assert without.one(ROLE, f"{service}-{kind}").inputs["searchPaths"] == [service]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_there_is_one_database_named_after_the_environment(bench: Bench, environment: str) -> None:
    name = f"go-labs-{environment}"
    assert inputs(bench.declared(environment), DATABASE) == {name: {"name": name, "encoding": "UTF8"}}


@pytest.mark.parametrize(("environment", "cascades"), [("tst", True), ("dev", False), ("qua", False), ("prd", False)])
def test_a_schema_belongs_to_its_migration_user_and_is_dropped_with_its_content_only_where_all_may_go(
    bench: Bench, environment: str, cascades: bool
) -> None:
    assert inputs(bench.declared(environment), SCHEMA) == {
        service: {
            "name": service,
            "database": f"go-labs-{environment}",
            "owner": f"{service}_migration_{environment}_user",
            "dropCascade": cascades,
        }
        for service in SERVICES
    }


@pytest.mark.parametrize(("policy", "cascades"), [("disposable", True), ("keep", False), ("guarded", False)])
def test_a_stack_of_another_name_follows_the_policy_that_it_declares(bench: Bench, policy: str, cascades: bool) -> None:
    run = bench.declared("review-7", policy=policy, services=["order"])
    assert run.one(SCHEMA, "order").inputs == {
        "name": "order",
        "database": "go-labs-review-7",
        "owner": "order_migration_review-7_user",
        "dropCascade": cascades,
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_grants_are_exactly_those_of_the_privilege_table(bench: Bench, environment: str) -> None:
    database = f"go-labs-{environment}"
    expected: dict[str, dict[str, object]] = {
        f"{database}-public-database": {"role": "public", "objectType": "database", "privileges": []},
        f"{database}-public-schema-public": {
            "role": "public",
            "objectType": "schema",
            "schema": "public",
            "privileges": [],
        },
    }
    for service in SERVICES:
        migration, app = (f"{service}_{kind}_{environment}_user" for kind in KINDS)
        expected |= {
            f"{service}-migration-database": {
                "role": migration,
                "objectType": "database",
                "privileges": ["CONNECT", "TEMPORARY"],
            },
            f"{service}-app-database": {"role": app, "objectType": "database", "privileges": ["CONNECT"]},
            f"{service}-app-schema": {
                "role": app,
                "objectType": "schema",
                "schema": service,
                "privileges": ["USAGE"],
            },
            f"{service}-app-table": {
                "role": app,
                "objectType": "table",
                "schema": service,
                "privileges": ["DELETE", "INSERT", "SELECT", "UPDATE"],
            },
            f"{service}-app-sequence": {
                "role": app,
                "objectType": "sequence",
                "schema": service,
                "privileges": ["SELECT", "USAGE"],
            },
        }
    assert inputs(bench.declared(environment), GRANT) == {
        name: {"database": database, **values} for name, values in expected.items()
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_default_privileges_are_those_of_the_migration_user_for_the_app_user_in_its_schema(
    bench: Bench, environment: str
) -> None:
    privileges = {"table": ["DELETE", "INSERT", "SELECT", "UPDATE"], "sequence": ["SELECT", "USAGE"]}
    assert inputs(bench.declared(environment), DEFAULT_PRIVILEGES) == {
        f"{service}-app-later-{kind}": {
            "database": f"go-labs-{environment}",
            "schema": service,
            "owner": f"{service}_migration_{environment}_user",
            "role": f"{service}_app_{environment}_user",
            "objectType": kind,
            "privileges": listed,
        }
        for service in SERVICES
        for kind, listed in privileges.items()
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_extensions_are_made_once_by_the_admin_in_a_schema_that_everybody_may_use(
    bench: Bench, environment: str
) -> None:
    database = f"go-labs-{environment}"
    services = [
        {"name": "billing", "extensions": ["pg_trgm", "btree_gist"]},
        {"name": "catalog", "extensions": ["pg_trgm"]},
    ]
    run = bench.declared(environment, services=services)
    assert inputs(run, EXTENSION) == {
        f"{database}-extension-{name}": {"name": name, "schema": "extensions", "database": database}
        for name in ("btree_gist", "pg_trgm")
    }
    assert run.one(SCHEMA, f"{database}-extensions").inputs == {"name": "extensions", "database": database}
    assert run.one(GRANT, f"{database}-public-schema-extensions").inputs == {
        "database": database,
        "role": "public",
        "objectType": "schema",
        "schema": "extensions",
        "privileges": ["USAGE"],
    }


def test_without_extensions_there_is_no_schema_for_them(bench: Bench) -> None:
    run = bench.declared()
    assert not run.of(EXTENSION)
    assert set(run.of(SCHEMA)) == set(SERVICES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_retired_service_keeps_its_resources_without_login_and_privileges(bench: Bench, environment: str) -> None:
    retired, active = (
        bench.declared(environment, services=RETIRED),
        bench.declared(environment, services=["billing", "catalog"]),
    )
    assert {resource.urn for resource in retired} == {resource.urn for resource in active}
    for kind in KINDS:
        assert retired.one(ROLE, f"catalog-{kind}").inputs["login"] is False
        assert VERIFIER.fullmatch(retired.one(ROLE, f"catalog-{kind}").inputs["password"])
    for type_ in (GRANT, DEFAULT_PRIVILEGES):
        for name, resource in retired.of(type_).items():
            if name.startswith("catalog-"):
                assert resource.inputs["privileges"] == []
            else:
                assert resource.inputs == active.one(type_, name).inputs
    assert retired.one(SCHEMA, "catalog").inputs == active.one(SCHEMA, "catalog").inputs


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_generated_passwords_are_32_letters_and_digits(bench: Bench, environment: str) -> None:
    passwords = inputs(bench.declared(environment), RANDOM_PASSWORD)
    assert passwords == {
        f"{service}-{kind}": {"length": 32, "special": False, "minLower": 1, "minUpper": 1, "minNumeric": 1}
        for service in SERVICES
        for kind in KINDS
    }


def test_one_random_salt_serves_the_whole_stack(bench: Bench) -> None:
    assert inputs(bench.declared(), RANDOM_BYTES) == {"verifier-salt": {"length": 32}}


def test_nothing_is_generated_for_a_password_that_is_known(bench: Bench) -> None:
    decision = a_decision(some_settings(), {"billing_app_tst_user": configured(), "order_migration_tst_user": kept()})
    passwords = bench.declare(decision=decision).of(RANDOM_PASSWORD)
    assert set(passwords) == {"billing-migration", "catalog-migration", "catalog-app", "order-app"}


@pytest.mark.parametrize(("environment", "stays"), [("tst", False), ("dev", False), ("qua", True), ("prd", True)])
@pytest.mark.parametrize("password", [configured(generated_before=True), kept(generated_before=True)])
def test_a_generated_password_that_was_replaced_stays_declared_only_where_nothing_may_be_removed(
    bench: Bench, environment: str, stays: bool, password: Password
) -> None:
    user = f"billing_app_{environment}_user"
    decision = a_decision(some_settings(environment, services=["billing"]), {user: password})
    run = bench.declare(environment, decision=decision, services=["billing"])
    assert ("billing-app" in run.of(RANDOM_PASSWORD)) is stays
    verifier = run.one(ROLE, "billing-app").inputs["password"]
    assert not verifier_matches(verifier, generated_password("billing-app"), user)


def test_an_environment_without_services_is_a_closed_database(bench: Bench) -> None:
    run = bench.declared(services=[])
    assert not run.of(ROLE)
    assert set(inputs(run, GRANT)) == {"go-labs-tst-public-database", "go-labs-tst-public-schema-public"}
    assert set(inputs(run, DATABASE)) == {"go-labs-tst"}


def test_inputs_do_not_depend_on_what_exists_already(bench: Bench) -> None:
    existing = a_cluster(
        *some_settings("dev").users, database_exists=True, database_owner="provisioner", owns_database=True
    )
    adopted, new = bench.declare("dev", cluster=existing), bench.declared("dev")
    for type_ in (ROLE, DATABASE, SCHEMA, GRANT, DEFAULT_PRIVILEGES):
        assert inputs(adopted, type_) == inputs(new, type_)


def test_a_preview_declares_the_same_but_for_what_is_not_known_yet(bench: Bench) -> None:
    preview, real = bench.declare(preview=True), bench.declared()
    for type_ in (DATABASE, SCHEMA, GRANT, DEFAULT_PRIVILEGES, RANDOM_PASSWORD):
        assert inputs(preview, type_) == inputs(real, type_)
    for name, role in preview.of(ROLE).items():
        assert without_password(role.inputs) == without_password(real.one(ROLE, name).inputs)


def test_a_second_login_is_a_member_of_its_user_and_acts_as_it(bench: Bench) -> None:
    run = bench.declared("tst", logins={"billing": {"app": ["user", "twin"], "migration": ["twin"]}})
    twin, user = run.one(ROLE, "billing-app-twin").inputs, run.one(ROLE, "billing-app").inputs
    assert (twin["name"], twin["roles"], twin["assumeRole"]) == (
        "billing_app_tst_twin",
        ["billing_app_tst_user"],
        "billing_app_tst_user",
    )
    assert {key: user[key] for key in twin if key not in ("name", "password", "roles", "assumeRole")} == {
        key: twin[key] for key in twin if key not in ("name", "password", "roles", "assumeRole")
    }
    assert "roles" not in user
    assert run.one(ROLE, "billing-migration").inputs["login"] is False
    assert run.one(ROLE, "billing-migration-twin").inputs["login"] is True
    assert not any("twin" in str(each["role"]) for each in inputs(run, GRANT).values())
