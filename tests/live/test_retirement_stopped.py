"""`golabs retire` that is interrupted, refused or not believed: the file and the server say the same afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from golabs_infra.connecting import connect_admin

from .catalog import snapshot
from .retiring import (
    DATABASE,
    USERS,
    Stack,
    confirmed,  # noqa: F401 - a fixture of all of these tests
    logins,
    rights,
    stack_on_the_newest,  # noqa: F401 - the fixture `stack`
)
from .tools import (
    answer,
    as_superuser,
)


def test_an_interruption_at_the_question_puts_the_file_back(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    monkeypatch.setattr("golabs_infra.account.Account.confirm_up", interrupt)
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert (stack.file.read_bytes(), snapshot(stack.server, DATABASE)) == (before, catalogs)


def test_a_run_that_the_server_refuses_changes_nothing_there_and_puts_the_file_back(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    tags = "'REVOKE', 'GRANT', 'ALTER DEFAULT PRIVILEGES'"
    as_superuser(
        stack.server,
        "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''frozen''; END'",
        f"CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ({tags}) EXECUTE FUNCTION public.refuse()",
        database=DATABASE,
    )
    assert stack.golabs("retire", "billing", "--yes") == 1
    said = capsys.readouterr().err
    assert "frozen" in said
    assert "nothing is half done" in said
    as_superuser(stack.server, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse()", database=DATABASE)
    assert (stack.file.read_bytes(), snapshot(stack.server, DATABASE)) == (before, catalogs)


def test_a_run_that_is_refused_before_any_change_puts_the_file_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stack.file.read_bytes()
    as_superuser(stack.server, "ALTER ROLE billing_app_dev_user SUPERUSER")
    as_superuser(stack.server, "ALTER ROLE order_app_dev_user PASSWORD 'another-One.99'")
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "order_app_dev_user" in capsys.readouterr().err
    assert stack.file.read_bytes() == before


def test_what_is_retired_already_or_not_at_all_is_said(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.golabs("retire", "billing", "--undo", "--yes") == 0
    assert "billing is not retired, neither in Pulumi.dev.yaml nor on the server" in capsys.readouterr().out
    assert stack.golabs("retire", "billing", "--yes") == 0
    capsys.readouterr()
    assert stack.golabs("retire", "billing", "--yes") == 0
    said = capsys.readouterr().out
    assert "billing is retired already, in Pulumi.dev.yaml and on the server" in said
    assert "to take it back: golabs retire dev billing --engine direct --undo" in said


def test_what_the_file_says_and_the_server_does_not_is_applied_and_not_believed(stack: Stack) -> None:
    assert stack.golabs("retire", "billing", "--yes") == 0
    as_superuser(stack.server, f"ALTER ROLE {USERS[1]} LOGIN")
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert logins(stack.server) == [False, False]
    as_superuser(stack.server, "GRANT USAGE ON SCHEMA billing TO " + USERS[1], database=DATABASE)
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert rights(stack.server) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_the_server_waits_changes_nothing_and_puts_the_file_back(
    number: signal.Signals, stack: Stack
) -> None:
    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    words = ["--project", str(stack.project.root), "retire", "dev", "billing", "--yes", "--engine", "direct"]
    with connect_admin(stack.server, DATABASE) as other, other.transaction(force_rollback=True):
        other.execute("LOCK TABLE billing.customer IN ACCESS EXCLUSIVE MODE")
        running = subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        deadline = time.monotonic() + 60
        while not answer(stack.server, waiting):
            assert time.monotonic() < deadline
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == -number, said
    assert "interrupted; nothing was changed" in said
    assert stack.file.read_bytes() == before
    assert snapshot(stack.server, DATABASE) == catalogs


@pytest.mark.parametrize(
    ("moment", "undo"),
    [
        ("account.Account.converge_service", []),
        ("retiring._leave_nobody", []),
        ("account.Account.converge_service", ["--undo"]),
    ],
    ids=["converging", "ending sessions", "undo"],
)
def test_an_interruption_after_the_change_keeps_the_file_and_says_how_to_go_on_and_back(
    moment: str, undo: list[str], stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if undo:
        assert stack.golabs("retire", "billing", "--yes") == 0

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"golabs_infra.{moment}", interrupt)
    assert stack.golabs("retire", "billing", "--yes", *undo) == 1
    back = "golabs retire dev billing --engine direct" + ("" if undo else " --undo")
    said = capsys.readouterr().err
    assert "interrupted; what was done stays" in said
    assert f"Pulumi.dev.yaml has the change; to go on: golabs up dev --engine direct; to go back: {back}\n" in said
    assert logins(stack.server) == [bool(undo)] * 2
    assert (b"retired: true" in stack.file.read_bytes()) is not bool(undo)


def test_what_the_server_does_not_take_back_is_told_and_no_success(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    as_superuser(
        stack.server,
        "CREATE ROLE reader",
        "GRANT USAGE ON SCHEMA billing TO reader",
        "GRANT TRUNCATE ON billing.invoice TO reader WITH GRANT OPTION",
        f"SET ROLE reader; GRANT TRUNCATE ON billing.invoice TO {USERS[1]}",
        database=DATABASE,
    )
    for ways_told in (True, False):  # the second run finds nothing that it could change
        assert stack.golabs("retire", "billing", "--yes", "--force") == 1
        said = capsys.readouterr()
        assert (
            "billing is not what it should be on the server; this did not come about: "
            f"- TRUNCATE on table billing.invoice from {USERS[1]}" in said.err
        )
        assert ("to go back: golabs retire dev billing --engine direct --undo" in said.err) is ways_told
        assert "billing is retired" not in said.out
        assert logins(stack.server) == [False, False]
        assert b"retired: true" in stack.file.read_bytes()
    as_superuser(
        stack.server, f"SET ROLE reader; REVOKE TRUNCATE ON billing.invoice FROM {USERS[1]}", database=DATABASE
    )
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert "billing is retired already" in capsys.readouterr().out
    assert rights(stack.server) == []


def test_what_nobody_can_look_at_is_not_said_to_be_so(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.golabs("retire", "billing", "--yes") == 0
    as_superuser(stack.server, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "is not currently accepting connections" in capsys.readouterr().err
    as_superuser(stack.server, f'DROP DATABASE "{DATABASE}"')
    assert stack.golabs("retire", "billing", "--yes") == 1
    said = capsys.readouterr()
    assert "there is no database go-labs-dev yet, so there is nothing to retire" in said.err
    assert "retired already" not in said.out
