"""`golabs verify` and `golabs drift`: run the proofs, show what they found, write the page, repair what may be repaired."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from .account import confirmed_by_variable, typed
from .console import Screen
from .errors import GolabsError
from .files import replace_file
from .findings import Finding, Judged, Severity
from .policy import CONFIRMATION_VARIABLE
from .repairing import mending_script, reason_to_leave, repair
from .report import entries
from .runs import Run
from .verification import Verdict, Verifier
from .wording import counted

_SHOWN = 3


def verify(run: Run, screen: Screen, *, page: Path | None, as_sql: bool, login: bool) -> bool:
    """Both proofs. Gives whether nothing was found that is not accepted. Raises GolabsError where the page can't be written."""
    _prepare(run, screen)
    verifier = Verifier(run.project, run.settings, run.endpoint)
    screen.line(f"verify: {run.database_in_words}")
    verdict = verifier.prove(live=login, progress=lambda done, total: screen.progress("users tried", done, total))
    report = verdict.report
    catalog, live = report.catalog, report.live
    screen.line(
        f"  catalogs: {catalog.objects} objects and {catalog.privileges} grants looked at, {catalog.roles} roles, "
        f"in {catalog.seconds:.2f} s"
    )
    if live is not None:
        undecided = f", {live.undecided} undecided" if live.undecided else ""
        screen.line(
            f"  logins:   {counted(live.logins, 'user')} made {live.attempts} attempts, {live.permitted} permitted and "
            f"{live.denied} denied{undecided}, in {live.seconds:.2f} s"
        )
    _show(screen, verdict.judged, run.environment)
    for warning in verdict.warnings:
        screen.warning(warning)
    if page is not None:
        _write(page, verdict)
        screen.line(f"report: {page}")
    if as_sql:
        screen.raw(mending_script(run.database, verdict.open))
    services = counted(len(report.services), "service")
    if not verdict.open:
        accepted = f", {len(report.findings)} accepted" if report.findings else ""
        by = "proven twice, by the catalogs and by logging in" if live is not None else "proven by the catalogs"
        screen.line(f"isolated: {services}, {report.pairs} pairs, {by}; nothing found{accepted}")
    else:
        screen.line(_summary(verdict.open))
    screen.result(report.as_json())
    return report.proven


def drift(run: Run, screen: Screen, *, mend: bool) -> bool:
    """What differs from the model, by the catalogs. Gives whether nothing is left that is not accepted.

    Raises PolicyError where a repair is not confirmed.
    """
    _prepare(run, screen)
    verifier = Verifier(run.project, run.settings, run.endpoint)
    screen.line(f"drift: {run.database_in_words}")
    verdict = verifier.prove(live=False)
    _show(screen, verdict.judged, run.environment)
    for warning in verdict.warnings:
        screen.warning(warning)
    found = verdict.judged
    repaired: Sequence[Finding] = ()
    if mend and verdict.open:
        _confirm(run, screen, verdict, verifier)
        passwords = verifier.passwords()
        screen.heading("repair")
        done = repair(
            run.endpoint,
            run.database,
            verdict.open,
            run.policy,
            passwords,
            lambda finding: screen.verdict("done", f"{finding.id} on {finding.object}", indent=4),
        )
        for left in done.left:
            screen.warning(f"not repaired: {left.finding.id} on {left.finding.object}: {left.reason}")
        repaired = done.repaired
        verdict = verifier.prove(live=False)
    remaining = verdict.open
    if not remaining:
        accepted = sum(1 for each in verdict.judged if each.accepted is not None)
        screen.line(
            f"no drift: {counted(len(repaired), 'difference')} repaired"
            if repaired
            else "no drift" + (f" but what is accepted ({accepted})" if accepted else "")
        )
    else:
        screen.line(_summary(remaining, noun="difference"))
    screen.result(
        {
            "environment": run.environment,
            "database": run.database,
            "drift": bool(remaining),
            "findings": [each.as_json() for each in entries(found)],
            "repaired": [{"id": each.id, "object": each.object} for each in repaired],
            "left": [{"id": each.id, "object": each.object} for each in remaining],
        }
    )
    return not remaining


def _prepare(run: Run, screen: Screen) -> None:
    run.check_configuration()
    status = run.start_server()
    if status is not None:
        screen.line(f"server: started PostgreSQL {status.version} on {status.host}:{status.port}")


def _show(screen: Screen, judged: Sequence[Judged], environment: str) -> None:
    """Each finding with its cause and its SQL; those that are alike but for the object together, accepted ones in a line."""
    for _, group in groupby(judged, key=lambda each: (each.accepted, each.finding.severity, each.finding.id)):
        alike = list(group)
        accepted, first = alike[0].accepted, alike[0].finding
        objects = [each.finding.object for each in alike]
        named = ", ".join(objects[:_SHOWN]) + (f" and {len(alike) - _SHOWN} more" if len(alike) > _SHOWN else "")
        if accepted is not None:
            until = f", until {accepted.until}" if accepted.until else ""
            screen.verdict("accepted", f"{first.id} on {named} ({accepted.note}{until})")
            continue
        screen.verdict(first.severity, f"{first.id} on {named}")
        screen.line(f"      {first.what}")
        screen.line(f"      cause: {first.cause}")
        for statement in [text for each in alike[:_SHOWN] for text in each.finding.statements]:
            screen.line(f"      mend:  {statement}")
        if len(alike) > _SHOWN:
            screen.line(f"      all of the SQL: golabs verify {environment} --sql")
        if first.advice:
            screen.line(f"      mend:  {first.advice}{f' {environment}' if first.advice == 'golabs up' else ''}")


def _summary(findings: Sequence[Finding], noun: str = "finding") -> str:
    counts = [(severity, sum(each.severity is severity for each in findings)) for severity in Severity]
    listed = ", ".join(f"{count} {severity}" for severity, count in counts if count)
    return f"{counted(len(findings), noun)}: {listed}"


def _confirm(run: Run, screen: Screen, verdict: Verdict, verifier: Verifier) -> None:
    """Guarded environments want the database's name, as for `up`, once what will be run was shown."""
    if not run.policy.confirms_up:
        return
    command = f"drift {run.environment} --repair"
    confirmed = confirmed_by_variable(run, command, yes=False)
    ahead = [each for each in verdict.open if not reason_to_leave(each, run.policy, verifier.passwords())]
    if confirmed:
        screen.line(f"confirmed by {CONFIRMATION_VARIABLE}={run.database}")
        return
    screen.line(f"this would repair {counted(len(ahead), 'difference')} in {run.database_in_words}")
    typed(screen, run.policy, run.database, f"type the database's name, {run.database}, to go on:", command)


def _write(page: Path, verdict: Verdict) -> None:
    from .report_page import render_page

    text = render_page(verdict.report)
    try:
        replace_file(page, text.encode())
    except OSError as error:
        raise GolabsError(
            f"the report can't be written: {error.strerror}",
            where=str(page),
            mend="name a file in a folder that is there and that you may write to; nothing else is amiss with the proof",
        ) from error
