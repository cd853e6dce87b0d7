"""Plans for privileges, now and later: too many are revoked, missing ones are given, others' are left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golabs_infra.changes import (
    AlterRole,
    GrantDefaultPrivileges,
    GrantPrivileges,
    RevokeDefaultPrivileges,
    RevokePrivileges,
)
from golabs_infra.model import DefaultPrivileges, Desired, Grant
from golabs_infra.plan import plan

from .catalogs import make_desired, make_live
from .planned import (
    APP,
    DML,
    LATER,
    MIGRATION,
    ORDER_APP,
    ORDER_MIGRATION,
    two_services,  # noqa: F401 - the fixture `desired`
    with_grants,
)

# ---- privileges: too much


@pytest.mark.parametrize(
    "excess",
    [
        pytest.param(Grant("database", "", "public", ("CONNECT",)), id="PUBLIC may connect"),
        pytest.param(Grant("schema", "public", "public", ("CREATE", "USAGE")), id="PUBLIC may create in public"),
        pytest.param(Grant("schema", "billing", "public", ("USAGE",)), id="PUBLIC may use a service's schema"),
        pytest.param(Grant("table", "billing", "public", ("SELECT",), "invoice"), id="PUBLIC may read a table"),
        pytest.param(Grant("sequence", "billing", "public", ("USAGE",), "invoice_id_seq"), id="PUBLIC and a sequence"),
        pytest.param(Grant("table", "public", "public", ("SELECT",), "spatial"), id="PUBLIC and a table in public"),
        pytest.param(Grant("schema", "order", APP, ("USAGE",)), id="another service's schema"),
        pytest.param(Grant("schema", "order", MIGRATION, ("CREATE", "USAGE")), id="another's migration user"),
        pytest.param(Grant("table", "order", APP, ("SELECT",), "line item"), id="another service's table"),
        pytest.param(Grant("schema", "public", APP, ("CREATE",)), id="app user in public"),
        pytest.param(Grant("database", "", APP + "", ("CREATE",)), id="app user may create schemas"),
        pytest.param(Grant("database", "", ORDER_MIGRATION, ("CREATE",)), id="migration user may create schemas"),
    ],
)
def test_what_is_too_much_is_revoked_and_nothing_else(desired: Desired, excess: Grant) -> None:
    live = make_live(desired)
    same = {g for g in live.grants if replace(g, privileges=()) == replace(excess, privileges=())}
    kept = {privilege for grant in same for privilege in grant.privileges}
    both = replace(excess, privileges=tuple(sorted(kept | set(excess.privileges))))
    assert plan(desired, with_grants(live, both, without=same), {}) == [RevokePrivileges(excess)]


def test_of_too_many_privileges_only_those_too_many_are_revoked(desired: Desired) -> None:
    right = Grant("table", "billing", APP, DML, "invoice")
    wrong = replace(right, privileges=(*DML, "TRIGGER", "TRUNCATE"))
    live = with_grants(make_live(desired), wrong, without=[right])
    assert plan(desired, live, {}) == [RevokePrivileges(replace(right, privileges=("TRIGGER", "TRUNCATE")))]


def test_a_privilege_that_may_be_handed_on_is_kept_and_its_grant_option_revoked(desired: Desired) -> None:
    right = Grant("table", "billing", APP, DML, "invoice")
    wrong = replace(right, privileges=(*DML, "SELECT WITH GRANT OPTION"))
    live = with_grants(make_live(desired), wrong, without=[right])
    assert plan(desired, live, {}) == [
        RevokePrivileges(replace(right, privileges=("SELECT WITH GRANT OPTION",))),
    ]


def test_what_an_owner_has_in_its_own_schema_is_never_revoked(desired: Desired) -> None:
    of_admin = Grant("table", "billing", MIGRATION, ("SELECT",), "made by the admin")
    assert plan(desired, with_grants(make_live(desired), of_admin), {}) == []


# ---- privileges: too little


@pytest.mark.parametrize("name", ["invoice", "schema_migrations"])
def test_a_grant_missing_on_one_of_two_tables_is_given_on_all(desired: Desired, name: str) -> None:
    missing = Grant("table", "billing", APP, DML, name)
    live = with_grants(make_live(desired), without=[missing])
    assert plan(desired, live, {}) == [GrantPrivileges(Grant("table", "billing", APP, DML))]


def test_a_privilege_missing_of_several_is_given(desired: Desired) -> None:
    right = Grant("table", "billing", APP, DML, "invoice")
    live = with_grants(make_live(desired), replace(right, privileges=("SELECT",)), without=[right])
    assert plan(desired, live, {}) == [GrantPrivileges(Grant("table", "billing", APP, DML))]


def test_a_missing_grant_on_a_sequence_is_given(desired: Desired) -> None:
    right = Grant("sequence", "billing", APP, ("SELECT", "USAGE"), "invoice_id_seq")
    live = with_grants(make_live(desired), without=[right])
    assert plan(desired, live, {}) == [GrantPrivileges(replace(right, relation=""))]


@pytest.mark.parametrize(
    "grant",
    [
        Grant("database", "", MIGRATION, ("CONNECT", "TEMPORARY")),
        Grant("database", "", APP, ("CONNECT",)),
        Grant("schema", "billing", APP, ("USAGE",)),
    ],
)
def test_a_missing_grant_on_database_or_schema_is_given(desired: Desired, grant: Grant) -> None:
    assert plan(desired, with_grants(make_live(desired), without=[grant]), {}) == [GrantPrivileges(grant)]


def test_too_much_and_too_little_on_one_object_are_both_mended(desired: Desired) -> None:
    right = Grant("schema", "billing", APP, ("USAGE",))
    live = with_grants(make_live(desired), replace(right, privileges=("CREATE",)), without=[right])
    assert plan(desired, live, {}) == [
        RevokePrivileges(replace(right, privileges=("CREATE",))),
        GrantPrivileges(right),
    ]


@pytest.mark.parametrize(
    "excess",
    [
        pytest.param(DefaultPrivileges(MIGRATION, "billing", "table", "public", ("SELECT",)), id="to PUBLIC"),
        pytest.param(DefaultPrivileges(MIGRATION, "billing", "table", ORDER_APP, ("SELECT",)), id="to another service"),
        pytest.param(DefaultPrivileges(MIGRATION, "order", "table", APP, ("SELECT",)), id="in another schema"),
        pytest.param(DefaultPrivileges(MIGRATION, "public", "sequence", APP, ("USAGE",)), id="in schema public"),
        pytest.param(DefaultPrivileges(MIGRATION, "", "table", "public", ("SELECT",)), id="in every schema"),
    ],
)
def test_default_privileges_that_are_too_much_are_revoked(desired: Desired, excess: DefaultPrivileges) -> None:
    live = make_live(desired)
    wrong = replace(live, default_privileges=live.default_privileges | {excess})
    assert plan(desired, wrong, {}) == [RevokeDefaultPrivileges(excess)]


def test_default_privileges_with_one_too_many_lose_that_one(desired: Desired) -> None:
    live = make_live(desired)
    more = replace(LATER, privileges=(*DML, "TRUNCATE"))
    wrong = replace(live, default_privileges=(live.default_privileges - {LATER}) | {more})
    assert plan(desired, wrong, {}) == [RevokeDefaultPrivileges(replace(LATER, privileges=("TRUNCATE",)))]


@pytest.mark.parametrize("left", [(), ("SELECT",)])
def test_default_privileges_that_are_missing_are_given_whole(desired: Desired, left: tuple[str, ...]) -> None:
    live = make_live(desired)
    less = {replace(LATER, privileges=left)} if left else set()
    wrong = replace(live, default_privileges=(live.default_privileges - {LATER}) | less)
    assert plan(desired, wrong, {}) == [GrantDefaultPrivileges(LATER)]


def test_default_privileges_of_others_are_left_alone(desired: Desired) -> None:
    live = make_live(desired)
    others = {
        DefaultPrivileges("dba", "billing", "table", APP, ("SELECT",)),
        DefaultPrivileges(MIGRATION, "billing", "table", "reporting", ("SELECT",)),
    }
    assert plan(desired, replace(live, default_privileges=live.default_privileges | others), {}) == []


# ---- retirement


def test_a_service_that_retires_loses_login_and_privileges_and_keeps_its_data() -> None:
    active = make_desired("tst", services=["billing"])
    retired = make_desired("tst", services=[{"name": "billing", "retired": True}])
    live = make_live(active)
    changes = plan(retired, live, {})
    assert [change for change in changes if change.destructive] == []
    assert changes == [
        AlterRole(retired.roles[0], live.cluster.roles[MIGRATION]),
        AlterRole(retired.roles[1], live.cluster.roles[APP]),
        RevokePrivileges(Grant("schema", "billing", APP, ("USAGE",))),
        RevokePrivileges(Grant("sequence", "billing", APP, ("SELECT", "USAGE"), "invoice_id_seq")),
        RevokePrivileges(Grant("table", "billing", APP, DML, "invoice")),
        RevokePrivileges(Grant("table", "billing", APP, DML, "schema_migrations")),
        RevokeDefaultPrivileges(DefaultPrivileges(MIGRATION, "billing", "sequence", APP, ("SELECT", "USAGE"))),
        RevokeDefaultPrivileges(LATER),
        RevokePrivileges(Grant("database", "", APP, ("CONNECT",))),
        RevokePrivileges(Grant("database", "", MIGRATION, ("CONNECT", "TEMPORARY"))),
    ]
