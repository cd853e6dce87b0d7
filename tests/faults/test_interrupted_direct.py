"""Ctrl-C and kills (SIGTERM) while DROP DATABASE is at work, where PostgreSQL would leave a database that is invalid.

The server's checkpointer is halted, for which a DROP DATABASE waits half-way, so that the signal always comes then.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import tools
from ..support import REPOSITORY, direct_engine, write_stack
from .ground import SERVICES
from .ledger import Faults

HALF_DROPPED = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'go-labs-tst' AND datconnlimit = -2)"


@contextmanager
def halted_checkpointer(server: Endpoint) -> Iterator[None]:
    """The server's checkpointer does nothing meanwhile."""
    pid = tools.answer(server, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_until_half_dropped(server: Endpoint) -> None:
    """Until the database is marked as invalid, which a DROP DATABASE does first."""
    deadline = time.monotonic() + 20
    while not tools.answer(server, HALF_DROPPED):
        assert time.monotonic() < deadline, "the DROP DATABASE has not begun"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("command", ["reset", "destroy"])
def test_a_signal_waits_for_the_end_of_drop_database(
    command: str, number: signal.Signals, server: Endpoint, project: Project, faults: Faults
) -> None:
    write_stack(project, "tst", server, services=SERVICES)
    direct_engine(project).up()
    engine = ["--engine", "direct"] if command == "destroy" else []
    words = ["--project", str(project.root), command, "tst", "--yes", *engine]
    with halted_checkpointer(server):
        process = subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", *words], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
        )
        wait_until_half_dropped(server)
        began = time.monotonic()
        process.send_signal(number)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
    said = process.communicate()[1]
    seconds = time.monotonic() - began
    assert process.returncode == -number, said
    assert "error: interrupted; what was done stays" in said
    assert "Traceback" not in said
    assert not tools.answer(server, HALF_DROPPED)
    assert tools.database_exists(server) == (command == "reset"), "what it was about to do is done"
    assert not tools.database_exists(server, "go-labs-tst~reset")
    direct_engine(project).up()
    assert direct_engine(project).up().changes == ()
    assert tools.can_log_in(project, SERVICES)
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    faults.record(
        f"{name} during `{command}`", "direct", "ended by the signal, after the DROP; the next `up` converged", seconds
    )
