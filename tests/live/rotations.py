"""A stack whose passwords are rotated, for the tests of `golabs rotate`: with secrets in its file, or without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import yaml
from pydantic import SecretStr

from golabs_infra import passphrase
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument

from ..support import direct_engine, write_stack
from . import proofs
from .tools import migrate, with_admin

PASSPHRASE = "correct horse battery"
PHRASE = {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
SERVICES = ["billing", "order"]
KINDS = ("migration", "app")


@pytest.fixture
def passphrase_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase in the environment, whose key is made in fewer rounds than Pulumi's: that saves a third of a second
    for each command. Nothing is confirmed."""
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)
    monkeypatch.setattr(passphrase, "ITERATIONS", 1000)
    for name, phrase in PHRASE.items():
        monkeypatch.setenv(name, phrase)


@dataclass
class Stack(proofs.Stack):
    """An environment that was provisioned and migrated, and `golabs` on it with the direct engine."""

    @property
    def file_text(self) -> str:
        """What the stack's file says."""
        return self.project.stack_file(self.environment).read_text(encoding="utf-8")

    @property
    def logins(self) -> Any:
        """The key `logins` of the stack's file."""
        return yaml.safe_load(self.file_text)["config"].get("golabs-infra:logins")

    def golabs(self, command: str, *words: str) -> tuple[int, str, str]:
        """Runs the command; gives its exit code, standard output and standard error."""
        engine = ["--engine", "direct"] if command in ("rotate", "up", "export", "retire", "preview") else []
        return super().golabs(command, *words, *engine)

    def done(self, command: str, *words: str) -> str:
        """The same for what must succeed; gives what it printed."""
        code, out, err = self.golabs(command, *words)
        assert code == 0, (out, err)
        return out

    def is_proven(self) -> bool:
        """Whether verify finds nothing, drift nothing, and another up has nothing to do."""
        assert "proven twice" in self.done("verify")
        assert self.done("drift").endswith("no drift\n")
        assert direct_engine(self.project, self.environment).up().changes == ()
        return True

    def user(self, service: str, kind: str) -> dict[str, Any]:
        """What the connection file says of one of a service's users."""
        text = connection_file(self.project, self.environment, service).read_text(encoding="utf-8")
        found: dict[str, Any] = yaml.safe_load(text)["users"][kind]
        return found

    def login(self, service: str, kind: str) -> tuple[str, str]:
        """The name and the password that the connection file tells clients to use."""
        user = self.user(service, kind)
        return user["username"], user["password"]

    def all_logins(self, service: str, kind: str) -> list[tuple[str, str]]:
        """Every one that the connection file has for a user."""
        user = self.user(service, kind)
        return [(each["username"], each["password"]) for each in (user, *user.get("others", ()))]

    @contextmanager
    def session(self, login: tuple[str, str]) -> Iterator[psycopg.Connection[Any]]:
        """A session by name and password."""
        with psycopg.connect(
            host=self.server.host,
            port=self.server.port,
            dbname=self.database,
            user=login[0],
            password=login[1],
            autocommit=True,
        ) as session:
            yield session

    def works(self, login: tuple[str, str]) -> bool:
        """Whether the server lets somebody in."""
        try:
            with self.session(login):
                return True
        except psycopg.OperationalError:
            return False

    def told(self, *words: str) -> dict[str, Any]:
        """What `rotate --json` says."""
        document: dict[str, Any] = json.loads(self.done("rotate", *words, "--json"))
        return document


def provision(
    project: Project,
    server: Endpoint,
    environment: str,
    capture: pytest.CaptureFixture[str],
    *,
    limited: bool = False,
    secrets: bool = False,
) -> Stack:
    """A stack whose admin is the superuser, or the least that will do; with `secrets`, in a file that has a passphrase."""
    admin = with_admin(server) if limited else server
    stack = Stack(project, server, admin, environment, capture)
    write_stack(project, environment, admin, services=SERVICES)
    if secrets:
        document = StackDocument.open(project, environment)
        document.set_secret(
            ("adminPassword",), SecretStr(admin.admin_password.get_secret_value()), document.unlock(PHRASE)
        )
        document.write()
    direct_engine(project, environment).up()
    migrate(project, SERVICES, environment)
    return stack
