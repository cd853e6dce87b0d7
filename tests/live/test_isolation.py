"""What each user can and cannot do, tried by logging in with the URL of the connection file. No mocks."""

from __future__ import annotations

import shutil
import subprocess
from itertools import permutations, product

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from . import catalog, tools
from .isolated import (
    KINDS,
    Sessions,
    refused,
    run,
    sessions_of_users,  # noqa: F401 - the fixture `sessions`
    two_environments,  # noqa: F401 - the fixture `environment`
)
from .tools import SERVICES

DML = {
    "schema_migrations": ("version", "'0002'"),
    "customer": ("name", "'Barbara'"),
    "invoice": ("total", "30"),
    "event": ("day", "'2026-06-01'"),
    "event_2026": ("day", "'2026-06-01'"),
    "event_other": ("day", "'2040-06-01'"),
    "customer_name": ("name", "'Barbara'"),
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("relation", DML)
def test_the_app_user_reads_and_writes_each_relation(sessions: Sessions, service: str, relation: str) -> None:
    column, value = DML[relation]
    run(
        sessions(service, "app"),
        f"""
        SELECT * FROM {relation};
        INSERT INTO {relation} ({column}) VALUES ({value});
        UPDATE {relation} SET {column} = {value} WHERE false;
        DELETE FROM {relation} WHERE {column} = {value};
        SELECT * FROM "{service}".{relation} FOR UPDATE;
        """,
    )


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "statements",
    [
        "SELECT * FROM revenue",
        "SELECT nextval('ticket'), currval('ticket')",
        "SELECT last_value FROM ticket",
        "SELECT doubled(21)",
        "SELECT 'glad'::mood",
        "INSERT INTO invoice (total) VALUES (1) RETURNING id",
        "COPY customer TO STDOUT",
        "BEGIN; COMMIT",
        "PREPARE one AS SELECT * FROM customer; EXECUTE one; DEALLOCATE one",
        "SELECT pg_advisory_xact_lock(1)",
    ],
)
def test_the_app_user_does_what_an_application_needs(sessions: Sessions, service: str, statements: str) -> None:
    if statements.startswith("COPY"):
        with sessions(service, "app").cursor() as cursor, cursor.copy(statements.encode()) as copy:
            assert len(list(copy)) == 2
    elif statements.startswith("BEGIN"):
        sessions(service, "app").execute(statements.encode())
    else:
        run(sessions(service, "app"), statements)


