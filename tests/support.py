"""What all rings share: a project folder of one's own, and a server on a port of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql

from golabs_infra.connecting import connect_admin
from golabs_infra.direct import DirectEngine
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import GolabsError
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import SHARED_FOLDER
from golabs_infra.settings import Settings, read_settings
from golabs_infra.stackfile import RawConfig, StackFile
from golabs_infra.target import embedded_endpoint, resolve_endpoint

REPOSITORY = Path(__file__).resolve().parent.parent

MEMORY = Path("/dev/shm")  # noqa: S108 - each home in it is a folder of its own, made by mkdtemp
"""Where Linux has a file system in memory."""

_ROOM_FOR_A_SERVER = 2**30
"""Bytes that must be free there: a server of the tests takes up to a quarter of it."""
_HOME_PREFIX = "golabs-tests-"
_IN_USE = "in-use"
"""A file in such a home that is locked as long as its test run lives."""


def raw_config(environment: str = "tst", /, **values: object) -> RawConfig:
    """A configuration as the engines read it: `services` and the embedded server unless said otherwise.

    Keys are the contract's own (`adminPassword`); a value of None leaves a default out.
    """
    given: dict[str, object] = {"server": "embedded", "services": ["billing", "catalog", "order"]} | values
    return RawConfig(
        environment,
        {key: value for key, value in given.items() if value is not None},
        f"Pulumi.{environment}.yaml",
        lambda: False,
    )


def make_settings(environment: str = "tst", /, **values: object) -> Settings:
    """Validated settings of such a configuration."""
    return read_settings(raw_config(environment, **values))


def make_project(folder: Path) -> Project:
    """A project folder that has a Pulumi.yaml and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text("name: golabs-infra\nruntime: python\n", encoding="utf-8")
    return Project(folder)


def write_stack(project: Project, environment: str, endpoint: Endpoint | None = None, /, **values: object) -> None:
    """Writes Pulumi.<env>.yaml in plain text; `endpoint` as host, port and admin."""
    config: dict[str, object] = dict(values)
    if endpoint is None:
        config.setdefault("server", "embedded")
    else:
        config |= {
            "host": endpoint.host,
            "port": endpoint.port,
            "adminUser": endpoint.admin_user,
            "adminPassword": endpoint.admin_password.get_secret_value(),
            "sslMode": endpoint.ssl_mode,
        }
    document = {"config": {f"golabs-infra:{key}": value for key, value in config.items()}}
    project.stack_file(environment).write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def direct_engine(project: Project, environment: str = "tst") -> DirectEngine:
    """The direct engine as `golabs --engine direct` makes it, from the project's files."""
    settings = read_settings(StackFile.read(project, environment).decrypted(os.environ))
    return DirectEngine(project, settings, resolve_endpoint(settings, project))


def unwarned(text: str) -> None:
    """For what has nothing to warn of: any warning fails the test."""
    raise AssertionError(text)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def home_in_memory(otherwise: Path) -> Iterator[Path]:
    """A home for a server whose data lies in memory, where CREATE DATABASE takes a sixth of the time; removed at the end.

    Gives `otherwise` where this machine has no such file system, or not enough room in it.
    """
    if not (os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free >= _ROOM_FOR_A_SERVER):
        yield otherwise
        return
    _remove_abandoned_homes()
    home = Path(tempfile.mkdtemp(prefix=_HOME_PREFIX, dir=MEMORY))
    if os.geteuid() == 0:  # the user that root runs PostgreSQL as must be able to pass
        home.chmod(0o711)
    try:
        with (home / _IN_USE).open("w") as mark:
            fcntl.flock(mark, fcntl.LOCK_EX)
            yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _remove_abandoned_homes() -> None:
    """Ends the servers of our own test runs that were killed, and frees their memory: nobody locks their homes."""
    for mark in MEMORY.glob(f"{_HOME_PREFIX}*/{_IN_USE}"):
        with suppress(OSError, GolabsError):
            if mark.stat().st_uid == os.geteuid():
                with mark.open() as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    EmbeddedServer(mark.parent).stop()
                    shutil.rmtree(mark.parent)


@contextmanager
def running_server(
    home: Path, *, major: int = 18, programs: Path | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[Endpoint]:
    """An embedded server for the length of a test; gives the superuser's endpoint. Data outside `home` is removed."""
    # A test's data need not survive a power cut; what survives a killed server is the same.
    unsafe = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    small = {"min_wal_size": "32MB", "max_wal_size": "96MB"}  # the data may lie in memory
    given = {**unsafe, **small, **(settings or {})}
    server = EmbeddedServer(home, port=free_port(), major=major, programs=programs, settings=given)
    elsewhere = server.start().data_directory.parent
    try:
        endpoint = embedded_endpoint(server, "tests")
        hasten_logins(endpoint)
        yield endpoint
    finally:
        server.stop()
        if elsewhere.parent == SHARED_FOLDER:  # this server's own folder; its siblings belong to other servers
            shutil.rmtree(elsewhere, ignore_errors=True)


def hasten_logins(endpoint: Endpoint) -> None:
    """Stores the admin's password anew, hashed 1000 times instead of 4096: tests log in thousands of times.

    Fewer than four digits are no iteration count to lib/pq, which the Pulumi provider uses.
    """
    verifier = scram_verifier(endpoint.admin_password.get_secret_value(), random_salt(), iterations=1000)
    with connect_admin(endpoint) as admin:
        admin.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(endpoint.admin_user), sql.Literal(verifier))
        )


def wipe(endpoint: Endpoint) -> None:
    """Drops every database and role that tests can have made on a server."""
    with connect_admin(endpoint) as admin:
        for (name,) in admin.execute(
            "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        ).fetchall():
            _await_departures(admin, name)
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for (name,) in admin.execute(
            r"SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> current_user"
        ).fetchall():
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def _await_departures(admin: psycopg.Connection[Any], database: str) -> None:
    """Gives the backends of clients that have left 50 ms to follow; DROP DATABASE would look again after 100 ms only."""
    for _ in range(10):
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        if admin.execute(query, [database]).fetchone() == (0,):
            return
        time.sleep(0.005)
