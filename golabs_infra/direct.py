"""The direct engine: applies the model over a connection, without the Pulumi CLI and without state.

Roles, schemas and privileges change in one transaction; CREATE DATABASE, which can't be in one, comes before it and is
picked up by the next run if that fails. An advisory lock makes two runs on one environment wait for each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from . import connections
from .adoption import Decision, Memory, Origin, check_destroy, check_reset, check_rights, decide
from .applying import Applier, Progress
from .changes import Change, CreateRole, SetPassword
from .connecting import connect_admin
from .endpoint import Endpoint
from .errors import ApplyError, GolabsError
from .files import write_private
from .identity import forget_identity, note_identity, recall_identity
from .inspection import Cluster, Live, PasswordProver, read_cluster, read_live
from .model import Desired, expand
from .passwords import generate, random_salt, scram_verifier
from .plan import plan, plan_database, plan_destroy, plan_rebuild
from .project import Project
from .proofs import forget_proofs, note_proofs, proof, recall_proofs
from .script import remove_scripts, write_scripts
from .settings import Settings


@dataclass(frozen=True)
class Outcome:
    """What a run did or would do."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Survey:
    """What a run found before it changes anything, and what was decided."""

    cluster: Cluster
    decision: Decision
    proves: PasswordProver

    def is_to_set(self, user: str) -> bool:
        """Whether a user gets a password: it is new, or has another one than it is to have."""
        password = self.decision.passwords[user].value
        return user not in self.cluster.roles or password is None or not self.proves(user, password)


def _new_verifier(password: SecretStr) -> str:
    return scram_verifier(password.get_secret_value(), random_salt())


def _with_verifiers(changes: Iterable[Change], verifiers: Mapping[str, Future[str]]) -> Iterator[Change]:
    """The changes of a plan, each with its verifier as soon as that is there."""
    for change in changes:
        match change:
            case CreateRole(role=role):
                yield replace(change, verifier=verifiers[role.name].result())
            case SetPassword(role=user):
                yield replace(change, verifier=verifiers[user].result())
            case _:
                yield change