FORBIDDEN_TO_BOTH = [
    "CREATE SCHEMA extra",
    "CREATE ROLE extra",
    "CREATE EXTENSION vector",
    "CREATE TABLE public.extra (id int)",
    "CREATE VIEW public.extra AS SELECT 1",
    "CREATE FUNCTION public.extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TYPE public.extra AS (a int)",
    "SELECT * FROM public.shared",
    "SELECT nextval('public.numbers')",
    "SELECT public.helper()",
    "INSERT INTO public.shared VALUES (1)",
    "DROP TABLE public.shared",
    "ALTER SCHEMA public RENAME TO private",
    'ALTER DATABASE "go-labs-tst" RENAME TO mine',
    'ALTER DATABASE "go-labs-tst" SET statement_timeout TO 1',
    "SET ROLE postgres",
    "SET ROLE pg_read_all_data",
    "SET SESSION AUTHORIZATION postgres",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE CURRENT_USER CREATEDB",
    "ALTER ROLE CURRENT_USER CONNECTION LIMIT 5",
    "ALTER ROLE postgres PASSWORD 'mine-from-now-on'",
    "DROP ROLE stranger",
    "GRANT postgres TO CURRENT_USER",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/nowhere/at/all'",
    "CREATE PUBLICATION extra",
    "CREATE FOREIGN DATA WRAPPER extra",
    "CREATE EVENT TRIGGER extra ON ddl_command_start EXECUTE FUNCTION doubled()",
    "SET session_replication_role TO replica",
]
FORBIDDEN_TO_APPS = [
    "CREATE TABLE extra (id int)",
    'CREATE TABLE "{service}".extra (id int)',
    "CREATE VIEW extra AS SELECT 1",
    "CREATE SEQUENCE extra",
    "CREATE FUNCTION extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TYPE extra AS (a int)",
    "CREATE INDEX extra ON customer (name)",
    "CREATE TRIGGER extra BEFORE INSERT ON customer EXECUTE FUNCTION doubled()",
    "CREATE TEMP TABLE extra (id int)",
    "CREATE TEMP SEQUENCE extra",
    "SELECT 1 AS one INTO TEMP extra",
    "ALTER TABLE customer ADD extra int",
    "ALTER TABLE customer RENAME TO client",
    "ALTER TABLE customer DISABLE TRIGGER ALL",
    "ALTER SEQUENCE ticket RESTART",
    "ALTER FUNCTION doubled RENAME TO twice",
    "ALTER TYPE mood ADD VALUE 'neutral'",
    "DROP TABLE customer",
    "DROP VIEW customer_name",
    'DROP SCHEMA "{service}" CASCADE',
    'ALTER SCHEMA "{service}" RENAME TO mine',
    "TRUNCATE customer CASCADE",
    "TRUNCATE event_2026",
    "REFRESH MATERIALIZED VIEW revenue",
    "SELECT setval('ticket', 1)",
    "COMMENT ON TABLE customer IS 'mine'",
    'ALTER DEFAULT PRIVILEGES FOR ROLE {service}_migration_tst_user IN SCHEMA "{service}" GRANT TRUNCATE ON TABLES TO PUBLIC',
    "SET ROLE {service}_migration_tst_user",
    "GRANT {service}_migration_tst_user TO CURRENT_USER",
    "ALTER ROLE {service}_migration_tst_user PASSWORD 'mine-from-now-on'",
]


@pytest.mark.parametrize(
    ("kind", "statement"), [*product(KINDS, FORBIDDEN_TO_BOTH), *product(("app",), FORBIDDEN_TO_APPS)]
)
def test_the_server_refuses(sessions: Sessions, kind: str, statement: str) -> None:
    for service in SERVICES:
        refused(sessions(service, kind), statement.format(service=service))


def test_no_user_can_hand_on_what_it_was_granted(sessions: Sessions, postgresql: Endpoint) -> None:
    # PostgreSQL answers with a warning only, so it is the catalog that tells.
    before = catalog.snapshot(postgresql, tools.DATABASE)
    for kind in KINDS:
        sessions("billing", kind).execute(b'GRANT CONNECT ON DATABASE "go-labs-tst" TO stranger')
    for statement in ("GRANT SELECT ON customer TO stranger", "GRANT USAGE ON SCHEMA billing TO stranger"):
        sessions("billing", "app").execute(statement.encode())
    assert catalog.snapshot(postgresql, tools.DATABASE) == before


@pytest.mark.parametrize("kind", KINDS)
def test_neither_user_creates_or_drops_databases(sessions: Sessions, kind: str) -> None:
    for statement in ("CREATE DATABASE extra", 'DROP DATABASE "go-labs-ci"', 'DROP DATABASE "go-labs-tst"'):
        with pytest.raises(psycopg.Error) as caught:
            sessions("billing", kind).execute(statement.encode())
        # One's own database is refused for being open before anybody looks at whose it is.
        assert caught.value.sqlstate in ("42501", "55006")


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE extra (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY); INSERT INTO extra DEFAULT VALUES",
        "ALTER TABLE customer ADD extra int; ALTER TABLE customer RENAME TO client; DROP TABLE client CASCADE",
        "CREATE TABLE event_2027 PARTITION OF event FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')",
        "TRUNCATE customer, invoice; DROP SEQUENCE ticket; DROP FUNCTION doubled",
        "CREATE TEMP TABLE scratch AS SELECT * FROM customer; DROP TABLE scratch",
        "REFRESH MATERIALIZED VIEW revenue; CREATE INDEX ON invoice (total); SELECT setval('ticket', 1)",
        "DO $$ BEGIN PERFORM pg_advisory_xact_lock(7); END $$",
        "UPDATE schema_migrations SET version = '0003'; DELETE FROM \"{service}\".schema_migrations",
    ],
)
def test_the_migration_user_changes_its_own_schema(sessions: Sessions, service: str, statements: str) -> None:
    run(sessions(service, "migration"), statements.format(service=service))


