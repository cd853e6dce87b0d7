"""Services that come, go and are retired; and environments beside each other."""

from __future__ import annotations

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
from .options import OTHERS
from .tools import DATABASE, SERVICES, engine

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
