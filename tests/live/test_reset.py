"""`reset`: the database is new and empty, its users and their passwords are the old ones, and nothing else moved."""

from __future__ import annotations

import threading

import psycopg
import pytest

from golabs_infra.changes import CreateDatabase, CreateRole, DropDatabase, SetPassword
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ApplyError, GolabsError, PolicyError
from golabs_infra.project import Project

from . import tools
from .catalog import row_versions, snapshot
from .tools import DATABASE, engine


def verifiers(server: Endpoint) -> list[list[str]]:
    """Every stored verifier of the server."""
    found: list[list[str]] = tools.answer(
        server, "SELECT array_agg(ARRAY[rolname::text, rolpassword] ORDER BY rolname) FROM pg_authid WHERE oid >= 16384"
    )
    return found


@pytest.mark.parametrize("limited", [False, True])
def test_a_reset_gives_the_catalogs_of_a_first_run_and_keeps_users_and_files(
    each_server: Endpoint, project: Project, limited: bool
) -> None:
    admin = tools.with_admin(each_server) if limited else each_server
    engine(project, admin).up()
    fresh, passwords, files = snapshot(each_server, DATABASE), verifiers(each_server), tools.files(project)
    number = tools.answer(each_server, "SELECT oid FROM pg_database WHERE datname = %s", DATABASE)
    tools.migrate(project)
    with tools.busy(project), tools.login(project, "catalog", "app") as session:
        outcome = engine(project, admin).reset()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert outcome.changes[:2] == (DropDatabase(DATABASE), CreateDatabase(DATABASE))
    assert not [change for change in outcome.changes if isinstance(change, CreateRole | SetPassword)]
    assert tools.answer(each_server, "SELECT oid FROM pg_database WHERE datname = %s", DATABASE) != number
    assert snapshot(each_server, DATABASE) == fresh
    assert verifiers(each_server) == passwords
    assert tools.files(project) == files
    assert engine(project, admin).up().changes == ()
    tools.migrate(project)
    assert tools.rows(project)["billing.customer"]


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_a_reset_of_what_is_not_disposable_is_refused_and_touches_nothing(
    server: Endpoint, project: Project, environment: str
) -> None:
    database = f"go-labs-{environment}"
    engine(project, server, environment).up()
    tools.migrate(project, environment=environment)
    before, rows = row_versions(server, database), tools.rows(project, environment=environment)
    with pytest.raises(PolicyError, match="reset is refused, and nothing was touched"):
        engine(project, server, environment).reset()
    assert row_versions(server, database) == before
    assert tools.rows(project, environment=environment) == rows


def test_a_database_that_is_gone_is_made_again(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f'DROP DATABASE "{DATABASE}" WITH (FORCE)')
    assert engine(project, provisioned).reset().changes[0] == CreateDatabase(DATABASE)
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)


def test_a_reset_makes_no_users_and_drops_nothing_where_one_is_missing(provisioned: Endpoint, project: Project) -> None:
    rows = tools.rows(project)
    with pytest.raises(ApplyError, match="no user shipping_migration_tst_user yet") as caught:
        engine(project, provisioned, services=[*tools.SERVICES, "shipping"]).reset()
    assert "golabs up tst" in str(caught.value)
    assert tools.rows(project) == rows


def test_a_reset_that_failed_half_way_is_finished_by_the_next(provisioned: Endpoint, project: Project) -> None:
    # As it is left by a run that was killed after CREATE DATABASE.
    tools.as_superuser(
        provisioned, f'DROP DATABASE "{DATABASE}" WITH (FORCE)', f'CREATE DATABASE "{DATABASE}" TEMPLATE template0'
    )
    engine(project, provisioned).reset()
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)


def test_a_reset_puts_right_what_was_changed_on_users(provisioned: Endpoint, project: Project) -> None:
    before = snapshot(provisioned, DATABASE)["roles"]
    tools.as_superuser(provisioned, "ALTER ROLE billing_app_tst_user CONNECTION LIMIT 3 CREATEDB")
    engine(project, provisioned).reset()
    assert snapshot(provisioned, DATABASE)["roles"] == before


def test_an_admin_who_may_end_no_session_drops_nothing_and_is_told_what_it_lacks(
    each_server: Endpoint, project: Project
) -> None:
    admin = tools.with_admin(each_server, signals=False)
    engine(project, admin).up()
    tools.migrate(project)
    rows = tools.rows(project)
    with tools.login(project, "billing", "app") as session:
        with pytest.raises(ApplyError) as caught:
            engine(project, admin).reset()
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert "GRANT pg_signal_backend TO" in str(caught.value)
    assert tools.rows(project) == rows
    tools.wait_for_sessions_to_end(each_server, DATABASE)
    engine(project, admin).reset()
    assert tools.can_log_in(project)


def test_resets_and_runs_at_once_wait_for_each_other(provisioned: Endpoint, project: Project) -> None:
    failures: list[GolabsError] = []

    def run(number: int) -> None:
        try:
            chosen = engine(project, provisioned)
            chosen.reset() if number % 2 else chosen.up()
        except GolabsError as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)
