"""`golabs retire`: closes a service's logins and takes its users' privileges, keeps its data, and takes that back.

What is retired stands in the stack's file, and either engine applies it as an `up`. The file is written before that, and
put back to the byte where nothing was changed after all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from .account import UNBEGUN, Account
from .changes import Change
from .config_keys import ServiceSettings, unknown_service
from .console import Screen
from .engines import with_engine
from .errors import GolabsError, RetirementError
from .interrupting import killed_is_interrupted
from .retirement import Preflight, close_service, look_before_retirement, still_connected
from .runs import Run
from .sessions import Session, in_words
from .settings import Settings
from .stack_editing import StackDocument
from .wording import counted

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Retirement:
    """What was asked for. `force`: also while somebody uses the service; `yes`: without a question where that may be."""

    service: str
    undo: bool = False
    yes: bool = False
    force: bool = False

    def command(self, environment: str) -> str:
        """How it is written after `golabs`."""
        return f"retire {environment} {self.service}{' --undo' if self.undo else ''}"


def retire(run: Run, screen: Screen, asked: Retirement) -> None:
    """Retires a service, or takes it back. Raises RetirementError where somebody uses it, PolicyError if not confirmed."""
    account = Account(run, screen)
    service, environment = asked.service, run.environment
    written = _configured(run.settings, service).retired is not asked.undo
    account.start_server()
    if written and _is_so(run, asked):
        _say_that_it_is_so(run, screen, asked)
        account.finish(service=service, retired=not asked.undo)
        return
    told: dict[str, object] = {"service": service, "retired": not asked.undo}
    question = f"let {service}'s users log in to {run.database_in_words} again?"
    if not asked.undo:
        preflight = look_before_retirement(run.endpoint, run.settings, service)
        told["preflight"] = preflight.as_json()
        _show(screen, run, preflight)
        _check(screen, run, preflight, asked)
        question = f"retire {service} in {run.database_in_words}: no logins, no privileges, its data kept?"
    account.confirm_retirement(asked.yes, question, asked.command(environment))
    changed = replace(run)
    with killed_is_interrupted():
        with _written(run, asked) as document:
            account.go_on_with(changed)
            ahead = changed.direct.converge_service(service, apply=False)
            if changed.policy.confirms_up and not changed.is_direct:
                account.show_service(service, ahead)
            account.confirm_up(asked.yes, asked.command(environment))
            # Before the engine's REVOKEs, which wait for whoever has locked a table; those that come back are ended later.
            ended = _end_sessions(changed, asked) if asked.force and not asked.undo else ()
        with _kept_or_restored(account, document, changed, asked, ahead):
            account.up()
            account.converge_service(service)
            if not asked.undo:
                told["sessions"] = _leave_nobody(screen, changed, asked, ended)
    if not asked.undo:
        back = replace(asked, undo=True).command(environment)
        again = with_engine(f"golabs {back}", run.environment, run.requested)
        screen.line(f"{service} is retired; its data is kept. To take it back: {again}")
    else:
        screen.line(
            f"{service} is back, with the passwords that it had; {run.file.path.name} has it as a service again"
        )
    account.finish(**told)


def _configured(settings: Settings, service: str) -> ServiceSettings:
    for each in settings.services:
        if each.name == service:
            return each
    raise unknown_service(service, [each.name for each in settings.services], where=settings.source)


def _is_so(run: Run, asked: Retirement) -> bool:
    """Whether the server shows a service as the file has it; what can't be looked at is not believed."""
    if not run.cluster.database_exists:
        return asked.undo  # nobody can log in, and nothing is to be given back
    return run.cluster.allows_connections and not run.direct.converge_service(asked.service, apply=False)


def _say_that_it_is_so(run: Run, screen: Screen, asked: Retirement) -> None:
    name, environment, service = run.file.path.name, run.environment, asked.service
    if asked.undo:
        screen.line(f"{service} is not retired, neither in {name} nor on the server")
        return
    back = with_engine(f"golabs retire {environment} {service} --undo", environment, run.requested)
    screen.line(f"{service} is retired already, in {name} and on the server; to take it back: {back}")


