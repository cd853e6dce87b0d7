"""The benchmark's values: scenarios, commands, and what was measured. Pure; JSON in and out, nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

ENVIRONMENT = "tst"
DATABASE = f"go-labs-{ENVIRONMENT}"
PEER_SIZES = (3, 10, 100)
ALL_SIZES = (*PEER_SIZES, 1000)


class Scenario(StrEnum):
    """What a command is run for, in the order of a round."""

    FRESH = "from nothing"
    SAME = "no change"
    RESET = "reset"
    ADDED = "one service added"


@dataclass(frozen=True)
class Command:
    """One program run. `environ` comes on top of the environment that all commands have."""

    argv: tuple[str, ...]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """One service with the names that every contender gives to its objects, and passwords for those that are given them."""

    name: str

    @property
    def migration_user(self) -> str:
        """The schema's owner."""
        return f"{self.name}_migration_{ENVIRONMENT}_user"

    @property
    def app_user(self) -> str:
        """The user with DML only."""
        return f"{self.name}_app_{ENVIRONMENT}_user"

    @property
    def users(self) -> tuple[str, str]:
        """Both."""
        return self.migration_user, self.app_user


def services(count: int) -> tuple[Service, ...]:
    """The first so many services; a longer list begins with every shorter one."""
    return tuple(Service(f"service{number:04d}") for number in range(1, count + 1))


def password_of(user: str) -> str:
    """The password that contenders are given for a user, where they don't make one: 32 letters and digits, as ours generates."""
    return hashlib.sha256(user.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Measurement:
    """One contender in one scenario at one size. `wrote`: whether rows of the shared catalogs or the database's changed."""

    contender: str
    size: int
    scenario: Scenario
    seconds: tuple[float, ...] = ()
    peak_bytes: int | None = None
    wrote: bool | None = None
    error: str | None = None


@dataclass(frozen=True)
class Entrant:
    """A contender as the results name it. `missing`: how it would be installed, where it is not."""

    key: str
    label: str
    version: str | None
    missing: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Results:
    """One run of the benchmark."""

    facts: Mapping[str, str]
    entrants: tuple[Entrant, ...]
    measurements: tuple[Measurement, ...]

    @property
    def sizes(self) -> list[int]:
        """The numbers of services that anything was measured at."""
        return sorted({one.size for one in self.measurements})

    def find(self, contender: str, size: int, scenario: Scenario) -> Measurement | None:
        """The measurement, if there is one."""
        wanted = (contender, size, scenario)
        return next((one for one in self.measurements if (one.contender, one.size, one.scenario) == wanted), None)

    def as_json(self) -> dict[str, Any]:
        """A document that `from_json` reads."""
        return {
            "facts": dict(self.facts),
            "entrants": [asdict(one) for one in self.entrants],
            "measurements": [asdict(one) for one in self.measurements],
        }


def from_json(document: Mapping[str, Any]) -> Results:
    """What `as_json` gave."""
    return Results(
        facts=document["facts"],
        entrants=tuple(Entrant(**{**one, "notes": tuple(one["notes"])}) for one in document["entrants"]),
        measurements=tuple(_measurement(one) for one in document["measurements"]),
    )


def _measurement(document: Mapping[str, Any]) -> Measurement:
    seconds: Iterable[float] = document["seconds"]
    return Measurement(**{**document, "scenario": Scenario(document["scenario"]), "seconds": tuple(seconds)})


def names(listed: Sequence[Service]) -> list[str]:
    """The services' names, which are their schemas' too."""
    return [service.name for service in listed]
