"""What is seen by logging in as every user and trying: all as expected at first, and exactly what a break changes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from pydantic import SecretStr

from golabs_infra import attempting
from golabs_infra.attempts import (
    FULL,
    NO_SCHEMA,
    SCRATCH_PREFIX,
    WAITED,
    Attempt,
    Observation,
    Outcome,
    Relation,
)
from golabs_infra.connecting import RefusalReason, connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ServerConnectionError
from golabs_infra.probing import Probed, SessionFacts, probe
from golabs_infra.project import Project
from golabs_infra.scratch import read_relations

from ..support import free_port
from . import tools
from .catalog import row_versions, snapshot
from .tools import DATABASE, SERVICES

APP, MIGRATION = "billing_app_tst_user", "billing_migration_tst_user"
DENIED, PERMITTED, UNDECIDED = Outcome.DENIED, Outcome.PERMITTED, Outcome.UNDECIDED
OTHER = "go-labs-ci"


def passwords(project: Project, services: Iterable[str] = SERVICES) -> dict[str, SecretStr]:
    """What the connection files say, by user."""
    users = [user for service in services for user in tools.record(project, service)["users"].values()]
    return {user["username"]: SecretStr(user["password"]) for user in users}


def relations(server: Endpoint, services: Iterable[str] = SERVICES) -> tuple[Relation, ...]:
    """What the admin sees in the services' schemas."""
    with connect_admin(server, DATABASE) as connection:
        return read_relations(connection, services)


def probed(
    server: Endpoint,
    project: Project,
    *,
    known: dict[str, SecretStr] | None = None,
    seen: tuple[Relation, ...] | None = None,
    others: Collection[str] = (),
    scratch: bool = False,
) -> Probed:
    """A proof of tst."""
    return probe(
        server,
        tools.engine(project, server).desired,
        passwords(project) if known is None else known,
        relations(server) if seen is None else seen,
        other_databases=tuple(others),
        scratch=scratch,
    )


def unexpected(result: Probed) -> set[tuple[str, str, str, Outcome]]:
    """Who, what, on which object, and what came of it, wherever it was not as the model says."""
    return {
        (each.user, each.attempt.action, each.attempt.object, each.outcome)
        for each in result.observations
        if not each.as_expected
    }


def of(result: Probed, user: str, action: str, words: str) -> Observation:
    """What came of one attempt."""
    (found,) = [
        each
        for each in result.observations
        if (each.user, each.attempt.action, each.attempt.object) == (user, action, words)
    ]
    return found


def sequences(server: Endpoint) -> list[object]:
    """Where every sequence stands."""
    with connect_admin(server, DATABASE) as connection:
        return connection.execute(
            "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
        ).fetchall()


@pytest.mark.parametrize("scratch", [False, True])
def test_a_whole_environment_is_seen_as_the_model_says(provisioned: Endpoint, project: Project, scratch: bool) -> None:
    result = probed(provisioned, project, scratch=scratch)
    assert unexpected(result) == set()
    assert [login.user for login in result.logins] == list(passwords(project))
    for login in result.logins:
        service = login.user.split("_")[0]
        assert login.password_asked
        assert login.facts == SessionFacts(login.user, login.user, False, _quoted(service))
    assert result.scratch == (SERVICES if scratch else ())
    assert (result.without_scratch, result.left_behind) == ({}, ())
    states = {(each.outcome, each.state) for each in result.observations}
    assert states == {(PERMITTED, ""), (DENIED, "42501")}


def _quoted(service: str) -> str:
    return '"order"' if service == "order" else service


def test_every_relation_of_a_service_is_tried_as_its_app_user(provisioned: Endpoint, project: Project) -> None:
    result = probed(provisioned, project)
    for relation in relations(provisioned):
        app = f"{relation.schema}_app_tst_user"
        outcomes = {
            each.attempt.action: each.outcome
            for each in result.observations
            if each.user == app and each.attempt.object == relation.words
        }
        if relation.kind == "S":
            assert outcomes == {"read-sequence": PERMITTED, "use-sequence": PERMITTED, "set-sequence": DENIED}
        else:
            assert {action for action, outcome in outcomes.items() if outcome is PERMITTED} == {
                *("read", "insert", "update", "delete")
            }


