"""Plans: nothing to do where nothing differs, and for each difference exactly its change, in an order that can run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    RevokeDefaultPrivileges,
    RevokePrivileges,
    SetPassword,
)
from golabs_infra.inspection import Live, LiveRole
from golabs_infra.model import DefaultPrivileges, Desired, Extension, Grant, Role, Schema
from golabs_infra.plan import plan, plan_database, plan_destroy, plan_release, service_of

from .catalogs import RELATIONS, make_cluster, make_desired, make_empty, make_live

MIGRATION = "billing_migration_tst_user"
APP = "billing_app_tst_user"
ORDER_MIGRATION = "order_migration_tst_user"
ORDER_APP = "order_app_tst_user"
DML = ("DELETE", "INSERT", "SELECT", "UPDATE")


@pytest.fixture
def desired() -> Desired:
    """Two services in tst."""
    return make_desired("tst", services=["billing", "order"])


def verifiers_of(desired: Desired) -> dict[str, str]:
    """A verifier for every user."""
    return {role.name: f"SCRAM-SHA-256$of {role.name}" for role in desired.roles}


def with_grants(live: Live, *grants: Grant, without: Iterable[Grant] = ()) -> Live:
    """What is live, with other grants on top of those that are there, and some taken away."""
    taken = set(without)
    assert taken <= live.grants
    return replace(live, grants=(live.grants - taken) | set(grants))


def with_role(live: Live, name: str, attributes: Mapping[str, object], *, expires: bool = False) -> Live:
    """What is live, with one role that is not as it should be."""
    current = live.cluster.roles[name]
    other = LiveRole(replace(current.role, **attributes), expires, True)  # type: ignore[arg-type]
    return replace(live, cluster=replace(live.cluster, roles={**live.cluster.roles, name: other}))


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


# ---- default privileges


LATER = DefaultPrivileges(MIGRATION, "billing", "table", APP, DML)


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


def without_superuser(live: Live, *members: str) -> Live:
    """The same, for an admin who is no superuser and a member of some of the users only."""
    roles = {name: replace(role, admin_is_member=name in members) for name, role in live.cluster.roles.items()}
    return replace(live, cluster=replace(live.cluster, superuser=False, roles=roles))


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
