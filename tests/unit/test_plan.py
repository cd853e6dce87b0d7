"""Plans: nothing to do where nothing differs, and everything from nothing; databases, users, schemas and extensions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from golabs_infra.changes import (
    AllowConnections,
    AlterDatabaseOwner,
    AlterRole,
    AlterSchemaOwner,
    BorrowMembership,
    Change,
    CreateDatabase,
    CreateExtension,
    CreateRole,
    CreateSchema,
    DropDatabase,
    DropOwned,
    DropRole,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    ReturnMembership,
    RevokePrivileges,
    SetPassword,
)
from golabs_infra.inspection import Live
from golabs_infra.model import DefaultPrivileges, Desired, Extension, Grant, Role, Schema
from golabs_infra.plan import plan, plan_database, plan_destroy

from .catalogs import RELATIONS, make_cluster, make_desired, make_empty, make_live
from .planned import (
    APP,
    DML,
    MIGRATION,
    ORDER_APP,
    ORDER_MIGRATION,
    two_services,  # noqa: F401 - the fixture `desired`
    verifiers_of,
    with_grants,
    with_role,
    without_superuser,
)

# ---- from nothing to everything, and no further


def test_from_nothing_the_database_comes_first_and_alone(desired: Desired) -> None:
    assert plan_database(desired, Live(make_cluster(database_exists=False))) == [CreateDatabase("go-labs-tst")]


def test_in_an_empty_database_everything_is_made_in_order() -> None:
    desired = make_desired("tst", services=[{"name": "billing", "extensions": ["pg_trgm"]}])
    migration, app = desired.roles
    assert plan(desired, make_empty(desired), verifiers_of(desired)) == [
        CreateSchema(Schema("extensions", None)),
        CreateExtension(Extension("pg_trgm", "extensions")),
        RevokePrivileges(Grant("database", "", "public", ("CONNECT", "TEMPORARY"))),
        RevokePrivileges(Grant("schema", "public", "public", ("USAGE",))),
        GrantPrivileges(Grant("schema", "extensions", "public", ("USAGE",))),
        CreateRole(migration, f"SCRAM-SHA-256$of {MIGRATION}"),
        CreateRole(app, f"SCRAM-SHA-256$of {APP}"),
        CreateSchema(Schema("billing", MIGRATION)),
        GrantPrivileges(Grant("schema", "billing", APP, ("USAGE",))),
        GrantDefaultPrivileges(DefaultPrivileges(MIGRATION, "billing", "sequence", APP, ("SELECT", "USAGE"))),
        GrantDefaultPrivileges(DefaultPrivileges(MIGRATION, "billing", "table", APP, DML)),
        GrantPrivileges(Grant("database", "", APP, ("CONNECT",))),
        GrantPrivileges(Grant("database", "", MIGRATION, ("CONNECT", "TEMPORARY"))),
    ]


@pytest.mark.parametrize(
    ("version", "in_public"), [(180001, ("USAGE",)), (150000, ("USAGE",)), (140012, ("CREATE", "USAGE"))]
)
def test_a_preview_of_a_database_that_is_not_there_knows_what_a_new_one_gives_to_public(
    desired: Desired, version: int, in_public: tuple[str, ...]
) -> None:
    live = Live(make_cluster(database_exists=False, version_number=version))
    revoked = [change for change in plan(desired, live, verifiers_of(desired)) if isinstance(change, RevokePrivileges)]
    assert revoked == [
        RevokePrivileges(Grant("database", "", "public", ("CONNECT", "TEMPORARY"))),
        RevokePrivileges(Grant("schema", "public", "public", in_public)),
    ]


def test_a_preview_of_a_database_that_is_not_there_is_what_a_run_does(desired: Desired) -> None:
    before = Live(make_cluster(database_exists=False))
    assert plan(desired, before, verifiers_of(desired)) == plan(desired, make_empty(desired), verifiers_of(desired))


CONFIGURATIONS: list[dict[str, object]] = [
    {},
    {"services": []},
    {"services": ["billing"]},
    {"services": [{"name": "billing", "connectionLimit": 5, "statementTimeout": "30s"}]},
    {"services": [{"name": "billing", "retired": True}, "order"]},
    {"services": [{"name": "billing", "extensions": ["pg_trgm", "citext"]}, "order"]},
]


@pytest.mark.parametrize("superuser", [True, False])
@pytest.mark.parametrize("relations", [(), RELATIONS])
@pytest.mark.parametrize("values", CONFIGURATIONS)
def test_where_live_equals_desired_there_is_nothing_to_do(
    values: dict[str, object], relations: tuple[tuple[str, str, str], ...], superuser: bool
) -> None:
    desired = make_desired("tst", **values)
    made = [entry for entry in RELATIONS if entry in relations and entry[1] in {s.name for s in desired.schemas}]
    live = make_live(desired, relations=made, superuser=superuser)
    assert plan_database(desired, live) == []
    assert plan(desired, live, {}) == []


def test_the_same_difference_gives_the_same_plan_whatever_the_order_of_the_catalogs(desired: Desired) -> None:
    live = with_grants(make_live(desired), *(Grant("table", "order", APP, ("SELECT",), f"t{n}") for n in range(50)))
    shuffled = replace(live, grants=frozenset(sorted(live.grants, reverse=True)))
    assert plan(desired, live, {}) == plan(desired, shuffled, {})
    relations = [change.grant.relation for change in plan(desired, live, {}) if isinstance(change, RevokePrivileges)]
    assert relations == sorted(relations)


# ---- the database


def test_a_database_that_a_failed_destroy_closed_is_opened_again(desired: Desired) -> None:
    closed = make_live(desired, allows_connections=False)
    assert plan_database(desired, closed) == [AllowConnections("go-labs-tst")]


@pytest.mark.parametrize("owner", [APP, MIGRATION])
def test_a_database_that_a_user_of_ours_owns_is_the_admins_again(desired: Desired, owner: str) -> None:
    live = make_live(desired, database_owner=owner)
    assert plan(desired, live, {}) == [AlterDatabaseOwner("go-labs-tst")]


def test_a_database_that_somebody_else_owns_stays_theirs(desired: Desired) -> None:
    assert plan(desired, make_live(desired, database_owner="dba"), {}) == []


# ---- users


@pytest.mark.parametrize(
    "attributes",
    [
        {"login": False},
        {"superuser": True},
        {"create_database": True},
        {"create_role": True},
        {"replication": True},
        {"bypass_row_level_security": True},
        {"inherit": False},
        {"connection_limit": 10},
        {"search_path": ("public",)},
        {"search_path": ()},
        {"statement_timeout": 5000},
        {"statement_timeout": -1},
        {"idle_in_transaction_session_timeout": 1},
    ],
)
def test_a_user_that_is_not_as_it_should_be_is_altered(desired: Desired, attributes: dict[str, object]) -> None:
    live = with_role(make_live(desired), APP, attributes)
    (role,) = [role for role in desired.roles if role.name == APP]
    assert plan(desired, live, {}) == [AlterRole(role, live.cluster.roles[APP])]


def test_an_expiry_is_ended(desired: Desired) -> None:
    live = with_role(make_live(desired), APP, {}, expires=True)
    assert plan(desired, live, {}) == [AlterRole(live.cluster.roles[APP].role, live.cluster.roles[APP])]


@pytest.mark.parametrize(
    "oddity",
    [
        {"memberships": (("pg_read_all_data", "postgres"),)},
        {"memberships": ((ORDER_MIGRATION, None),)},
        {"overridden": ("search_path",)},
    ],
)
def test_memberships_and_settings_of_one_database_are_ended(desired: Desired, oddity: dict[str, Any]) -> None:
    live = make_live(desired)
    odd = replace(live.cluster.roles[APP], **oddity)
    live = replace(live, cluster=replace(live.cluster, roles={**live.cluster.roles, APP: odd}))
    assert plan(desired, live, {}) == [AlterRole(odd.role, odd)]


def test_a_new_password_is_set_and_nothing_else(desired: Desired) -> None:
    assert plan(desired, make_live(desired), {APP: "SCRAM-SHA-256$new"}) == [SetPassword(APP, "SCRAM-SHA-256$new")]


def test_a_missing_user_is_made_again_and_gets_its_privileges_back(desired: Desired) -> None:
    live = make_live(desired)
    left = replace(
        live,
        cluster=make_cluster([role for role in desired.roles if role.name != APP]),
        grants=frozenset(grant for grant in live.grants if grant.grantee != APP),
        default_privileges=frozenset(entry for entry in live.default_privileges if entry.grantee != APP),
    )
    in_schema = [grant for grant in desired.services[0].grants if grant.grantee == APP and grant.kind != "database"]
    assert plan(desired, left, {APP: "SCRAM-SHA-256$new"}) == [
        CreateRole(desired.services[0].app, "SCRAM-SHA-256$new"),
        *(GrantPrivileges(grant) for grant in in_schema),
        *(
            GrantDefaultPrivileges(entry)
            for entry in sorted(desired.services[0].default_privileges, key=lambda e: e.kind)
        ),
        GrantPrivileges(Grant("database", "", APP, ("CONNECT",))),
    ]


def test_a_user_that_somebody_else_made_is_left_alone(desired: Desired) -> None:
    other = Role("catalog_app_tst_user", True, ())
    live = with_grants(
        make_live(desired, roles=[*desired.roles, other]),
        Grant("schema", "billing", "reporting", ("USAGE",)),
        Grant("table", "billing", "reporting", ("SELECT",), "invoice"),
        Grant("database", "", "reporting", ("CONNECT",)),
    )
    assert plan(desired, live, {}) == []


# ---- schemas and extensions


def test_a_schema_of_the_wrong_owner_gets_its_own(desired: Desired) -> None:
    live = make_live(desired)
    wrong = replace(live, schemas={**live.schemas, "billing": "postgres"})
    assert plan(desired, wrong, {}) == [AlterSchemaOwner(Schema("billing", MIGRATION))]


def test_a_missing_schema_is_made_again(desired: Desired) -> None:
    live = make_live(desired, relations=[])
    left = replace(
        live,
        schemas={name: owner for name, owner in live.schemas.items() if name != "billing"},
        grants=frozenset(grant for grant in live.grants if grant.schema != "billing"),
        default_privileges=frozenset(entry for entry in live.default_privileges if entry.schema != "billing"),
    )
    assert [type(change) for change in plan(desired, left, {})] == [
        CreateSchema,
        GrantPrivileges,
        GrantDefaultPrivileges,
        GrantDefaultPrivileges,
    ]


def test_the_schema_of_extensions_may_belong_to_whoever_made_it() -> None:
    desired = make_desired("tst", services=[{"name": "billing", "extensions": ["pg_trgm"]}])
    live = make_live(desired, relations=[])
    assert plan(desired, replace(live, schemas={**live.schemas, "extensions": "dba"}), {}) == []


def test_the_schema_of_extensions_is_taken_from_a_user_of_ours() -> None:
    desired = make_desired("tst", services=[{"name": "billing", "extensions": ["pg_trgm"]}])
    live = make_live(desired, relations=[])
    wrong = replace(live, schemas={**live.schemas, "extensions": APP})
    assert plan(desired, wrong, {}) == [AlterSchemaOwner(Schema("extensions", None))]
    assert plan(desired, without_superuser(wrong), {}) == [
        BorrowMembership(APP),
        AlterSchemaOwner(Schema("extensions", None)),
        ReturnMembership(APP),
    ]


def test_a_missing_extension_is_made_and_one_in_another_schema_left_there() -> None:
    desired = make_desired("tst", services=[{"name": "billing", "extensions": ["citext", "pg_trgm"]}])
    live = make_live(desired, relations=[])
    elsewhere = replace(
        live, extensions=frozenset({Extension("pg_trgm", "public"), Extension("plpgsql", "pg_catalog")})
    )
    assert plan(desired, elsewhere, {}) == [CreateExtension(Extension("citext", "extensions"))]


# ---- destroy


def test_destroy_drops_the_database_first_and_then_every_user_of_the_environment(desired: Desired) -> None:
    forgotten = Role("catalog_app_tst_user", True, ())
    live = make_live(desired, roles=[*desired.roles, forgotten])
    assert plan_destroy(desired, live) == [
        DropDatabase("go-labs-tst"),
        DropRole(APP),
        DropRole(MIGRATION),
        DropRole("catalog_app_tst_user"),
        DropRole(ORDER_APP),
        DropRole(ORDER_MIGRATION),
    ]


def test_destroy_of_half_of_it_drops_what_is_left(desired: Desired) -> None:
    live = Live(make_cluster([desired.services[0].app], database_exists=False))
    assert plan_destroy(desired, live) == [DropRole(APP)]
    assert plan_destroy(desired, Live(make_cluster(database_exists=False))) == []


# ---- what takes something away


def test_only_drops_are_destructive() -> None:
    kinds = Change.__subclasses__()
    assert {kind for kind in kinds if kind.destructive} == {DropDatabase, DropOwned, DropRole, DropSchema}
    assert len(kinds) == 20


def test_converging_never_destroys_anything(desired: Desired) -> None:
    lives = [make_empty(desired), make_live(desired), Live(make_cluster(database_exists=False))]
    changes = [change for live in lives for change in plan(desired, live, verifiers_of(desired))]
    assert changes
    assert [change for change in changes if change.destructive] == []
