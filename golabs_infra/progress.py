"""How far a run has come: what the engines report, counted by service, for a table that is drawn while they work.

Both engines are counted alike, so that a reader sees the same table whichever runs. Nothing of a change is kept but whose it is
and of which kind; so no value, and no secret, can be drawn. Nothing is drawn here.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from .changes import (
    AlterSchemaOwner,
    Change,
    CreateSchema,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    RevokeDefaultPrivileges,
    RevokePrivileges,
)
from .engine_events import Step
from .plan import service_of

COLUMNS = ("users", "schemas", "privileges", "other")
_KINDS = {
    **dict.fromkeys(("Role", "RandomPassword"), "users"),
    "Schema": "schemas",
    **dict.fromkeys(("Grant", "DefaultPrivileges"), "privileges"),
}
"""The columns of the Pulumi engine's resources, by the last part of their type."""
_PRIVILEGES = GrantPrivileges | RevokePrivileges | GrantDefaultPrivileges | RevokeDefaultPrivileges
_SCHEMAS = CreateSchema | AlterSchemaOwner | DropSchema


@dataclass(frozen=True)
class Row:
    """What was done for one service, or for the database: counts in the order of COLUMNS."""

    name: str
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """A count of steps whose number is known."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class View:
    """What is worth drawing now: the services that were worked on last, the latest one first."""

    rows: tuple[Row, ...]
    left_out: int
    total: Row
    works: tuple[Work, ...]
    seconds: float


class Board:
    """What has been done so far. It may be read while another thread writes."""

    def __init__(self, database: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._began = clock()
        self._counts: dict[str, Counter[str]] = {}
        self._works: dict[str, Work] = {}
        self._lock = Lock()

    def take_change(self, change: Change) -> None:
        """One change of the direct engine."""
        match change:
            case _ if isinstance(change, _PRIVILEGES):
                column = "privileges"
            case _ if isinstance(change, _SCHEMAS):
                column = "schemas"
            case _:
                column = "users" if service_of(change) else "other"
        self._count(service_of(change), column)

    def take_step(self, step: Step) -> None:
        """One operation of the Pulumi engine, whose resources are called `<service>-...` or `<database>...`."""
        service = "" if step.name.startswith(self._database) else step.name.partition("-")[0]
        self._count(service, _KINDS.get(step.kind, "other"))

    def reach(self, work: str, done: int, total: int) -> None:
        """So many steps of a work are done."""
        with self._lock:
            self._works[work] = Work(work, done, total)

    def _count(self, service: str, column: str) -> None:
        with self._lock:
            name = service or self._database
            counts = self._counts.pop(name, Counter())  # put in again at the end: the last one that was worked on
            counts[column] += 1
            self._counts[name] = counts

    def view(self, most: int) -> View:
        """The latest `most` services, and the sum of all."""
        with self._lock:
            rows = [Row(name, tuple(counts[each] for each in COLUMNS)) for name, counts in self._counts.items()]
            works = tuple(self._works.values())
        rows.reverse()
        sums = tuple(sum(row.counts[at] for row in rows) for at in range(len(COLUMNS)))
        shown = tuple(rows[:most])
        return View(shown, len(rows) - len(shown), Row("all", sums), works, self._clock() - self._began)