@pytest.mark.parametrize("scratch", [False, True])
def test_nothing_is_left_behind(provisioned: Endpoint, project: Project, scratch: bool) -> None:
    before = snapshot(provisioned, DATABASE), tools.stored_rows(provisioned), sequences(provisioned)
    roles, objects = _counted(provisioned)
    probed(provisioned, project, scratch=scratch)
    assert (snapshot(provisioned, DATABASE), tools.stored_rows(provisioned), sequences(provisioned)) == before
    assert _counted(provisioned) == (roles, objects)


def _counted(server: Endpoint) -> tuple[object, object]:
    return (
        tools.answer(server, "SELECT count(*) FROM pg_authid"),
        tools.answer(
            server, "SELECT (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_type)", database=DATABASE
        ),
    )


def test_without_scratch_not_even_the_catalogs_are_written_to(provisioned: Endpoint, project: Project) -> None:
    before = row_versions(provisioned, DATABASE)
    probed(provisioned, project)
    assert row_versions(provisioned, DATABASE) == before


def test_a_way_into_another_schema_is_followed_to_all_that_is_there(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f'GRANT USAGE ON SCHEMA "order" TO {APP}',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "order" TO {APP}',
        f'GRANT UPDATE ON "order".customer TO {APP}',
        f'GRANT USAGE ON SEQUENCE "order".ticket TO {APP}',
        database=DATABASE,
    )
    tables = [each for each in relations(provisioned) if each.schema == "order" and each.kind != "S"]
    assert unexpected(probed(provisioned, project)) == {
        (APP, "use-schema", "schema order", PERMITTED),
        (APP, "update", "table order.customer", PERMITTED),
        (APP, "use-sequence", "sequence order.ticket", PERMITTED),
        *((APP, "read", table.words, PERMITTED) for table in tables),
    }


def test_privileges_on_a_table_without_its_schema_are_of_no_use(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f'GRANT ALL ON ALL TABLES IN SCHEMA "order" TO {APP}', database=DATABASE)
    assert unexpected(probed(provisioned, project)) == set()


def test_a_privilege_on_one_column_is_none_on_the_table(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f"REVOKE INSERT, UPDATE ON billing.customer FROM {APP}",
        f"GRANT INSERT (name), UPDATE (name) ON billing.customer TO {APP}",
        database=DATABASE,
    )
    assert unexpected(probed(provisioned, project)) == {
        (APP, "insert", "table billing.customer", DENIED),
        (APP, "update", "table billing.customer", DENIED),
    }


def test_a_member_reaches_what_the_other_user_has(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f"GRANT order_app_tst_user TO {APP}")
    seen = unexpected(probed(provisioned, project))
    assert {user for user, *_ in seen} == {APP}
    assert (APP, "become-role", "role order_app_tst_user", PERMITTED) in seen
    assert (APP, "delete", "table order.invoice", PERMITTED) in seen
    assert (APP, "create-in-schema", "schema order", PERMITTED) not in seen


@pytest.mark.parametrize("scratch", [False, True])
def test_a_closed_login_ends_the_proof_of_its_user_alone(
    provisioned: Endpoint, project: Project, scratch: bool
) -> None:
    tools.as_superuser(provisioned, f"ALTER ROLE {MIGRATION} NOLOGIN")
    result = probed(provisioned, project, scratch=scratch)
    assert unexpected(result) == {(MIGRATION, "log-in", f"database {DATABASE}", DENIED)}
    (login,) = [each for each in result.logins if not each.accepted]
    assert login.refusal is not None
    assert login.refusal.reason is RefusalReason.NO_LOGIN
    assert login.password_asked
    assert [each for each in result.observations if each.user == MIGRATION] == [
        of(result, MIGRATION, "log-in", f"database {DATABASE}")
    ]
    if scratch:
        assert result.scratch == ("catalog", "order")
        assert list(result.without_scratch) == ["billing"]
        assert "not permitted to log in" in result.without_scratch["billing"]