@pytest.mark.parametrize("service", SERVICES)
def test_a_name_without_schema_lands_in_the_services_own(sessions: Sessions, service: str) -> None:
    where = "SELECT nspname::text FROM pg_namespace n JOIN pg_class c ON relnamespace = n.oid WHERE c.oid = 'schema_migrations'::regclass"
    for kind in KINDS:
        assert sessions(service, kind).execute(where).fetchone() == (service,)
        assert sessions(service, kind).execute("SELECT current_schemas(false)").fetchone() == ([service],)


@pytest.mark.parametrize("service", SERVICES)
def test_the_app_user_can_use_what_later_migrations_make(sessions: Sessions, service: str) -> None:
    migration, app = sessions(service, "migration"), sessions(service, "app")
    migration.execute(
        "CREATE TABLE later (id serial PRIMARY KEY, n int); CREATE VIEW later_view AS SELECT n FROM later;"
        "CREATE TABLE event_2030 PARTITION OF event FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')"
    )
    try:
        run(app, "INSERT INTO later (n) VALUES (1); UPDATE later_view SET n = 2; DELETE FROM later; TABLE event_2030")
    finally:
        migration.execute("DROP VIEW later_view; DROP TABLE later; DROP TABLE event_2030")


INTRUSIONS = [
    'SELECT * FROM "{other}".customer',
    'SELECT * FROM "{other}".event_2026',
    'SELECT * FROM "{other}".customer_name',
    'SELECT * FROM "{other}".revenue',
    'SELECT * FROM "{other}".schema_migrations',
    "INSERT INTO \"{other}\".customer (name) VALUES ('Mallory')",
    "UPDATE \"{other}\".customer SET name = 'Mallory'",
    'DELETE FROM "{other}".customer',
    'TRUNCATE "{other}".customer',
    'COPY "{other}".customer TO STDOUT',
    "SELECT nextval('{other}.ticket')",
    'SELECT last_value FROM "{other}".ticket',
    'SELECT "{other}".doubled(1)',
    "SELECT 'glad'::\"{other}\".mood",
    'CREATE TABLE "{other}".extra (id int)',
    'CREATE VIEW "{other}".extra AS SELECT 1',
    "CREATE FUNCTION \"{other}\".extra() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    'ALTER TABLE "{other}".customer ADD extra int',
    'DROP TABLE "{other}".customer',
    'DROP FUNCTION "{other}".doubled',
    'LOCK TABLE "{other}".customer',
    'GRANT SELECT ON "{other}".customer TO CURRENT_USER',
    'GRANT USAGE ON SCHEMA "{other}" TO CURRENT_USER',
    'DROP SCHEMA "{other}" CASCADE',
    'ALTER SCHEMA "{other}" RENAME TO mine',
    'ALTER SCHEMA "{other}" OWNER TO CURRENT_USER',
    "SET ROLE {other}_app_tst_user",
    "SET ROLE {other}_migration_tst_user",
    "GRANT {other}_app_tst_user TO CURRENT_USER",
    "ALTER ROLE {other}_app_tst_user PASSWORD 'mine-from-now-on'",
    "ALTER ROLE {other}_migration_tst_user NOLOGIN",
    "DROP OWNED BY {other}_migration_tst_user",
    "REASSIGN OWNED BY {other}_migration_tst_user TO CURRENT_USER",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {other}_migration_tst_user GRANT SELECT ON TABLES TO PUBLIC",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{other}_app_tst_user'",
]


@pytest.mark.parametrize("action", INTRUSIONS)
@pytest.mark.parametrize(("service", "other"), list(permutations(SERVICES, 2)))
@pytest.mark.parametrize("kind", KINDS)
def test_no_user_can_touch_another_services_schema(
    sessions: Sessions, kind: str, service: str, other: str, action: str
) -> None:
    if "pg_terminate_backend" in action:
        assert sessions(other, "app").execute("SELECT 1").fetchone() == (1,)  # there is a session to end
    refused(sessions(service, kind), action.format(other=other))


