"""`reset`: the database is new and empty, its users and their passwords are the old ones, and nothing else moved."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import psycopg
import pytest

from golabs_infra.changes import (
    AlterRole,
    Change,
    CreateDatabase,
    CreateRole,
    CreateSchema,
    DropDatabase,
    RenameDatabase,
    SetPassword,
)
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, ApplyError, GolabsError, IdentityError, PolicyError
from golabs_infra.project import Project

from ..support import direct_engine, make_project, write_stack
from . import tools
from .catalog import row_versions, snapshot
from .conftest import OwnServer
from .tools import DATABASE, engine

FRESH = "go-labs-tst~reset"


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
    assert outcome.changes[0] == CreateDatabase(FRESH)
    assert outcome.changes[-2:] == (DropDatabase(DATABASE), RenameDatabase(FRESH, DATABASE))
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
    changes = engine(project, provisioned).reset().changes
    assert changes[0] == CreateDatabase(FRESH)
    assert changes[-1] == RenameDatabase(FRESH, DATABASE)
    assert DropDatabase(DATABASE) not in changes
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)


def test_a_reset_makes_no_users_and_drops_nothing_where_one_is_missing(provisioned: Endpoint, project: Project) -> None:
    rows = tools.rows(project)
    with pytest.raises(ApplyError, match="no user shipping_migration_tst_user yet") as caught:
        engine(project, provisioned, services=[*tools.SERVICES, "shipping"]).reset()
    assert "golabs up tst" in str(caught.value)
    assert tools.rows(project) == rows


@pytest.mark.parametrize("limited", [False, True])
def test_a_reset_that_fails_leaves_the_old_database_as_it_was(
    each_server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch, limited: bool
) -> None:
    admin = tools.with_admin(each_server) if limited else each_server
    engine(project, admin).up()
    tools.migrate(project)
    rows = tools.rows(project)

    def severed(change: Change) -> None:
        if isinstance(change, CreateSchema):
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="disk is full"):
        engine(project, admin).reset(severed)
    assert tools.rows(project) == rows
    assert tools.database_exists(each_server, FRESH), "it had begun"
    engine(project, admin).reset()
    assert not tools.database_exists(each_server, FRESH)
    assert engine(project, admin).up().changes == ()
    tools.migrate(project)


@pytest.mark.parametrize("number", [1, 2, 9, 20, 22, 23])
def test_a_reset_that_is_killed_leaves_the_old_database_or_the_next_run_makes_it(
    provisioned: Endpoint, project: Project, number: int
) -> None:
    rows = tools.rows(project)
    write_stack(project, "tst", provisioned, services=list(tools.SERVICES))
    process = multiprocessing.get_context("spawn").Process(target=reset_until, args=(project, number))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if tools.database_exists(provisioned):
        assert tools.rows(project) == rows
    else:
        assert number == 23, "only between the old one's end and the new one's name"
    engine(project, provisioned).up()
    assert not tools.database_exists(provisioned, FRESH)
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)


def reset_until(project: Project, number: int) -> None:
    """Resets tst and kills itself at a change."""
    left = [number]

    def count(change: Change) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    direct_engine(project).reset(count)


@pytest.mark.parametrize("command", ["up", "destroy", "reset"])
def test_what_a_killed_reset_has_left_goes_with_the_next_run(
    provisioned: Endpoint, project: Project, command: str
) -> None:
    tools.as_superuser(provisioned, f'CREATE DATABASE "{FRESH}"')
    tools.as_superuser(provisioned, "CREATE SCHEMA billing AUTHORIZATION billing_migration_tst_user", database=FRESH)
    outcome = getattr(engine(project, provisioned), command)()
    assert outcome.changes[0] == DropDatabase(FRESH)
    assert not tools.database_exists(provisioned, FRESH)
    assert tools.database_exists(provisioned) == (command != "destroy")


def test_a_database_of_that_name_beside_one_that_is_kept_is_nobodys_leftover(
    server: Endpoint, project: Project
) -> None:
    engine(project, server, "dev").up()
    tools.as_superuser(server, 'CREATE DATABASE "go-labs-dev~reset"')
    assert engine(project, server, "dev").up().changes == ()
    assert tools.database_exists(server, "go-labs-dev~reset")


def test_a_reset_leaves_users_as_they_are(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, "ALTER ROLE billing_app_tst_user CONNECTION LIMIT 3")
    before = snapshot(provisioned, DATABASE)["roles"]
    engine(project, provisioned).reset()
    assert snapshot(provisioned, DATABASE)["roles"] == before
    assert [type(change) for change in engine(project, provisioned).up().changes] == [AlterRole]


def test_another_server_than_that_of_the_last_run_loses_nothing(
    provisioned: Endpoint, second: OwnServer, project: Project, tmp_path: Path
) -> None:
    elsewhere = make_project(tmp_path / "elsewhere")
    engine(elsewhere, second.endpoint).up()
    tools.migrate(elsewhere)
    rows = tools.rows(elsewhere)
    with pytest.raises(IdentityError, match=r"this is another server.*nothing was dropped"):
        engine(project, second.endpoint).reset()
    assert tools.rows(elsewhere) == rows


def test_an_admin_who_may_end_no_session_drops_nothing_and_is_told_what_it_lacks(
    each_server: Endpoint, project: Project
) -> None:
    admin = tools.with_admin(each_server, signals=False)
    engine(project, admin).up()
    tools.migrate(project)
    rows = tools.rows(project)
    with tools.login(project, "billing", "app") as session:
        with pytest.raises(AdoptionError) as caught:
            engine(project, admin).reset()
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert 'GRANT pg_signal_backend TO "deployer"' in str(caught.value)
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