def test_a_wrong_password_is_told_from_other_refusals(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f"ALTER ROLE {MIGRATION} VALID UNTIL '2001-01-01'",
        f'REVOKE CONNECT ON DATABASE "{DATABASE}" FROM order_app_tst_user',
        "ALTER ROLE catalog_app_tst_user CONNECTION LIMIT 0",
    )
    known = {**passwords(project), APP: SecretStr("not-the-password")}
    result = probed(provisioned, project, known=known)
    reasons = {login.user: login.refusal.reason for login in result.logins if login.refusal}
    assert reasons == {
        APP: RefusalReason.WRONG_PASSWORD,
        MIGRATION: RefusalReason.WRONG_PASSWORD,
        "order_app_tst_user": RefusalReason.NO_CONNECT,
        "catalog_app_tst_user": RefusalReason.ROLE_FULL,
    }
    assert unexpected(result) == {(user, "log-in", f"database {DATABASE}", DENIED) for user in reasons}
    states = {user: of(result, user, "log-in", f"database {DATABASE}").state for user in known}
    assert states == {
        APP: "28P01",
        MIGRATION: "28P01",
        "order_app_tst_user": "42501",
        "catalog_app_tst_user": "53300",
        "order_migration_tst_user": "",
        "catalog_migration_tst_user": "",
    }


def test_a_limit_that_a_running_service_may_have_reached_decides_nothing(server: Endpoint, project: Project) -> None:
    services = [{"name": "billing", "connectionLimit": 1}]
    engine = tools.engine(project, server, services=services)
    engine.up()
    known = passwords(project, ["billing"])
    with tools.login(project, "billing", "app"):
        result = probe(server, engine.desired, known, ())
    assert unexpected(result) == {(APP, "log-in", f"database {DATABASE}", UNDECIDED)}
    assert of(result, APP, "log-in", f"database {DATABASE}").state in FULL
    tools.wait_for_sessions_to_end(server, DATABASE)
    tools.engine(project, server, "ci", services=services, policy="disposable").up()
    result = probe(server, engine.desired, known, (), other_databases=[OTHER], scratch=True)
    assert unexpected(result) == set()


def test_a_retired_service_is_shown_to_be_closed(server: Endpoint, project: Project) -> None:
    tools.engine(project, server).up()
    known = passwords(project)
    retired = tools.engine(project, server, services=["catalog", "order", {"name": "billing", "retired": True}])
    retired.up()
    result = probe(server, retired.desired, known, relations(server), scratch=True)
    assert unexpected(result) == set()
    assert of(result, APP, "log-in", f"database {DATABASE}").outcome is DENIED
    assert (result.scratch, result.without_scratch) == (("catalog", "order"), {})  # and no word on what must be so


def test_a_user_whose_password_is_not_known_is_left_out(provisioned: Endpoint, project: Project) -> None:
    known = passwords(project)
    del known[MIGRATION]
    result = probed(provisioned, project, known=known, scratch=True)
    assert [login.user for login in result.logins] == list(known)
    assert unexpected(result) == set()
    assert MIGRATION in result.without_scratch["billing"]


def test_other_databases_are_tried_by_connecting(provisioned: Endpoint, project: Project) -> None:
    tools.engine(project, provisioned, "ci", policy="disposable").up()
    tools.as_superuser(provisioned, f'GRANT CONNECT ON DATABASE "{OTHER}" TO {APP}')
    result = probed(provisioned, project, others=[OTHER, "nowhere"])
    seen = {each for each in unexpected(result) if each[2] == f"database {OTHER}"}
    assert seen == {(APP, "connect-elsewhere", f"database {OTHER}", PERMITTED)}
    nowhere = [each for each in result.observations if each.attempt.object == "database nowhere"]
    assert {(each.outcome, each.state) for each in nowhere} == {(UNDECIDED, "3D000")}
    assert len(nowhere) == 2 * len(SERVICES)


