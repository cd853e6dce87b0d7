"""`golabs verify` and `golabs drift`: run the proofs, show what they found, write the page, repair what may be repaired."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from itertools import groupby
from pathlib import Path

from .account import confirmed_by_variable, settle, start_server
from .console import Screen
from .errors import ApplyError, GolabsError
from .files import replace_file
from .findings import Finding, Judged, Severity
from .progress import Board
from .repairing import Repairer, advice_for, mending_script, one_line
from .report import Report, entries
from .runs import Run
from .verification import Verdict, Verifier
from .wording import counted, some

_SHOWN = 3
_ROUNDS = 3
"""A repair may bring something to light, or take along what is to be given back: it is looked at again so often at most."""


class Conclusion(Enum):
    """What a command concludes: nothing is amiss, something was found, or it could not be shown either way."""

    PROVEN = "proven"
    FOUND = "found"
    UNPROVEN = "unproven"


def verify(run: Run, screen: Screen, *, page: Path | None, as_sql: bool, login: bool) -> Conclusion:
    """Both proofs. Raises GolabsError where the page can't be written; that is looked at first."""
    if page is not None:
        _check_page(page)
    _prepare(run, screen)
    verifier = Verifier(run.project, run.settings, run.endpoint)
    screen.line(f"verify: {run.database_in_words}")
    with _interrupted("nothing was changed"), screen.live(Board(run.database)):
        verdict = verifier.prove(live=login, progress=lambda done, total: screen.progress("users tried", done, total))
    report = verdict.report
    catalog, live = report.catalog, report.live
    screen.line(
        f"  catalogs: {counted(catalog.objects, 'object')} and {counted(catalog.privileges, 'grant')} looked at, "
        f"{counted(catalog.roles, 'role')}, in {catalog.seconds:.2f} s"
    )
    if live is not None:
        undecided = f", {live.undecided} undecided" if live.undecided else ""
        screen.line(
            f"  logins:   {counted(live.logins, 'user')} made {counted(live.attempts, 'attempt')}, {live.permitted} "
            f"permitted and {live.denied} denied{undecided}, in {live.seconds:.2f} s"
        )
    elif login:
        screen.line("  logins:   not tried, as nobody can connect to the database")
    _show(screen, verdict.judged, run.environment)
    for warning in verdict.warnings:
        screen.warning(warning)
    if as_sql:
        screen.raw(mending_script(run.database, verdict.open))
    screen.line(_conclusion(report))
    screen.result(report.as_json())
    if page is not None:
        _write(page, verdict)
        screen.line(f"report: {page}")
    if verdict.open:
        return Conclusion.FOUND
    return Conclusion.PROVEN if report.proven else Conclusion.UNPROVEN


def _conclusion(report: Report) -> str:
    """The last line: what is proven, or what stands in the way of saying so."""
    live, number = report.live, len(report.services)
    if report.open:
        return _summary([each.severity for each in report.open])
    if live is not None and live.unproven:
        return (
            f"not proven: nothing found, but {live.undecided} of {counted(live.attempts, 'attempt')} could not be decided, "
            f"{live.unproven} of which matter for the isolation; run it again when what stood in the way is over"
        )
    accepted = f", {len(report.findings)} accepted" if report.findings else ""
    by = "by the catalogs and by logging in" if live is not None else "by the catalogs alone"
    if number < 2:
        return f"nothing to isolate: {counted(number, 'service')}, looked at {by}; nothing found{accepted}"
    how = "proven twice, " if live is not None else "proven "
    return f"isolated: {number} services, {report.pairs} pairs, {how}{by}; nothing found{accepted}"


def drift(run: Run, screen: Screen, *, mend: bool) -> Conclusion:
    """What differs from the model, by the catalogs; with `mend`, what is left of it after a repair.

    Raises PolicyError where a repair is not confirmed, ApplyError where it can't be done at all.
    """
    _prepare(run, screen)
    verifier = Verifier(run.project, run.settings, run.endpoint)
    screen.line(f"drift: {run.database_in_words}")
    verdict = verifier.prove(live=False)
    found = verdict.judged
    _show(screen, found, run.environment)
    repaired: list[Finding] = []
    left: dict[tuple[str, str], str] = {}
    if mend and verdict.open:
        if verdict.evidence.cluster.in_recovery:
            raise ApplyError(
                "it is a standby, where nothing can be changed",
                where=run.database_in_words,
                mend="repair on the primary",
            )
        verdict = _repair(run, screen, verifier, verdict, repaired, left)
    remaining = verdict.open
    if not remaining:
        accepted = sum(1 for each in verdict.judged if each.accepted is not None)
        but = f" but {counted(accepted, 'accepted difference')}" if accepted else ""
        screen.line(f"no drift{but}" + (f": {counted(len(repaired), 'difference')} repaired" if repaired else ""))
    else:
        done = f"; {len(repaired)} repaired" if repaired else ""
        screen.line(_summary([each.severity for each in remaining], noun="difference") + done)
    screen.result(
        {
            "environment": run.environment,
            "database": run.database,
            "drift": bool(remaining),
            "findings": [each.as_json() for each in entries(found)],
            "repaired": [{"id": each.id, "object": each.object} for each in repaired],
            "left": [
                {"id": each.id, "object": each.object, "reason": left.get((each.id, each.object), "")}
                for each in remaining
            ],
        }
    )
    return Conclusion.FOUND if remaining else Conclusion.PROVEN


