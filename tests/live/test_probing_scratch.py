"""What probing makes for a while: tried for real, left behind by nobody, and removed after a killed run."""

from __future__ import annotations

import signal
import threading
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from golabs_infra import attempting
from golabs_infra.attempts import (
    SCRATCH_PREFIX,
)
from golabs_infra.endpoint import Endpoint
from golabs_infra.probing import Probed, probe
from golabs_infra.project import Project

from . import tools
from .catalog import snapshot
from .probes import APP, DENIED, MIGRATION, PERMITTED, passwords, probed, relations, scratch_tables, unexpected
from .tools import DATABASE, SERVICES


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