@pytest.mark.parametrize("scratch", [False, True])
def test_what_the_database_gives_everybody_is_seen(provisioned: Endpoint, project: Project, scratch: bool) -> None:
    tools.as_superuser(
        provisioned,
        f'GRANT TEMPORARY ON DATABASE "{DATABASE}" TO {APP}',
        f'GRANT CREATE ON DATABASE "{DATABASE}" TO catalog_migration_tst_user',
        "GRANT USAGE, CREATE ON SCHEMA public TO order_app_tst_user",
        "ALTER ROLE order_migration_tst_user CREATEROLE CREATEDB",
        database=DATABASE,
    )
    assert unexpected(probed(provisioned, project, scratch=scratch)) == {
        (APP, "temporary-table", f"database {DATABASE}", PERMITTED),
        ("catalog_migration_tst_user", "create-schema", f"database {DATABASE}", PERMITTED),
        ("order_app_tst_user", "use-schema", "schema public", PERMITTED),
        ("order_app_tst_user", "create-in-schema", "schema public", PERMITTED),
        ("order_migration_tst_user", "create-role", "server", PERMITTED),
        ("order_migration_tst_user", "create-database", "server", PERMITTED),
    }


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
    assert login.facts == SessionFacts(APP, APP, False, "billing")
    assert unexpected(result) == set()


def test_a_session_that_begins_as_another_role_is_told(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned, f"GRANT order_app_tst_user TO {APP}", f"ALTER ROLE {APP} SET role TO order_app_tst_user"
    )
    result = probed(provisioned, project)
    (login,) = [each for each in result.logins if each.user == APP]
    assert login.facts is not None
    assert (login.facts.session_user, login.facts.current_user) == (APP, "order_app_tst_user")


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


def test_a_session_that_was_lost_once_is_opened_again_and_all_is_decided(
    provisioned: Endpoint, project: Project
) -> None:
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            b"CREATE SEQUENCE calls; CREATE FUNCTION first_words() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
            b" 'BEGIN IF nextval(''billing.calls'') = 1 THEN"
            b" PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()); END IF; RETURN true; END';"
            b"CREATE VIEW deadly_once AS SELECT 1 AS one WHERE first_words()"
        )
    result = probed(provisioned, project)
    assert unexpected(result) == set()
    assert not [each for each in result.observations if each.outcome is UNDECIDED]
    assert of(result, APP, "read", "view billing.deadly_once").outcome is PERMITTED
    assert tools.answer(provisioned, "SELECT last_value FROM billing.calls", database=DATABASE) > 2


def test_what_later_migrations_make_is_tried_for_real(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {MIGRATION} IN SCHEMA billing REVOKE INSERT ON TABLES FROM {APP}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {MIGRATION} IN SCHEMA billing REVOKE USAGE ON SEQUENCES FROM {APP}",
        'ALTER DEFAULT PRIVILEGES FOR ROLE order_migration_tst_user IN SCHEMA "order"'
        " GRANT TRUNCATE, TRIGGER ON TABLES TO order_app_tst_user",
        database=DATABASE,
    )
    before = snapshot(provisioned, DATABASE)
    result = probed(provisioned, project, scratch=True)
    assert unexpected(result) == {
        (APP, "insert", "new table in schema billing", DENIED),
        (APP, "use-sequence", "new sequence in schema billing", DENIED),
        ("order_app_tst_user", "truncate", "new table in schema order", PERMITTED),
        ("order_app_tst_user", "trigger", "new table in schema order", PERMITTED),
    }
    assert unexpected(probed(provisioned, project)) == set()
    assert snapshot(provisioned, DATABASE) == before


def test_whoever_can_act_as_the_owner_is_seen_to_do_so(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f"GRANT {MIGRATION} TO {APP}")
    before = snapshot(provisioned, DATABASE)
    seen = unexpected(probed(provisioned, project, scratch=True))
    for action in ("alter-table", "create-index", "drop-table", "truncate", "trigger"):
        assert (APP, action, "new table in schema billing", PERMITTED) in seen
    assert snapshot(provisioned, DATABASE) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, "killed"])
