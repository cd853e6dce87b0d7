"""Takeover: which findings there are, which of them stop a run, and the statements that settle them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from golabs_infra.engine_events import EngineReport
from golabs_infra.errors import AdoptionError, PolicyError
from golabs_infra.guarding import check_losses
from golabs_infra.inspection import Live, LiveRole, OwnedObject
from golabs_infra.model import Extension, Role
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP, POLICIES, Policy
from golabs_infra.rights import check_drop
from golabs_infra.sessions import Session, in_words
from golabs_infra.takeover import Concern, Takeover

from .adopting import ENDPOINT
from .catalogs import make_cluster, make_desired, make_live

MIGRATION, APP = "billing_migration_dev_user", "billing_app_dev_user"
ODD = 'an "odd"\nname'


def find(live: Live, policy: Policy = KEEP, *, managed: Iterable[str] = (), first: bool = True) -> list[Concern]:
    """What a run on dev with billing finds."""
    desired = make_desired("dev", services=["billing"])
    return list(Takeover(policy, desired, live.cluster, live, frozenset(managed), first).findings())


def odd_live(*, superuser: bool = True) -> Live:
    """An environment of which nothing is as it should be."""
    desired = make_desired("dev", services=["billing"])
    roles = [
        LiveRole(replace(role, superuser=True, connection_limit=3), True, False, (("readers", None),), (), False)
        for role in desired.roles
    ]
    live = make_live(
        desired,
        roles=roles,
        superuser=superuser,
        database_owner=MIGRATION,
        encoding="LATIN1",
        superuser_extensions=frozenset({"vector"}),
    )
    return replace(
        live,
        schemas={"public": "postgres", "billing": "somebody"},
        extensions=frozenset({Extension("pg_trgm", "public")}),
        foreign_objects=(OwnedObject("billing", "TABLE", ODD, "", "somebody", False),),
        public_objects=(OwnedObject("public", "EXTENSION", "pg_trgm"), OwnedObject("public", "VIEW", ODD)),
    )


def test_what_is_as_it_should_be_gives_no_finding() -> None:
    for policy in POLICIES.values():
        live = make_live(make_desired("dev", services=["billing"]))
        assert find(live, policy) == []


@pytest.mark.parametrize("first", [True, False])
def test_a_superuser_is_stopped_by_nothing_where_everything_may_be_dropped(first: bool) -> None:
    findings = find(odd_live(), DISPOSABLE, first=first)
    assert findings
    assert not [finding for finding in findings if finding.blocks and finding.fault.where != "schema public"]


@pytest.mark.parametrize("policy", [KEEP, GUARDED])
def test_everything_that_is_adopted_for_the_first_time_is_looked_at(policy: Policy) -> None:
    wheres = [finding.fault.where for finding in find(odd_live(), policy) if finding.blocks]
    assert sorted(set(wheres)) == [
        APP, MIGRATION, "extension pg_trgm", "go-labs-dev", "schema billing", "schema public",
    ]  # fmt: skip


def test_what_an_earlier_run_has_provisioned_is_not_adopted_again() -> None:
    findings = find(odd_live(), managed=(MIGRATION, APP), first=False)
    assert sorted(f.fault.where for f in findings if f.blocks) == ["go-labs-dev", "schema public"]
    assert [f.fault.where for f in findings if not f.blocks] == ["go-labs-dev", "schema billing"]


def test_statements_quote_what_needs_it() -> None:
    mends = "\n".join(finding.fault.mend for finding in find(odd_live()))
    assert 'ALTER TABLE "billing".U&"an ""odd""\\+00000aname" OWNER TO "billing_migration_dev_user";' in mends
    assert 'ALTER VIEW "public".U&"an ""odd""\\+00000aname" SET SCHEMA "billing";' in mends


def test_hundreds_of_objects_are_counted_and_the_statements_name_each() -> None:
    objects = tuple(OwnedObject("billing", "TABLE", f"t{number}", "", "postgres") for number in range(300))
    live = replace(make_live(make_desired("dev", services=["billing"])), foreign_objects=objects)
    (finding,) = find(live)
    assert "300 objects in it belong to postgres" in finding.fault.what
    assert finding.fault.what.endswith("table t0, table t1, table t2, and 297 more")
    assert finding.fault.mend.count("ALTER TABLE") == 300


def test_a_routine_is_named_with_its_arguments() -> None:
    objects = (
        OwnedObject("billing", "FUNCTION", "f", "a integer, b text[]", "postgres"),
        OwnedObject("billing", "AGGREGATE", "total", "*", "postgres"),
        OwnedObject("billing", "PROCEDURE", "p", "", "postgres"),
    )
    live = replace(make_live(make_desired("dev", services=["billing"])), foreign_objects=objects)
    (finding,) = find(live)
    for statement in (
        'ALTER FUNCTION "billing"."f"(a integer, b text[])',
        'ALTER AGGREGATE "billing"."total"(*)',
        'ALTER PROCEDURE "billing"."p"() OWNER',
    ):
        assert statement in finding.fault.mend


# ---- dropping


def test_what_would_stop_a_drop_half_way_is_told_before() -> None:
    cluster = make_cluster([LiveRole(Role(APP, True, ()), False, False, (), (), False)], superuser=False)
    sessions = [
        Session(1, APP, "psql", "", False),
        Session(2, APP, "", "10.0.0.1", False),
        Session(3, "x", "", "", True),
    ]
    with pytest.raises(AdoptionError) as caught:
        check_drop(ENDPOINT, "go-labs-tst", cluster, [APP], sessions, {APP: ("elsewhere",)})
    assert [fault.where for fault in caught.value.faults] == ["admin", APP, "go-labs-tst"]
    assert f"{APP} (2)" in str(caught.value)
    assert in_words(sessions) == f"{APP} (2), x (1)"


def test_an_admin_with_every_right_may_drop() -> None:
    try:
        check_drop(ENDPOINT, "go-labs-tst", make_cluster(), [APP], [Session(1, APP, "", "", True)], {})
    except AdoptionError as error:
        pytest.fail(str(error))


# ---- plans of guarded environments


def test_a_plan_that_loses_something_is_refused_where_the_environment_is_guarded() -> None:
    with pytest.raises(PolicyError) as caught:
        check_losses(GUARDED, "prd", ["delete Schema billing", "replace Role billing-app"])
    assert "\n  - delete Schema billing\n  - replace Role billing-app" in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "losses"), [(GUARDED, []), (KEEP, ["delete Schema billing"]), (DISPOSABLE, ["delete Schema billing"])]
)
def test_any_other_plan_is_let_through(policy: Policy, losses: list[str]) -> None:
    try:
        check_losses(policy, "prd", losses)
    except PolicyError as error:
        pytest.fail(str(error))


@pytest.mark.parametrize(
    ("operation", "kind", "loses"),
    [
        ("delete", "postgresql:index/schema:Schema", True),
        ("replace", "random:index/randomPassword:RandomPassword", True),
        ("create-replacement", "postgresql:index/role:Role", True),
        ("delete-replaced", "postgresql:index/database:Database", True),
        ("replace", "random:index/randomBytes:RandomBytes", True),
        ("update", "postgresql:index/role:Role", False),
        ("create", "postgresql:index/role:Role", False),
        ("replace", "postgresql:index/defaultPrivileges:DefaultPrivileges", False),
        ("discard", "postgresql:index/role:Role", False),
    ],
)
def test_steps_of_the_engine_that_lose_something_are_known(operation: str, kind: str, loses: bool) -> None:
    report = EngineReport()
    metadata = {"op": operation, "type": kind, "urn": f"urn:pulumi:prd::golabs-infra::{kind}::billing"}
    report.take({"resourcePreEvent": {"planning": True, "metadata": metadata}})
    assert report.losses == ([f"{operation} {kind.rpartition(':')[2]} billing"] if loses else [])
