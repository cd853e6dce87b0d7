"""The embedded PostgreSQL, with real servers: start, stop, status, who may log in, settings and ports."""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from golabs_infra import server_binaries, server_processes
from golabs_infra.errors import ServerError
from golabs_infra.server import ADMIN_USER, DEFAULT_PORT, HOST, EmbeddedServer

from .embedded import (
    START,
    Make,
    asked,
    connected,
    folder_for_all,  # noqa: F401 - the fixture `folder`
    free_port,
    home_of_a_server,  # noqa: F401 - the fixture `home`
    maker_of_servers,  # noqa: F401 - the fixture `make`
    mode,
    pid_of,
    python,
    running_or_started_again,  # noqa: F401 - the fixture `server`
    standing_server,  # noqa: F401 - the fixture `standing`
)

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
