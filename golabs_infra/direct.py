"""The direct engine: applies the model over a connection, without the Pulumi CLI and without state.

Roles, schemas and privileges change in one transaction; CREATE DATABASE, which can't be in one, comes before it and is
picked up by the next run if that fails. An advisory lock makes two runs on one environment wait for each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from pydantic import SecretStr

from . import connections
from .adoption import Decision, Memory, Origin, check_destroy, decide
from .connecting import connect_admin
from .endpoint import Endpoint
from .errors import ApplyError, GolabsError
from .files import write_private
from .identity import forget_identity, note_identity, recall_identity
from .inspection import Cluster, Live, PasswordProver, read_cluster, read_live
from .model import Desired, expand
from .passwords import generate, random_salt, scram_verifier
from .plan import Change, plan, plan_database, plan_destroy
from .project import Project
from .settings import Settings
from .sql import statements
from .wording import describe

LOCK_TIMEOUT_S = 60


@dataclass(frozen=True)
class Outcome:
    """What a run did or would do."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class DirectEngine:
    """One environment on one server, with the project whose files hold what is remembered of it."""

    project: Project
    settings: Settings
    endpoint: Endpoint

    @property
    def desired(self) -> Desired:
        """The model of the settings."""
        return expand(self.settings)

    def preview(self) -> Outcome:
        """What `up` would do. Writes nothing, on the server or here."""
        with connect_admin(self.endpoint) as admin:
            cluster = self._cluster(admin)
            decision = self._decide(cluster)
            passwords = {user: password.value or SecretStr(generate()) for user, password in decision.passwords.items()}
            changes = plan_database(self.desired, Live(cluster))
            if cluster.database_exists and not cluster.allows_connections:
                unseen = (
                    f"{self.settings.database} allows no connections: what else is to change is not known before up"
                )
                return Outcome(tuple(changes), (*decision.warnings, unseen), ())
            live = Live(cluster)
            if cluster.database_exists:
                with connect_admin(self.endpoint, self.settings.database) as connection:
                    live = read_live(connection, cluster, self.desired)
            changes += plan(self.desired, live, self._verifiers(cluster, decision, passwords), self._removed(decision))
            return Outcome(tuple(changes), decision.warnings, ())

    def up(self, progress: Callable[[Change], None] = lambda change: None) -> Outcome:
        """Creates what is missing and converges what differs, then writes the connection files."""
        with connect_admin(self.endpoint) as admin, self._lock(admin):
            cluster = self._cluster(admin)
            decision = self._decide(cluster)
            passwords = self._passwords(decision)
            verifiers = self._verifiers(cluster, decision, passwords)
            # Generated passwords are written down before a server knows them: a run that is killed loses none.
            pending = self._write_pending(decision, passwords)
            changes = plan_database(self.desired, Live(cluster))
            for change in changes:
                progress(change)
                self._execute(admin, change)
            if changes:
                cluster = self._cluster(admin)
            with connect_admin(self.endpoint, self.settings.database) as connection:
                live = read_live(connection, cluster, self.desired)
                inside = plan(self.desired, live, verifiers, self._removed(decision))
                with self._transaction(connection):
                    for change in inside:
                        progress(change)
                        self._execute(connection, change)
            # Still under the lock: the next run reads these files to know what this one did.
            environment, database = self.settings.environment, self.settings.database
            note_identity(self.project, environment, cluster.system_identifier, database, self.settings.users)
            clear = {user: password.get_secret_value() for user, password in passwords.items()}
            records = connections.build_records(self.desired, self.endpoint, clear)
            files = connections.write_files(
                self.project, self.settings.environment, records, removed=self._removed(decision)
            )
            pending.unlink(missing_ok=True)
        return Outcome((*changes, *inside), decision.warnings, tuple(files))

    def export(self) -> list[Path]:
        """Writes the connection files again, from the configuration and from the files that are there."""
        environment = self.settings.environment
        kept = connections.known_passwords(connections.read_records(self.project, environment))
        known = {**kept, **self.settings.passwords}
        if unknown := [user for user in self.settings.users if user not in known]:
            raise GolabsError(
                f"no password is known for {', '.join(unknown)}",
                where=self.settings.source,
                mend=f"golabs up {environment}",
            )
        clear = {user: known[user].get_secret_value() for user in self.settings.users}
        return connections.write_files(
            self.project, environment, connections.build_records(self.desired, self.endpoint, clear)
        )

    def destroy(self, progress: Callable[[Change], None] = lambda change: None) -> Outcome:
        """What the policy permits: drops everything (disposable), or forgets it (keep). Raises PolicyError if guarded."""
        policy, environment = self.settings.policy, self.settings.environment
        check_destroy(policy, environment)
        if policy.forgets:
            forget_identity(self.project, environment)
            kept = f"{self.settings.database} and its users are left in place on {self.endpoint.address}"
            return Outcome((), (f"{kept}; the connection files, which hold their passwords, are kept too",), ())
        with connect_admin(self.endpoint) as admin, self._lock(admin):
            changes = plan_destroy(self.desired, Live(self._cluster(admin)))
            for change in changes:
                progress(change)
                self._execute(admin, change)
            forget_identity(self.project, environment)
            self._pending_file.unlink(missing_ok=True)
            removed = connections.remove_files(self.project, environment)
        return Outcome(tuple(changes), (), tuple(removed))

    def _cluster(self, admin: psycopg.Connection[Any]) -> Cluster:
        return read_cluster(admin, self.settings.environment, self.settings.database, self.settings.users)

    def _decide(self, cluster: Cluster) -> Decision:
        prover = PasswordProver(self.endpoint, self.settings.database, cluster)
        return decide(self.settings, self.endpoint, cluster, self._memory(cluster), prover)

    def _memory(self, cluster: Cluster) -> Memory:
        """What files tell of earlier runs: which server it was, which users, and their passwords."""
        environment = self.settings.environment
        passwords = connections.known_passwords(connections.read_records(self.project, environment))
        identity = recall_identity(self.project, environment)
        pending = {user: SecretStr(text) for user, text in _read_json(self._pending_file).items()}
        known = {
            user: tuple(found[user] for found in (pending, passwords) if user in found)
            for user in {*passwords, *pending}
        }
        # Where all may be dropped, the users on the server tell which services an earlier run provisioned. Elsewhere
        # some may be there that were never ours, so only what an earlier run wrote down counts.
        managed = frozenset(cluster.roles)
        if not self.settings.policy.drops:
            managed &= identity.users
        return Memory(identity.system_identifier, managed, passwords=known)

    def _passwords(self, decision: Decision) -> dict[str, SecretStr]:
        return {
            user: SecretStr(generate()) if password.value is None else password.value
            for user, password in decision.passwords.items()
        }

    def _verifiers(self, cluster: Cluster, decision: Decision, passwords: Mapping[str, SecretStr]) -> dict[str, str]:
        """A new verifier for each user that is new or has another password now."""
        proves = PasswordProver(self.endpoint, self.settings.database, cluster)
        return {
            user: scram_verifier(password.get_secret_value(), random_salt())
            for user, password in passwords.items()
            if user not in cluster.roles
            or decision.passwords[user].origin is Origin.GENERATED
            or not proves(user, password)
        }

    def _removed(self, decision: Decision) -> tuple[str, ...]:
        return decision.removed_services if self.settings.policy.drops else ()

    @property
    def _pending_file(self) -> Path:
        return self.project.private_folder / "pending" / f"{self.settings.environment}.json"

    def _write_pending(self, decision: Decision, passwords: Mapping[str, SecretStr]) -> Path:
        origins = {user: password.origin for user, password in decision.passwords.items()}
        if Origin.GENERATED in origins.values():
            # With those that were kept: an earlier run that was killed may have written them nowhere else.
            noted = {
                user: passwords[user].get_secret_value() for user in origins if origins[user] is not Origin.CONFIGURED
            }
            write_private(self._pending_file, json.dumps(noted))
        return self._pending_file

    @contextmanager
    def _lock(self, admin: psycopg.Connection[Any]) -> Iterator[None]:
        """Waits for another run on this environment; the session's end frees the lock, whatever happens."""
        try:
            _limit_waiting(admin)
            admin.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"golabs:{self.settings.database}"])
        except psycopg.errors.LockNotAvailable as error:
            raise ApplyError(
                f"another golabs run has been at work on it for over {LOCK_TIMEOUT_S} s",
                where=self.settings.database,
                mend="wait for it, or end it, and run this again",
            ) from error
        except psycopg.Error as error:
            raise self._failed("the lock on the environment", admin, error) from error
        yield

    @contextmanager
    def _transaction(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        try:
            _limit_waiting(connection)
            with connection.transaction():
                yield
        except psycopg.Error as error:
            raise self._failed("the transaction", connection, error) from error

    def _execute(self, connection: psycopg.Connection[Any], change: Change) -> None:
        for statement in statements(change, self.settings.database):
            try:
                connection.execute(statement)
            except psycopg.Error as error:
                raise self._failed(repr(describe(change).text), connection, error) from error

    def _failed(self, what: str, connection: psycopg.Connection[Any], error: psycopg.Error) -> ApplyError:
        """The server's refusal, or the loss of the connection, in words."""
        if connection.broken:
            return ApplyError(
                f"the connection was lost, and nothing of an open transaction stays: {str(error).strip()}",
                where=self.endpoint.address,
                mend="see that the server runs, and run this again",
            )
        if isinstance(error, psycopg.errors.LockNotAvailable):
            mend = f"another session has held it for over {LOCK_TIMEOUT_S} s: end its transaction and run this again"
        else:
            mend = error.diag.message_hint or "settle what it names and run this again"
        if connection.info.transaction_status is TransactionStatus.INERROR:
            mend += "; nothing is half done"
        detail = f" ({error.diag.message_detail})" if error.diag.message_detail else ""
        return ApplyError(
            f"the server refused {what}: {error.diag.message_primary or error}{detail}",
            where=f"{self.endpoint.address}/{self.settings.database}",
            mend=mend,
        )


def _limit_waiting(connection: psycopg.Connection[Any]) -> None:
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{LOCK_TIMEOUT_S}s"])


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GolabsError("the file can't be read", where=str(path), mend="move it out of the way") from error
    return content if isinstance(content, dict) else {}
