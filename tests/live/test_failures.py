"""Runs that fail, are killed, or meet another one: nothing is half done, and the next run converges. Nothing mocked."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

import pytest

from golabs_infra import applying
from golabs_infra.changes import AllowConnections, Change, CreateDatabase
from golabs_infra.connecting import connect_admin
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, ApplyError, GolabsError
from golabs_infra.project import Project

from ..support import direct_engine, write_stack
from . import tools
from .catalog import row_versions, snapshot
from .tools import DATABASE, SERVICES, engine


def start(project: Project, environment: str = "tst", moment: str = "never", number: int = 0) -> int:
    """Starts an `up` in a process of its own, which kills itself at a moment; gives its id.

    The moments are the n-th change ("change"), or just before the n-th file of a name takes its place.
    """
    process = os.fork()
    if process:
        return process
    left = number

    def count_down() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and moment in str(arguments[1]):
            count_down()

    status = 1
    try:
        sys.addaudithook(on_event)
        direct_engine(project, environment).up(lambda change: count_down() if moment == "change" else None)
        status = 0
    except BaseException:  # whatever happens, this process must not go on as a second pytest
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(process: int) -> int:
    """How a run ended: its exit code, or the signal that killed it, negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


# ---- a change that the server refuses


@pytest.mark.parametrize("tag", ["GRANT", "REVOKE", "CREATE SCHEMA", "ALTER DEFAULT PRIVILEGES"])
def test_a_change_that_fails_takes_all_others_back(server: Endpoint, project: Project, tag: str) -> None:
    tools.as_superuser(server, f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
    tools.as_superuser(server, tools.RAISE_ON_GRANT.format(tags=f"'{tag}'"), database=DATABASE)
    before, catalogs = row_versions(server, DATABASE), snapshot(server, DATABASE)
    with pytest.raises(ApplyError, match="grants are frozen") as caught:
        engine(project, server).up()
    assert "mend: ask the DBA" in str(caught.value)
    assert "SCRAM" not in str(caught.value)
    assert snapshot(server, DATABASE) == catalogs
    assert row_versions(server, DATABASE) == before
    assert not project.output_folder("tst").exists()
    tools.as_superuser(server, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse", database=DATABASE)
    engine(project, server).up()
    assert engine(project, server).up().changes == ()
    assert tools.can_log_in(project)


@pytest.mark.parametrize(
    ("tag", "named"),
    [
        ("CREATE SCHEMA", "schema billing"),
        ("ALTER DEFAULT PRIVILEGES", "SELECT, USAGE on later sequences in billing to billing_app_tst_user"),
        ("GRANT", "USAGE on schema billing to billing_app_tst_user"),
    ],
)
def test_of_all_that_was_sent_at_once_the_change_that_was_refused_is_named(
    server: Endpoint, project: Project, tag: str, named: str
) -> None:
    tools.as_superuser(server, f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
    tools.as_superuser(server, tools.RAISE_ON_GRANT.format(tags=f"'{tag}'"), database=DATABASE)
    with pytest.raises(ApplyError, match=f"the server refused '{named}': grants are frozen"):
        engine(project, server).up()


def test_a_failed_change_of_what_is_there_keeps_files_logins_and_rows(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, tools.RAISE_ON_GRANT.format(tags="'GRANT'"), database=DATABASE)
    before, rows, files = row_versions(provisioned, DATABASE), tools.rows(project), tools.files(project)
    with pytest.raises(ApplyError):
        engine(project, provisioned, services=["billing", "order", "shipping"]).up()
    assert row_versions(provisioned, DATABASE) == before
    assert tools.rows(project) == rows
    assert {name: text for name, text in tools.files(project).items() if "pending" not in name} == files
    tools.as_superuser(provisioned, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse", database=DATABASE)
    engine(project, provisioned, services=["billing", "order", "shipping"]).up()
    assert engine(project, provisioned, services=["billing", "order", "shipping"]).up().changes == ()
    assert tools.can_log_in(project, ["billing", "order", "shipping"])


def test_a_database_left_behind_by_a_failed_run_is_picked_up(
    server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    with tools.contested_user(server, "billing_app_tst_user"), pytest.raises(ApplyError):
        engine(project, server, services=["billing"]).up()
    assert tools.database_exists(server)
    changes = engine(project, server, services=["billing"]).up().changes
    assert not [change for change in changes if isinstance(change, CreateDatabase)]
    assert engine(project, server, services=["billing"]).up().changes == ()
    assert tools.can_log_in(project, ["billing"])


def test_passwords_generated_by_a_failed_run_are_used_by_the_next(server: Endpoint, project: Project) -> None:
    tools.as_superuser(server, f'CREATE DATABASE "{DATABASE}" TEMPLATE template0')
    tools.as_superuser(server, tools.RAISE_ON_GRANT.format(tags="'GRANT'"), database=DATABASE)
    with pytest.raises(ApplyError):
        engine(project, server).up()
    (pending,) = (text for name, text in tools.files(project).items() if "pending" in name)
    tools.as_superuser(server, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse", database=DATABASE)
    engine(project, server).up()
    assert set(json.loads(pending).values()) == tools.secret_words(project)
    assert not [name for name in tools.files(project) if "pending" in name]


def test_a_deadlock_or_a_lock_that_is_not_given_is_no_lost_connection(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    with connect_admin(provisioned, DATABASE) as other, other.transaction():
        other.execute("ALTER ROLE billing_app_tst_user CONNECTION LIMIT 9")
        with pytest.raises(ApplyError) as caught:
            engine(project, provisioned, services=[{"name": "billing", "connectionLimit": 5}, "catalog", "order"]).up()
    assert "lock" in str(caught.value)
    assert "lost" not in str(caught.value)
    assert engine(project, provisioned).up().changes != ()
    assert engine(project, provisioned).up().changes == ()


# ---- a connection that ends


class Severed:
    """Ends every other session of the engine once a number of changes began."""

    def __init__(self, endpoint: Endpoint, after: int) -> None:
        self.endpoint = endpoint
        self.left = after

    def __call__(self, change: Change) -> None:
        self.left -= 1
        if self.left == 0:
            tools.as_superuser(
                self.endpoint,
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE application_name = 'golabs' AND pid <> pg_backend_pid()",
            )


@pytest.mark.parametrize("after", [1, 2, 10, 27])
def test_a_lost_connection_is_one_clear_error_and_the_next_run_converges(
    server: Endpoint, project: Project, after: int
) -> None:
    with pytest.raises(GolabsError) as caught:
        engine(project, server).up(Severed(server, after))
    assert isinstance(caught.value, ApplyError)
    assert tools.role_names(server) == []
    engine(project, server).up()
    assert engine(project, server).up().changes == ()
    assert tools.can_log_in(project)


@pytest.mark.parametrize("after", [1, 2, 4])
def test_a_destroy_whose_connection_is_lost_is_one_clear_error_and_can_be_repeated(
    provisioned: Endpoint, project: Project, after: int
) -> None:
    with pytest.raises(ApplyError):
        engine(project, provisioned).destroy(Severed(provisioned, after))
    engine(project, provisioned).destroy()
    assert not tools.database_exists(provisioned)
    assert tools.role_names(provisioned) == []


# ---- a run that is killed

MOMENTS = [
    ("tst", "pending", 1),
    ("dev", "change", 1),
    ("tst", "change", 2),
    ("dev", "change", 15),
    ("tst", "change", 27),
    ("dev", "change", 27),
    ("tst", "identities", 1),
    ("dev", "identities", 1),
    ("tst", "connections.yaml", 1),
    ("dev", "connections.yaml", 3),
]


@pytest.mark.parametrize(("environment", "moment", "number"), MOMENTS)
def test_after_a_run_that_was_killed_the_next_one_converges(
    server: Endpoint, project: Project, environment: str, moment: str, number: int
) -> None:
    write_stack(project, environment, server, services=list(SERVICES))
    assert ended(start(project, environment, moment, number)) == -signal.SIGKILL
    engine(project, server, environment).up()
    assert engine(project, server, environment).up().changes == ()
    assert tools.can_log_in(project, environment=environment)
    assert not (project.private_folder / "pending" / f"{environment}.json").exists()


def test_two_runs_killed_one_after_the_other_lose_no_password(server: Endpoint, project: Project) -> None:
    write_stack(project, "dev", server, services=["billing"])
    assert ended(start(project, "dev", "connections.yaml", 1)) == -signal.SIGKILL
    write_stack(project, "dev", server, services=["billing", "catalog"])
    assert ended(start(project, "dev", "connections.yaml", 1)) == -signal.SIGKILL
    engine(project, server, "dev", services=["billing", "catalog"]).up()
    assert tools.can_log_in(project, ["billing", "catalog"], "dev")


def test_a_removal_that_was_killed_is_finished_by_the_next_run(provisioned: Endpoint, project: Project) -> None:
    write_stack(project, "tst", provisioned, services=["catalog", "order"])
    for number in (1, 2, 4):
        assert ended(start(project, "tst", "change", number)) == -signal.SIGKILL
    engine(project, provisioned, services=["catalog", "order"]).up()
    assert not connection_file(project, "tst", "billing").exists()
    assert engine(project, provisioned, services=["catalog", "order"]).up().changes == ()


# ---- two runs at once


@pytest.mark.parametrize("environment", ["tst", "dev"])
def test_two_runs_at_once_both_succeed(server: Endpoint, project: Project, environment: str) -> None:
    write_stack(project, environment, server, services=list(SERVICES))
    runs = [start(project, environment) for _ in range(3)]
    assert [ended(process) for process in runs] == [0, 0, 0]
    assert engine(project, server, environment).up().changes == ()
    assert tools.can_log_in(project, environment=environment)


def test_a_run_waits_for_another_and_says_so_when_it_takes_too_long(
    server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    entered, leave = threading.Event(), threading.Event()

    def hold(change: Change) -> None:
        entered.set()
        leave.wait(30)

    first = threading.Thread(target=lambda: engine(project, server).up(hold))
    first.start()
    try:
        assert entered.wait(30)
        with pytest.raises(ApplyError, match="another golabs run"):
            engine(project, server).up()
        with pytest.raises(ApplyError, match="another golabs run"):
            engine(project, server).destroy()
        # A preview takes no lock: it looks and goes.
        assert engine(project, server).preview().changes != ()
    finally:
        leave.set()
        first.join(30)
    assert engine(project, server).up().changes == ()


# ---- what a destroy that failed leaves behind


def test_a_database_that_a_failed_destroy_has_closed_is_opened_again(server: Endpoint, project: Project) -> None:
    engine(project, server).up()
    tools.migrate(project)
    whole, rows = snapshot(server, DATABASE), tools.rows(project)
    tools.as_superuser(server, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    shown = engine(project, server).preview()
    assert shown.changes == (AllowConnections(DATABASE),)
    assert any("allows no connections" in warning for warning in shown.warnings)
    assert engine(project, server).up().changes == (AllowConnections(DATABASE),)
    assert engine(project, server).up().changes == ()
    assert snapshot(server, DATABASE) == whole
    assert tools.rows(project) == rows


def test_a_database_that_somebody_has_closed_is_not_opened_where_nothing_is_ever_dropped(
    server: Endpoint, project: Project
) -> None:
    engine(project, server, "dev").up()
    tools.as_superuser(server, 'ALTER DATABASE "go-labs-dev" ALLOW_CONNECTIONS false')
    for attempt in (engine(project, server, "dev").preview, engine(project, server, "dev").up):
        with pytest.raises(AdoptionError, match="somebody has closed it: it allows no connections") as caught:
            attempt()
    tools.settle(server, caught.value)
    assert engine(project, server, "dev").up().changes == ()


# ---- files in the way


def test_a_connection_file_that_is_no_yaml_stops_the_run_before_anything(
    provisioned: Endpoint, project: Project
) -> None:
    before = row_versions(provisioned, DATABASE)
    connection_file(project, "tst", "billing").write_text("users: [", encoding="utf-8")
    with pytest.raises(GolabsError, match="can't be read"):
        engine(project, provisioned).up()
    assert row_versions(provisioned, DATABASE) == before


def test_files_that_cannot_be_written_are_a_clear_error_and_the_next_run_loses_nothing(
    server: Endpoint, project: Project
) -> None:
    project.output_folder("dev").parent.write_text("a file where the folder goes", encoding="utf-8")
    with pytest.raises(GolabsError, match="can't be written"):
        engine(project, server, "dev").up()
    project.output_folder("dev").parent.unlink()
    assert engine(project, server, "dev").up().changes == ()
    assert tools.can_log_in(project, environment="dev")


def test_the_files_of_a_run_are_private_and_whole(provisioned: Endpoint, project: Project) -> None:
    folder = project.output_folder("tst")
    assert folder.stat().st_mode & 0o777 == 0o700
    connections, scripts = [f"{name}-connections.yaml" for name in SERVICES], [f"{name}.sql" for name in SERVICES]
    assert {path.name for path in folder.iterdir()} == {*connections, *scripts, "database.sql"}
    for path in folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    for path in (project.identity_file("tst"), Path(project.private_folder, "pending")):
        assert path.stat().st_mode & 0o077 == 0
