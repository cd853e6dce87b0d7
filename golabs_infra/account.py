"""One run of an engine and its account: what is asked first, what is shown on the way, and the result at the end.

Both engines are shown alike. It decides nothing of what an engine may do; the policy and the engines do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import SecretStr

from . import connections
from .adoption import OUTDATED_STATE
from .applying import LOCK_TIMEOUT_S
from .changes import Change, GrantPrivileges, RevokePrivileges
from .console import Screen
from .direct import Applied
from .engine_events import EngineReport, Notice, Step
from .engines import with_engine
from .errors import ApplyError, EngineError, GolabsError, PolicyError, ServerConnectionError, ServerError
from .forgetting import forget_environment
from .guarding import check_losses
from .identity import forget_identity
from .login_changes import LoginChanger
from .names import USER_KINDS
from .plan import service_of
from .policy import CONFIRMATION_VARIABLE, Policy, wrong_confirmation
from .progress import Board
from .remembering import records_to_leave
from .rights import check_valid
from .runs import Run
from .script import change_script
from .wording import describe

INTERRUPTION = "interrupted; what was done stays, and the next run picks up from there"
UNBEGUN = "interrupted; nothing was changed"


def typed(screen: Screen, policy: Policy, expected: str, question: str, command: str) -> None:
    """Goes on where exactly what is expected is typed. Raises PolicyError; nothing was changed then."""
    answer = screen.ask(question)
    if answer is None:
        wrong = wrong_confirmation(os.environ, expected) if policy.protects else ""
        raise PolicyError(
            f"not confirmed; nothing was changed: nobody is there to be asked{wrong}",
            where=f"golabs {command}",
            mend=f"{CONFIRMATION_VARIABLE}={expected} golabs {command}"
            if policy.protects
            else f"golabs {command} --yes",
        )
    if answer != expected:
        raise PolicyError(
            "not confirmed; nothing was changed",
            where=f"golabs {command}",
            mend=f"run it again and type {expected}" + ("" if policy.protects else ", or use --yes"),
        )


def confirmed_by_variable(run: Run, command: str, *, yes: bool) -> bool:
    """Whether the variable confirms a run on a guarded environment. Raises PolicyError where only --yes does."""
    confirmed = os.environ.get(CONFIRMATION_VARIABLE) == run.database
    if yes and not confirmed:
        raise PolicyError(
            f"--yes does not confirm a guarded environment{wrong_confirmation(os.environ, run.database)}; nothing was changed",
            where=run.environment,
            mend=f"{CONFIRMATION_VARIABLE}={run.database} golabs {command}",
        )
    return confirmed


def settle(run: Run, screen: Screen, command: str, show: Callable[[], None], *, confirmed: bool) -> None:
    """Says that the variable has confirmed it; else shows what would change, and has the database's name typed."""
    if confirmed:
        screen.line(f"confirmed by {CONFIRMATION_VARIABLE}={run.database}")
        return
    show()
    if wrong := wrong_confirmation(os.environ, run.database):
        screen.warning(wrong.removeprefix(", and "))
    typed(screen, run.policy, run.database, f"type the database's name, {run.database}, to go on:", command)


def start_server(run: Run, screen: Screen) -> None:
    """Starts the embedded server where the stack lives there."""
    status = run.start_server()
    if status is not None:
        screen.line(f"server: started PostgreSQL {status.version} on {status.host}:{status.port}")


