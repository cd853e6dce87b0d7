"""Which attempts are made as whom, what is expected of each, and what it needs. No server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from golabs_infra.attempts import ACTIONS, PREDEFINED_ROLES, Attempt, Entitlements, Observation, Outcome, Relation
from golabs_infra.authority import Need
from golabs_infra.model import DATABASE_APP, DATABASE_MIGRATION, RELATION_APP, Desired, expand
from golabs_infra.probes import Program

from ..support import make_settings

DATABASE = "go-labs-tst"
APP, MIGRATION = "billing_app_tst_user", "billing_migration_tst_user"
RELATIONS = [
    Relation("billing", "invoice", "r", MIGRATION, ("id", "total")),
    Relation("billing", "event", "p", MIGRATION, ("day",)),
    Relation("billing", "empty", "r", MIGRATION),
    Relation("billing", "summary", "v", MIGRATION, ("total",)),
    Relation("billing", "revenue", "m", MIGRATION, ("total",)),
    Relation("billing", "rate", "f", MIGRATION, ("rate",), remote=True),
    Relation("billing", "rates", "v", MIGRATION, ("rate",), remote=True),
    Relation("billing", "ticket", "S", MIGRATION),
    Relation("order", "rate", "f", "order_migration_tst_user", ("rate",), remote=True),
    Relation("order", 'it"em', "r", "order_migration_tst_user", ("id",)),
]


def desired(*services: object) -> Desired:
    """The model of an environment."""
    return expand(make_settings(services=list(services) or ["billing", "catalog", "order"]))


def program(**values: object) -> Program:
    """The attempts in an environment of three services."""
    return Program(desired(), "deployer", RELATIONS, **values)  # type: ignore[arg-type]


def first(user: str, **values: object) -> list[Attempt]:
    """What a user tries at first on PostgreSQL 18."""
    return program(**values).first(user, 180004)


def only(attempts: Sequence[Attempt], action: str, words: str) -> Attempt:
    """The one attempt of an action on an object."""
    (found,) = [each for each in attempts if (each.action, each.object) == (action, words)]
    return found


def actions(attempts: Sequence[Attempt], words: str) -> dict[str, bool]:
    """What is tried on an object, and what is expected of it."""
    return {each.action: each.expected for each in attempts if each.object == words}


def test_an_app_user_is_to_read_and_write_what_is_in_its_schema_and_to_change_nothing_of_it() -> None:
    seen = first(APP)
    data = {"read": True, "insert": True, "update": True, "delete": True}
    for words in ("table billing.invoice", "table billing.event", "table billing.empty"):
        assert actions(seen, words) == {**data, "truncate": False, "references": False, "trigger": False}
    for words in (
        "view billing.summary",
        "view billing.rates",
        "materialized view billing.revenue",
        "foreign table billing.rate",
    ):
        assert actions(seen, words) == data
    assert actions(seen, "sequence billing.ticket") == {
        "read-sequence": True,
        "use-sequence": True,
        "set-sequence": False,
    }
    assert actions(seen, "schema billing") == {"use-schema": True, "create-in-schema": False}
    assert actions(seen, f"database {DATABASE}") == {"create-schema": False, "temporary-table": False}


def test_a_migration_user_is_to_read_and_make_things_in_its_schema() -> None:
    seen = first(MIGRATION)
    assert actions(seen, "schema billing") == {"use-schema": True, "create-in-schema": True}
    assert actions(seen, "table billing.invoice") == {"read": True}
    assert actions(seen, "sequence billing.ticket") == {"read-sequence": True}
    assert actions(seen, f"database {DATABASE}") == {"create-schema": False, "temporary-table": True}


@pytest.mark.parametrize("user", [APP, MIGRATION])
def test_nobody_is_to_get_anywhere_else(user: str) -> None:
    seen = first(user)
    elsewhere = [each for each in seen if each.schema != "billing" and each.action != "temporary-table"]
    assert [each for each in elsewhere if each.expected] == []
    assert {each.schema for each in elsewhere} == {"", "public", "catalog", "order"}
    assert actions(seen, "schema order") == {"use-schema": False, "create-in-schema": False}
    assert actions(seen, "server") == {"create-role": False, "create-database": False}


def test_one_table_stands_for_another_services_schema_if_there_is_one() -> None:
    seen = first(APP)
    assert [each.object for each in seen if each.schema == "order" and each.action == "read"] == ['table order.it"em']
    assert [each.action for each in seen if each.schema == "catalog"] == ["use-schema", "create-in-schema"]


def test_a_foreign_table_stands_for_a_schema_only_where_there_is_nothing_else_and_is_not_read() -> None:
    relations = [each for each in RELATIONS if each.kind in ("f", "S")]
    attempt = only(Program(desired(), "deployer", relations).first(APP, 180004), "read", "foreign table order.rate")
    assert attempt.asks
    assert attempt.statement == """SELECT pg_catalog.has_table_privilege('"order"."rate"', 'SELECT')"""


def observed(attempt: Attempt, outcome: Outcome) -> Observation:
    """What an app user saw."""
    return Observation(APP, attempt, outcome)


def test_all_of_a_schema_is_tried_where_somebody_got_into_it() -> None:
    whole = program()
    attempts = whole.first(APP, 180004)
    denied = [observed(each, Outcome.DENIED) for each in attempts if each.schema == "order"]
    assert whole.further(APP, denied) == []
    entered = only(attempts, "use-schema", "schema order")
    further = whole.further(APP, [observed(entered, Outcome.PERMITTED)])
    assert [(each.object, each.action) for each in further] == [
        *(("foreign table order.rate", action) for action in ("read", "insert", "update", "delete")),
        *(('table order.it"em', action) for action in ("insert", "update", "delete")),
    ]
    assert not any(each.expected for each in further)


def test_ones_own_schema_and_those_of_no_service_are_not_tried_again() -> None:
    whole = program()
    attempts = whole.first(APP, 180004)
    for words in ("schema billing", "schema public"):
        assert whole.further(APP, [observed(only(attempts, "use-schema", words), Outcome.PERMITTED)]) == []


def test_nobody_is_to_become_anybody_else() -> None:
    roles = [each.needs[0].name for each in first(APP) if each.action == "become-role"]
    users = {role.name for role in desired().roles}
    assert set(roles) == (users - {APP}) | {"deployer", *PREDEFINED_ROLES}
    assert len(roles) == len(set(roles))
    assert only(first(APP), "become-role", "role deployer").statement == 'SET LOCAL ROLE "deployer";'


def test_a_role_that_the_server_does_not_have_yet_is_not_tried() -> None:
    objects = [each.object for each in program().first(APP, 130000)]
    assert "role pg_read_all_data" not in objects
    assert "role pg_read_server_files" in objects


def test_what_an_attempt_needs_is_said_with_it() -> None:
    seen = first(APP)
    usage = Need("schema", "", "billing", "USAGE")
    assert only(seen, "read", "table billing.invoice").needs == (usage, Need("table", "billing", "invoice", "SELECT"))
    assert only(seen, "use-sequence", "sequence billing.ticket").needs == (
        usage,
        Need("sequence", "billing", "ticket", "USAGE"),
    )
    assert only(seen, "create-in-schema", "schema order").needs == (Need("schema", "", "order", "CREATE"),)
    assert only(seen, "temporary-table", f"database {DATABASE}").needs == (Need("database", "", DATABASE, "TEMPORARY"),)
    assert only(seen, "become-role", f"role {MIGRATION}").needs == (Need("role", "", MIGRATION, "SET"),)
    assert only(seen, "create-role", "server").needs == (Need("attribute", "", "", "CREATEROLE"),)
    assert program().log_in(APP).needs == (
        Need("attribute", "", "", "LOGIN"),
        Need("database", "", DATABASE, "CONNECT"),
    )


def test_every_attempt_is_a_documented_action_and_needs_something() -> None:
    for values in ({}, {"scratch": {"billing": "t", "order": "t"}, "passing": "p"}):
        whole = program(**values)
        for user in (APP, MIGRATION):
            attempts = [*whole.first(user, 180004), whole.log_in(user), whole.elsewhere(user, "go-labs-ci")]
            assert {each.action for each in attempts} <= set(ACTIONS)
            assert all(each.needs for each in attempts)
    made = {"log-in", "connect-elsewhere"} | {each.action for each in first(APP, scratch={"billing": "t"})}
    assert made == set(ACTIONS)


def test_without_scratch_nothing_is_made_or_changed() -> None:
    for user in (APP, MIGRATION):
        for each in first(user):
            assert each.asks == each.statement.startswith(("SELECT pg_catalog.has_", 'SELECT "rol'))
            assert each.statement.startswith(("SELECT ", "EXPLAIN ", "SET LOCAL ROLE "))
            assert "nextval" not in each.statement


def test_what_may_reach_another_server_is_asked_about() -> None:
    for each in first(APP):
        if each.object in ("foreign table billing.rate", "view billing.rates"):
            assert each.asks


@pytest.mark.parametrize(
    ("action", "statement"),
    [
        ("read", 'SELECT * FROM "billing"."invoice" LIMIT 0;'),
        ("insert", 'EXPLAIN INSERT INTO "billing"."invoice" ("id", "total") VALUES (DEFAULT, DEFAULT);'),
        ("update", 'EXPLAIN UPDATE "billing"."invoice" SET "id" = DEFAULT, "total" = DEFAULT;'),
        ("delete", 'EXPLAIN DELETE FROM "billing"."invoice";'),
        ("trigger", """SELECT pg_catalog.has_table_privilege('"billing"."invoice"', 'TRIGGER')"""),
    ],
)
def test_what_is_sent(action: str, statement: str) -> None:
    assert only(first(APP), action, "table billing.invoice").statement == statement


def test_names_are_quoted_inside_of_literals_too() -> None:
    strange = Relation("billing", 'it\'s "an odd" one', "v", MIGRATION, ("a",))
    attempts = Program(desired(), "deployer", [strange]).first(APP, 180004)
    asked = only(attempts, "insert", strange.words)
    assert asked.statement == """SELECT pg_catalog.has_table_privilege('"billing"."it''s ""an odd"" one"', 'INSERT')"""


def test_in_disposable_environments_what_can_be_rolled_back_is_made() -> None:
    seen = first(APP, scratch={"billing": "golabs_scratch_1"}, passing="golabs_scratch_2")
    assert only(seen, "create-role", "server").statement == 'CREATE ROLE "golabs_scratch_2";'
    assert only(seen, "create-in-schema", "schema order").statement == 'CREATE TABLE "order"."golabs_scratch_2" ();'
    assert actions(seen, "new table in schema billing") == {
        **dict.fromkeys(("read", "insert", "update", "delete"), True),
        **dict.fromkeys(("truncate", "trigger", "alter-table", "create-index", "drop-table"), False),
    }
    assert actions(seen, "new sequence in schema billing") == {"use-sequence": True}
    assert only(seen, "alter-table", "new table in schema billing").needs == (
        Need("schema", "", "billing", "USAGE"),
        Need("role", "", MIGRATION, "USAGE"),
    )
    assert only(seen, "read", "new table in schema billing").needs[-1] == Need("table", "billing", "", "SELECT")


def test_the_table_that_was_made_stands_for_a_schema_of_others() -> None:
    seen = first("order_app_tst_user", scratch={"billing": "golabs_scratch_1"})
    reads = [each for each in seen if each.schema == "billing" and each.action == "read"]
    assert [(each.object, each.expected) for each in reads] == [("new table in schema billing", False)]


def test_a_retired_service_is_expected_to_be_closed() -> None:
    model = desired("billing", {"name": "order", "retired": True})
    whole = Program(model, "deployer", RELATIONS)
    user = "order_app_tst_user"
    assert not whole.log_in(user).expected
    assert not any(each.expected for each in whole.first(user, 180004))
    owner = whole.first("order_migration_tst_user", 180004)
    assert {each.schema for each in owner if each.expected} == {"order"}  # which it still owns
    assert whole.log_in(APP).expected
    assert not whole.elsewhere(APP, "go-labs-ci").expected


def test_everybody_may_use_the_schema_of_extensions_and_nobody_may_make_anything_there() -> None:
    whole = Program(desired({"name": "billing", "extensions": ["pg_trgm"]}), "deployer", [])
    for user in (APP, MIGRATION):
        attempts = whole.first(user, 180004)
        assert actions(attempts, "schema extensions") == {"use-schema": True, "create-in-schema": False}


def test_a_refusal_is_asked_about_where_something_else_may_have_been_refused() -> None:
    whole = program()
    view = only(whole.first(APP, 180004), "read", "view billing.summary")
    question = whole.asked(view)
    assert question is not None
    assert question.asks
    assert question.statement == """SELECT pg_catalog.has_table_privilege('"billing"."summary"', 'SELECT')"""
    assert whole.asked(question) is None
    assert whole.asked(whole.log_in(APP)) is None


def test_what_the_model_gives_is_read_from_its_grants() -> None:
    has = Entitlements(desired()).has
    for privilege in DATABASE_MIGRATION:
        assert has(MIGRATION, [Need("database", "", DATABASE, privilege)])
        assert has(APP, [Need("database", "", DATABASE, privilege)]) == (privilege in DATABASE_APP)
    for kind, privileges in RELATION_APP.items():
        for privilege in privileges:
            assert has(APP, [Need(kind, "billing", "any", privilege)])
            assert not has(APP, [Need(kind, "order", "any", privilege)])
    assert has(MIGRATION, [Need("table", "billing", "any", "TRUNCATE"), Need("schema", "", "billing", "CREATE")])
    assert has(APP, [Need("role", "", APP, "SET")])
    assert not has("stranger", [Need("attribute", "", "", "LOGIN")])


def test_an_observation_is_as_expected_only_where_it_was_decided() -> None:
    read = only(first(APP), "read", "table billing.invoice")
    assert observed(read, Outcome.PERMITTED).as_expected
    assert not observed(read, Outcome.DENIED).as_expected
    assert not observed(read, Outcome.UNDECIDED).as_expected
    intrusion = only(first(APP), "use-schema", "schema order")
    assert observed(intrusion, Outcome.DENIED).as_expected
    assert not observed(intrusion, Outcome.UNDECIDED).as_expected
