"""What a proof has found: who can do what that should not, or cannot what should, how it came about, and what mends it.

Pure values. A finding's `id` and `object` are stable from run to run: `accepted:` in a stack's configuration names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from .config_keys import AcceptedFinding


class Severity(StrEnum):
    """How bad a finding is, worst first.

    CRITICAL  somebody reaches what is another's, or is above all privileges
    HIGH      a way to get there, or a service that can't work
    MEDIUM    more or less than the model says, with no other service in reach
    LOW       something to know
    """

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the model says.

    `id` is rule, who and what, joined by slashes: `privilege/reporting/SELECT`; `object` is in PostgreSQL's words:
    `table billing.invoice`. `cause` tells how it came about. `statements` mend it, as a superuser in the environment's
    database; the owner whose rights are enough stands in `acts_as`. `advice` is what to do where no SQL is enough.
    `service` is whose object it is, empty for what all share. `beyond`: to mend it changes more than this environment.
    """

    id: str
    severity: Severity
    object: str
    who: str
    what: str
    cause: str
    statements: tuple[str, ...] = ()
    acts_as: str = ""
    advice: str = ""
    service: str = ""
    beyond: bool = False

    @property
    def rule(self) -> str:
        """The kind of finding, as the documentation lists it."""
        return self.id.partition("/")[0]


@dataclass(frozen=True)
class Judged:
    """A finding, and the entry of the configuration by which it is accepted, if one is and its day is not over."""

    finding: Finding
    accepted: AcceptedFinding | None = None


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, then by service, object and id; each once."""
    return sorted(set(findings), key=lambda each: (each.severity.rank, each.service, each.object, each.id))


def judge(
    findings: Iterable[Finding], accepted: Sequence[AcceptedFinding], today: date
) -> tuple[list[Judged], list[str]]:
    """Each finding in order with what accepts it; and warnings of entries that are over, or accept nothing.

    An entry's `id` and `object` may hold `*`. It holds to the end of its day.
    """
    valid = [entry for entry in accepted if entry.until is None or today <= entry.until]
    ordered = in_order(findings)
    judged = [Judged(each, next((entry for entry in valid if _accepts(entry, each)), None)) for each in ordered]
    return judged, list(_stale(accepted, valid, ordered))


def _accepts(entry: AcceptedFinding, finding: Finding) -> bool:
    return _matches(entry.id, finding.id) and _matches(entry.object, finding.object)


def _matches(pattern: str, text: str) -> bool:
    """Whether a text is as a pattern says: `*` stands for anything, `[*]` for a star, everything else for itself."""
    parts = re.split(r"(\[\*\]|\*)", pattern)
    expression = "".join(".*" if part == "*" else re.escape("*" if part == "[*]" else part) for part in parts)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def _stale(
    accepted: Sequence[AcceptedFinding], valid: Sequence[AcceptedFinding], findings: Sequence[Finding]
) -> Iterator[str]:
    for index, entry in enumerate(accepted):
        found = any(_accepts(entry, finding) for finding in findings)
        where = f"accepted[{index}]: {entry.id} on {entry.object}"
        if not found:
            yield f"{where} is found no more: remove the entry"
        elif entry not in valid:
            yield f"{where} was accepted until {entry.until}, which is over: mend it, or give it another day"
