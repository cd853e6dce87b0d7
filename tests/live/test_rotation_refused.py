"""`golabs rotate` that the server refuses, or that is interrupted while it waits: all is as before, and it can be run again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from golabs_infra import applying
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from .killed import ITERATIONS, Killer
from .rotations import PHRASE, Stack, provision
from .tools import answer, contested_user, files

pytestmark = pytest.mark.usefixtures("passphrase_given")

ROLES = "SELECT string_agg(to_jsonb(a)::text, ',' ORDER BY oid) FROM pg_authid a"


@pytest.fixture
def stack(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Stack:
    return provision(project, server, "dev", capsys)


@contextmanager
def another_run(stack: Stack, _user: str) -> Iterator[None]:
    """Somebody has the lock on the environment, as another run has."""
    with connect_admin(stack.server) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"golabs:{stack.database}"])
        yield


@contextmanager
def another_change(stack: Stack, user: str) -> Iterator[None]:
    """Somebody is changing, or making, the same user, and does not come to an end."""
    if not answer(stack.server, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", user):
        with contested_user(stack.server, user):
            yield
        return
    with connect_admin(stack.server) as other, other.transaction(force_rollback=True):
        other.execute(f"ALTER ROLE {user} CONNECTION LIMIT 7".encode())
        yield


Hindrance = Callable[[Stack, str], object]
HINDRANCES = {"another run": another_run, "another change": another_change}
WAYS: dict[str, tuple[list[list[str]], list[str], str]] = {
    "at once": ([], [], "billing_app_dev_user"),
    "first overlap": ([], ["--overlap"], "billing_app_dev_twin"),
    "end of an overlap": ([["--overlap"]], ["--finish"], "billing_app_dev_user"),
    "next overlap": ([["--overlap"], ["--finish"]], ["--overlap"], "billing_app_dev_user"),
    "overlap again": ([["--overlap"]], ["--overlap"], "billing_app_dev_twin"),
}
"""What comes before, the options, and the user that is changed."""


def all_of_it(stack: Stack) -> tuple[dict[str, bytes], object]:
    """Every file, but for the lock that a rotation takes here, and every role with its password."""
    found = {name: text for name, text in files(stack.project).items() if not name.endswith(".lock")}
    return found, answer(stack.server, ROLES)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, stack: Stack) -> tuple[list[str], str]:
    """A way of rotating, for which the stack was made ready."""
    before, options, user = WAYS[request.param]
    for words in before:
        stack.done("rotate", "billing", "--user", "app", *words)
    return ["billing", "--user", "app", *options], user


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_rotation_that_is_refused_changes_nothing_and_can_be_run_again(
    stack: Stack, way: tuple[list[str], str], hindrance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, user = way
    before = all_of_it(stack)
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    with HINDRANCES[hindrance](stack, user):
        code, _, err = stack.golabs("rotate", *words)
        assert all_of_it(stack) == before
    assert code == 1
    assert "for over 1 s" in err
    assert err.count("mend: ") == 1
    stack.done("rotate", "order")
    stack.done("rotate", *words)
    assert stack.is_proven()


@pytest.mark.parametrize("hindrance", HINDRANCES)
def test_a_rotation_that_is_killed_while_it_waits_changes_nothing_and_can_be_run_again(
    stack: Stack, way: tuple[list[str], str], hindrance: str
) -> None:
    words, user = way
    before = all_of_it(stack)
    command = ["--project", str(stack.project.root), "rotate", "dev", *words, "--engine", "direct"]
    with HINDRANCES[hindrance](stack, user):
        running = subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", *command],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not answer(stack.server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            assert time.monotonic() < deadline
            assert running.poll() is None, running.communicate()
            time.sleep(0.02)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
        assert all_of_it(stack) == before
    assert running.returncode == -signal.SIGTERM
    assert "interrupted" in said
    assert "Traceback" not in said
    stack.done("rotate", "order")
    stack.done("rotate", *words)
    assert stack.is_proven()


def test_a_second_login_that_is_on_no_server_stands_in_nobodys_way(stack: Stack) -> None:
    """A kill between the note of it and the server leaves the note, and the file that names it may be put back by hand."""
    overlap = ["--user", "app", "--overlap", "--engine", "direct"]
    noted = "after dev.json takes its place"
    with Killer(stack.project, {**PHRASE, ITERATIONS: "1000"}) as killer:
        rehearsed = killer.run("rotate", "dev", "order", *overlap)
        stack.done("rotate", "order", "--finish")
        text = stack.file_text
        killed = killer.run("rotate", "dev", "billing", *overlap, kill_at=rehearsed.points.index(noted))
    assert (killed.code, killed.points[-1]) == (None, noted)
    stack.project.stack_file("dev").write_text(text, encoding="utf-8")
    assert not answer(stack.server, "SELECT count(*) FROM pg_roles WHERE rolname = 'billing_app_dev_twin'")
    stack.done("rotate", "billing")
    assert stack.is_proven()