def _show(screen: Screen, run: Run, preflight: Preflight) -> None:
    """What the schema holds, as a table."""
    if not preflight.holdings:
        screen.line(f"the schema {preflight.service} of {run.database} holds nothing")
        return
    rows = [
        (
            counted(holding.number, holding.kind),
            "" if holding.rows is None else f"about {holding.rows}",
            "" if holding.bytes is None else in_units(holding.bytes),
        )
        for holding in preflight.holdings
    ]
    screen.table((f"{preflight.service} holds", "rows", "size"), rows)


def _check(screen: Screen, run: Run, preflight: Preflight, asked: Retirement) -> None:
    if not preflight.obstacles:
        screen.line(f"nobody else depends on {asked.service}, and its users have no open sessions")
    elif asked.force:
        for fault in preflight.obstacles:
            screen.warning(f"{fault.where}: {fault.what}")
    else:
        raise RetirementError(
            preflight.obstacles,
            where=f"{asked.service} in {run.database}",
            mend=f"or go on all the same, which ends its sessions too: golabs {asked.command(run.environment)} --force; "
            "nothing was changed",
        )


@contextmanager
def _written(run: Run, asked: Retirement) -> Iterator[StackDocument]:
    """The file with the change in it; as it was, where what is done with it fails or is declined."""
    document = StackDocument.open(run.project, run.environment)
    document.set_retired(asked.service, not asked.undo)
    document.write()
    try:
        yield document
    except BaseException:
        document.restore()
        raise


@contextmanager
def _kept_or_restored(
    account: Account, document: StackDocument, run: Run, asked: Retirement, ahead: tuple[Change, ...]
) -> Iterator[None]:
    """The file as it was, where nothing was changed after all; elsewhere it stays, with both ways out of it told."""
    try:
        yield
    except (GolabsError, OSError, KeyboardInterrupt) as error:
        if not account.began or _is_untouched(run, asked, ahead):
            document.restore()
            if isinstance(error, KeyboardInterrupt):
                raise GolabsError(UNBEGUN) from error
            raise
        told = GolabsError("interrupted; what was done stays") if isinstance(error, KeyboardInterrupt) else error
        what, where, mend = (told.what, told.where, told.mend) if isinstance(told, GolabsError) else (str(told), "", "")
        back = replace(asked, undo=not asked.undo).command(run.environment)
        way = f"{document.path.name} has the change; to go on: golabs up {run.environment}; to go back: golabs {back}"
        raise GolabsError(what, where=where, mend=f"{mend}\n        {way}" if mend else way) from error


def _is_untouched(run: Run, asked: Retirement, ahead: tuple[Change, ...]) -> bool:
    """Whether the direct engine, which changes all or nothing, has still the same ahead; of another it is not known."""
    try:
        return run.is_direct and run.direct.converge_service(asked.service, apply=False) == ahead
    except (GolabsError, KeyboardInterrupt):
        return False


def _end_sessions(run: Run, asked: Retirement) -> tuple[Session, ...]:
    ended = close_service(run.endpoint, run.settings, asked.service)
    still_connected(run.endpoint, run.settings, asked.service, ended)
    return ended


def _leave_nobody(screen: Screen, run: Run, asked: Retirement, ended: tuple[Session, ...]) -> dict[str, object]:
    """What is said of sessions that are open although nobody can log in any more; ends them where it was told to."""
    ended += close_service(run.endpoint, run.settings, asked.service) if asked.force else ()
    left = still_connected(run.endpoint, run.settings, asked.service, ended)
    if ended:
        screen.line(f"sessions ended: {in_words(ended)}")
    if left:
        processes = ", ".join(str(session.pid) for session in left)
        screen.warning(
            f"still connected, and able to work with what they own until they leave: {in_words(left)}; stop "
            f"{asked.service}, or have a superuser end them with pg_terminate_backend: {processes}"
        )
    return {"ended": len(ended), "left": [vars(session) for session in left]}


def in_units(size: int) -> str:
    """Bytes as people say them: `16 kB`, `1.5 MB`."""
    value, unit = float(size), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}".removesuffix(".0") + f" {_UNITS[unit]}"
