"""Servers that have no connection left, go down, or follow another one: each command of the direct engine ends in one message.

They are real, each on a data folder of its own, so that nothing of the session's server is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from golabs_infra import applying
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ServerConnectionError
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import find_account, usable_programs

from ..live import proofs, tools
from ..live.catalog import snapshot
from ..support import free_port, home_in_memory, make_project, running_server
from .ledger import Faults
from .test_outside_direct import BOUND_S, COMMANDS, first_line, project_files

CONNECTIONS = 12
CHANGING = ("up", "destroy", "reset", "rotate")
MAJOR = 18


@dataclass(frozen=True)
class Small:
    """A server with few connections, and the project that lives on it."""

    endpoint: Endpoint
    project: Project
    data: Path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    """Provisioned and migrated once; no test here changes it."""
    project = make_project(tmp_path_factory.mktemp("project"))
    with (
        home_in_memory(tmp_path_factory.mktemp("small")) as home,
        running_server(home, settings={"max_connections": str(CONNECTIONS), "wal_level": "replica"}) as endpoint,
    ):
        tools.engine(project, endpoint).up()
        tools.migrate(project)
        yield Small(endpoint, project, EmbeddedServer(home, port=endpoint.port).status().data_directory)


def assert_told(
    stack: proofs.Stack, faults: Faults, kind: str, says: str, mend: str, commands: tuple[str, ...] = tuple(COMMANDS)
) -> None:
    """Each command says this in one message, with this mend, in time, and no file has changed."""
    files = project_files(stack.project)
    for command in commands:
        began = time.monotonic()
        code, out, err = stack.golabs(command, *COMMANDS[command])
        seconds = time.monotonic() - began
        assert code == 1, (command, out, err)
        assert seconds < BOUND_S
        assert err.count("error: ") == 1, (command, err)
        assert says in first_line(err), (command, err)
        assert mend in err.partition("mend: ")[2], (command, err)
        assert project_files(stack.project) == files, command
        faults.record(kind, "direct", f"exit 1: {says}", seconds)


@contextmanager
def crowd(endpoint: Endpoint) -> Iterator[None]:
    """Superusers have every connection, those that are reserved for them, too."""
    with ExitStack() as sessions:
        for _ in range(CONNECTIONS):
            with suppress(ServerConnectionError):
                sessions.enter_context(connect_admin(endpoint))
        yield
    tools.wait_for_sessions_to_end(replace(endpoint), "template1")


def test_a_server_without_any_connection_left_says_so_even_to_a_superuser(
    small: Small, capsys: pytest.CaptureFixture[str], faults: Faults
) -> None:
    stack = proofs.Stack(small.project, small.endpoint, small.endpoint, "tst", capsys)
    stack.write()
    before = snapshot(small.endpoint, stack.database)
    with crowd(small.endpoint):
        assert_told(
            stack, faults, "not even a reserved connection is free", "too many clients already", "raise max_connections"
        )
    deadline = time.monotonic() + 10
    while stack.golabs("preview", "--engine", "direct")[0] != 0:  # the backends follow their clients
        assert time.monotonic() < deadline
    assert snapshot(small.endpoint, stack.database) == before
    assert tools.can_log_in(small.project)


def test_a_user_that_somebody_is_changing_is_waited_for_in_bounded_time(
    small: Small, capsys: pytest.CaptureFixture[str], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    stack = proofs.Stack(small.project, small.endpoint, small.endpoint, "tst", capsys)
    stack.write(services=[{"name": "billing", "connectionLimit": 7}, "catalog", "order"])
    before = snapshot(small.endpoint, stack.database)
    with connect_admin(small.endpoint) as other, other.transaction(force_rollback=True):
        for kind in ("app", "migration"):
            other.execute(f"ALTER ROLE billing_{kind}_tst_user CONNECTION LIMIT 3".encode())
        assert_told(
            stack,
            faults,
            "somebody is changing a service's user",
            "canceling statement due to lock timeout",
            "end its transaction and run this again; nothing is half done",
            ("up", "rotate"),
        )
    assert snapshot(small.endpoint, stack.database) == before
    assert tools.can_log_in(small.project)


# ---- a replica that follows its primary


@contextmanager
def replica(small: Small, folder: Path) -> Iterator[Endpoint]:
    """A standby of the server, made by pg_basebackup, that receives its changes."""
    account = find_account(small.data)
    programs = usable_programs(account, MAJOR, None)
    port, data = free_port(), folder / "data"
    if account.switch:
        shutil.chown(folder, account.uid, account.gid)
    password = small.endpoint.admin_password.get_secret_value()
    source = f"host={small.endpoint.host} port={small.endpoint.port} user={small.endpoint.admin_user}"
    rules = small.data / "pg_hba.conf"
    rules.write_text(f"{rules.read_text()}\nhost replication all 127.0.0.1/32 scram-sha-256\n")
    tools.as_superuser(small.endpoint, "SELECT pg_reload_conf()")
    copy = [programs["pg_basebackup"], "-D", str(data), "-R", "-X", "stream", "-c", "fast", "-d"]
    copied = account.run([*copy, f"{source} password={password}"], folder=folder)
    assert copied.returncode == 0, copied.stdout
    control = [programs["pg_ctl"], "-D", str(data), "-w"]
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    options += f" -c max_connections={CONNECTIONS}"
    started = account.run([*control, "-l", str(folder / "log"), "-o", options, "start"], folder=folder)
    assert started.returncode == 0, (folder / "log").read_text()
    try:
        yield replace(small.endpoint, port=port)
    finally:
        account.run([*control, "-m", "immediate", "stop"], folder=folder)


def test_a_replica_of_the_very_server_refuses_what_changes_and_shows_what_is(
    small: Small, capsys: pytest.CaptureFixture[str], faults: Faults, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with home_in_memory(tmp_path_factory.mktemp("replica")) as folder, replica(small, folder) as standby:
        assert tools.answer(standby, "SELECT count(*) FROM pg_stat_wal_receiver") == 1, "it receives changes"
        stack = proofs.Stack(small.project, small.endpoint, standby, "tst", capsys)
        stack.write(services=[{"name": "billing", "connectionLimit": 7}, "catalog", "order"])
        before = snapshot(small.endpoint, stack.database)
        assert_told(stack, faults, "the server is a streaming replica", "1 obstacle", "primary", ("up", "preview"))
        for command in ("destroy", "reset", "rotate"):
            code, out, err = stack.golabs(command, *COMMANDS[command])
            assert code == 1, (command, out, err)
            assert "replica" in err or "standby" in err, (command, err)
            assert "mend: " in err
        code, out, err = stack.golabs("verify")
        assert code in (0, 2), (out, err)
        assert snapshot(small.endpoint, stack.database) == before


# ---- the last: it ends the server


def test_a_server_that_is_shutting_down_is_told_as_such(
    small: Small, capsys: pytest.CaptureFixture[str], faults: Faults
) -> None:
    stack = proofs.Stack(small.project, small.endpoint, small.endpoint, "tst", capsys)
    stack.write()
    postmaster = int((small.data / "postmaster.pid").read_text().split()[0])
    with connect_admin(small.endpoint):  # which a smart shutdown waits for
        os.kill(postmaster, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while "shutting down" not in stack.golabs("preview", "--engine", "direct")[2]:
            assert time.monotonic() < deadline
        assert_told(
            stack, faults, "the server is shutting down", "the database system is shutting down", "wait until it is"
        )