def test_an_interruption_leaves_nothing_behind(
    provisioned: Endpoint, project: Project, error: type[BaseException] | str
) -> None:
    def interrupted(done: int, total: int) -> None:
        assert (done, total) == (1, 6)
        assert scratch_tables(provisioned)
        if not isinstance(error, str):
            raise error
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
        signal.raise_signal(signal.SIGTERM)

    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt if isinstance(error, str) else error):
        probe(provisioned, desired, passwords(project), seen, scratch=True, progress=interrupted)
    assert scratch_tables(provisioned) == []
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_kill_while_they_are_dropped_waits_until_they_are(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: Any) -> list[Any]:
        if scratch_tables(provisioned):
            assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler
            signal.raise_signal(signal.SIGTERM)
        return attempting.for_each(*arguments)

    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    monkeypatch.setattr("golabs_infra.scratch.for_each", killed)
    with pytest.raises(KeyboardInterrupt):
        probe(provisioned, desired, passwords(project), seen, scratch=True)
    assert scratch_tables(provisioned) == []


def scratch_tables(server: Endpoint) -> list[str]:
    """The tables that were made for a proof, in every schema."""
    query = "SELECT coalesce(array_agg(oid::regclass::text ORDER BY oid), '{}') FROM pg_class WHERE relkind = 'r' AND relname ^@ %s"
    names: list[str] = tools.answer(server, query, SCRATCH_PREFIX, database=DATABASE)
    return names


def test_what_a_killed_run_has_left_is_removed_and_what_is_anothers_is_kept(
    provisioned: Endpoint, project: Project
) -> None:
    with tools.login(project, "billing", "migration") as session:
        session.execute(f"CREATE TABLE {SCRATCH_PREFIX}killed (id int)".encode())
    tools.as_superuser(provisioned, f"CREATE TABLE billing.{SCRATCH_PREFIX}theirs (id int)", database=DATABASE)
    assert unexpected(probed(provisioned, project, scratch=True)) == set()
    assert scratch_tables(provisioned) == [f"billing.{SCRATCH_PREFIX}theirs"]


def test_the_tables_of_a_run_that_goes_on_are_kept(provisioned: Endpoint, project: Project) -> None:
    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    entered, over = threading.Event(), threading.Event()
    results: list[Probed] = []

    def wait(_done: int, _total: int) -> None:
        entered.set()
        assert over.wait(30)

    def slow() -> None:
        results.append(probe(provisioned, desired, passwords(project), seen, scratch=True, progress=wait))

    thread = threading.Thread(target=slow)
    thread.start()
    try:
        assert entered.wait(30)
        tables = scratch_tables(provisioned)
        assert len(tables) == len(SERVICES)
        results.append(probe(provisioned, desired, passwords(project), seen, scratch=True))
        assert scratch_tables(provisioned) == tables
    finally:
        over.set()
        thread.join()
    assert [unexpected(each) for each in results] == [set(), set()]
    assert scratch_tables(provisioned) == []


def test_the_admin_drops_what_the_owner_can_no_more(provisioned: Endpoint, project: Project) -> None:
    def closed(done: int, _total: int) -> None:
        if done == 1:
            tools.as_superuser(provisioned, f"ALTER ROLE {MIGRATION} NOLOGIN")

    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    result = probe(provisioned, desired, passwords(project), seen, scratch=True, progress=closed)
    assert result.left_behind == ()
    assert scratch_tables(provisioned) == []


def test_what_could_not_be_dropped_is_named(provisioned: Endpoint, project: Project) -> None:
    with closing(psycopg.connect(tools.url(project, "billing", "app"))) as holder:

        def held(done: int, _total: int) -> None:
            if done == 1:
                (name,) = [each for each in scratch_tables(provisioned) if each.startswith("billing.")]
                holder.execute(SQL("SELECT FROM {}").format(Identifier(*name.split("."))))
                tools.as_superuser(provisioned, f"ALTER ROLE {MIGRATION} NOLOGIN")

        desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
        result = probe(provisioned, desired, passwords(project), seen, scratch=True, progress=held)
    assert result.left_behind == tuple(scratch_tables(provisioned)) != ()
    tools.as_superuser(provisioned, f"ALTER ROLE {MIGRATION} LOGIN")
    probed(provisioned, project, scratch=True)
    assert scratch_tables(provisioned) == []


