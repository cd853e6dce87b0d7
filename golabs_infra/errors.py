"""The error tree: every error says where it is, what is wrong, and the command that mends it.

    GolabsError                 caught by `cli` (printed, exit 1) and by `program` (turned into pulumi.RunError)
    |-- FaultsError             several faults at once, each with its own place and mend
    |   |-- ConfigError         of a stack's configuration
    |   |-- AdoptionError       of what exists already and can't be taken over safely
    |   `-- RetirementError     somebody still uses a service that is to be retired
    |-- UsageError              the command line asks for something that does not exist (exit 64)
    |-- SecretsError            an encrypted value can't be read: passphrase, salt, provider
    |-- ServerError             the embedded PostgreSQL can't be started, stopped or found
    |   `-- EndedError          it ended while it was being started (server_launch)
    |-- ServerConnectionError   PostgreSQL doesn't answer, or refuses the login
    |-- IdentityError           another server, or a known database that is gone
    |-- PolicyError             the environment's policy refuses, or the confirmation is missing
    |-- ApplyError              the server refused a change; nothing of that transaction stays
    |-- EngineError             the Pulumi CLI or a plugin is missing, or a run of it failed
    |   `-- RunInterruptedError a signal has interrupted a run of it, which has ended in order
    `-- DefectError             golabs itself is wrong: an exception that nobody expected

This module prints nothing and knows nothing of PostgreSQL or Pulumi.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass

TRACEBACK_VARIABLE = "GOLABS_TRACEBACK"
"""Has a defect shown with its traceback."""

_ENDLESS = re.compile(r"\S{400,}")


class GolabsError(Exception):
    """One readable message in three parts.

    `where` is a key path, file or object; `what` is what is wrong with the value seen there (never a secret);
    `mend` is the command or edit that settles it. `str()` gives them on lines of their own.
    """

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        self.what = what
        self.where = where
        self.mend = mend
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return _readable(f"{text}\n  mend: {self.mend}" if self.mend else text)


def _readable(text: str) -> str:
    """The text with words cut that are longer than any name, path or statement's part: somebody's megabyte is no news."""
    return _ENDLESS.sub(lambda word: f"{word[0][:80]}... ({len(word[0])} characters)", text)


def system_error(error: OSError, where: str = "") -> GolabsError:
    """What the operating system refused, as one of ours; `where` is the place if the system names no file."""
    return GolabsError(
        error.strerror or str(error),
        where=str(error.filename or where),
        mend="free space or mend permissions there, and run this again",
    )


@dataclass(frozen=True, order=True)
class Fault:
    """One fault of a configuration: the key's path, what is wrong with the value seen, and the mend."""

    where: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}\n      mend: {self.mend}"


class FaultsError(GolabsError):
    """Several faults reported together; `faults` holds them in the order of their paths."""

    title = "problem"

    def __init__(self, faults: Iterable[Fault], *, where: str, mend: str = "") -> None:
        self.faults = tuple(sorted(set(faults), key=lambda fault: (_natural(fault.where), fault)))
        count = f"1 {self.title}" if len(self.faults) == 1 else f"{len(self.faults)} {self.title}s"
        lines = "".join(f"\n  - {fault}" for fault in self.faults)
        super().__init__(f"{count}{lines}", where=where, mend=mend)


def _natural(path: str) -> list[str | int]:
    """A key that sorts services[2] before services[10]."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", path)]


class ConfigError(FaultsError):
    """The configuration of a stack can't be used; carries every fault that it has."""

    title = "fault"


class AdoptionError(FaultsError):
    """Something that exists already can't be taken over without losing or resetting something."""

    title = "obstacle"


class RetirementError(FaultsError):
    """A service that is to be retired is still in use: open sessions, dependents, grants to others."""

    title = "obstacle"


class UsageError(GolabsError):
    """The command line names something that does not exist, or arguments that don't go together."""


class SecretsError(GolabsError):
    """An encrypted value of the stack's configuration can't be decrypted."""


class ServerError(GolabsError):
    """The embedded PostgreSQL can't be started, stopped, reached or trusted."""


class ServerConnectionError(GolabsError):
    """PostgreSQL can't be reached as the admin, or refuses the login."""


class IdentityError(GolabsError):
    """The server is not the one that this stack belongs to, or the known database is gone from it."""


class PolicyError(GolabsError):
    """The policy of the environment refuses what was asked for, or wants a confirmation first."""


class ApplyError(GolabsError):
    """The server refused a change; its transaction was rolled back."""


class EngineError(GolabsError):
    """The Pulumi CLI or one of its plugins is missing, or a run of it failed."""


class RunInterruptedError(EngineError):
    """A signal, whose number it has, interrupted a run of the Pulumi CLI, which has ended in order then."""

    def __init__(self, what: str, *, number: int, where: str = "", mend: str = "") -> None:
        super().__init__(what, where=where, mend=mend)
        self.number = number


class DefectError(GolabsError):
    """golabs itself is wrong. Names the exception's type and place, never its text, which may hold a secret."""

    def __init__(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if "golabs_infra" in frame.filename] or frames
        at = f" at {ours[-1].filename.rpartition('/')[2]}:{ours[-1].lineno}" if ours else ""
        super().__init__(
            f"this is a defect of golabs, and no fault of yours: {type(error).__name__}{at}; what was done stays",
            mend=f"report it to the maintainers of golabs-infra, with what the same command prints after: export "
            f"{TRACEBACK_VARIABLE}=1 (look it over: it may show values of your configuration)",
        )
