"""Ctrl-C and a kill: never a traceback, what was left is said, and the process ends by the signal."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from golabs_infra import errors
from golabs_infra.applying import Applier
from golabs_infra.changes import AlterSchemaOwner, Change
from golabs_infra.cli import main
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.model import Schema
from golabs_infra.project import Project
from golabs_infra.runs import Run

from ..support import REPOSITORY, write_stack
from ..terminal import watch
from . import tools
from .test_terminal import command, environ

WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def test_ctrl_c_while_it_is_being_loaded_ends_it_at_once_and_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(60)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "golabs_infra", "up", "tst"],
        cwd=REPOSITORY,
        env=environ(PYTHONPATH=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == -signal.SIGINT


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("words", [["up", "tst", "--engine", "direct"], ["reset", "tst", "--yes"]], ids=" ".join)
def test_a_run_that_had_not_begun_says_that_nothing_was_changed(
    words: list[str], number: signal.Signals, server: Endpoint, project: Project
) -> None:
    write_stack(project, "tst", server, services=["billing"])
    with connect_admin(server) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('golabs:go-labs-tst', 0))")
        process = subprocess.Popen(
            command(project, *words), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        deadline = time.monotonic() + 20
        while not tools.answer(server, WAITING):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=30)[1]
    assert said.splitlines()[-1] == "error: interrupted; nothing was changed"
    assert "Traceback" not in said
    assert process.returncode == -number
    assert not tools.database_exists(server)


@pytest.mark.parametrize(
    ("words", "question", "told"),
    [
        (["reset", "tst"], "Type yes:", "error: interrupted; nothing was changed"),
        (["set-password", "tst", "billing", "app"], "the password", "error: interrupted; nothing was written"),
    ],
    ids=["reset", "set-password"],
)
def test_at_a_question_nothing_was_done_yet(
    words: list[str], question: str, told: str, server: Endpoint, project: Project
) -> None:
    write_stack(project, "tst", server, services=["billing"])
    seen = watch(
        command(project, *words),
        folder=REPOSITORY,
        environ=environ(),
        size=(24, 160),
        interrupt_at=lambda said: question in said,
    )
    assert told in seen.lines, seen.lines
    assert seen.code == -signal.SIGINT


def test_a_signal_that_is_ignored_stays_so(server: Endpoint, project: Project) -> None:
    write_stack(project, "tst", server, services=["billing"])
    words = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh", *command(project, "up", "tst", "--engine", "direct")]
    with connect_admin(server) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('golabs:go-labs-tst', 0))")
        process = subprocess.Popen(words, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not tools.answer(server, WAITING):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    assert process.wait(30) == 0, "as it is asked to by nohup, or in the background of a script"


def broken(run: Run) -> str:
    """In the place of what finds the policy: something that nobody expected."""
    raise TypeError(f"a value that may be a secret, of {run.environment}")


@pytest.mark.parametrize("shown", [False, True])
def test_what_nobody_expected_is_one_message_without_its_text_and_a_traceback_for_who_asks(
    shown: bool, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(project, "tst")
    monkeypatch.setattr(Run, "check_configuration", broken)
    if shown:
        monkeypatch.setenv(errors.TRACEBACK_VARIABLE, "1")
    with pytest.raises(SystemExit) as ended:
        main(["--project", str(project.root), "up", "tst", "--engine", "direct"])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "error: this is a defect of golabs, and no fault of yours: TypeError at " in said
    assert "report it" in said
    assert "GOLABS_TRACEBACK=1" in said
    assert ("Traceback" in said) == ("may be a secret" in said) == shown


def test_whoever_interrupts_what_is_still_being_sent_does_not_wait_for_what_the_server_waits_for(
    server: Endpoint,
) -> None:
    tools.as_superuser(server, "CREATE ROLE first LOGIN", "CREATE ROLE second LOGIN")
    changes = [AlterSchemaOwner(Schema("public", owner)) for owner in ("first", "second")]
    told: list[Change] = []

    def interrupt(change: Change) -> None:
        told.append(change)
        if len(told) == 2:
            deadline = time.monotonic() + 10
            while not tools.answer(server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                assert time.monotonic() < deadline
            raise KeyboardInterrupt

    with connect_admin(server) as other, other.transaction(force_rollback=True), connect_admin(server) as admin:
        other.execute("ALTER SCHEMA public OWNER TO second")
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Applier(server, "postgres").in_one_transaction(admin, changes, interrupt)
        assert time.monotonic() - began < 20
