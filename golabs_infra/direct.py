"""The direct engine: applies the model over a connection, without the Pulumi CLI and without state.

Roles, schemas and privileges change in one transaction; CREATE DATABASE, which can't be in one, comes before it and is
picked up by the next run if that fails. An advisory lock makes two runs on one environment wait for each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from . import connections
from .adoption import Decision, Memory, Origin, decide
from .applying import Applier, Progress, unheard
from .changes import AllowConnections, AlterRole, Change, CreateRole, DropDatabase, SetPassword
from .connecting import connect_admin
from .endpoint import Endpoint
from .errors import AdoptionError, ApplyError, GolabsError
from .forgetting import forget_environment
from .formats_login import ExportFormat
from .guarding import check_destroy, check_losses, check_reset
from .identity import check_same_server, forget_identity, note_identity, recall_identity
from .inspection import Cluster, Live, PasswordProver, read_cluster, read_live, read_ties
from .interrupting import signals_wait
from .model import Desired, expand
from .names import rebuilt_name
from .passwords import generate, new_verifier
from .pending import note_pending, settle_pending
from .plan import leaving_users, plan, plan_database, plan_destroy, plan_rebuild, plan_release, service_of
from .project import Project
from .proofs import note_proofs, proof, recall_proofs
from .recollection import recall_passwords
from .rights import check_drop, check_rebuild, tie_faults, whereabouts
from .script import write_scripts
from .sessions import open_sessions
from .settings import Settings
from .wording import describe


@dataclass(frozen=True)
class Applied:
    """What a run did or would do."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Survey:
    """What a run found before it changes anything, and what was decided.

    `connection` is to the environment's database, and `live` what it shows; both None where nobody could look into it.
    """

    cluster: Cluster
    connection: psycopg.Connection[Any] | None
    live: Live | None
    decision: Decision
    proves: PasswordProver
    closed: frozenset[str]

    def is_to_set(self, user: str) -> bool:
        """Whether a user gets a password: it is new, or has another one than it is to have."""
        password = self.decision.passwords[user].value
        if user not in self.cluster.roles:
            return True
        if password is None:
            return user not in self.closed  # nobody logs in as one that is closed
        return not self.proves(user, password)


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

    def preview(self) -> Applied:
        """What `up` would do. Writes nothing, on the server or here; verifiers of new passwords are left open."""
        with ExitStack() as opened:
            admin = opened.enter_context(connect_admin(self.endpoint))
            survey = self._survey(admin, opened)
            cluster, decision = survey.cluster, survey.decision
            changes = [*self._leftovers(cluster), *plan_database(self.desired, Live(cluster))]
            if cluster.database_exists and survey.live is None:
                unseen = (
                    f"{self.settings.database} allows no connections: what else is to change is not known before up"
                )
                return Applied(tuple(changes), (*decision.warnings, unseen), ())
            unknown = dict.fromkeys(user for user in self.settings.users if survey.is_to_set(user))
            inside = plan(self.desired, survey.live or Live(cluster), unknown, self._removed(decision))
            self._check_losses(inside)
            return Applied((*changes, *inside), decision.warnings, ())

    def up(self, progress: Progress = unheard) -> Applied:
        """Creates what is missing and converges what differs, then writes the connection files."""
        with ExitStack() as opened:
            admin = opened.enter_context(connect_admin(self.endpoint))
            opened.enter_context(self._applier.lock(admin))
            workers = opened.enter_context(ThreadPoolExecutor(os.cpu_count()))
            survey = self._survey(admin, opened)
            cluster, decision = survey.cluster, survey.decision
            passwords = {user: password.value or SecretStr(generate()) for user, password in decision.passwords.items()}
            # Generated passwords are written down before a server knows them: a run that is killed loses none.
            self._note_pending(decision, passwords)
            new = {
                user: workers.submit(new_verifier, password)
                for user, password in passwords.items()
                if survey.is_to_set(user)
            }
            changes = [*self._leftovers(cluster), *plan_database(self.desired, Live(cluster))]
            self._applier.one_by_one(admin, changes, progress)
            connection, live = survey.connection, survey.live
            if connection is None or live is None:
                cluster = self._cluster(admin)
                connection = opened.enter_context(connect_admin(self.endpoint, self.settings.database))
                live = read_live(connection, cluster, self.desired)
            inside = plan(self.desired, live, dict.fromkeys(new), self._removed(decision))
            self._check_losses(inside)
            # The server makes the first users while the verifiers of the last ones are computed.
            self._applier.in_one_transaction(connection, _with_verifiers(inside, new), progress)
            # Still under the lock: the next run reads these files to know what this one did.
            environment, database = self.settings.environment, self.settings.database
            note_identity(self.project, environment, cluster.system_identifier, database, self.settings.users)
            clear = {user: password.get_secret_value() for user, password in passwords.items()}
            records = connections.build_records(self.desired, self.endpoint, clear)
            told: list[str] = []
            gone = self._removed(decision)
            files = connections.write_files(self.project, environment, records, gone, warn=told.append)
            settle_pending(self.project, environment, None if self.settings.policy.drops else self.settings.users)
            write_scripts(self.project, self.desired)
            set_now = {user: proof(verifier.result(), user, clear[user]) for user, verifier in new.items()}
            note_proofs(self.project, environment, survey.proves.proofs | set_now, self.settings.users)
        return Applied((*changes, *inside), (*decision.warnings, *told), tuple(files))

    def release_removed(self, removed: tuple[str, ...]) -> None:
        """Empties services that are to be dropped by another engine, which would fail half-way (`plan_release`)."""
        with (
            connect_admin(self.endpoint) as admin,
            self._applier.lock(admin),
            connect_admin(self.endpoint, self.settings.database) as connection,
        ):
            live = read_live(connection, self._cluster(admin), self.desired)
            self._applier.in_one_transaction(connection, plan_release(self.desired, live, removed), unheard)

    def converge_service(self, service: str, progress: Progress = unheard, *, apply: bool = True) -> tuple[Change, ...]:
        """Makes a service that is there what the model says, but for passwords: what another engine's state hid from it.

        Gives the changes; with `apply` false they are only looked at. There are none where nobody can look into the database.
        """
        with ExitStack() as opened:
            admin = opened.enter_context(connect_admin(self.endpoint))
            opened.enter_context(self._applier.lock(admin))
            cluster = self._cluster(admin)
            if not (cluster.database_exists and cluster.allows_connections):
                return ()
            connection = opened.enter_context(connect_admin(self.endpoint, self.settings.database))
            live = read_live(connection, cluster, self.desired)
            absent = dict.fromkeys(user for user in self.settings.users if user not in live.cluster.roles)
            changes = [change for change in plan(self.desired, live, absent) if service_of(change) == service]
            if apply:
                self._applier.in_one_transaction(connection, changes, progress)
        return tuple(changes)

    def open_database(self) -> None:
        """Lets connections to the database again, which a destroy that failed had closed."""
        with connect_admin(self.endpoint) as admin:
            self._applier.one_by_one(admin, [AllowConnections(self.settings.database)], unheard)

    def drop_leftovers(self, progress: Progress = unheard) -> None:
        """Drops what a run that was interrupted has left, which no other engine knows of. Waits for one that is at work."""
        with connect_admin(self.endpoint) as admin, self._applier.lock(admin):
            self._applier.one_by_one(admin, self._leftovers(self._cluster(admin)), progress)

    def export(self, form: ExportFormat, warn: Callable[[str], None]) -> list[Path]:
        """Writes the connection files again, in a form, from the configuration and from the files that are there.

        `warn` is told which other forms had to go.
        """
        environment = self.settings.environment
        written = connections.read_records(self.project, environment)
        known = {**connections.known_passwords(written), **self.settings.passwords}
        users = self.settings.users_with_passwords
        if unknown := [user for user in users if user not in known]:
            raise GolabsError(
                f"no password is known for {', '.join(unknown)}",
                where=self.settings.source,
                mend=f"golabs up {environment}",
            )
        clear = {user: known[user].get_secret_value() for user in users}
        records = connections.build_records(self.desired, self.endpoint, clear)
        others = {user: passwords for user, passwords in connections.candidates(written).items() if user in users}
        records = connections.keeping(records, others)
        return connections.export_files(self.project, environment, records, form, warn=warn)

    def destroy(self, progress: Progress = unheard) -> Applied:
        """What the policy permits: drops everything (disposable), or forgets it (keep). Raises PolicyError if guarded."""
        policy, environment = self.settings.policy, self.settings.environment
        check_destroy(policy, environment)
        if policy.forgets:
            forget_identity(self.project, environment)
            kept = f"{self.settings.database} and its users are left in place on {self.endpoint.address}"
            return Applied((), (f"{kept}; the connection files, which hold their passwords, are kept too",), ())
        with connect_admin(self.endpoint) as admin, self._applier.lock(admin):
            cluster = self._cluster(admin)
            self._check_drop(admin, cluster, users=cluster.roles)
            changes = [*self._leftovers(cluster), *plan_destroy(self.desired, Live(cluster))]
            self._applier.one_by_one(admin, changes, progress)
            removed = forget_environment(self.project, environment)
        return Applied(tuple(changes), (), tuple(removed))

    def reset(self, progress: Progress = unheard) -> Applied:
        """Puts a new, empty database in the place of the old one; its users keep their passwords.

        The new one is built whole before the old one goes, so a run that fails leaves the old one as it was. No state
        and no connection file changes by it. Raises PolicyError unless disposable.
        """
        check_reset(self.settings.policy, self.settings.environment)
        fresh = rebuilt_name(self.settings.database)
        with connect_admin(self.endpoint) as admin, self._applier.lock(admin):
            cluster = self._cluster(admin)
            check_rebuild(self.settings, self.endpoint, cluster)
            self._check_reset(cluster)
            self._check_drop(admin, cluster)
            builder = Applier(self.endpoint, fresh)
            create, swap = plan_rebuild(self.desired, Live(cluster))
            builder.one_by_one(admin, create, progress)
            with connect_admin(self.endpoint, fresh) as connection:
                live = read_live(connection, self._cluster(admin, fresh), self.desired)
                inside = [change for change in plan(self.desired, live, {}) if not isinstance(change, AlterRole)]
                builder.in_one_transaction(connection, inside, progress)
            with signals_wait():  # half way there is no database of this name
                self._applier.one_by_one(admin, swap, progress)
        return Applied((*create, *inside, *swap), (), ())

    def check_destroy(self) -> None:
        """Refuses, before anything is dropped, a destroy that the server would refuse half-way. Raises AdoptionError."""
        with connect_admin(self.endpoint) as admin:
            cluster = self._cluster(admin)
            self._check_drop(admin, cluster, users=cluster.roles)

    def _check_drop(self, admin: psycopg.Connection[Any], cluster: Cluster, users: Iterable[str] = ()) -> None:
        database, dropped = self.settings.database, sorted(users)
        sessions = open_sessions(admin, database) if cluster.database_exists else ()
        check_drop(self.endpoint, database, cluster, dropped, sessions, read_ties(admin, database, dropped))

    def check_removed(self, removed: tuple[str, ...]) -> None:
        """Refuses to drop services whose users something keeps from being dropped. Raises AdoptionError."""
        with connect_admin(self.endpoint) as admin:
            self._check_removed(admin, self._cluster(admin), removed)

    def _check_removed(self, admin: psycopg.Connection[Any], cluster: Cluster, removed: tuple[str, ...]) -> None:
        users = leaving_users(cluster, removed)
        if users and (faults := tie_faults(cluster, read_ties(admin, self.settings.database, users))):
            raise AdoptionError(faults, where=whereabouts(cluster, self.endpoint))

    def _check_losses(self, changes: Iterable[Change]) -> None:
        losses = [describe(change).text for change in changes if change.destructive]
        check_losses(self.settings.policy, self.settings.environment, losses)

    def _check_reset(self, cluster: Cluster) -> None:
        """Refuses another server than the last run's, and users that are not there yet, before anything is dropped."""
        where, found = self.endpoint.address, cluster.system_identifier
        check_same_server(self.project, self.settings, where, found, "nothing was dropped")
        if absent := [user for user in self.settings.users if user not in cluster.roles]:
            raise ApplyError(
                f"there is no user {absent[0]} yet, and a reset makes none; nothing was dropped",
                where=f"{where}/{self.settings.database}",
                mend=f"golabs up {self.settings.environment}",
            )

    def _leftovers(self, cluster: Cluster) -> list[Change]:
        """What an interrupted run has left: the database that was to take the place of this one, and this one half dropped."""
        if not self.settings.policy.drops:
            return []
        unfinished: list[Change] = (
            [DropDatabase(rebuilt_name(self.settings.database))] if cluster.unfinished_reset else []
        )
        return [*unfinished, *([DropDatabase(self.settings.database)] if cluster.invalid_database else [])]

    def _cluster(self, admin: psycopg.Connection[Any], database: str | None = None) -> Cluster:
        users = self.settings.users
        return read_cluster(admin, self.settings.environment, database or self.settings.database, users)

    def _survey(self, admin: psycopg.Connection[Any], opened: ExitStack) -> Survey:
        """Looks at everything; what it opens stays open as long as `opened` does."""
        cluster = self._cluster(admin)
        connection, live = None, None
        if cluster.database_exists and cluster.allows_connections:
            connection = opened.enter_context(connect_admin(self.endpoint, self.settings.database))
            live = read_live(connection, cluster, self.desired)
        memory = self._memory(cluster)
        noted = recall_proofs(self.project, self.settings.environment)
        proves = PasswordProver(self.endpoint, self.settings.database, cluster, admin, noted)
        remembered = {user: known[0] for user, known in memory.passwords.items() if known}
        likely = {**remembered, **self.settings.passwords}
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            proves.compare({user: likely[user] for user in self.settings.users if user in likely}, workers)
        decision = decide(self.settings, self.endpoint, cluster, memory, proves, live, self.desired)
        self._check_removed(admin, cluster, self._removed(decision))
        return Survey(cluster, connection, live, decision, proves, self.settings.closed)

    def _memory(self, cluster: Cluster) -> Memory:
        """What files tell of earlier runs: which server it was, which users, and their passwords."""
        environment = self.settings.environment
        identity = recall_identity(self.project, environment)
        known = recall_passwords(self.project, environment)
        # Where all may be dropped, the users on the server tell which services an earlier run provisioned. Elsewhere
        # some may be there that were never ours, so only what an earlier run wrote down counts.
        managed = frozenset(cluster.roles)
        if not self.settings.policy.drops:
            managed &= identity.users
        return Memory(identity.system_identifier, managed, passwords=known)

    def _removed(self, decision: Decision) -> tuple[str, ...]:
        return decision.removed_services if self.settings.policy.drops else ()

    def _note_pending(self, decision: Decision, passwords: Mapping[str, SecretStr]) -> None:
        origins = {user: password.origin for user, password in decision.passwords.items()}
        if Origin.GENERATED in origins.values():
            # With those that were kept: an earlier run that was killed may have written them nowhere else.
            kept = {user: passwords[user] for user, origin in origins.items() if origin is not Origin.CONFIGURED}
            note_pending(self.project, self.settings.environment, kept)
