"""Embedded servers for the tests of them: homes that another user can pass, and servers that end with their test."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from golabs_infra import server_binaries, server_processes
from golabs_infra.server import HOST, EmbeddedServer, ServerStatus

PROJECT = str(Path(server_binaries.__file__).parents[1])
SHARED_FOLDER = server_binaries.SHARED_FOLDER
START = """
import json, sys
from pathlib import Path
from golabs_infra.server import EmbeddedServer
print(json.dumps(EmbeddedServer(Path(sys.argv[1]), port=int(sys.argv[2])).start().as_json()))
"""
WHOLE_CYCLE = """
import json, sys
from pathlib import Path
from golabs_infra.server import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), port=int(sys.argv[2]))
steps = [server.status(), server.start(), server.start(), server.stop(), server.start(), server.stop()]
print(json.dumps([step.as_json() for step in steps]))
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as another user")

Make = Callable[..., EmbeddedServer]


def free_port() -> int:
    """A port on loopback that nobody listens on just now."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def python(script: str, *words: object, path: str = PROJECT, detached: bool = False) -> subprocess.Popen[str]:
    """The script in a Python of its own, with the package under test."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=detached,
    )


def said(process: subprocess.Popen[str]) -> dict[str, object]:
    """The JSON that a process printed; it must have ended well."""
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    result = json.loads(output)
    assert isinstance(result, dict)
    return result


def connected(server: EmbeddedServer, password: str | None = None) -> psycopg.Connection:
    """A session of the admin, with the password of the file unless another is given."""
    status = server.status()
    return psycopg.connect(
        host=status.host,
        port=status.port,
        user=status.admin_user,
        password=server.admin_password() if password is None else password,
        dbname="postgres",
        autocommit=True,
    )


def asked(server: EmbeddedServer, query: str) -> list[tuple[object, ...]]:
    """The rows of a query that the admin runs."""
    with connected(server) as session:
        return session.execute(query.encode()).fetchall()


@contextmanager
def passable_folder() -> Iterator[Path]:
    """A folder that every user can pass, as most projects' are; pytest's own ones are root's alone."""
    path = Path(tempfile.mkdtemp(prefix="golabs-server-")).resolve()
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(name="folder")
def folder_for_all() -> Iterator[Path]:
    """A passable folder of this test's own."""
    with passable_folder() as path:
        yield path


@pytest.fixture(name="home")
def home_of_a_server(folder: Path) -> Path:
    """Where a server may be made; not there yet."""
    return folder / "project" / ".golabs" / "postgres"


@pytest.fixture(name="make")
def maker_of_servers() -> Iterator[Make]:
    """Makes servers, on a free port unless told otherwise; stops them at the end and removes what lies elsewhere."""
    made: list[EmbeddedServer] = []

    def embedded(home: Path, **options: object) -> EmbeddedServer:
        server = EmbeddedServer(home, **{"port": free_port(), **options})  # type: ignore[arg-type]
        made.append(server)
        return server

    yield embedded
    for server in made:
        elsewhere = server.stop().data_directory.parent
        if elsewhere.parent == SHARED_FOLDER:
            shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.fixture(scope="module", name="standing")
def standing_server() -> Iterator[EmbeddedServer]:
    """A server that runs all the time, for tests that only look at it."""
    with passable_folder() as folder:
        server = EmbeddedServer(folder / "postgres", port=free_port())
        server.start()
        server.stop()
        subprocess.run(["cp", "-a", server.home, folder / "copy"], check=True)
        server.start()
        yield server
        server.stop()


@pytest.fixture(name="server")
def running_or_started_again(standing: EmbeddedServer, home: Path, make: Make) -> EmbeddedServer:
    """A server that runs, for this test alone; a copied home, which saves the time of initdb."""
    home.parent.mkdir(parents=True)
    subprocess.run(["cp", "-a", standing.home.parent / "copy", home], check=True)
    server = make(home)
    server.start()
    return server


def pid_of(status: ServerStatus) -> int:
    """The pid of a server that runs."""
    assert status.pid is not None
    return status.pid


def killed(server: EmbeddedServer) -> int:
    """Kill the server as a crash would; gives the pid that it had."""
    pid = pid_of(server.status())
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server_processes.command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return pid