def test_an_admin_who_is_no_superuser_can_have_it_proven(server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(server)
    tools.engine(project, admin).up()
    tools.migrate(project)
    before = snapshot(server, DATABASE)
    result = probed(admin, project, scratch=True)
    assert unexpected(result) == set()
    assert result.scratch == SERVICES
    assert of(result, APP, "become-role", "role deployer").outcome is DENIED
    assert snapshot(server, DATABASE) == before


def test_an_older_server_says_the_same(each_server: Endpoint, project: Project) -> None:
    tools.engine(project, each_server).up()
    tools.migrate(project)
    assert unexpected(probed(each_server, project, scratch=True)) == set()


def test_a_server_that_does_not_answer_is_one_error(provisioned: Endpoint, project: Project) -> None:
    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    nowhere = replace(provisioned, port=free_port())
    for scratch in (False, True):
        with pytest.raises(ServerConnectionError, match="no PostgreSQL answers there"):
            probe(nowhere, desired, passwords(project), seen, scratch=scratch)


def test_a_lost_admins_connection_is_one_error(provisioned: Endpoint) -> None:
    with connect_admin(provisioned, DATABASE) as connection:
        pid = connection.info.backend_pid
        tools.as_superuser(provisioned, f"SELECT pg_terminate_backend({pid}, 10000)")
        with pytest.raises(ServerConnectionError, match="could not be looked at"):
            read_relations(connection, SERVICES)


def test_an_admin_who_is_thrown_out_before_anything_is_made_is_one_error(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thrown_out(endpoint: Endpoint, database: str | None = None) -> psycopg.Connection[Any]:
        connection = connect_admin(endpoint, database)
        tools.as_superuser(provisioned, f"SELECT pg_terminate_backend({connection.info.backend_pid}, 10000)")
        return connection

    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    monkeypatch.setattr("golabs_infra.scratch.connect_admin", thrown_out)
    with pytest.raises(ServerConnectionError, match="could not be looked at"):
        probe(provisioned, desired, passwords(project), seen, scratch=True)
    assert scratch_tables(provisioned) == []


def test_a_standby_is_tried_as_far_as_reading_goes(standby: tuple[Endpoint, Project]) -> None:
    endpoint, project = standby
    assert tools.answer(endpoint, "SELECT pg_is_in_recovery()")
    result = probed(endpoint, project)
    assert unexpected(result) == set()
    assert of(result, APP, "update", "table billing.customer").outcome is PERMITTED
    assert of(result, APP, "use-schema", "schema order").outcome is DENIED


def test_what_writes_on_a_standby_is_undecided(standby: tuple[Endpoint, Project]) -> None:
    _, project = standby
    with tools.login(project, "billing", "migration") as session:
        attempt = Attempt("create-in-schema", "schema billing", "billing", "CREATE TABLE t ()", True, ())
        (seen,) = attempting.try_all(session, MIGRATION, [attempt])
    assert (seen.outcome, seen.state) == (UNDECIDED, "25006")


def test_a_server_that_does_not_tell_by_itself_whether_it_is_a_standby_is_asked(
    provisioned: Endpoint, standby: tuple[Endpoint, Project]
) -> None:
    for endpoint, mode in ((provisioned, "READ WRITE"), (standby[0], "READ ONLY")):
        with connect_admin(endpoint, DATABASE) as session:
            silent: Any = SimpleNamespace(
                pgconn=SimpleNamespace(parameter_status=lambda _name: None), execute=session.execute
            )
            assert mode in attempting.beginning(silent) == attempting.beginning(session)


def test_progress_is_told_for_each_user(provisioned: Endpoint, project: Project) -> None:
    told: list[tuple[int, int]] = []
    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    probe(provisioned, desired, passwords(project), seen, progress=lambda *count: told.append(count))
    assert told == [(done, 6) for done in range(1, 7)]
