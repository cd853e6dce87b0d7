"""The server that all contenders run on: the package's own PostgreSQL with its default, durable settings, in a folder
that goes afterwards. Between measurements everything is dropped, and what is dirty is written, off the clock."""

from __future__ import annotations

import hashlib
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import SHARED_FOLDER
from golabs_infra.target import embedded_endpoint

from .values import DATABASE

_WRITTEN = {
    "postgres": """
        SELECT 'role', oid, xmin::text FROM pg_authid UNION ALL
        SELECT 'membership', oid, xmin::text FROM pg_auth_members UNION ALL
        SELECT 'database', oid, xmin::text FROM pg_database UNION ALL
        SELECT 'setting', setrole, xmin::text FROM pg_db_role_setting""",
    DATABASE: """
        SELECT 'schema', oid, xmin::text FROM pg_namespace UNION ALL
        SELECT 'default', oid, xmin::text FROM pg_default_acl""",
}
"""Who wrote each row last: any statement that writes it, even to what it was, gives it another xmin."""


@dataclass(frozen=True)
class Ground:
    """The running server, as its superuser reaches it."""

    endpoint: Endpoint

    @property
    def version(self) -> str:
        """`18.4`."""
        with connect_admin(self.endpoint) as admin:
            return str(admin.info.parameter_status("server_version"))

    @property
    def libpq_environ(self) -> dict[str, str]:
        """How libpq's programs reach it."""
        return {
            "PGHOST": self.endpoint.host,
            "PGPORT": str(self.endpoint.port),
            "PGUSER": self.endpoint.admin_user,
            "PGPASSWORD": self.password,
        }

    @property
    def password(self) -> str:
        """The superuser's, in clear: every contender is told it in its own way."""
        return self.endpoint.admin_password.get_secret_value()

    def settle(self) -> None:
        """Writes what is dirty, so that it falls into nobody's time."""
        with connect_admin(self.endpoint) as admin:
            admin.execute("CHECKPOINT")

    def wipe(self) -> None:
        """Drops every database and role that a contender made."""
        with connect_admin(self.endpoint) as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
            roles = admin.execute(
                r"SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> current_user ORDER BY 1"
            ).fetchall()
            if roles:
                listed = sql.SQL(", ").join(sql.Identifier(name) for (name,) in roles)
                admin.execute(sql.SQL("DROP ROLE {}").format(listed))
        self.settle()

    def written(self) -> str:
        """A digest of who wrote which row of the catalogs last: the same again if nothing was written since."""
        rows: list[tuple[Any, ...]] = []
        for database, query in _WRITTEN.items():
            with connect_admin(self.endpoint, database) as connection:
                rows += _sorted(connection, query)
        return hashlib.sha256(repr(rows).encode()).hexdigest()


def _sorted(connection: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    return sorted(connection.execute(sql.SQL(query)).fetchall())


@contextmanager
def running_ground(folder: Path) -> Iterator[Ground]:
    """A fresh server below `folder` on a free port, stopped at the end."""
    server = EmbeddedServer(folder / "server", port=_free_port())
    elsewhere = server.start().data_directory.parent
    try:
        yield Ground(embedded_endpoint(server, "benchmarks"))
    finally:
        server.stop()
        if elsewhere.parent == SHARED_FOLDER:  # this server's own folder; its siblings belong to other servers
            shutil.rmtree(elsewhere, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
