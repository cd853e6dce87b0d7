"""Repairs what a proof has found, by the SQL that each finding offers; and that SQL as a script for somebody else to run.

Everything happens in one transaction, a finding at a time: what the server refuses is told, and the rest is kept. What
could lose data, or that somebody may have made on purpose, is left to people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from .passwords import random_salt, scram_verifier
from .policy import Policy
from .sql import remedy, verifier_variable

BY_HAND = frozenset({"trigger", "inheritance", "foreign-key", "row-security", "disagreement"})
"""Rules whose SQL takes away what somebody has built, or opens what somebody has closed: nobody runs it unasked."""

_STOP = "\\set ON_ERROR_STOP on"


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


def reason_to_leave(finding: Finding, policy: Policy, known: Mapping[str, SecretStr]) -> str:
    """Why a finding is not repaired by a command, in words; empty where it is."""
    if finding.rule in BY_HAND:
        return "it may be meant, so that a person has to decide"
    if not finding.statements:
        return finding.advice
    if _sets_password(finding):
        if not policy.resets_passwords:
            return "no login's password is changed unasked"
        if finding.who not in known:
            return "no password is known for it"
    return ""


def _sets_password(finding: Finding) -> bool:
    return finding.id in (f"login/{finding.who}/NO PASSWORD", f"login/{finding.who}/WRONG PASSWORD")


def repair(
    endpoint: Endpoint,
    database: str,
    findings: Sequence[Finding],
    policy: Policy,
    passwords: Mapping[str, SecretStr],
    progress: Callable[[Finding], None] = lambda _finding: None,
) -> Repair:
    """Runs what the findings offer. Raises ApplyError where the connection or the whole transaction is lost."""
    repaired: list[Finding] = []
    left = [Left(each, reason) for each in findings if (reason := reason_to_leave(each, policy, passwords))]
    applier = Applier(endpoint, database)
    with connect_admin(endpoint) as admin, applier.lock(admin), connect_admin(endpoint, database) as connection:
        trust_only_the_catalogs(connection)
        superuser = _is_superuser(connection)
        try:
            with connection.transaction():
                applier.limit_waiting(connection)
                for finding in findings:
                    if reason_to_leave(finding, policy, passwords):
                        continue
                    if refusal := _run(connection, finding, superuser, passwords):
                        left.append(Left(finding, refusal))
                    else:
                        repaired.append(finding)
                        progress(finding)
        except psycopg.Error as error:
            raise ApplyError(
                f"nothing was repaired: {str(error).strip()}",
                where=f"{endpoint.address}/{database}",
                mend="see that the server runs, and run this again",
            ) from error
    return Repair(tuple(repaired), tuple(left))


def _is_superuser(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute(b"SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)


def _run(
    connection: psycopg.Connection[Any], finding: Finding, superuser: bool, passwords: Mapping[str, SecretStr]
) -> str:
    """Runs one finding's statements, or none of them. Gives why the server refused, or nothing."""
    statements = list(finding.statements)
    if _sets_password(finding):
        verifier = scram_verifier(passwords[finding.who].get_secret_value(), random_salt())
        variable = f":'{verifier_variable(finding.who)}'"
        statements = [text.replace(variable, f"'{verifier}'") for text in statements]
    if finding.acts_as and not superuser:
        statements = _as_owner(finding.acts_as, statements)
    try:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege as error:
        return f"the admin may not: {error.diag.message_primary}; run its SQL as a superuser"
    except psycopg.Error as error:
        if connection.broken:
            raise
        return f"the server refused: {error.diag.message_primary or error}"
    return ""


def _as_owner(owner: str, statements: Iterable[str]) -> list[str]:
    """Statements that need an owner's rights, for an admin that may make itself a member for the time being."""
    return [
        remedy("GRANT {} TO CURRENT_USER", owner),
        *statements,
        remedy("REVOKE {} FROM CURRENT_USER", owner),
    ]


def mending_script(database: str, findings: Sequence[Finding]) -> str:
    """A psql script of what the findings offer, with what each is in a comment; for a superuser to read and to run."""
    lines = [f"-- {database}: {'what mends it' if findings else 'nothing was found'}", _STOP]
    if any(_sets_password(each) for each in findings):
        lines.append("-- Verifiers of passwords are psql variables: -v billing_app_verifier='SCRAM-SHA-256$...'")
    lines += [remedy("\\connect {}", database).removesuffix(";")] if findings else []
    for finding in findings:
        lines += ["", f"-- {_one_line(f'{finding.severity}: {finding.what}')}", f"-- {_one_line(finding.id)}"]
        if finding.advice:
            lines.append(f"-- {_one_line(finding.advice)}")
        commented = "-- " if finding.rule in BY_HAND else ""
        lines += [f"{commented}{statement}" for statement in finding.statements]
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
