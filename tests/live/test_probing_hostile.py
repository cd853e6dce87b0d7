"""Probing where somebody has made it hard: functions that fool, locks, statements that never end, views and odd tables."""

from __future__ import annotations

import time

import pytest

from golabs_infra import attempting
from golabs_infra.attempts import (
    NO_SCHEMA,
    WAITED,
)
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.probing import SessionFacts
from golabs_infra.project import Project

from . import tools
from .catalog import snapshot
from .probes import APP, DENIED, MIGRATION, PERMITTED, UNDECIDED, of, probed, relations, unexpected
from .tools import DATABASE


@pytest.mark.parametrize("scratch", [False, True])
def test_no_function_of_a_users_search_path_can_fool_the_proof(
    provisioned: Endpoint, project: Project, scratch: bool
) -> None:
    with tools.login(project, "order", "migration") as session:
        session.execute(
            """
            CREATE FUNCTION set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'poison' $$;
            CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT '["00000"]' $$;
            CREATE FUNCTION has_schema_privilege(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false';
            CREATE FUNCTION same(name, name) RETURNS boolean LANGUAGE sql AS 'SELECT false';
            CREATE OPERATOR = (LEFTARG = name, RIGHTARG = name, FUNCTION = same);
            CREATE DOMAIN text AS pg_catalog.text CHECK (false);
            CREATE VIEW pg_roles AS SELECT 'me' AS rolname, false AS rolcreaterole, false AS rolsuper;
            """
        )
    for user in ("order_app_tst_user", "order_migration_tst_user"):
        tools.as_superuser(provisioned, f'ALTER ROLE {user} SET search_path TO "order", pg_catalog')
    tools.as_superuser(
        provisioned,
        "GRANT USAGE ON SCHEMA billing TO order_app_tst_user",
        "ALTER ROLE order_app_tst_user CREATEDB",
        database=DATABASE,
    )
    result = probed(provisioned, project, scratch=scratch)
    assert unexpected(result) == {
        ("order_app_tst_user", "use-schema", "schema billing", PERMITTED),
        ("order_app_tst_user", "create-database", "server", PERMITTED),
    }
    paths = {login.facts.search_path for login in result.logins if login.facts}
    assert '"order", pg_catalog' in paths


def test_a_schema_public_that_was_dropped_is_not_tried(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, "DROP SCHEMA public", database=DATABASE)
    for scratch in (False, True):
        result = probed(provisioned, project, scratch=scratch)
        assert unexpected(result) == set()
        assert not [each for each in result.observations if each.attempt.schema == "public"]


def test_a_services_own_schema_that_is_gone_is_undecided(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, "DROP SCHEMA billing CASCADE", database=DATABASE)
    result = probed(provisioned, project)
    assert unexpected(result) == {
        *((user, "use-schema", "schema billing", UNDECIDED) for user in (APP, MIGRATION)),
        (MIGRATION, "create-in-schema", "schema billing", UNDECIDED),
    }
    assert of(result, APP, "use-schema", "schema billing").state in NO_SCHEMA


def test_what_a_session_starts_with_changes_nothing_of_what_is_seen(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f"ALTER ROLE {APP} SET statement_timeout TO '90s'",
        f"ALTER ROLE {APP} SET idle_in_transaction_session_timeout TO '2min'",
        f"ALTER ROLE {APP} SET default_transaction_read_only TO on",
        f"ALTER ROLE {APP} SET row_security TO off",
        f"ALTER ROLE {APP} SET client_encoding TO 'LATIN1'",
        f"ALTER ROLE {APP} SET session_replication_role TO replica",
    )
    result = probed(provisioned, project, scratch=True)
    (login,) = [each for each in result.logins if each.user == APP]
    assert login.facts == SessionFacts(APP, False, "billing")
    assert unexpected(result) == set()


def test_a_session_that_begins_as_another_role_is_told(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned, f"GRANT order_app_tst_user TO {APP}", f"ALTER ROLE {APP} SET role TO order_app_tst_user"
    )
    result = probed(provisioned, project)
    (login,) = [each for each in result.logins if each.user == APP]
    assert login.facts is not None
    assert login.facts.current_user == "order_app_tst_user"


