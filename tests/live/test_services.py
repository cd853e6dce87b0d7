"""Services that come, go, are retired and come back; options and extensions. The direct engine, nothing mocked."""

from __future__ import annotations

import contextlib
import threading
import time

import psycopg
import pytest

from golabs_infra import applying
from golabs_infra.changes import DropSchema
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, ApplyError, GolabsError, PolicyError
from golabs_infra.project import Project

from . import tools
from .catalog import row_versions, snapshot
from .tools import DATABASE, SERVICES, engine

OTHERS = ("catalog", "order")


def shown(project: Project, service: str, kind: str, setting: str) -> str:
    """A setting as a session of a service's user has it."""
    with tools.login(project, service, kind) as session:
        row = session.execute("SELECT current_setting(%s)", [setting]).fetchone()
        assert row is not None
        value: str = row[0]
        return value


# ---- a service added


def test_a_service_added_is_provisioned_and_the_others_are_not_touched(provisioned: Endpoint, project: Project) -> None:
    before, rows = snapshot(provisioned, DATABASE), tools.rows(project)
    urls = {service: tools.record(project, service) for service in SERVICES}
    services = [*SERVICES, "shipping"]
    assert engine(project, provisioned, services=services).preview().changes != ()
    engine(project, provisioned, services=services).up()
    assert engine(project, provisioned, services=services).up().changes == ()
    assert tools.can_log_in(project, services)
    assert tools.rows(project) == rows
    assert {service: tools.record(project, service) for service in SERVICES} == urls
    after = snapshot(provisioned, DATABASE)
    assert after["relations"] == before["relations"]
    tools.migrate(project, ["shipping"])
    assert engine(project, provisioned, services=services).up().changes == ()


@pytest.mark.parametrize("name", ["user", "a", "x_app_tst_user", "b" * 40, "migration"])
def test_any_valid_name_of_a_service_works(server: Endpoint, project: Project, name: str) -> None:
    services = ["billing", name]
    engine(project, server, services=services).up()
    tools.migrate(project, services)
    assert engine(project, server, services=services).up().changes == ()
    assert len(tools.rows(project, [name])[f"{name}.customer"]) == 2
    engine(project, server, services=["billing"]).up()
    assert tools.role_names(server) == [tools.user("billing", "app"), tools.user("billing", "migration")]
    assert tools.can_log_in(project, ["billing"])


# ---- a service taken out


def test_a_service_taken_out_of_tst_is_dropped_with_its_tables_users_and_file(
    provisioned: Endpoint, project: Project
) -> None:
    rows = tools.rows(project, OTHERS)
    shown = engine(project, provisioned, services=OTHERS).preview().changes
    assert [change.name for change in shown if isinstance(change, DropSchema)] == ["billing"]
    assert all(change.destructive for change in shown)
    done = engine(project, provisioned, services=OTHERS).up().changes
    assert done == shown
    assert not connection_file(project, "tst", "billing").exists()
    assert not [name for name in tools.role_names(provisioned) if "billing" in name]
    assert not tools.answer(provisioned, "SELECT to_regnamespace('billing') IS NOT NULL", database=DATABASE)
    assert engine(project, provisioned, services=OTHERS).up().changes == ()
    assert tools.rows(project, OTHERS) == rows
    assert tools.can_log_in(project, OTHERS)


def test_a_service_whose_users_are_connected_can_be_taken_out(provisioned: Endpoint, project: Project) -> None:
    with tools.login(project, "billing", "app") as app, tools.login(project, "billing", "migration") as migration:
        app.execute("SELECT * FROM customer")
        migration.execute("CREATE TEMP TABLE scratch (id int)")
        engine(project, provisioned, services=OTHERS).up()
        with pytest.raises(psycopg.Error):
            app.execute("SELECT * FROM customer")
    assert engine(project, provisioned, services=OTHERS).up().changes == ()


