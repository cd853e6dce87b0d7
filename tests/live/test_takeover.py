"""What others have made on a server is taken over as it is, or told with the SQL that settles it."""

from __future__ import annotations

from typing import Any

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, ServerConnectionError
from golabs_infra.project import Project

from . import tools
from .by_hand import APP, DATABASE, MIGRATION, PASSWORDS, make_by_hand, up
from .catalog import row_versions
from .tools import engine

FINDINGS = {
    "a superuser": (
        [f"ALTER ROLE {APP} SUPERUSER"],
        f"{APP}: it has SUPERUSER, which no service's user has; up would take it away unasked",
    ),
    "many attributes": (
        [f"ALTER ROLE {MIGRATION} CREATEDB CREATEROLE REPLICATION BYPASSRLS"],
        f"{MIGRATION}: it has CREATEDB, CREATEROLE, REPLICATION, BYPASSRLS,",
    ),
    "memberships": (
        ["CREATE ROLE readers", 'CREATE ROLE "Auditors"', f'GRANT readers, "Auditors" TO {APP}'],
        f"{APP}: it is a member of Auditors, readers, which",
    ),
    "an expiry": ([f"ALTER ROLE {APP} VALID UNTIL '2099-01-01'"], f"{APP}: its password expires, which"),
    "the database is a user's": (
        [f'ALTER DATABASE "{DATABASE}" OWNER TO {MIGRATION}'],
        f"{DATABASE}: it belongs to {MIGRATION}, who can undo every privilege in it",
    ),
    "the schema is somebody else's": (
        ["ALTER SCHEMA billing OWNER TO postgres"],
        f"schema billing: it belongs to postgres, not to {MIGRATION}",
    ),
    "a table is somebody else's": (
        ['CREATE TABLE billing."Odd one" (id int)'],
        f"schema billing: 1 object in it belongs to postgres, so that migrations of {MIGRATION} can't change them: "
        "table Odd one",
    ),
    "everything else is somebody else's": (
        [
            "CREATE VIEW billing.v AS SELECT 1 AS a",
            "CREATE MATERIALIZED VIEW billing.m AS SELECT 1 AS a",
            "CREATE SEQUENCE billing.s",
            "CREATE TYPE billing.mood AS ENUM ('glad')",
            "CREATE TYPE billing.pair AS (a int, b int)",
            "CREATE DOMAIN billing.positive AS int CHECK (VALUE > 0)",
            "CREATE FUNCTION billing.f(a int, b text DEFAULT ';') RETURNS int LANGUAGE sql AS 'SELECT a'",
            "CREATE PROCEDURE billing.p(INOUT a int) LANGUAGE sql AS 'SELECT a'",
            "CREATE AGGREGATE billing.total(int) (SFUNC = int4pl, STYPE = int)",
            "CREATE TABLE billing.parent (day date) PARTITION BY RANGE (day)",
            "CREATE TABLE billing.child PARTITION OF billing.parent DEFAULT",
            "CREATE TABLE billing.counted (id serial, no int GENERATED ALWAYS AS IDENTITY)",
        ],
        "schema billing: 12 objects in it belong to postgres",
    ),
    "an extension in public": (
        ["CREATE EXTENSION vector WITH SCHEMA public"],
        "extension vector: it is in the schema public, which up closes: services would lose it",
    ),
    "tables in public": (
        [
            f"GRANT CREATE ON SCHEMA public TO {MIGRATION}",
            f"SET ROLE {MIGRATION}",
            "CREATE TABLE public.schema_migrations (version text)",
            "CREATE FUNCTION public.touch(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        ],
        "schema public: services reach 2 objects in it, and up closes it: function touch, table schema_migrations",
    ),
    "a search_path of its own": (
        [f"ALTER ROLE {APP} SET search_path TO billing, audit, public"],
        f"{APP}: its search_path names audit, which up would take away unasked",
    ),
    "settings for the database alone": (
        [f'ALTER ROLE {APP} IN DATABASE "{DATABASE}" SET statement_timeout TO 5000'],
        f"{APP}: it has statement_timeout for this database alone, which",
    ),
    "somebody else who comes in through PUBLIC": (
        [
            "CREATE ROLE bi LOGIN",
            "GRANT USAGE ON SCHEMA billing TO bi",
            "GRANT SELECT ON billing.invoice TO bi",
        ],
        f"{DATABASE}: bi get in through PUBLIC alone, which up closes",
    ),
    "types, sequences and single columns in public": (
        [
            "CREATE TYPE public.mood AS ENUM ('glad')",
            "CREATE DOMAIN public.positive AS int",
            "CREATE SEQUENCE public.number",
            f"GRANT USAGE ON SEQUENCE public.number TO {APP}",
            "CREATE TABLE public.ref (a int, b int)",
            f"GRANT SELECT (a) ON public.ref TO {APP}",
        ],
        "schema public: services reach 4 objects in it, and up closes it: domain positive, sequence number, table ref",
    ),
    "a closed database": (
        [f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false'],
        f"{DATABASE}: somebody has closed it: it allows no connections",
    ),
}


@pytest.mark.parametrize("environment", ["dev", "prd"])
@pytest.mark.parametrize("case", FINDINGS)
def test_what_a_takeover_would_take_away_is_told_with_the_sql_that_settles_it_and_nothing_is_changed(
    server: Endpoint, project: Project, case: str, environment: str
) -> None:
    database = DATABASE.replace("dev", environment)
    statements, finding = ([*FINDINGS[case][0]], FINDINGS[case][1].replace("dev", environment))
    make_by_hand(server, database)
    closed = case == "a closed database"
    made = [statement.replace("dev", environment) for statement in statements]
    tools.as_superuser(server, *made, database=None if closed else database)
    values: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    before = None if closed else row_versions(server, database)
    for attempt in (
        engine(project, server, environment, **values).preview,
        engine(project, server, environment, **values).up,
    ):
        with pytest.raises(AdoptionError) as caught:
            attempt()
        assert finding in str(caught.value)
        assert len(caught.value.faults) == 1
    assert (None if closed else row_versions(server, database)) == before
    assert tools.files(project).keys() == {"Pulumi.yaml"}

    tools.settle(server, caught.value, database=None if closed else database)
    assert up(project, server, environment, **_configured(case)) != ()
    assert up(project, server, environment, **_configured(case)) == ()
    rows = tools.answer(server, "SELECT array_agg(note ORDER BY id) FROM billing.invoice", database=database)
    assert rows == ["a", "b"]
    assert tools.can_log_in(project, ["billing"], environment)
    assert tools.secret_words(project, environment) == set(PASSWORDS["billing"].values())


def _configured(case: str) -> dict[str, object]:
    return {"services": [{"name": "billing", "extensions": ["vector"]}]} if case == "an extension in public" else {}


def test_everything_that_stands_in_the_way_is_told_at_once_with_the_unknown_passwords(
    server: Endpoint, project: Project
) -> None:
    make_by_hand(server)
    tools.as_superuser(
        server,
        f"ALTER ROLE {APP} SUPERUSER",
        f"ALTER ROLE {APP} VALID UNTIL '2099-01-01'",
        "CREATE ROLE readers",
        f"GRANT readers TO {APP}",
        "ALTER SCHEMA billing OWNER TO postgres",
        database=DATABASE,
    )
    with pytest.raises(AdoptionError) as caught:
        engine(project, server, "dev", services=["billing"]).up()
    text = str(caught.value)
    assert "it has SUPERUSER, and it is a member of readers, and its password expires" in text
    assert "schema billing: it belongs to postgres" in text
    assert text.count("its password is not known") == 2
    assert len(caught.value.faults) == 4


def test_another_encoding_is_told_and_not_made_up_for_by_an_empty_database(server: Endpoint, project: Project) -> None:
    tools.as_superuser(
        server, f"CREATE DATABASE \"{DATABASE}\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
    )
    with pytest.raises(AdoptionError, match="its encoding is LATIN1, not UTF8, which only a new database can have"):
        engine(project, server, "dev", services=["billing"]).up()
    tools.as_superuser(server, f'ALTER DATABASE "{DATABASE}" RENAME TO "go-labs-tst"')
    outcome = engine(project, server, services=["billing"]).up()
    assert [text for text in outcome.warnings if "golabs reset tst" in text]
    engine(project, server, services=["billing"]).reset()
    assert engine(project, server, services=["billing"]).up().warnings == ()


def test_limits_that_somebody_has_set_are_told_with_the_keys_that_keep_them(server: Endpoint, project: Project) -> None:
    make_by_hand(server)
    tools.as_superuser(
        server,
        f"ALTER ROLE {APP} CONNECTION LIMIT 20",
        f"ALTER ROLE {APP} SET statement_timeout TO 30000",
        f"ALTER ROLE {MIGRATION} CONNECTION LIMIT 5",
    )
    values: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    told = engine(project, server, "dev", **values).preview().warnings
    assert [text for text in told if f"{APP}: its connection limit is 20" in text and "connectionLimit: 20" in text]
    assert [text for text in told if f"{APP}: its statement timeout is 30000ms" in text]
    assert [text for text in told if f"{MIGRATION}: its connection limit is 5" in text and "nothing keeps it" in text]
    kept = [{"name": "billing", "connectionLimit": 20, "statementTimeout": "30000ms"}]
    values["services"] = kept
    told = engine(project, server, "dev", **values).preview().warnings
    assert not [text for text in told if APP in text]


def test_a_login_that_somebody_has_closed_is_told_before_it_is_opened(server: Endpoint, project: Project) -> None:
    make_by_hand(server)
    tools.as_superuser(server, f"ALTER ROLE {APP} NOLOGIN")
    values: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    told = engine(project, server, "dev", **values).preview().warnings
    assert [text for text in told if f"{APP}: somebody has closed its login" in text and "retired: true" in text]


@pytest.mark.parametrize(
    "statement",
    [
        "GRANT CREATE ON TABLESPACE pg_default TO billing_app_tst_user",
        "GRANT SET ON PARAMETER log_min_messages TO billing_app_tst_user",
    ],
)
def test_ties_that_are_in_no_database_are_told_before_anything_is_dropped(
    server: Endpoint, project: Project, statement: str
) -> None:
    engine(project, server, services=["billing", "order"]).up()
    tools.as_superuser(server, statement)
    for attempt in (
        engine(project, server, services=["billing", "order"]).destroy,
        engine(project, server, services=["order"]).preview,
        engine(project, server, services=["order"]).up,
    ):
        with pytest.raises(AdoptionError, match="billing_app_tst_user: it owns something") as caught:
            attempt()
    tools.settle(server, caught.value)
    engine(project, server, services=["order"]).up()


def test_catalogs_that_a_dba_has_closed_are_an_error_in_words(server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(server)
    tools.as_superuser(server, "REVOKE SELECT ON pg_db_role_setting FROM PUBLIC")
    try:
        with pytest.raises(ServerConnectionError, match="permission denied for table pg_db_role_setting"):
            engine(project, admin).up()
    finally:
        tools.as_superuser(server, "GRANT SELECT ON pg_db_role_setting TO PUBLIC")


def test_a_database_of_another_admin_is_left_to_it_and_told_by_a_superuser(server: Endpoint, project: Project) -> None:
    make_by_hand(server)
    tools.as_superuser(server, "CREATE ROLE dba", f'ALTER DATABASE "{DATABASE}" OWNER TO dba')
    values: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    outcome = engine(project, server, "dev", **values).up()
    assert [text for text in outcome.warnings if "it belongs to dba, not to the admin postgres; it is left so" in text]
    assert tools.answer(server, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", DATABASE) == "dba"
    assert engine(project, server, "dev", **values).up().warnings == ()


def test_a_schema_public_that_a_restored_database_has_from_its_superuser_is_told_on_every_version(
    each_server: Endpoint, project: Project
) -> None:
    admin = tools.with_admin(each_server)
    tools.as_superuser(admin, f'CREATE DATABASE "{DATABASE}"')
    tools.as_superuser(
        each_server, "ALTER SCHEMA public OWNER TO postgres", "GRANT ALL ON SCHEMA public TO PUBLIC", database=DATABASE
    )
    with pytest.raises(
        AdoptionError, match="schema public: it belongs to postgres, so that deployer can't close it"
    ) as caught:
        engine(project, admin, "dev").up()
    tools.settle(each_server, caught.value, database=DATABASE)
    engine(project, admin, "dev").up()
    assert engine(project, admin, "dev").up().changes == ()
