"""Ours: the direct engine, the Pulumi engine behind `golabs`, and plain `pulumi` on the same program."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from golabs_infra.connections import known_passwords, read_records
from golabs_infra.project import Project
from golabs_infra.stackfile import NAMESPACE
from golabs_infra.toolchain import Toolchain, find_toolchain

from .contenders import Session, ask
from .ground import Ground
from .values import ALL_SIZES, ENVIRONMENT, PEER_SIZES, Command, Scenario, Service, names, services

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Checkout:
    """A project folder like a user's: the program, the virtual environment that this runs in, and a tst stack's file."""

    root: Path
    ground: Ground

    @property
    def project(self) -> Project:
        """Its paths."""
        return Project(self.root)

    def make(self) -> Checkout:
        """Writes what a fresh clone has."""
        for name in ("Pulumi.yaml", "__main__.py"):
            shutil.copy2(REPOSITORY / name, self.root / name)
        (self.root / ".venv").symlink_to(sys.prefix, target_is_directory=True)
        return self

    def configure(self, listed: Sequence[Service], **values: object) -> None:
        """Sets server and services in the stack's file, and leaves there what a tool wrote into it."""
        file = self.project.stack_file(ENVIRONMENT)
        document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
        endpoint = self.ground.endpoint
        wanted = {
            "host": endpoint.host,
            "port": endpoint.port,
            "adminUser": endpoint.admin_user,
            "adminPassword": self.ground.password,
            "services": names(listed),
            **values,
        }
        document.setdefault("config", {}).update({f"{NAMESPACE}{key}": value for key, value in wanted.items()})
        file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def password(self, user: str) -> str:
        """From the connection files."""
        return known_passwords(read_records(self.project, ENVIRONMENT))[user].get_secret_value()

    def golabs(self, *words: str, environ: Mapping[str, str] | None = None) -> Command:
        """`golabs` on this checkout."""
        argv = (sys.executable, "-m", "golabs_infra", "--project", str(self.root), *words)
        return Command(argv, self.root, environ or {})


@dataclass(frozen=True)
class GolabsSession:
    """`golabs up` and `golabs reset` with one engine."""

    checkout: Checkout
    engine: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def configure(self, listed: Sequence[Service]) -> None:
        self.checkout.configure(listed)

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        resets = scenario is Scenario.RESET
        words = ("reset", ENVIRONMENT, "--yes") if resets else ("up", ENVIRONMENT, "--engine", self.engine)
        return (self.checkout.golabs(*words, environ=self.environ),)

    def password(self, user: str) -> str:
        return self.checkout.password(user)


@dataclass(frozen=True)
class PulumiSession:
    """Plain `pulumi` commands, with what `golabs env` exports for them."""

    checkout: Checkout
    cli: str
    environ: Mapping[str, str]

    def configure(self, listed: Sequence[Service]) -> None:
        self.checkout.configure(listed)

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        first = (self._pulumi("destroy"),) if scenario is Scenario.RESET else ()
        return (*first, self._pulumi("up"))

    def password(self, user: str) -> str:
        return self.checkout.password(user)

    def _pulumi(self, verb: str) -> Command:
        argv = (self.cli, verb, "--yes", "--skip-preview", "--stack", ENVIRONMENT, "--non-interactive")
        return Command(argv, self.checkout.root, self.environ)


@dataclass(frozen=True)
class Direct:
    """`golabs up tst --engine direct`."""

    key: str = "direct"
    label: str = "golabs, direct engine"
    sizes: tuple[int, ...] = ALL_SIZES
    install: str = "make up"
    notes: tuple[str, ...] = ("makes the passwords and writes the connection files in the same time",)
    accepted: tuple[str, ...] = ()
    quiet: bool = True

    def version(self) -> str | None:
        return version("golabs-infra")

    def open(self, ground: Ground, folder: Path) -> Session:
        return GolabsSession(Checkout(folder, ground).make(), "direct")


@dataclass(frozen=True)
class Pulumi:
    """The Pulumi program, through `golabs` or by plain `pulumi` commands."""

    key: str
    label: str
    plain: bool
    notes: tuple[str, ...]
    sizes: tuple[int, ...] = PEER_SIZES
    install: str = "https://www.pulumi.com/docs/install, then golabs setup"
    accepted: tuple[str, ...] = ()
    quiet: bool = True

    @cached_property
    def _toolchain(self) -> Toolchain:
        return find_toolchain(os.environ)

    def version(self) -> str | None:
        toolchain = self._toolchain
        if not toolchain.complete or toolchain.cli is None:
            return None
        plugins = ", ".join(f"provider {plugin.label}" for plugin in toolchain.plugins)
        return f"CLI {ask(toolchain.cli, 'version').removeprefix('v')}, {plugins}"

    def open(self, ground: Ground, folder: Path) -> Session:
        environ = self._home(folder / "pulumi-home")
        root = folder / "checkout"
        root.mkdir()
        checkout = Checkout(root, ground).make()
        if not self.plain:
            return GolabsSession(checkout, "pulumi", environ)
        checkout.configure(services(1))
        command = checkout.golabs("env", ENVIRONMENT)
        printed = ask(*command.argv, environ=environ, cwd=root)
        words = (word for line in printed.splitlines() for word in shlex.split(line.removeprefix("export "))[:1])
        exported = dict(word.split("=", 1) for word in words)
        return PulumiSession(checkout, str(self._toolchain.cli), {**environ, **exported})

    def _home(self, home: Path) -> dict[str, str]:
        """A Pulumi home of its own, so that the user's selected stacks are neither seen nor touched."""
        home.mkdir()
        users = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
        for name in ("bin", "plugins"):
            if (users / name).is_dir():
                (home / name).symlink_to(users / name, target_is_directory=True)
        return {"PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
