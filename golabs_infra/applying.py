"""Sends changes to the server: one by one where no transaction can hold them, else all of them in one, as a pipeline.

In a pipeline nothing waits for the answer to the statement before it, so a plan costs the server's own work and hardly
more. What is refused becomes one ApplyError that names the change; what was to change is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from typing import Any

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus

from .changes import Change, DropDatabase
from .endpoint import Endpoint
from .errors import ApplyError
from .interrupting import signals_wait
from .sql import batches
from .statement import remedy
from .wording import describe

LOCK_TIMEOUT_S = 60
_CANCEL_TIMEOUT_S = 5

Progress = Callable[[Change], None]
"""Told of each change as it is sent."""


def unheard(_change: Change) -> None:
    """Progress that nobody follows."""


@dataclass(frozen=True)
class Applier:
    """One environment's database on one server, where changes are made."""

    endpoint: Endpoint
    database: str

    @contextmanager
    def lock(self, admin: psycopg.Connection[Any]) -> Iterator[None]:
        """Waits for another run on this environment; the session's end frees the lock, whatever happens."""
        try:
            self.limit_waiting(admin)
            admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"golabs:{self.database}"])
        except psycopg.errors.LockNotAvailable as error:
            raise ApplyError(
                f"another golabs run has been at work on it for over {LOCK_TIMEOUT_S} s",
                where=self.database,
                mend="wait for it, or end it, and run this again",
            ) from error
        except psycopg.Error as error:
            raise self._failed("the lock on the environment", admin, error) from error
        yield

    def one_by_one(self, connection: psycopg.Connection[Any], changes: Iterable[Change], progress: Progress) -> None:
        """Each change on its own, as creating and dropping a database must be. Raises ApplyError."""
        for change in changes:
            progress(change)
            for _, statements in batches([change], self.database):
                for statement in statements:
                    try:
                        with _whole(change):
                            connection.execute(statement)
                    except psycopg.Error as error:
                        mend = self._unsignalled if isinstance(change, DropDatabase) else ""
                        raise self._failed(_in_words([change]), connection, error, unprivileged=mend) from error

    def in_one_transaction(
        self, connection: psycopg.Connection[Any], changes: Iterable[Change], progress: Progress
    ) -> None:
        """All of the changes or none of them. Raises ApplyError."""
        coming = iter(changes)
        if (first := next(coming, None)) is None:
            return
        sent: list[tuple[list[Change], psycopg.Cursor[Any]]] = []
        try:
            self.limit_waiting(connection)
            with connection.transaction():
                self._send(connection, chain([first], coming), progress, sent)
        except psycopg.Error as error:
            raise self._failed(_refused(sent), connection, error, half_done=False) from error

    def _send(
        self,
        connection: psycopg.Connection[Any],
        changes: Iterable[Change],
        progress: Progress,
        sent: list[tuple[list[Change], psycopg.Cursor[Any]]],
    ) -> None:
        """Sends without waiting. Raises the first refusal: what comes after it, the server has not looked at."""
        refusals: list[psycopg.Error] = []
        with suppress(psycopg.errors.PipelineAborted), connection.pipeline() as pipeline:
            try:
                for together, statements in batches(changes, self.database):
                    for change in together:
                        progress(change)
                    for statement in statements:
                        sent.append((together, connection.cursor()))
                        sent[-1][1].execute(statement)
                pipeline.sync()
            except psycopg.Error as refusal:
                refusals.append(refusal)
            except KeyboardInterrupt:
                with suppress(psycopg.Error):  # else the end of the pipeline waits for what the server waits for
                    connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)
                raise
        if refusals:
            raise refusals[0]

    def limit_waiting(self, connection: psycopg.Connection[Any]) -> None:
        """From here on nothing waits longer than LOCK_TIMEOUT_S for what another session holds."""
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_TIMEOUT_S}s"])

    @property
    def _unsignalled(self) -> str:
        right = remedy("GRANT pg_signal_backend TO {}", self.endpoint.admin_user)
        return f"close the sessions that are open there, or as a superuser: {right} then run this again"

    def _failed(
        self,
        what: str,
        connection: psycopg.Connection[Any],
        error: psycopg.Error,
        *,
        half_done: bool = True,
        unprivileged: str = "",
    ) -> ApplyError:
        """The server's refusal, or the loss of the connection, in words. `unprivileged` mends a missing right."""
        if connection.broken:
            return ApplyError(
                f"the connection was lost, and nothing of an open transaction stays: {str(error).strip()}",
                where=self.endpoint.address,
                mend="see that the server runs, and run this again",
            )
        if isinstance(error, psycopg.errors.LockNotAvailable):
            mend = f"another session has held it for over {LOCK_TIMEOUT_S} s: end its transaction and run this again"
        elif isinstance(error, psycopg.errors.QueryCanceled):
            mend = "give the admin's sessions more time (SHOW statement_timeout), and run this again"
        elif isinstance(error, psycopg.errors.InsufficientPrivilege) and unprivileged:
            mend = unprivileged
        else:
            mend = error.diag.message_hint or "settle what it names and run this again"
        if not half_done or connection.info.transaction_status is TransactionStatus.INERROR:
            mend += "; nothing is half done"
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        return ApplyError(
            f"the server refused {what}: {error.diag.message_primary or error}{detail}",
            where=f"{self.endpoint.address}/{self.database}",
            mend=mend,
        )


def _whole(change: Change) -> AbstractContextManager[None]:
    """In which a change is made. psycopg cancels what Ctrl-C interrupts; a DROP DATABASE, once it is cancelled, has left a
    database that is invalid, so signals wait for its end."""
    return signals_wait() if isinstance(change, DropDatabase) else nullcontext()


def _refused(sent: Iterable[tuple[list[Change], psycopg.Cursor[Any]]]) -> str:
    """The change whose statement the server refused first: what came after it was not looked at."""
    for together, cursor in sent:
        if cursor.pgresult is None or cursor.pgresult.status == ExecStatus.FATAL_ERROR:
            return _in_words(together)
    return "the transaction"


def _in_words(changes: Sequence[Change]) -> str:
    others = f" and {len(changes) - 1} more like it" if len(changes) > 1 else ""
    return f"{describe(changes[0]).text!r}{others}"