def _repair(
    run: Run,
    screen: Screen,
    verifier: Verifier,
    verdict: Verdict,
    repaired: list[Finding],
    left: dict[tuple[str, str], str],
) -> Verdict:
    """Repairs, looks again, and repairs what has come of it, a few times at most. Gives the last look."""
    repairer = Repairer(run.settings, run.endpoint, verifier.passwords())
    _confirm(run, screen, repairer, verdict)
    for _ in range(_ROUNDS):
        if not verdict.open or (repaired and not repairer.ahead(verdict.open)):
            break
        with _interrupted("nothing of this repair stays"), screen.live(Board(run.database)):
            done = repairer.repair(verdict.open)
        for finding in done.repaired:
            screen.verdict("repaired", f"{finding.id} on {finding.object}")
        repaired += done.repaired
        left |= {(each.finding.id, each.finding.object): each.reason for each in done.left}
        before, verdict = verdict, verifier.prove(live=False)
        new = {each.finding for each in verdict.judged} - {each.finding for each in before.judged}
        _show(screen, [each for each in verdict.judged if each.finding in new], run.environment)
        if not done.repaired:
            break
    for finding in verdict.open:
        reason = left.get((finding.id, finding.object), "it is found again after its SQL was run")
        screen.warning(f"not repaired: {finding.id} on {finding.object}: {reason}")
    return verdict


def _prepare(run: Run, screen: Screen) -> None:
    run.check_configuration()
    start_server(run, screen)


def _show(screen: Screen, judged: Sequence[Judged], environment: str) -> None:
    """Each finding with its cause and its SQL; those that are alike but for the object together, accepted ones in a line."""
    for _, group in groupby(judged, key=lambda each: (each.accepted, each.finding.severity, each.finding.id)):
        alike = list(group)
        accepted, first = alike[0].accepted, alike[0].finding
        named = some([each.finding.object for each in alike])
        if accepted is not None:
            until = f", until {accepted.until}" if accepted.until else ""
            screen.verdict("accepted", f"{first.id} on {named} ({accepted.note}{until})")
            continue
        screen.verdict(first.severity, one_line(f"{first.id} on {named}"))
        screen.line(f"      {one_line(first.what)}")
        screen.line(f"      cause: {one_line(first.cause)}")
        for statement in [text for each in alike[:_SHOWN] for text in each.finding.statements]:
            screen.line(f"      mend:  {one_line(statement)}")
        if len(alike) > _SHOWN and first.statements:
            screen.line(f"      all of the SQL: golabs verify {environment} --sql")
        if first.advice:
            screen.line(f"      mend:  {advice_for(first, environment)}")


def _summary(severities: Sequence[Severity], noun: str = "finding") -> str:
    counts = [(severity, sum(each is severity for each in severities)) for severity in Severity]
    listed = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    return f"{counted(len(severities), noun)}: {listed}"


def _confirm(run: Run, screen: Screen, repairer: Repairer, verdict: Verdict) -> None:
    """Guarded environments want the database's name, as for `up`, once it was shown what will be run."""
    ahead = repairer.ahead(verdict.open)
    if not (run.policy.confirms_up and ahead):
        return

    def show() -> None:
        screen.line(f"this would repair {counted(len(ahead), 'difference')} in {run.database_in_words}:")
        for finding in ahead:
            screen.line(f"    {finding.id} on {finding.object}")

    command = f"drift {run.environment} --repair"
    settle(run, screen, command, show, confirmed=confirmed_by_variable(run, command, yes=False))


@contextmanager
def _interrupted(what_stays: str) -> Iterator[None]:
    """Says what an interruption has left."""
    try:
        yield
    except KeyboardInterrupt:
        raise GolabsError(f"interrupted; {what_stays}", mend="run it again") from None


def _check_page(page: Path) -> None:
    """Finds out before the work whether its result can be written."""
    folder = page.resolve().parent
    if not folder.is_dir():
        raise _unwritable(page, "its folder is not there")
    if page.exists() and not page.is_file():
        raise _unwritable(page, "it is no regular file")
    if not os.access(page if page.exists() else folder, os.W_OK):
        raise _unwritable(page, "you may not write there")


def _write(page: Path, verdict: Verdict) -> None:
    from .report_page import render_page

    text = render_page(verdict.report)
    try:
        replace_file(page, text.encode())
    except OSError as error:
        raise _unwritable(page, str(error.strerror)) from error


def _unwritable(page: Path, why: str) -> GolabsError:
    return GolabsError(
        f"the report can't be written: {why}", where=str(page), mend="name a file in a folder that you may write to"
    )
