"""Plans for services that are taken out, and for an admin who is no superuser."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golabs_infra.changes import (
    AlterRole,
    AlterSchemaOwner,
    BorrowMembership,
    Change,
    CreateRole,
    CreateSchema,
    DropOwned,
    DropRole,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    ReturnMembership,
    RevokeDefaultPrivileges,
    RevokePrivileges,
    SetPassword,
)
from golabs_infra.model import DefaultPrivileges, Desired, Grant, Schema
from golabs_infra.plan import plan, plan_release, service_of

from .catalogs import make_desired, make_empty, make_live
from .planned import (
    APP,
    LATER,
    MIGRATION,
    ORDER_APP,
    ORDER_MIGRATION,
    two_services,  # noqa: F401 - the fixture `desired`
    verifiers_of,
    with_grants,
    with_role,
    without_superuser,
)

# ---- services that are taken out


def test_a_removed_service_goes_with_its_schema_and_users_and_the_others_stay(desired: Desired) -> None:
    remaining = make_desired("tst", services=["order"])
    assert plan(remaining, make_live(desired), {}, ("billing",)) == [
        DropSchema("billing"),
        DropOwned(APP),
        DropRole(APP),
        DropOwned(MIGRATION),
        DropRole(MIGRATION),
    ]


def test_a_removed_service_is_emptied_for_an_engine_that_drops_its_schema_and_users_itself(desired: Desired) -> None:
    remaining = make_desired("tst", services=["order"])
    granted = Grant("table", "order", APP, ("SELECT",), "line item")
    later = DefaultPrivileges(ORDER_MIGRATION, "order", "table", APP, ("SELECT",))
    live = make_live(desired)
    live = replace(with_grants(live, granted), default_privileges=live.default_privileges | {later})
    assert plan_release(remaining, live, ("billing",)) == [
        RevokePrivileges(granted),
        RevokeDefaultPrivileges(later),
        AlterSchemaOwner(Schema("billing", None)),
        DropOwned(APP),
        DropOwned(MIGRATION),
    ]
    assert plan_release(remaining, live, ()) == []
    assert plan(remaining, live, {}, ("billing",))[:2] == [RevokePrivileges(granted), RevokeDefaultPrivileges(later)]


def test_a_removed_services_schema_stays_if_it_belongs_to_somebody_else(desired: Desired) -> None:
    remaining = make_desired("tst", services=["order"])
    live = make_live(desired)
    changes = plan(remaining, replace(live, schemas={**live.schemas, "billing": "dba"}), {}, ("billing",))
    assert [change for change in changes if isinstance(change, DropSchema)] == []
    assert changes[-1] == DropRole(MIGRATION)


@pytest.mark.parametrize("superuser", [True, False])
def test_a_schema_that_a_removed_services_user_owns_is_saved_before_that_user_goes(
    desired: Desired, superuser: bool
) -> None:
    remaining = make_desired("tst", services=["order"])
    live = make_live(desired)
    live = replace(live, schemas={**live.schemas, "order": MIGRATION})
    changes = plan(remaining, live if superuser else without_superuser(live), {}, ("billing",))
    saved = changes.index(AlterSchemaOwner(Schema("order", ORDER_MIGRATION)))
    assert saved < changes.index(DropOwned(MIGRATION)) < changes.index(DropRole(MIGRATION))
    borrowed = [change for change in changes[:saved] if isinstance(change, BorrowMembership)]
    users = () if superuser else (MIGRATION, ORDER_MIGRATION)
    assert borrowed == [BorrowMembership(user) for user in users]
    returned = [change for change in changes if isinstance(change, ReturnMembership)]
    assert returned == ([] if superuser else [ReturnMembership(ORDER_MIGRATION)])


def test_a_plan_goes_service_by_service_and_ends_with_what_users_may_do_on_the_database(desired: Desired) -> None:
    changes = plan(desired, make_empty(desired), verifiers_of(desired))
    on_database = [GrantPrivileges(g) for g in sorted(desired.grants) if g.kind == "database" and g.privileges]
    assert changes[-len(on_database) :] == sorted(on_database, key=lambda change: change.grant.privileges)
    before = [service_of(change) for change in changes[: -len(on_database)]]
    assert list(dict.fromkeys(before)) == ["", "billing", "order"] == sorted(set(before))
    assert before == sorted(before)


def test_a_service_is_not_removed_unasked(desired: Desired) -> None:
    remaining = make_desired("tst", services=["order"])
    assert plan(remaining, make_live(desired), {}) == []


def test_a_service_whose_name_begins_like_a_removed_one_stays() -> None:
    both = make_desired("tst", services=["bill", "bill_app", "bill_migration"])
    remaining = make_desired("tst", services=["bill_app", "bill_migration"])
    changes = plan(remaining, make_live(both, relations=[]), {}, ("bill",))
    assert [change for change in changes if isinstance(change, DropRole)] == [
        DropRole("bill_app_tst_user"),
        DropRole("bill_migration_tst_user"),
    ]


# ---- an admin who is no superuser


def test_an_admin_who_is_no_superuser_borrows_from_a_new_owner_and_gives_back_before_the_next_service(
    desired: Desired,
) -> None:
    changes = plan(desired, without_superuser(make_empty(desired)), verifiers_of(desired))
    for service in desired.services:
        made = changes.index(CreateRole(service.app, f"SCRAM-SHA-256$of {service.app.name}"))
        schema = changes.index(CreateSchema(service.schema))
        returned = changes.index(ReturnMembership(service.migration.name))
        assert changes[made + 1 : schema] == [BorrowMembership(service.migration.name)]
        assert {service_of(change) for change in changes[made : returned + 1]} == {service.name}
    assert [c for c in changes if not isinstance(c, BorrowMembership | ReturnMembership)] == plan(
        desired, make_empty(desired), verifiers_of(desired)
    )


def test_owners_that_are_there_are_borrowed_from_before_any_service_and_given_back_after_all(desired: Desired) -> None:
    live = make_live(desired)
    swapped = {**live.schemas, "billing": ORDER_MIGRATION, "order": MIGRATION}
    assert plan(desired, without_superuser(replace(live, schemas=swapped)), {}) == [
        BorrowMembership(MIGRATION),
        BorrowMembership(ORDER_MIGRATION),
        AlterSchemaOwner(Schema("billing", MIGRATION)),
        AlterSchemaOwner(Schema("order", ORDER_MIGRATION)),
        ReturnMembership(MIGRATION),
        ReturnMembership(ORDER_MIGRATION),
    ]


@pytest.mark.parametrize(
    ("broken", "change"),
    [
        (Grant("table", "billing", "public", ("SELECT",), "invoice"), RevokePrivileges),
        (Grant("schema", "billing", ORDER_APP, ("USAGE",)), RevokePrivileges),
    ],
)
def test_only_the_owner_whose_schema_changes_is_borrowed_from(
    desired: Desired, broken: Grant, change: type[Change]
) -> None:
    live = without_superuser(with_grants(make_live(desired), broken))
    changes = plan(desired, live, {})
    assert [type(each) for each in changes] == [BorrowMembership, change, ReturnMembership]
    assert changes[0] == BorrowMembership(MIGRATION)
    assert changes[-1] == ReturnMembership(MIGRATION)


def test_one_owner_at_a_time_is_borrowed_from(desired: Desired) -> None:
    broken = (Grant("schema", service, "public", ("USAGE",)) for service in ("billing", "order"))
    assert plan(desired, without_superuser(with_grants(make_live(desired), *broken)), {}) == [
        BorrowMembership(MIGRATION),
        RevokePrivileges(Grant("schema", "billing", "public", ("USAGE",))),
        ReturnMembership(MIGRATION),
        BorrowMembership(ORDER_MIGRATION),
        RevokePrivileges(Grant("schema", "order", "public", ("USAGE",))),
        ReturnMembership(ORDER_MIGRATION),
    ]


def test_default_privileges_are_changed_as_their_owner(desired: Desired) -> None:
    live = make_live(desired)
    wrong = without_superuser(replace(live, default_privileges=live.default_privileges - {LATER}))
    assert plan(desired, wrong, {}) == [
        BorrowMembership(MIGRATION),
        GrantDefaultPrivileges(LATER),
        ReturnMembership(MIGRATION),
    ]


def test_a_schemas_new_owner_is_borrowed_from(desired: Desired) -> None:
    live = make_live(desired)
    wrong = without_superuser(replace(live, schemas={**live.schemas, "billing": "admin"}))
    assert plan(desired, wrong, {}) == [
        BorrowMembership(MIGRATION),
        AlterSchemaOwner(Schema("billing", MIGRATION)),
        ReturnMembership(MIGRATION),
    ]


def test_a_member_already_neither_borrows_nor_gives_back(desired: Desired) -> None:
    live = with_grants(make_live(desired), Grant("table", "billing", "public", ("SELECT",), "invoice"))
    changes = plan(desired, without_superuser(live, MIGRATION), {})
    assert [type(change) for change in changes] == [RevokePrivileges]


@pytest.mark.parametrize(
    "grant", [Grant("database", "", "public", ("CONNECT",)), Grant("schema", "public", "public", ("USAGE",))]
)
def test_what_the_databases_owner_may_change_needs_nobody(desired: Desired, grant: Grant) -> None:
    live = without_superuser(with_grants(make_live(desired), grant))
    assert plan(desired, live, {}) == [RevokePrivileges(grant)]


def test_passwords_and_attributes_need_nobody(desired: Desired) -> None:
    live = without_superuser(with_role(make_live(desired), APP, {"connection_limit": 3}))
    assert [type(change) for change in plan(desired, live, {APP: "x"})] == [AlterRole, SetPassword]


def test_users_that_are_removed_are_borrowed_from_and_never_given_back(desired: Desired) -> None:
    remaining = make_desired("tst", services=["order"])
    live = without_superuser(make_live(desired), APP)
    assert plan(remaining, live, {}, ("billing",)) == [
        BorrowMembership(MIGRATION),
        DropSchema("billing"),
        DropOwned(APP),
        DropRole(APP),
        DropOwned(MIGRATION),
        DropRole(MIGRATION),
    ]