class Account:
    """One run on one environment and its account: what is shown on the way, and the result at the end."""

    def __init__(self, run: Run, screen: Screen, reason: str = "") -> None:
        self._run = run
        self._screen = screen
        self._began = time.monotonic()
        self._changes: list[dict[str, str]] = []
        self._warnings: list[str] = []
        self._files: list[Path] = []
        self._verb = "changed"
        self._board = Board(run.database)
        run.check_configuration()
        self._reason = reason or run.chosen.reason
        self._group: str | None = None
        screen.line(f"engine: {run.chosen.engine} ({self._reason})")

    def start_server(self) -> None:
        """Starts the embedded server where the stack lives there."""
        start_server(self._run, self._screen)

    @property
    def began(self) -> bool:
        """Whether any change was begun, or was shown by the last preview."""
        return bool(self._changes)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Says what an interruption has left: nothing was changed where none was begun. Raises GolabsError."""
        try:
            yield
        except KeyboardInterrupt:
            left = INTERRUPTION if self.began and self._verb != "to change" else UNBEGUN
            raise GolabsError(left) from None

    def go_on_with(self, run: Run) -> None:
        """The same environment, after its file was changed."""
        run.check_configuration()
        self._run = run

    def confirm_up(self, yes: bool, command: str = "") -> None:
        """Guarded environments: shows the preview, then wants the database's name, typed or in the variable.

        A plan that would lose something is refused before anybody is asked. `command` is what is run, if not `up`.
        """
        if not self._run.policy.confirms_up:
            return
        command = command or f"up {self._run.environment}"
        confirmed = confirmed_by_variable(self._run, command, yes=yes)
        self.preview()
        self._forget()
        told = f"this would change {self._run.database_in_words}"
        settle(self._run, self._screen, command, lambda: self._screen.line(told), confirmed=confirmed)

    def confirm_destroy(self, yes: bool) -> None:
        """Disposable environments: asks. Elsewhere there is nothing to lose; guarded ones were refused before."""
        if self._run.policy.drops and not yes:
            question = f"drop the database {self._run.database_in_words} with all its data, and its users? Type yes:"
            self._typed("yes", question, f"destroy {self._run.environment}")

    def confirm_reset(self, yes: bool) -> None:
        """Asks: what is in the database will be gone."""
        if not yes:
            question = (
                f"drop the database {self._run.database_in_words} with all its data, and make it again empty? Type yes:"
            )
            self._typed("yes", question, f"reset {self._run.environment}")

    def confirm_retirement(self, yes: bool, question: str, command: str) -> None:
        """Asks; guarded environments are asked by `confirm_up`."""
        if not (yes or self._run.policy.confirms_up):
            self._typed("yes", f"{question} Type yes:", command)

    def _typed(self, expected: str, question: str, command: str) -> None:
        typed(self._screen, self._run.policy, expected, question, command)

    def preview(self, *, as_sql: bool = False) -> None:
        """What `up` would do: service by service in words, or the statements in their order."""
        self._verb = "to change"
        if self._run.is_direct:
            outcome = self._run.direct.preview()
            if as_sql:
                self._screen.raw(change_script(outcome.changes, self._run.database))
            for change in sorted(outcome.changes, key=service_of):
                if as_sql:
                    self._note(change)
                else:
                    self._show(change, service_of(change))
            self._take(outcome)
        else:
            with self._drawn():
                report = self._run.pulumi.preview(self._heard)
            self._report(report)
            check_losses(self._run.policy, self._run.environment, report.losses)

    def up(self) -> None:
        """Applies, and shows where the connection files are."""
        self._verb = "changed"
        if self._run.is_direct:
            with self._drawn():
                outcome = self._run.direct.up(self._change)
            self._take(outcome)
        else:
            with self._drawn():
                report = self._pulumi_up()
            self._report(report)
            self._files = self._connection_files()
        self._show_services()

    def _pulumi_up(self) -> EngineReport:
        confirmation = self._run.database if self._run.policy.confirms_up else None
        try:
            return self._run.pulumi.up(self._heard, confirmation=confirmation, lock_timeout_s=LOCK_TIMEOUT_S)
        except EngineError as error:
            if OUTDATED_STATE not in error.what or not self._run.policy.drops:
                raise
        self._screen.line("the state speaks of another server, or of a database that is gone: it forgets them first")
        self._forget()
        self._run.pulumi.forget()
        return self._run.pulumi.up(self._heard, confirmation=confirmation, lock_timeout_s=LOCK_TIMEOUT_S)

    def show_service(self, service: str, changes: Iterable[Change]) -> None:
        """What is to be changed of a service as the server shows it, of which a preview by an engine's state may not know."""
        self._screen.heading(f"{service}, as the server is now")
        for change in changes:
            line = describe(change)
            self._screen.step(line.symbol, line.text, indent=4)

    def change_logins(self, changer: LoginChanger, users: Collection[str], passwords: Mapping[str, SecretStr]) -> None:
        """Opens and closes logins and sets passwords, on the server alone. Raises ApplyError."""
        self._verb = "changed"
        with self._drawn():
            changer.change(users, passwords, self._change)

    def converge_service(self, service: str) -> None:
        """Makes the server what the model says of a service, where the engine's state did not know what it is like.

        Raises ApplyError where it is not so then, though no statement was refused.
        """
        hidden = self._run.direct.converge_service(service, self._change)
        if not hidden:
            return
        if left := [describe(change) for change in self._run.direct.converge_service(service, apply=False)]:
            raise ApplyError(
                f"{service} is not what it should be on the server; this did not come about: "
                + "; ".join(f"{line.symbol} {line.text}" for line in left),
                where=self._run.database_in_words,
                mend="run this again; a privilege that stays was granted by another role than the owner, and only that one "
                f"takes it back: \\dn+ {service} and \\dp {service}.* in psql show which",
            )
        if not self._run.is_direct:
            self._warn(
                f"the stack's state did not know what {service} was like on the server; it is as it should be now"
            )

    def reset(self) -> None:
        """Drops the database and makes it again."""
        self._verb = "changed"
        with self._drawn():
            outcome = self._run.direct.reset(self._change)
        self._take(outcome)

    def destroy(self) -> None:
        """Lets go of what the policy permits."""
        self._verb = "let go"
        run = self._run
        if run.policy.forgets:
            self._check_kept()
        if run.is_direct:
            with self._drawn():
                outcome = run.direct.destroy(self._change)
            self._take(outcome)
            return
        if run.policy.forgets:
            # The state holds the only copy of generated passwords; the files must have them before it forgets.
            if records := records_to_leave(run):
                self._files = connections.write_files(run.project, run.environment, records, warn=self._warn)
            self._warn(f"{run.database} and its users are left in place; the connection files keep their passwords")
        else:
            run.direct.check_destroy()
            run.direct.drop_leftovers(self._change)
        with self._drawn():
            report = run.pulumi.destroy(self._heard, lock_timeout_s=LOCK_TIMEOUT_S)
        self._report(report)
        if run.policy.drops:
            forget_environment(run.project, run.environment)
        else:
            forget_identity(run.project, run.environment)

    def _check_kept(self) -> None:
        """Refuses to say of a database that is half dropped that it is kept. A server that does not answer is no obstacle."""
        with suppress(ServerConnectionError, ServerError):
            check_valid(self._run.settings, self._run.endpoint, self._run.cluster)

    def finish(self, **more: object) -> None:
        """The closing line, and the JSON result, with what else a command has to tell in it."""
        seconds = time.monotonic() - self._began
        count = len(self._changes)
        self._screen.line(f"{count or 'nothing'} {self._verb} in {seconds:.1f} s")
        self._screen.result(
            {
                "environment": self._run.environment,
                "engine": str(self._run.chosen.engine),
                "reason": self._reason,
                "changes": self._changes,
                "warnings": self._warnings,
                "files": [str(file) for file in self._files],
                "seconds": round(seconds, 3),
                **more,
            }
        )

    @contextmanager
    def _drawn(self) -> Iterator[None]:
        """A long piece of work, which a terminal shows as a live table."""
        self._board = Board(self._run.database)
        with self._screen.live(self._board):
            yield

    def _forget(self) -> None:
        self._changes.clear()
        self._warnings.clear()
        self._group = None

    def _change(self, change: Change) -> None:
        """A change as it is sent; what users may do on the database is sent for all of them together."""
        self._board.take_change(change)
        on_database = isinstance(change, GrantPrivileges | RevokePrivileges) and change.grant.kind == "database"
        self._show(change, "" if on_database else service_of(change))

    def _show(self, change: Change, group: str) -> None:
        if group != self._group:
            self._group = group
            self._screen.heading(group or self._run.database)
        self._screen.step(*self._note(change), indent=4)

    def _note(self, change: Change) -> tuple[str, str]:
        line = describe(change)
        self._changes.append({"service": service_of(change), "symbol": line.symbol, "text": line.text})
        return line.symbol, line.text

    def _step(self, symbol: str, text: str) -> None:
        self._changes.append({"symbol": symbol, "text": text})
        self._screen.step(symbol, text)

    def _warn(self, text: str) -> None:
        text = with_engine(text, self._run.environment, self._run.requested)
        self._warnings.append(text)
        self._screen.warning(text)

    def _heard(self, item: Step | Notice) -> None:
        """One event of the Pulumi engine; errors are shown once, at the end."""
        if isinstance(item, Step):
            if not item.is_internal:
                self._board.take_step(item)
                self._step(item.symbol, f"{item.kind} {item.name}")
        elif item.severity == "warning":
            self._warn(item.message)

    def _report(self, report: EngineReport) -> None:
        counts = ", ".join(f"{count} {operation}" for operation, count in sorted(report.summary.items()))
        if counts:
            self._screen.line(f"resources: {counts}")

    def _take(self, outcome: Applied) -> None:
        for warning in outcome.warnings:
            self._warn(warning)
        self._files = list(outcome.files)

    def _connection_files(self) -> list[Path]:
        project, environment = self._run.project, self._run.environment
        services = connections.provisioned_services(project, environment)
        return [connections.connection_file(project, environment, service) for service in services]

    def _show_services(self) -> None:
        project, environment = self._run.project, self._run.environment
        settings = self._run.settings_without_secrets
        retired = {service.name for service in settings.services if service.retired}
        rows = [
            (
                f"{service} (retired)" if service in retired else service,
                *(settings.open_logins(service, kind)[-1] for kind in USER_KINDS),
                project.relative(connections.connection_file(project, environment, service)),
            )
            for service in connections.provisioned_services(project, environment)
        ]
        self._screen.table(("service and schema", "migration user", "app user", "connection file"), rows)
