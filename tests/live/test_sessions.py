"""Ending the sessions of others on real servers: who may not be ended, and a server that is lost meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.sessions import end_sessions, open_sessions

from ..faults.wire import Happening, Wire, cut, terminated, wire
from .catalog import snapshot
from .rotations import Stack, provision
from .tools import answer, as_superuser, with_admin

pytestmark = pytest.mark.usefixtures("passphrase_given")

LOST = pytest.mark.parametrize("lost", [cut, terminated], ids=["cut", "terminated"])
ENDING = "pg_terminate_backend(pid)"


@pytest.fixture
def lossy(server: Endpoint) -> Iterator[Wire]:
    """A way to the server on which it can be lost."""
    with wire(server) as made:
        yield made


@pytest.fixture
def stack(lossy: Wire, project: Project, capsys: pytest.CaptureFixture[str]) -> Stack:
    return provision(project, lossy.endpoint, "dev", capsys)


def test_who_may_not_be_ended_keeps_no_other_session_from_being_ended(server: Endpoint) -> None:
    names = ("first", "last")
    as_superuser(server, *(f"CREATE ROLE {name} LOGIN PASSWORD 'x-of-{name}'" for name in names))
    admin = with_admin(server)
    with ExitStack() as opened:
        for name in names:
            session = psycopg.connect(
                host=server.host, port=server.port, dbname="postgres", user=name, password=f"x-of-{name}"
            )
            opened.callback(session.close)
        boss = opened.enter_context(connect_admin(server))
        asking = opened.enter_context(connect_admin(admin))
        seen = {session.user: session for session in open_sessions(asking, "postgres")}
        first, last, superusers = seen["first"], seen["last"], seen[server.admin_user]
        assert (first.endable, superusers.endable) == (True, False)
        changed_hands = replace(first, user="last")
        assert end_sessions(asking, [changed_hands, superusers, first, last]) == (first, last)
        assert boss.execute("SELECT 1").fetchone() == (1,)


@LOST
@pytest.mark.parametrize("words", [ENDING, "lock_timeout TO"])
def test_a_server_that_is_lost_before_a_retirement_begins_is_told_and_all_is_as_it_was(
    stack: Stack, lossy: Wire, words: str, lost: Happening
) -> None:
    text, catalogs = stack.file_text, snapshot(lossy.direct, stack.database)
    with stack.session(stack.login("billing", "app")):
        lossy.arm_at_words(words, lost)
        code, _, err = stack.golabs("retire", "billing", "--yes", "--force")
        assert lossy.over.wait(10)
    assert code == 1
    assert err.count("mend: ") == 1
    assert (stack.file_text, snapshot(lossy.direct, stack.database)) == (text, catalogs)
    stack.done("retire", "billing", "--yes", "--force")


@LOST
def test_a_server_that_is_lost_when_the_end_of_an_overlap_ends_sessions_is_told_once_all_else_is_done(
    stack: Stack, lossy: Wire, lost: Happening
) -> None:
    old = stack.login("billing", "app")
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    with stack.session(old) as session:
        lossy.arm_at_words(ENDING, lost)
        code, out, err = stack.golabs("rotate", "billing", "--finish", "--force")
        assert lossy.over.wait(10)
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert code == 1
    assert "closed: billing_app_dev_user" in out
    assert "Pulumi.dev.yaml has changed: commit it" in out
    assert (
        "nobody can log in as billing_app_dev_user any more; whether all sessions of before have ended is not known"
        in err
    )
    assert "pg_terminate_backend" in err
    assert not stack.works(old)
    assert stack.is_proven()


def test_sessions_that_the_admin_may_not_end_are_told_at_the_end_of_an_overlap(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = provision(project, server, "dev", capsys, limited=True)
    old = stack.login("billing", "app")
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    as_superuser(server, "REVOKE pg_signal_backend FROM deployer")
    with stack.session(old) as session:
        code, _, err = stack.golabs("rotate", "billing", "--finish", "--force")
        process = session.info.backend_pid
        assert session.execute("SELECT 1").fetchone() == (1,)
    assert code == 0
    assert "still connected: billing_app_dev_user (1)" in err
    assert str(process) in err
    as_superuser(server, "GRANT pg_signal_backend TO deployer")
    assert not answer(server, "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", old[0])
    assert stack.is_proven()
