"""The desired state: every privilege of the design's table, written once, in an order that never changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golabs_infra.model import (
    PUBLIC,
    DefaultPrivileges,
    Desired,
    Extension,
    Grant,
    Role,
    Schema,
    expand,
)

from ..support import make_settings
from .catalogs import make_desired

MIGRATION = "billing_migration_tst_user"
APP = "billing_app_tst_user"
DML = ("DELETE", "INSERT", "SELECT", "UPDATE")


@pytest.fixture
def billing() -> Desired:
    """One service in tst."""
    return make_desired("tst", services=["billing"])


def of(desired: Desired, grantee: str) -> set[tuple[str, str, tuple[str, ...]]]:
    """What a grantee is given: kind, schema, privileges; without what is given as none."""
    return {(g.kind, g.schema, g.privileges) for g in desired.grants if g.grantee == grantee and g.privileges}


# ---- the design's table of privileges


def test_public_may_do_nothing_on_the_database_and_in_schema_public(billing: Desired) -> None:
    assert [grant for grant in billing.grants if grant.grantee == PUBLIC] == [
        Grant("database", "", PUBLIC, ()),
        Grant("schema", "public", PUBLIC, ()),
    ]


def test_the_migration_user_may_connect_and_make_temporary_tables_and_owns_the_schema(billing: Desired) -> None:
    assert of(billing, MIGRATION) == {("database", "", ("CONNECT", "TEMPORARY"))}
    assert billing.schemas == (Schema("billing", MIGRATION),)


def test_the_app_user_may_connect_and_change_rows_and_no_more(billing: Desired) -> None:
    assert of(billing, APP) == {
        ("database", "", ("CONNECT",)),
        ("schema", "billing", ("USAGE",)),
        ("table", "billing", DML),
        ("sequence", "billing", ("SELECT", "USAGE")),
    }


def test_later_tables_and_sequences_are_the_app_users_too(billing: Desired) -> None:
    assert billing.default_privileges == (
        DefaultPrivileges(MIGRATION, "billing", "table", APP, DML),
        DefaultPrivileges(MIGRATION, "billing", "sequence", APP, ("SELECT", "USAGE")),
    )


def test_nobody_is_given_anything_in_another_services_schema() -> None:
    desired = make_desired("tst", services=["billing", "catalog", "order"])
    for service in desired.services:
        own = {service.migration.name, service.app.name}
        elsewhere = [g for g in desired.grants if g.grantee in own and g.schema not in ("", service.name)]
        later = [d for d in desired.default_privileges if d.grantee in own and d.schema != service.name]
        assert (elsewhere, later) == ([], [])


def test_no_one_is_given_anything_that_the_design_does_not_name() -> None:
    desired = make_desired("tst", services=["billing", {"name": "order", "extensions": ["pg_trgm"]}])
    grantees = {PUBLIC, *(role.name for role in desired.roles)}
    assert {grant.grantee for grant in desired.grants} == grantees
    assert {entry.owner for entry in desired.default_privileges} == {s.migration.name for s in desired.services}
    assert {grant.schema for grant in desired.grants} == {"", "public", "extensions", "billing", "order"}


def test_each_privilege_is_written_once() -> None:
    desired = make_desired("tst")
    keys = [(g.kind, g.schema, g.relation, g.grantee) for g in desired.grants]
    later = [(d.owner, d.schema, d.kind, d.grantee) for d in desired.default_privileges]
    assert len(keys) == len(set(keys)) == 2 + 3 * 5
    assert len(later) == len(set(later)) == 3 * 2


# ---- users


def test_both_users_may_log_in_and_nothing_else(billing: Desired) -> None:
    bare = Role(MIGRATION, login=True, search_path=("billing",))
    assert billing.roles == (bare, replace(bare, name=APP))
    assert not any((bare.superuser, bare.create_database, bare.create_role, bare.replication))
    assert not bare.bypass_row_level_security
    assert (bare.connection_limit, bare.statement_timeout, bare.idle_in_transaction_session_timeout) == (-1, 0, 0)


def test_limits_hold_for_the_app_user_only() -> None:
    service = {"name": "billing", "connectionLimit": 50, "statementTimeout": "30s", "idleInTransactionTimeout": "60s"}
    migration, app = make_desired("tst", services=[service]).roles
    assert migration == Role(MIGRATION, login=True, search_path=("billing",))
    assert app == Role(
        APP,
        login=True,
        search_path=("billing",),
        connection_limit=50,
        statement_timeout=30_000,
        idle_in_transaction_session_timeout=60_000,
    )


# ---- retired services


def test_a_retired_service_keeps_its_schema_and_users_and_loses_login_and_privileges() -> None:
    active = make_desired("tst", services=["billing"])
    retired = make_desired("tst", services=[{"name": "billing", "retired": True}])
    assert retired.schemas == active.schemas
    assert retired.roles == tuple(replace(role, login=False) for role in active.roles)
    assert retired.grants == tuple(replace(grant, privileges=()) for grant in active.grants)
    assert retired.default_privileges == tuple(replace(entry, privileges=()) for entry in active.default_privileges)


def test_a_retired_service_takes_nothing_from_the_others() -> None:
    alone = make_desired("tst", services=["order"])
    beside = make_desired("tst", services=["order", {"name": "billing", "retired": True}])
    assert beside.services[1] == alone.services[0]


# ---- extensions


def test_without_extensions_there_is_no_schema_for_them(billing: Desired) -> None:
    assert billing.database.extensions == ()
    assert billing.database.schemas == ()
    assert "extensions" not in {schema for role in billing.roles for schema in role.search_path}


def test_extensions_are_made_once_by_the_admin_in_one_schema_that_everyone_may_use() -> None:
    services = [{"name": "order", "extensions": ["pg_trgm", "citext"]}, {"name": "billing", "extensions": ["pg_trgm"]}]
    desired = make_desired("tst", services=services)
    assert desired.database.extensions == (Extension("citext", "extensions"), Extension("pg_trgm", "extensions"))
    assert desired.schemas[0] == Schema("extensions", None)
    assert desired.database.grants[2:] == (Grant("schema", "extensions", PUBLIC, ("USAGE",)),)


def test_with_extensions_their_schema_is_second_on_every_users_search_path() -> None:
    desired = make_desired("tst", services=["billing", {"name": "order", "extensions": ["pg_trgm"]}])
    assert [role.search_path for role in desired.roles] == [
        ("billing", "extensions"),
        ("billing", "extensions"),
        ("order", "extensions"),
        ("order", "extensions"),
    ]


def test_nobody_may_create_in_any_schema_but_its_owner() -> None:
    desired = make_desired("tst", services=["billing", {"name": "order", "extensions": ["pg_trgm"]}])
    assert [grant for grant in desired.grants if "CREATE" in grant.privileges] == []


# ---- order and environment


def test_the_order_of_services_in_the_file_changes_nothing() -> None:
    extended = {"name": "catalog", "extensions": ["pg_trgm", "citext"]}
    assert make_desired("tst", services=["order", extended, "billing"]) == make_desired(
        "tst", services=["billing", {**extended, "extensions": ["citext", "pg_trgm"]}, "order"]
    )


def test_everything_comes_in_the_order_of_services_migration_before_app() -> None:
    desired = make_desired("tst", services=["order", "billing"])
    assert [schema.name for schema in desired.schemas] == ["billing", "order"]
    assert [role.name for role in desired.roles] == [
        "billing_migration_tst_user",
        "billing_app_tst_user",
        "order_migration_tst_user",
        "order_app_tst_user",
    ]
    assert [(g.kind, g.schema, g.grantee) for g in desired.grants[2:7]] == [
        ("database", "", MIGRATION),
        ("database", "", APP),
        ("schema", "billing", APP),
        ("table", "billing", APP),
        ("sequence", "billing", APP),
    ]


def test_the_environment_is_in_every_name_and_nowhere_else() -> None:
    tst, dev = (make_desired(environment, services=["billing"], policy="keep") for environment in ("tst", "dev"))
    assert tst.database.name == "go-labs-tst"
    assert repr(tst).replace("tst", "dev") == repr(dev)


def test_no_services_leave_the_database_closed_to_public() -> None:
    desired = make_desired("tst", services=[])
    assert (desired.roles, desired.schemas, desired.default_privileges) == ((), (), ())
    assert {(grant.kind, grant.grantee) for grant in desired.grants} == {("database", PUBLIC), ("schema", PUBLIC)}


def test_passwords_are_no_part_of_the_model() -> None:
    settings = make_settings("tst", services=["billing"], passwords={"billing": {"app": "c4n4ry-in-the-mine"}})
    assert expand(settings) == make_desired("tst", services=["billing"])