def test_a_locked_table_is_undecided_and_holds_nobody_up(provisioned: Endpoint, project: Project) -> None:
    seen = relations(provisioned)
    with connect_admin(provisioned, DATABASE) as other, other.transaction(force_rollback=True):
        other.execute(b"LOCK TABLE billing.customer IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        result = probed(provisioned, project, seen=seen)
        assert time.monotonic() - began < 10  # each user waits 0.3 s for one table, and not for each attempt on it
    # The view is built on the locked table.
    assert unexpected(result) == {
        *((APP, action, "table billing.customer", UNDECIDED) for action in ("read", "insert", "update", "delete")),
        *((user, "read", "view billing.customer_name", UNDECIDED) for user in (APP, MIGRATION)),
        (MIGRATION, "read", "table billing.customer", UNDECIDED),
    }
    assert "lock timeout" in of(result, APP, "read", "table billing.customer").detail
    assert {each.state for each in result.observations if each.outcome is UNDECIDED} == WAITED


def test_statements_that_never_end_cost_their_time_and_nothing_else(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The planner works out an immutable function's value, even for EXPLAIN.
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            b"CREATE FUNCTION slow() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
            b" 'BEGIN PERFORM pg_catalog.pg_sleep(60); RETURN true; END';"
            b"CREATE VIEW endless AS SELECT 1 AS one WHERE slow()"
        )
    monkeypatch.setattr(attempting, "SAFE", attempting.SAFE.replace("'20s'", "'500ms'"))
    result = probed(provisioned, project)
    assert unexpected(result) == {(user, "read", "view billing.endless", UNDECIDED) for user in (APP, MIGRATION)}
    assert "statement timeout" in of(result, APP, "read", "view billing.endless").detail


def test_a_view_that_may_be_read_and_reads_what_may_not_be_is_undecided(
    provisioned: Endpoint, project: Project
) -> None:
    tools.as_superuser(
        provisioned,
        'CREATE VIEW billing.orders AS SELECT * FROM "order".customer',
        f"ALTER VIEW billing.orders OWNER TO {MIGRATION}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON billing.orders TO {APP}",
        database=DATABASE,
    )
    result = probed(provisioned, project)
    assert unexpected(result) == {(user, "read", "view billing.orders", UNDECIDED) for user in (APP, MIGRATION)}
    seen = of(result, APP, "read", "view billing.orders")
    assert "yet: permission denied for" in seen.detail
    assert seen.state == "42501"


def test_an_object_of_somebody_else_is_denied_to_its_own_service(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, "CREATE TABLE billing.theirs (id int)", database=DATABASE)
    assert unexpected(probed(provisioned, project)) == {
        (MIGRATION, "read", "table billing.theirs", DENIED),
        *((APP, action, "table billing.theirs", DENIED) for action in ("read", "insert", "update", "delete")),
    }


def test_tables_of_every_shape_can_be_tried(provisioned: Endpoint, project: Project) -> None:
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            """
            CREATE TABLE "it's ""an odd"" one" ("a %s" int, "{}" int GENERATED ALWAYS AS ("a %s" + 1) STORED, gone int);
            ALTER TABLE "it's ""an odd"" one" DROP COLUMN gone;
            CREATE TABLE empty ();
            CREATE MATERIALIZED VIEW later AS SELECT 1 AS one WITH NO DATA;
            CREATE VIEW "both ways" WITH (security_barrier) AS SELECT * FROM customer;
            CREATE TABLE parent (id int);
            CREATE TABLE child (more text) INHERITS (parent);
            CREATE TABLE ruled (id int);
            CREATE RULE quiet AS ON INSERT TO ruled DO INSTEAD NOTHING;
            CREATE TABLE guarded (id int);
            ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
            CREATE UNLOGGED TABLE fast (id bigserial);
            """
        )
    tools.as_superuser(
        provisioned,
        "CREATE FOREIGN DATA WRAPPER elsewhere",
        "CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere",
        "CREATE FOREIGN TABLE billing.remote (day date) SERVER elsewhere",
        f"ALTER FOREIGN TABLE billing.remote OWNER TO {MIGRATION}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON billing.remote TO {APP}",
        database=DATABASE,
    )
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            "CREATE VIEW from_remote AS SELECT * FROM remote; CREATE VIEW further AS SELECT * FROM from_remote"
        )
    seen = relations(provisioned)
    assert {each.name for each in seen if each.remote} == {"remote", "from_remote", "further"}
    result = probed(provisioned, project, seen=seen)
    assert unexpected(result) == set()
    for name in ("remote", "from_remote", "further"):
        tried = [each.attempt for each in result.observations if each.attempt.object.endswith(f"billing.{name}")]
        assert tried
        assert all(each.asks for each in tried)


@pytest.mark.parametrize(
    "revoked",
    [
        "USAGE ON LANGUAGE plpgsql",
        "EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean)",
    ],
)
def test_users_that_cannot_run_a_block_try_one_thing_after_the_other(
    provisioned: Endpoint, project: Project, revoked: str
) -> None:
    tools.as_superuser(
        provisioned,
        f"REVOKE {revoked} FROM PUBLIC",
        "GRANT USAGE ON SCHEMA billing TO order_app_tst_user",
        database=DATABASE,
    )
    before = snapshot(provisioned, DATABASE)
    result = probed(provisioned, project, scratch=True)
    assert unexpected(result) == {("order_app_tst_user", "use-schema", "schema billing", PERMITTED)}
    assert snapshot(provisioned, DATABASE) == before


def test_a_session_that_is_ended_in_between_leaves_the_rest_undecided(provisioned: Endpoint, project: Project) -> None:
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            b"CREATE FUNCTION last_words() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
            b" 'BEGIN PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()); RETURN true; END';"
            b"CREATE VIEW deadly AS SELECT 1 AS one WHERE last_words()"
        )
    result = probed(provisioned, project)
    assert {each.user for each in result.observations if each.outcome is UNDECIDED} == {APP, MIGRATION}
    assert {user for user, *_ in unexpected(result)} == {APP, MIGRATION}
    assert "terminating connection" in of(result, APP, "read", "view billing.deadly").detail
