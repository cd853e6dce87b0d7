"""Options of services: limits, timeouts and extensions, seen by logging in."""

from __future__ import annotations

import contextlib
import time

import psycopg
import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError
from golabs_infra.project import Project

from . import tools
from .catalog import snapshot
from .options import OTHERS, shown
from .tools import DATABASE, engine

# ---- options


def test_options_hold_for_the_app_user_only_and_can_be_seen_by_logging_in(server: Endpoint, project: Project) -> None:
    services = [
        {"name": "billing", "connectionLimit": 2, "statementTimeout": "200ms", "idleInTransactionTimeout": "5min"},
        "catalog",
    ]
    engine(project, server, services=services).up()
    assert engine(project, server, services=services).up().changes == ()
    assert shown(project, "billing", "app", "statement_timeout") == "200ms"
    assert shown(project, "billing", "app", "idle_in_transaction_session_timeout") == "5min"
    for service, kind in (("billing", "migration"), ("catalog", "app"), ("catalog", "migration")):
        assert shown(project, service, kind, "statement_timeout") == "0"
        assert shown(project, service, kind, "idle_in_transaction_session_timeout") == "0"
    with tools.login(project, "billing", "app") as session, pytest.raises(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_sleep(5)")
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(tools.login(project, "billing", "app"))
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            stack.enter_context(tools.login(project, "billing", "app"))
        for _ in range(5):
            stack.enter_context(tools.login(project, "billing", "migration"))


def test_an_idle_transaction_is_ended_after_its_timeout(server: Endpoint, project: Project) -> None:
    engine(project, server, services=[{"name": "billing", "idleInTransactionTimeout": "100ms"}]).up()
    with tools.login(project, "billing", "app") as session:
        session.execute("BEGIN")
        time.sleep(0.4)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            session.execute("SELECT 1")


@pytest.mark.parametrize(
    "options",
    [
        {"connectionLimit": 5},
        {"statementTimeout": "2h", "idleInTransactionTimeout": "1d"},
        {"connectionLimit": 262143, "statementTimeout": "1ms", "idleInTransactionTimeout": "24d"},
    ],
)
def test_an_option_comes_and_goes(provisioned: Endpoint, project: Project, options: dict[str, object]) -> None:
    before = snapshot(provisioned, DATABASE)
    with_options = [{"name": "billing", **options}, *OTHERS]
    assert len(engine(project, provisioned, services=with_options).up().changes) == 1
    assert engine(project, provisioned, services=with_options).up().changes == ()
    assert snapshot(provisioned, DATABASE) != before
    assert len(engine(project, provisioned).up().changes) == 1
    assert engine(project, provisioned).up().changes == ()
    assert snapshot(provisioned, DATABASE) == before


# ---- extensions


def test_an_extension_can_be_used_by_both_users_and_made_by_neither(server: Endpoint, project: Project) -> None:
    services = [{"name": "billing", "extensions": ["vector"]}, "catalog"]
    engine(project, server, services=services).up()
    assert engine(project, server, services=services).up().changes == ()
    with tools.login(project, "billing", "migration") as session:
        session.execute("CREATE TABLE item (id int, at vector(2)); CREATE INDEX ON item USING hnsw (at vector_l2_ops)")
        for statement in (
            "DROP EXTENSION vector",
            "CREATE TABLE extensions.mine (id int)",
            "CREATE EXTENSION plpgsql2",
        ):
            with pytest.raises(psycopg.errors.Error):
                session.execute(statement.encode())
    with tools.login(project, "billing", "app") as session:
        session.execute("INSERT INTO item VALUES (1, '[1,2]')")
        assert session.execute("SELECT at <-> '[1,3]' FROM item").fetchone() == (1.0,)
        assert session.execute("SELECT current_schemas(false)").fetchone() == (["billing", "extensions"],)
    assert engine(project, server, services=services).up().changes == ()
    assert snapshot(server, DATABASE)["extensions"] == {
        "plpgsql": {"schema": "pg_catalog", "owner": "<admin>"},
        "vector": {"schema": "extensions", "owner": "<admin>"},
    }


def test_an_extension_can_be_asked_for_later_and_no_more(provisioned: Endpoint, project: Project) -> None:
    services = [{"name": "billing", "extensions": ["vector"]}, *OTHERS]
    shown = engine(project, provisioned, services=services).preview().changes
    done = engine(project, provisioned, services=services).up().changes
    assert done == shown
    assert engine(project, provisioned, services=services).up().changes == ()
    assert tools.can_log_in(project)
    engine(project, provisioned).up()
    assert engine(project, provisioned).up().changes == ()


def test_an_extension_that_the_server_lacks_is_a_clear_error_with_nothing_made(
    server: Endpoint, project: Project
) -> None:
    with pytest.raises(AdoptionError, match="the server has no extension 'imaginary'"):
        engine(project, server, services=[{"name": "billing", "extensions": ["imaginary"]}]).up()
    assert tools.role_names(server) == []
    assert not tools.database_exists(server)
    engine(project, server, services=["billing"]).up()
    assert tools.can_log_in(project, ["billing"])


def test_the_extensions_schema_can_be_broken_and_mended(server: Endpoint, project: Project) -> None:
    services = [{"name": "billing", "extensions": ["vector"]}]
    engine(project, server, services=services).up()
    whole = snapshot(server, DATABASE)
    tools.as_superuser(
        server,
        "REVOKE USAGE ON SCHEMA extensions FROM PUBLIC",
        "GRANT CREATE ON SCHEMA extensions TO billing_app_tst_user",
        database=DATABASE,
    )
    assert len(engine(project, server, services=services).up().changes) == 2
    assert engine(project, server, services=services).up().changes == ()
    assert snapshot(server, DATABASE) == whole


def test_what_an_extension_grants_on_its_own_tables_is_left_to_it(server: Endpoint, project: Project) -> None:
    services = [{"name": "billing", "extensions": ["vector"]}]
    engine(project, server, services=services).up()
    # As postgis does with spatial_ref_sys, and pg_stat_statements with its views.
    tools.as_superuser(
        server,
        "CREATE TABLE extensions.spatial_ref_sys (srid int)",
        "GRANT SELECT ON extensions.spatial_ref_sys TO PUBLIC",
        "ALTER EXTENSION vector ADD TABLE extensions.spatial_ref_sys",
        database=DATABASE,
    )
    assert engine(project, server, services=services).up().changes == ()
    with tools.login(project, "billing", "app") as session:
        assert session.execute("SELECT count(*) FROM spatial_ref_sys").fetchone() == (0,)