@pytest.mark.parametrize("service", SERVICES)
def test_a_migration_user_cannot_reach_out_of_its_schema(sessions: Sessions, service: str) -> None:
    other = next(name for name in SERVICES if name != service)
    for statement in (
        f'CREATE TABLE extra (id bigint REFERENCES "{other}".customer)',
        f'CREATE VIEW extra AS SELECT * FROM "{other}".customer',
        f'CREATE TABLE extra (LIKE "{other}".customer)',
        f'CREATE TABLE extra PARTITION OF "{other}".event DEFAULT',
        f'ALTER TABLE customer SET SCHEMA "{other}"',
        "ALTER TABLE customer SET SCHEMA public",
        f"ALTER TABLE customer OWNER TO {other}_migration_tst_user",
    ):
        refused(sessions(service, "migration"), statement)


def outcome_of_login(project: Project, url: str, **changed: str) -> str:
    """What the server says to a login, empty where it lets in."""
    try:
        with psycopg.connect(make_conninfo(url, **changed)):
            return ""
    except psycopg.OperationalError as error:
        return str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("of", "to"), [("ci", "tst"), ("tst", "ci")])
def test_users_of_another_environment_cannot_connect(environment: Project, kind: str, of: str, to: str) -> None:
    for service in SERVICES:
        url = tools.url(environment, service, kind, of)
        assert outcome_of_login(environment, url) == ""
        assert "permission denied for database" in outcome_of_login(environment, url, dbname=f"go-labs-{to}")


def test_a_stranger_cannot_connect(environment: Project) -> None:
    url = tools.url(environment, "billing", "app")
    stranger = {"user": "stranger", "password": "passes-by"}
    assert outcome_of_login(environment, url, **stranger, dbname="postgres") == ""
    assert "permission denied for database" in outcome_of_login(environment, url, **stranger)


def test_a_wrong_password_is_refused(environment: Project) -> None:
    url = tools.url(environment, "billing", "app")
    assert "password authentication failed" in outcome_of_login(environment, url, password="wrong")


def test_replication_connections_are_refused(environment: Project) -> None:
    for kind in KINDS:
        url = tools.url(environment, "billing", kind)
        with pytest.raises(psycopg.OperationalError, match=r"permission denied|pg_hba"):
            psycopg.connect(make_conninfo(url, replication="true"))


@pytest.mark.skipif(shutil.which("psql") is None, reason="psql is not on PATH")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("service", SERVICES)
def test_psql_takes_the_url_as_it_is(environment: Project, service: str, kind: str) -> None:
    url = tools.url(environment, service, kind)
    done = subprocess.run(
        [
            "psql",
            "--no-psqlrc",
            "--no-password",
            "-Atc",
            "SELECT current_user, current_schema, count(*) FROM customer",
            url,
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == f"{tools.user(service, kind)}|{service}|2"


def test_the_url_and_the_fields_of_a_connection_file_say_the_same(environment: Project) -> None:
    for service, name in product(SERVICES, ("tst", "ci")):
        record = tools.record(environment, service, name)
        for kind in KINDS:
            fields = record["users"][kind]
            assert conninfo_to_dict(fields["url"]) == {
                "host": record["host"],
                "port": str(record["port"]),
                "dbname": record["database"],
                "sslmode": record["sslmode"],
                "user": fields["username"],
                "password": fields["password"],
            }


def test_nobody_but_the_services_users_has_a_privilege_anywhere(environment: Project, postgresql: Endpoint) -> None:
    query = """
    SELECT count(*) FROM pg_namespace n, pg_roles r
    WHERE n.nspname = ANY (%s) AND r.oid >= 16384
      AND r.rolname NOT IN (n.nspname || '_migration_tst_user', n.nspname || '_app_tst_user')
      AND (has_schema_privilege(r.oid, n.oid, 'USAGE') OR has_schema_privilege(r.oid, n.oid, 'CREATE'))
    """
    assert tools.answer(postgresql, query, [*SERVICES, "public"], database=tools.DATABASE) == 0
