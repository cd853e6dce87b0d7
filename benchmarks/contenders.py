"""What a contender is, and what several of them share. The list of all of them is in `roster`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from .ground import Ground
from .measure import base_environ
from .values import Command, Scenario, Service, password_of


class Session(Protocol):
    """One contender in a folder of its own, for one round on an empty server. Nothing here is on the clock."""

    def configure(self, listed: Sequence[Service]) -> None:
        """Writes what the contender is told to provision, as its user would edit it."""

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        """What its user types then, one after the other: this is what is measured. Empty where it can't be done."""

    def password(self, user: str) -> str:
        """The password of a user after a run."""


class Contender(Protocol):
    """A way to get the work done."""

    @property
    def key(self) -> str:
        """Its name for `--contenders` and in the results."""

    @property
    def label(self) -> str:
        """Its name in table and plot."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of services that it is measured with unless others are asked for."""

    @property
    def install(self) -> str:
        """How a user would install it."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What one must know to read its numbers."""

    @property
    def accepted(self) -> tuple[str, ...]:
        """Words of the differences that it is known to leave, since it has no means to do better."""

    @property
    def quiet(self) -> bool:
        """Whether it must write nothing to the catalogs when nothing is to change."""

    def version(self) -> str | None:
        """Its version; None where it is not installed."""

    def open(self, ground: Ground, folder: Path) -> Session:
        """Begins a round in an empty folder. May take its time."""


def find_program(name: str, variable: str, *folders: str) -> Path | None:
    """A program by an environment variable (its path, or its folder), then on PATH, then where its installer puts it."""
    given = os.environ.get(variable)
    if given:
        path = Path(given).expanduser()
        path = path / name if path.is_dir() else path
        return path if os.access(path, os.X_OK) else None
    found = shutil.which(name)
    if found is None:
        found = shutil.which(name, path=os.pathsep.join(str(Path(folder).expanduser()) for folder in folders))
    return Path(found) if found else None


def ask(*argv: str | Path, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a program prints, such as its version; raises RuntimeError with its last words where it fails."""
    ended = subprocess.run(
        [str(word) for word in argv],
        env={**base_environ(os.environ), **(environ or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{argv[0]} exited with {ended.returncode}: {ended.stderr[-1000:]}")
    return ended.stdout.strip()


class GivenPasswords:
    """A session whose users have the passwords that they were given."""

    def password(self, user: str) -> str:
        """The one that was given."""
        return password_of(user)