@dataclass(frozen=True)
class DirectEngine:
    """One environment on one server, with the project whose files hold what is remembered of it."""

    project: Project
    settings: Settings
    endpoint: Endpoint

    @cached_property
    def desired(self) -> Desired:
        """The model of the settings."""
        return expand(self.settings)

    @property
    def _applier(self) -> Applier:
        return Applier(self.endpoint, self.settings.database)

    def preview(self) -> Outcome:
        """What `up` would do. Writes nothing, on the server or here; verifiers of new passwords are left open."""
        with connect_admin(self.endpoint) as admin, ThreadPoolExecutor(os.cpu_count()) as workers:
            survey = self._survey(admin, workers)
            cluster, decision = survey.cluster, survey.decision
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
            unknown = dict.fromkeys(user for user in self.settings.users if survey.is_to_set(user))
            changes += plan(self.desired, live, unknown, self._removed(decision))
            return Outcome(tuple(changes), decision.warnings, ())

    def up(self, progress: Progress = lambda change: None) -> Outcome:
        """Creates what is missing and converges what differs, then writes the connection files."""
        with (
            connect_admin(self.endpoint) as admin,
            self._applier.lock(admin),
            ThreadPoolExecutor(os.cpu_count()) as workers,
        ):
            survey = self._survey(admin, workers)
            cluster, decision = survey.cluster, survey.decision
            passwords = {user: password.value or SecretStr(generate()) for user, password in decision.passwords.items()}
            # Generated passwords are written down before a server knows them: a run that is killed loses none.
            pending = self._write_pending(decision, passwords)
            new = {
                user: workers.submit(_new_verifier, password)
                for user, password in passwords.items()
                if survey.is_to_set(user)
            }
            changes = plan_database(self.desired, Live(cluster))
            self._applier.one_by_one(admin, changes, progress)
            if changes:
                cluster = self._cluster(admin)
            with connect_admin(self.endpoint, self.settings.database) as connection:
                live = read_live(connection, cluster, self.desired)
                inside = plan(self.desired, live, dict.fromkeys(new), self._removed(decision))
                # The server makes the first users while the verifiers of the last ones are computed.
                self._applier.in_one_transaction(connection, _with_verifiers(inside, new), progress)
            # Still under the lock: the next run reads these files to know what this one did.
            environment, database = self.settings.environment, self.settings.database
            note_identity(self.project, environment, cluster.system_identifier, database, self.settings.users)
            clear = {user: password.get_secret_value() for user, password in passwords.items()}
            records = connections.build_records(self.desired, self.endpoint, clear)
            files = connections.write_files(self.project, environment, records, removed=self._removed(decision))
            write_scripts(self.project, self.desired, self._removed(decision))
            set_now = {user: proof(verifier.result(), user, clear[user]) for user, verifier in new.items()}
            note_proofs(self.project, environment, survey.proves.proofs | set_now, self.settings.users)
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

    def destroy(self, progress: Progress = lambda change: None) -> Outcome:
        """What the policy permits: drops everything (disposable), or forgets it (keep). Raises PolicyError if guarded."""
        policy, environment = self.settings.policy, self.settings.environment
        check_destroy(policy, environment)
        if policy.forgets:
            forget_identity(self.project, environment)
            kept = f"{self.settings.database} and its users are left in place on {self.endpoint.address}"
            return Outcome((), (f"{kept}; the connection files, which hold their passwords, are kept too",), ())
        with connect_admin(self.endpoint) as admin, self._applier.lock(admin):
            changes = plan_destroy(self.desired, Live(self._cluster(admin)))
            self._applier.one_by_one(admin, changes, progress)
            forget_identity(self.project, environment)
            self._pending_file.unlink(missing_ok=True)
            forget_proofs(self.project, environment)
            remove_scripts(self.project, environment)
            removed = connections.remove_files(self.project, environment)
        return Outcome(tuple(changes), (), tuple(removed))

    def reset(self, progress: Progress = lambda change: None) -> Outcome:
        """Drops the database with all its data and makes it again, empty; its users keep their passwords.

        No state and no connection file changes by it. Raises PolicyError unless disposable.
        """
        check_reset(self.settings.policy, self.settings.environment)
        with connect_admin(self.endpoint) as admin, self._applier.lock(admin):
            cluster = self._cluster(admin)
            check_rights(self.settings, self.endpoint, cluster)
            if absent := [user for user in self.settings.users if user not in cluster.roles]:
                raise ApplyError(
                    f"there is no user {absent[0]} yet, and a reset makes none; nothing was dropped",
                    where=f"{self.endpoint.address}/{self.settings.database}",
                    mend=f"golabs up {self.settings.environment}",
                )
            changes = plan_rebuild(self.desired, Live(cluster))
            self._applier.one_by_one(admin, changes, progress)
            cluster = self._cluster(admin)
            with connect_admin(self.endpoint, self.settings.database) as connection:
                inside = plan(self.desired, read_live(connection, cluster, self.desired), {})
                self._applier.in_one_transaction(connection, inside, progress)
        return Outcome((*changes, *inside), (), ())

    def _cluster(self, admin: psycopg.Connection[Any]) -> Cluster:
        return read_cluster(admin, self.settings.environment, self.settings.database, self.settings.users)

    def _survey(self, admin: psycopg.Connection[Any], workers: Executor) -> Survey:
        cluster = self._cluster(admin)
        memory = self._memory(cluster)
        noted = recall_proofs(self.project, self.settings.environment)
        proves = PasswordProver(self.endpoint, self.settings.database, cluster, admin, noted)
        remembered = {user: known[0] for user, known in memory.passwords.items() if known}
        likely = {**remembered, **self.settings.passwords}
        proves.compare({user: likely[user] for user in self.settings.users if user in likely}, workers)
        return Survey(cluster, decide(self.settings, self.endpoint, cluster, memory, proves), proves)

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


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GolabsError("the file can't be read", where=str(path), mend="move it out of the way") from error
    return content if isinstance(content, dict) else {}
