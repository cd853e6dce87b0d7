"""The old scripts, as a team would have used them: a copy of `tests/legacy`, run by bash with psql against a server.

    old = LegacyScripts.copy(tmp_path / "old", server, "dev")   # environments.conf and .env.dev filled in
    old.provision()                                             # runs provision-database.sh dev, confirmed where it asks
    old.migrate()                                               # tables with rows, made by the old migration users
    old.database_folder                                         # DIR of `golabs import-legacy dev DIR`
    old.check_logins()                                          # every old password still works

The endpoint is a superuser's, as the scripts want one. They leave what is not ours: PUBLIC keeps CONNECT, app users
have all privileges on tables, migration users may create schemas, and nobody has a search_path.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from golabs_infra.endpoint import Endpoint
from golabs_infra.names import USER_KINDS, UserKind, database_name, user_name
from golabs_infra.server_binaries import find_programs

from .live.tools import MIGRATIONS, stored_rows

LAYOUT = Path(__file__).resolve().parent / "legacy"
SERVICES = ("billing", "catalog")
"""The services that the scripts know."""

OLD_PASSWORDS: Mapping[str, Mapping[UserKind, str]] = {
    "billing": {"migration": "Bill1ng-Migr@tion.2019", "app": "Old_Billing-App.2019"},
    "catalog": {"migration": "catalog1", "app": "c@talog=app+2019"},
}
"""As people chose them: characters that new passwords can't have, and one that is short."""


@dataclass(frozen=True)
class LegacyScripts:
    """One checkout of the old scripts, with `.env.<env>` for one environment, and the server that they provision."""

    root: Path
    endpoint: Endpoint
    environment: str
    passwords: Mapping[str, Mapping[UserKind, str]]
    """By service and kind."""

    @classmethod
    def copy(
        cls,
        folder: Path,
        endpoint: Endpoint,
        environment: str,
        passwords: Mapping[str, Mapping[UserKind, str]] = OLD_PASSWORDS,
    ) -> LegacyScripts:
        """Copies the layout into `folder`, which must not exist yet, and fills its configuration in."""
        shutil.copytree(LAYOUT, folder)
        scripts = cls(folder, endpoint, environment, passwords)
        conf = scripts.config_folder / "environments.conf"
        text = conf.read_text(encoding="utf-8")
        for placeholder, value in (
            ("@HOST@", endpoint.host),
            ("@PORT@", str(endpoint.port)),
            ("@ADMIN@", endpoint.admin_user),
        ):
            text = text.replace(placeholder, value)
        conf.write_text(text.replace("PGSSLMODE=disable", f"PGSSLMODE={endpoint.ssl_mode}"), encoding="utf-8")
        scripts.write_passwords(passwords)
        return scripts

    @property
    def database_folder(self) -> Path:
        """What `golabs import-legacy ENV DIR` is given as DIR."""
        return self.root / "infrastructure" / "dependencies" / "database"

    @property
    def config_folder(self) -> Path:
        """Where `environments.conf` and `.env.<env>` are."""
        return self.database_folder / "config"

    @property
    def env_file(self) -> Path:
        """`.env.<env>`, 0600."""
        return self.config_folder / f".env.{self.environment}"

    @property
    def database(self) -> str:
        """`go-labs-<env>`."""
        return database_name(self.environment)

    @property
    def secret_words(self) -> set[str]:
        """Every password in the old files, for searches of what is printed and written."""
        words = {password for users in self.passwords.values() for password in users.values()}
        return words | {self.endpoint.admin_password.get_secret_value()}

    def write_passwords(self, passwords: Mapping[str, Mapping[UserKind, str]]) -> None:
        """Writes `.env.<env>` from the template with these passwords; does not touch the server."""
        values = {"DB_ADMIN_PASSWORD": self.endpoint.admin_password.get_secret_value()}
        for service, users in passwords.items():
            values |= {f"{service.upper()}_{kind.upper()}_PASSWORD": password for kind, password in users.items()}
        lines = (self.config_folder / ".env.template").read_text(encoding="utf-8").splitlines()
        filled = [
            f"{line}{shlex.quote(values[name])}"
            if (name := line.removeprefix("export ").removesuffix("=")) in values
            else line
            for line in lines
        ]
        self.env_file.write_text("\n".join(filled) + "\n", encoding="utf-8")
        self.env_file.chmod(0o600)

    def provision(self, typed: str | None = None) -> str:
        """Runs `provision-database.sh <env>`; gives what it printed. Fails the test if it failed.

        `typed` answers its question; by default what it wants.
        """
        done = self.attempt(typed)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def attempt(self, typed: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, whatever comes of it."""
        programs = Path(find_programs(18)["psql"]).parent
        answer = typed if typed is not None else "yes" if self.environment == "tst" else self.database
        return subprocess.run(
            ["bash", "provision-database.sh", self.environment],
            cwd=self.root / "infrastructure" / "scripts",
            input=f"{answer}\n",
            env={"PATH": f"{programs}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8", "HOME": str(self.root)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def login(self, service: str, kind: UserKind) -> Iterator[psycopg.Connection[Any]]:
        """A session of a service's user with its old password, in the service's schema as its clients set it."""
        with psycopg.connect(
            host=self.endpoint.host,
            port=self.endpoint.port,
            dbname=self.database,
            user=user_name(service, kind, self.environment),
            password=self.passwords[service][kind],
            sslmode=self.endpoint.ssl_mode,
            autocommit=True,
        ) as session:
            session.execute(SQL("SET search_path TO {}").format(Identifier(service)))
            yield session

    def check_logins(self) -> None:
        """Every user gets in with its old password; the app users read what is there. Raises where one does not."""
        for service in SERVICES:
            for kind in USER_KINDS:
                with self.login(service, kind) as session:
                    expected = (user_name(service, kind, self.environment),)
                    assert session.execute("SELECT current_user").fetchone() == expected
                    session.execute("SELECT count(*) FROM customer")

    def migrate(self) -> None:
        """Every service's first migration with some rows, by its migration user: the tables are its own."""
        for service in SERVICES:
            with self.login(service, "migration") as session, session.transaction():
                session.execute(MIGRATIONS.encode())

    def rows(self) -> list[str]:
        """Everything that the services' tables hold, as the superuser sees it."""
        return stored_rows(self.endpoint, SERVICES, self.database)
