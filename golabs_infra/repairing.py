"""Repairs what a proof has found, by the SQL that each finding offers; and that SQL as a script for somebody else to run.

Everything in the environment's database happens in one transaction, a finding at a time: what the server refuses is told,
and the rest is kept. What could lose data, what somebody may have made on purpose, and what reaches beyond the environment
is left to people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from pydantic import SecretStr

from .applying import Applier
from .connecting import connect_admin
from .endpoint import Endpoint
from .errors import ApplyError
from .findings import Finding
from .inspection import trust_only_the_catalogs
from .passwords import new_verifier
from .settings import Settings
from .sql import verifier_variable
from .statement import STOP_ON_ERROR, connect_to, filled, remedy

BY_HAND = frozenset(
    {"trigger", "event-trigger", "inheritance", "foreign-key", "call", "row-security", "disagreement", "untried"}
)
"""Rules whose SQL takes away what somebody has built, or opens what somebody has closed: nobody runs it unasked."""

_OUTSIDE = frozenset({"database/CLOSED", "database/CONNECTION LIMIT", "database/TEMPLATE"})
"""Findings that are mended from another database, before anybody can connect to this one."""


@dataclass(frozen=True)
class Left:
    """A finding that was not repaired, and why."""

    finding: Finding
    reason: str


@dataclass(frozen=True)
class Repair:
    """What was repaired, and what was not."""

    repaired: tuple[Finding, ...]
    left: tuple[Left, ...]


def advice_for(finding: Finding, environment: str) -> str:
    """What to do where no SQL is enough, with the environment's name where it is a command of ours."""
    return f"{finding.advice} {environment}" if finding.advice == "golabs up" else finding.advice