def test_a_service_in_the_middle_of_a_transaction_stops_the_run_in_bounded_time(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    with tools.login(project, "billing", "app") as app, app.transaction():
        app.execute("INSERT INTO customer (name) VALUES ('busy')")
        before = row_versions(provisioned, DATABASE)
        begin = time.monotonic()
        with pytest.raises(ApplyError, match="schema billing") as caught:
            engine(project, provisioned, services=OTHERS).up()
        assert time.monotonic() - begin < 10
        assert "lock" in str(caught.value)
        assert "lost" not in str(caught.value)
        assert row_versions(provisioned, DATABASE) == before
    engine(project, provisioned, services=OTHERS).up()
    assert engine(project, provisioned, services=OTHERS).up().changes == ()


def test_what_others_made_in_a_schema_goes_with_it(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        "CREATE TABLE billing.by_the_admin (id int)",
        "CREATE SCHEMA reports",
        "CREATE VIEW reports.names AS SELECT name FROM billing.customer",
        "CREATE TABLE reports.kept (id int)",
        "GRANT CREATE, USAGE ON SCHEMA reports TO billing_migration_tst_user",
        "GRANT billing_app_tst_user TO catalog_app_tst_user",
        database=DATABASE,
    )
    engine(project, provisioned, services=OTHERS).up()
    assert engine(project, provisioned, services=OTHERS).up().changes == ()
    relations = snapshot(provisioned, DATABASE)["relations"]
    assert isinstance(relations, dict)
    assert [name for name in relations if name.startswith(("billing", "reports"))] == ["reports.kept"]


def test_users_that_own_something_in_another_database_stop_the_run_with_nothing_dropped(
    provisioned: Endpoint, project: Project
) -> None:
    tools.as_superuser(provisioned, "CREATE DATABASE elsewhere OWNER billing_migration_tst_user")
    tools.as_superuser(
        provisioned,
        "CREATE TABLE public.t (id int)",
        "ALTER TABLE public.t OWNER TO billing_app_tst_user",
        database="elsewhere",
    )
    before = row_versions(provisioned, DATABASE)
    for attempt in (
        engine(project, provisioned, services=OTHERS).preview,
        engine(project, provisioned, services=OTHERS).up,
    ):
        with pytest.raises(AdoptionError, match="in database elsewhere too"):
            attempt()
    assert row_versions(provisioned, DATABASE) == before
    assert connection_file(project, "tst", "billing").exists()
    tools.as_superuser(provisioned, "DROP DATABASE elsewhere")
    engine(project, provisioned, services=OTHERS).up()
    assert engine(project, provisioned, services=OTHERS).up().changes == ()


def test_a_service_taken_out_and_put_back_begins_empty(provisioned: Endpoint, project: Project) -> None:
    old = tools.record(project, "billing")["users"]["app"]["password"]
    engine(project, provisioned, services=OTHERS).up()
    engine(project, provisioned).up()
    assert engine(project, provisioned).up().changes == ()
    assert tools.record(project, "billing")["users"]["app"]["password"] != old
    tools.migrate(project, ["billing"])
    assert tools.can_log_in(project)


def test_taking_a_service_out_of_one_environment_leaves_the_others_alone(
    provisioned: Endpoint, project: Project
) -> None:
    engine(project, provisioned, "ci", policy="disposable").up()
    tools.migrate(project, environment="ci")
    before = snapshot(provisioned, "go-labs-ci")["relations"]
    engine(project, provisioned, services=OTHERS).up()
    assert snapshot(provisioned, "go-labs-ci")["relations"] == before
    assert engine(project, provisioned, "ci", policy="disposable").up().changes == ()
    assert tools.can_log_in(project, environment="ci")


def test_a_service_taken_out_of_a_keep_stack_is_left_in_place_and_a_warning_says_so(
    server: Endpoint, project: Project
) -> None:
    engine(project, server, "dev").up()
    tools.migrate(project, environment="dev")
    rows = tools.rows(project, environment="dev")
    before, files = snapshot(server, "go-labs-dev"), tools.files(project)
    for run in (
        engine(project, server, "dev", services=OTHERS).preview,
        engine(project, server, "dev", services=OTHERS).up,
    ):
        outcome = run()
        assert outcome.changes == ()
        assert any("'billing'" in warning and "left in place" in warning for warning in outcome.warnings)
    assert snapshot(server, "go-labs-dev") == before
    kept = {name: content for name, content in tools.files(project).items() if name.startswith("output")}
    script = "output/dev/billing.sql"  # the scripts say what the configuration says
    assert kept == {name: content for name, content in files.items() if name.startswith("output") and name != script}
    assert tools.rows(project, environment="dev") == rows
    # Forgotten: said once, not for ever.
    assert not engine(project, server, "dev", services=OTHERS).up().warnings
    assert engine(project, server, "dev").up().changes == ()
    assert tools.can_log_in(project, environment="dev")


def test_a_service_taken_out_of_a_guarded_stack_is_refused_with_nothing_touched(
    server: Endpoint, project: Project
) -> None:
    engine(project, server, "prd").up()
    tools.migrate(project, environment="prd")
    before, files = row_versions(server, "go-labs-prd"), tools.files(project)
    for run in (
        engine(project, server, "prd", services=OTHERS).preview,
        engine(project, server, "prd", services=OTHERS).up,
    ):
        with pytest.raises(PolicyError, match="billing is not in the configuration any more"):
            run()
    assert row_versions(server, "go-labs-prd") == before
    assert tools.files(project) == files
    assert engine(project, server, "prd").up().changes == ()


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_users_that_were_never_ours_are_no_removed_service(
    server: Endpoint, project: Project, environment: str
) -> None:
    legacy = tools.user("legacy", "app", environment)
    tools.as_superuser(server, f"CREATE ROLE \"{legacy}\" LOGIN PASSWORD 'in-use-for-years'")
    for _ in range(2):
        assert not engine(project, server, environment).up().warnings
    assert engine(project, server, environment).up().changes == ()


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


# ---- retired


def retired(*names: str) -> list[object]:
    """The three services, some of them retired."""
    return [{"name": name, "retired": name in names} for name in SERVICES]


@pytest.mark.parametrize("environment", ["tst", "prd"])
def test_a_retired_service_has_no_login_keeps_its_data_and_comes_back(
    server: Endpoint, project: Project, environment: str
) -> None:
    database = f"go-labs-{environment}"
    engine(project, server, environment).up()
    tools.migrate(project, environment=environment)
    whole, rows = snapshot(server, database), tools.rows(project, environment=environment)

    shown = engine(project, server, environment, services=retired("billing")).preview().changes
    done = engine(project, server, environment, services=retired("billing")).up().changes
    assert done == shown
    assert not any(change.destructive for change in done)
    assert engine(project, server, environment, services=retired("billing")).up().changes == ()
    for kind in ("migration", "app"):
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            psycopg.connect(tools.url(project, "billing", kind, environment))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        tools.as_superuser(
            server, f"SET ROLE billing_app_{environment}_user; SELECT * FROM billing.customer", database=database
        )
    assert tools.answer(server, "SELECT count(*) FROM billing.customer", database=database) == 2
    assert tools.can_log_in(project, OTHERS, environment)

    engine(project, server, environment).up()
    assert engine(project, server, environment).up().changes == ()
    assert snapshot(server, database) == whole
    assert tools.rows(project, environment=environment) == rows


def test_a_service_can_be_retired_from_the_beginning(server: Endpoint, project: Project) -> None:
    engine(project, server, services=retired("order")).up()
    assert engine(project, server, services=retired("order")).up().changes == ()
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(tools.url(project, "order", "app"))
    engine(project, server).up()
    assert tools.can_log_in(project)


# ---- several at once


def test_two_environments_can_be_brought_up_at_the_same_time(server: Endpoint, project: Project) -> None:
    failures: list[GolabsError] = []

    def bring_up(environment: str) -> None:
        try:
            engine(project, server, environment, policy="disposable").up()
        except GolabsError as error:
            failures.append(error)

    names = ["ci-a", "ci-b", "ci-c"]
    threads = [threading.Thread(target=bring_up, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    for name in names:
        assert tools.can_log_in(project, environment=name)
