"""What `golabs verify` gives: when and against what it ran, who has what, who reaches whom, and the findings.

Pure values; `--json` is this module's types as JSON (their schema is in docs/verify.schema.json), the page in
`report_page` shows them. Times are in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter
from pydantic.alias_generators import to_camel

from .findings import Judged, Severity

FORMAT: Literal["golabs.verify/1"] = "golabs.verify/1"
"""Changes only where readers of an older report would go wrong."""


@dataclass(frozen=True)
class _Reported:
    """A part of the report, whose keys are in camel case in JSON, as all of ours are."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(alias_generator=to_camel)


@dataclass(frozen=True)
class Target(_Reported):
    """What was looked at: the stack and its server. `ran_at` is UTC, ISO 8601."""

    environment: str
    policy: str
    database: str
    server: str
    version: str
    system_identifier: str
    admin: str
    ran_at: str


@dataclass(frozen=True)
class CatalogProof(_Reported):
    """How much the catalogs had to tell: objects with an owner or privileges, entries in their lists of privileges,
    and roles of the server."""

    roles: int
    objects: int
    privileges: int
    seconds: float


@dataclass(frozen=True)
class LiveProof(_Reported):
    """How much was tried by logging in. Every attempt was permitted, denied, or could not be decided (a lock, a limit).

    `pairs` are the pairs of services that were tried, `scratch` tells whether tables were made for it, and dropped.
    `unproven` are the undecided ones that leave the isolation open: a user that could not log in, something that should
    have been denied.
    """

    logins: int
    attempts: int
    permitted: int
    denied: int
    undecided: int
    pairs: int
    scratch: bool
    seconds: float
    unproven: int = 0


@dataclass(frozen=True)
class Holding(_Reported):
    """What a grantee has on one kind of thing in a service: what it should have, and what it has in fact.

    `on` is `database`, `schema`, `tables`, `sequences`, `later tables` or `later sequences`; `number` how many there are.
    A privilege is in `has` where the grantee has it on every one of them, in `some` where it has it on one at least.
    """

    on: str
    number: int
    grantee: str
    expected: tuple[str, ...]
    has: tuple[str, ...]
    some: tuple[str, ...] = ()

    @property
    def as_expected(self) -> bool:
        """Whether no privilege is missing or too much anywhere."""
        return set(self.expected) == set(self.has) == {*self.has, *self.some}


@dataclass(frozen=True)
class ServiceReport(_Reported):
    """One service: its users, and what they and PUBLIC have."""

    name: str
    retired: bool
    migration_user: str
    app_user: str
    holdings: tuple[Holding, ...] = ()


@dataclass(frozen=True, order=True)
class FindingName(_Reported):
    """What names a finding, as `accepted:` does."""

    id: str
    object: str


@dataclass(frozen=True)
class Reach(_Reported):
    """A service whose users can do something in another service's schema: privileges by the catalogs, the actions that
    were permitted at their logins, and the findings that tell why."""

    service: str
    into: str
    privileges: tuple[str, ...]
    tried: tuple[str, ...] = ()
    findings: tuple[FindingName, ...] = ()


@dataclass(frozen=True)
class FindingEntry(_Reported):
    """A finding as the report has it; `note` and `until` where the configuration accepts it."""

    id: str
    severity: Severity
    service: str
    object: str
    who: str
    what: str
    cause: str
    mend: tuple[str, ...]
    advice: str
    accepted: bool = False
    note: str = ""
    until: date | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding for programs."""
        document: dict[str, Any] = TypeAdapter(FindingEntry).dump_python(self, mode="json", by_alias=True)
        return document


@dataclass(frozen=True)
class Report(_Reported):
    """The whole result. `reach` names only the pairs of services that are not isolated from each other."""

    format: Literal["golabs.verify/1"]
    target: Target
    catalog: CatalogProof
    live: LiveProof | None
    services: tuple[ServiceReport, ...]
    reach: tuple[Reach, ...]
    findings: tuple[FindingEntry, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = field(default=0.0)

    @cached_property
    def open(self) -> tuple[FindingEntry, ...]:
        """The findings that nobody has accepted."""
        return tuple(each for each in self.findings if not each.accepted)

    @property
    def proven(self) -> bool:
        """Whether nothing was found that is not accepted, and no login has left the isolation open."""
        return not self.open and not (self.live and self.live.unproven)

    @property
    def pairs(self) -> int:
        """How many pairs of different services there are, each in both directions."""
        return len(self.services) * (len(self.services) - 1)

    def as_json(self) -> dict[str, Any]:
        """The report for programs, by the documented schema."""
        document: dict[str, Any] = TypeAdapter(Report).dump_python(self, mode="json", by_alias=True)
        return {**document, "proven": self.proven}


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `as_json`; docs/verify.schema.json holds it."""
    schema = TypeAdapter(Report).json_schema(mode="serialization")
    schema["properties"]["proven"] = {
        "type": "boolean",
        "description": "Whether nothing was found that is not accepted.",
    }
    schema["required"] = sorted([*schema["properties"]])
    return {**schema, "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "golabs verify --json"}


def entries(judged: Sequence[Judged]) -> tuple[FindingEntry, ...]:
    """The findings as the report has them."""
    return tuple(
        FindingEntry(
            id=each.finding.id,
            severity=each.finding.severity,
            service=each.finding.service,
            object=each.finding.object,
            who=each.finding.who,
            what=each.finding.what,
            cause=each.finding.cause,
            mend=each.finding.statements,
            advice=each.finding.advice,
            accepted=each.accepted is not None,
            note=each.accepted.note if each.accepted else "",
            until=each.accepted.until if each.accepted else None,
        )
        for each in judged
    )