class Repairer:
    """Repairs of one stack on one server; `known` are the passwords that its users are to have."""

    def __init__(self, settings: Settings, endpoint: Endpoint, known: Mapping[str, SecretStr]) -> None:
        self._settings = settings
        self._endpoint = endpoint
        self._known = known

    def reason_to_leave(self, finding: Finding) -> str:
        """Why a finding is not repaired by a command, in words; empty where it is."""
        environment, policy = self._settings.environment, self._settings.policy
        reason = ""
        if finding.beyond:
            reason = f"it concerns more than {environment}: its SQL is for whoever looks after the whole server"
        elif finding.rule in BY_HAND:
            reason = "it may be meant, so that a person has to decide"
        elif not finding.statements:
            reason = advice_for(finding, environment) or "no SQL settles it"
        elif finding.rule == "leftover-user" and not policy.drops:
            reason = "its line may be missing in the configuration by mistake; its SQL closes its login"
        elif _sets_password(finding):
            if not policy.resets_passwords:
                reason = "no login's password is changed unasked"
            elif finding.who not in self._known:
                reason = "no password is known for it"
        return reason

    def ahead(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those of the findings that `repair` runs the SQL of."""
        return [each for each in findings if not self.reason_to_leave(each)]

    def repair(self, findings: Sequence[Finding]) -> Repair:
        """Runs what the findings offer. Raises ApplyError where the connection is lost: nothing is half done then."""
        left = [Left(each, reason) for each in findings if (reason := self.reason_to_leave(each))]
        ahead = self.ahead(findings)
        repaired: list[Finding] = []
        applier = Applier(self._endpoint, self._settings.database)
        with connect_admin(self._endpoint) as admin, applier.lock(admin):
            try:
                _prepare(applier, admin)
                self._run_all(admin, [each for each in ahead if each.id in _OUTSIDE], repaired, left)
                if inside := [each for each in ahead if each.id not in _OUTSIDE]:
                    with connect_admin(self._endpoint, self._settings.database) as connection:
                        _prepare(applier, connection)
                        with connection.transaction():
                            self._run_all(connection, inside, repaired, left)
            except psycopg.Error as error:
                raise ApplyError(
                    f"the repair was not finished, and nothing of its transaction stays: {str(error).strip()}",
                    where=f"{self._endpoint.address}/{self._settings.database}",
                    mend="see that the server runs, and run this again",
                ) from error
        return Repair(tuple(repaired), tuple(left))

    def _run_all(
        self,
        connection: psycopg.Connection[Any],
        findings: Iterable[Finding],
        repaired: list[Finding],
        left: list[Left],
    ) -> None:
        for finding in findings:
            if refusal := self._run(connection, finding):
                left.append(Left(finding, refusal))
            else:
                repaired.append(finding)

    def _run(self, connection: psycopg.Connection[Any], finding: Finding) -> str:
        """Runs one finding's statements, or none of them. Gives why the server refused, or nothing."""
        try:
            with connection.transaction():
                for statement in self._statements(connection, finding):
                    connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege as error:
            return f"the admin may not: {error.diag.message_primary}; its SQL is for a superuser"
        except psycopg.Error as error:
            if connection.broken:
                raise
            return f"the server refused: {error.diag.message_primary or error}"
        return ""

    def _statements(self, connection: psycopg.Connection[Any], finding: Finding) -> Iterator[str]:
        borrowed = bool(finding.acts_as) and not _acts_as(connection, finding.acts_as)
        if borrowed:
            yield remedy("GRANT {} TO CURRENT_USER", finding.acts_as)
        for text in finding.statements:
            yield self._with_verifier(finding, text)
        if borrowed:
            yield remedy("REVOKE {} FROM CURRENT_USER", finding.acts_as)

    def _with_verifier(self, finding: Finding, statement: str) -> str:
        if not _sets_password(finding):
            return statement
        variable = f":'{verifier_variable(finding.who)}'"
        return filled(statement.replace(variable, "{}"), new_verifier(self._known[finding.who]))


def _prepare(applier: Applier, connection: psycopg.Connection[Any]) -> None:
    """A session in which nothing of the server's or the database's own settings gets in the way."""
    trust_only_the_catalogs(connection)
    connection.execute(b"SET default_transaction_read_only TO off")
    connection.execute(b"SET statement_timeout TO 0")
    applier.limit_waiting(connection)


def _acts_as(connection: psycopg.Connection[Any], owner: str) -> bool:
    """Whether the admin has an owner's rights already. What it has is never taken back."""
    asked = b"SELECT pg_has_role(current_user, oid, 'USAGE') FROM pg_roles WHERE rolname = %s"
    return connection.execute(asked, [owner]).fetchone() == (True,)


def _sets_password(finding: Finding) -> bool:
    return finding.id in (f"login/{finding.who}/NO PASSWORD", f"login/{finding.who}/WRONG PASSWORD")


def mending_script(database: str, findings: Sequence[Finding]) -> str:
    """A psql script of what the findings offer, with what each is in a comment; for a superuser to read and to run.

    What a person has to decide stands there as a comment.
    """
    lines = [f"-- {database}: {'what mends it' if findings else 'nothing was found'}", STOP_ON_ERROR]
    if any(_sets_password(each) for each in findings):
        lines.append("-- Verifiers of passwords are psql variables: -v billing_app_verifier='SCRAM-SHA-256$...'")
    outside = [each for each in findings if each.id in _OUTSIDE]
    inside = [each for each in findings if each.id not in _OUTSIDE]
    lines += [line for finding in outside for line in _of_finding(finding)]
    if any(each.statements for each in inside):
        lines += [connect_to(database), "SET default_transaction_read_only TO off;"]
    lines += [line for finding in inside for line in _of_finding(finding)]
    return "\n".join(lines)


def _of_finding(finding: Finding) -> Iterator[str]:
    yield ""
    for text in (f"{finding.severity}: {finding.what}", f"{finding.id} on {finding.object}", finding.advice):
        if text:
            yield f"-- {one_line(text)}"
    comment = "-- " if finding.rule in BY_HAND or finding.beyond else ""
    if comment and finding.statements:
        yield "-- for a person to decide:"
    for statement in finding.statements:
        # A type's name may hold a line's end, which would end the comment.
        yield f"{comment}{one_line(statement) if comment else statement}"


def one_line(text: str) -> str:
    """A text without the ends of lines that names in it may hold."""
    return " ".join(text.splitlines())
