"""The tables that migration users make for a proof in disposable environments, and that are dropped whatever happens."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
from pydantic import SecretStr

from .attempting import beginning, for_each, log_in, message_of
from .attempts import SCRATCH_PREFIX, Relation
from .connecting import Refusal, connect_admin
from .endpoint import Endpoint
from .errors import GolabsError
from .inspection import lost_in_words, read_rows, trust_only_the_catalogs
from .interrupting import killed_is_interrupted, kills_wait
from .model import Desired, ServiceModel
from .statement import remedy

_PATIENT = "SET LOCAL lock_timeout TO '5s';\n"
_RUNNING = 0x676F6C616273
"""The advisory lock that a run with scratch tables shares; who has it alone may remove what others left."""


def read_relations(connection: psycopg.Connection[Any], schemas: Iterable[str]) -> tuple[Relation, ...]:
    """The relations of these schemas as an admin's connection shows them. Raises ServerConnectionError."""
    trust_only_the_catalogs(connection)
    return tuple(
        Relation(**{**row, "columns": tuple(row["columns"])})
        for row in read_rows(connection, "probe_relations", schemas=list(schemas))
    )


class Scratch:
    """The tables that migration users make for a proof: one in each schema, of the same name, dropped in the end.

    A retired service has none, as its migration user can't log in.
    """

    def __init__(self, endpoint: Endpoint, desired: Desired, passwords: Mapping[str, SecretStr], workers: int) -> None:
        self.name = f"{SCRATCH_PREFIX}{secrets.token_hex(6)}"
        self.made: set[str] = set()
        self.refused: dict[str, str] = {}
        self.left_behind: set[str] = set()
        self._endpoint = endpoint
        self._database = desired.database.name
        roles = {role.name: role for role in desired.roles}
        self._services = [each for each in desired.services if roles[each.open_logins["migration"][-1]].login]
        self._passwords = passwords
        self._workers = workers
        self._begun: set[str] = set()
        self._leftovers: dict[str, list[str]] = {}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Makes them, and drops them however it ends, also by a kill. Other runs can tell that this one goes on.

        Raises ServerConnectionError where the server does not answer.
        """
        with killed_is_interrupted(), connect_admin(self._endpoint, self._database) as admin:
            self._leftovers = self._abandoned(admin)
            try:
                for_each(self._make, self._services, self._workers)
                yield
            finally:
                begun = [each for each in self._services if each.schema.name in self._begun]
                with kills_wait():
                    for_each(lambda service: self._drop(service, admin), begun, self._workers)

    def _abandoned(self, admin: psycopg.Connection[Any]) -> dict[str, list[str]]:
        """What killed runs have left in each schema, its migration user's own; nothing while another run goes on."""
        alone = b"SELECT pg_catalog.pg_try_advisory_lock(%s)"
        owners = {service.schema.name: service.migration.name for service in self._services}
        found: dict[str, list[str]] = {}
        # Where somebody plays with our lock, nobody cleans up.
        with lost_in_words(admin), suppress(psycopg.errors.LockNotAvailable):
            admin.execute(b"SET lock_timeout TO '5s'")
            if admin.execute(alone, [_RUNNING]).fetchone() == (True,):
                for relation in read_relations(admin, owners):
                    ours = relation.kind == "r" and relation.name.startswith(SCRATCH_PREFIX)
                    if ours and relation.owner == owners[relation.schema]:
                        found.setdefault(relation.schema, []).append(relation.name)
            admin.execute(b"SELECT pg_catalog.pg_advisory_lock_shared(%s)", [_RUNNING])
            admin.execute(b"SELECT pg_catalog.pg_advisory_unlock(%s)", [_RUNNING])
        return found

    def _make(self, service: ServiceModel) -> None:
        schema, user = service.schema.name, service.open_logins["migration"][-1]
        if user not in self._passwords:
            self.refused[service.name] = f"the password of {user} is not known"
            return
        create = remedy("CREATE TABLE {} (id bigserial, note pg_catalog.text)", (schema, self.name))
        remove = [remedy("DROP TABLE IF EXISTS {}", (schema, name)) for name in self._leftovers.get(schema, ())]
        self._begun.add(schema)
        if reason := self._run(user, [*remove, create]):
            self.refused[service.name] = reason
        else:
            self.made.add(schema)

    def _drop(self, service: ServiceModel, admin: psycopg.Connection[Any]) -> None:
        """By its owner, or where that one can't any more, by the admin."""
        drop = remedy("DROP TABLE IF EXISTS {}", (service.schema.name, self.name))
        if not self._run(service.open_logins["migration"][-1], [drop]):
            return
        try:
            admin.execute(drop.encode())
        except psycopg.Error:
            if service.schema.name in self.made:
                self.left_behind.add(f"{service.schema.name}.{self.name}")

    def _run(self, user: str, statements: Collection[str], *, again: bool = True) -> str:
        """Runs statements as a migration user in one transaction; gives why it could not, or nothing.

        A session that was lost is opened `again` once.
        """
        try:
            session = log_in(self._endpoint, self._database, user, self._passwords[user])
            if isinstance(session, Refusal):
                return f"{user} can't log in: {session.message}"
            with closing(session):
                try:
                    session.execute("\n".join([beginning(session), _PATIENT, *statements, "COMMIT;"]).encode())
                except psycopg.Error as error:
                    if not (session.broken and again):
                        return message_of(error)
                else:
                    return ""
        except psycopg.Error as error:
            return message_of(error)
        except GolabsError as error:
            return error.what
        return self._run(user, statements, again=False)
