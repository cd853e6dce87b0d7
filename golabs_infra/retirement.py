"""What has to be known before a service is retired: what its schema holds, who depends on it, and who is connected.

Read as the admin from the catalogs alone, in a constant number of queries; the services' rows are not looked at, and
nothing is changed. Whether a finding stops the retirement is decided by who asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg

from .connecting import connect_admin
from .endpoint import Endpoint
from .errors import ApplyError, Fault
from .inspection import lost_in_words, read_cluster, read_rows, trust_only_the_catalogs
from .model import PUBLIC
from .sessions import Session, close_sessions, in_words, open_sessions, sessions_left
from .settings import Settings
from .statement import remedy

_LOCK_TIMEOUT = "5s"
_SHOWN = 3
"""So many of the objects that a dependent needs are named in a sentence."""


@dataclass(frozen=True)
class Holding:
    """What a schema holds of one kind. `rows` is the server's estimate; None where the kind has no rows, or no size."""

    kind: str
    number: int
    rows: int | None
    bytes: int | None


@dataclass(frozen=True)
class Dependent:
    """Something in another schema, and what it needs of this one, both in the server's words."""

    name: str
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Grantee:
    """Another role that may do something in the schema: by privileges of its own, or as a member of a service's user.

    `public`, which is no role, stands for everybody.
    """

    name: str
    privileges: tuple[str, ...]
    member_of: tuple[str, ...]


@dataclass(frozen=True)
class Preflight:
    """A service before its retirement."""

    service: str
    holdings: tuple[Holding, ...]
    dependents: tuple[Dependent, ...]
    grantees: tuple[Grantee, ...]
    sessions: tuple[Session, ...]

    @property
    def obstacles(self) -> tuple[Fault, ...]:
        """Who would notice, each with the way to settle it."""
        return tuple(self._obstacles())

    def _obstacles(self) -> Iterator[Fault]:
        if self.sessions:
            what = f"the service's users are connected: {in_words(self.sessions)}"
            yield Fault("open sessions", what, f"stop {self.service}, then run this again")
        for dependent in self.dependents:
            shown = ", ".join(dependent.needs[:_SHOWN]) + (", and more" if len(dependent.needs) > _SHOWN else "")
            yield Fault(dependent.name, f"it needs {shown}", "see who uses it, and drop or change it")
        for grantee in self.grantees:
            if grantee.privileges:
                what = f"{', '.join(grantee.privileges)} in the schema {self.service}"
                where, what = (
                    ("PUBLIC", f"everybody who may connect has {what}, which a retirement takes away")
                    if grantee.name == PUBLIC
                    else (f"role {grantee.name}", f"it has {what}")
                )
                yield Fault(where, what, f"see who uses it, then: {self._revoked(grantee)}")
            if grantee.member_of:
                what = f"it is a member of {', '.join(grantee.member_of)}, and may do what that one may"
                statements = " ".join(remedy("REVOKE {} FROM {}", user, grantee.name) for user in grantee.member_of)
                yield Fault(f"role {grantee.name}", what, statements)

    def _revoked(self, grantee: Grantee) -> str:
        everybody = grantee.name == PUBLIC
        names = (self.service,) if everybody else (self.service, grantee.name)
        whom = "PUBLIC" if everybody else "{}"
        kinds = ("TABLES", "SEQUENCES") if everybody else ("TABLES", "SEQUENCES", "ROUTINES")
        statements = [remedy(f"REVOKE ALL ON ALL {kind} IN SCHEMA {{}} FROM {whom}", *names) for kind in kinds]
        return " ".join([*statements, remedy(f"REVOKE ALL ON SCHEMA {{}} FROM {whom}", *names)])

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "holds": [vars(holding) for holding in self.holdings],
            "dependents": [vars(dependent) for dependent in self.dependents],
            "roles": [vars(grantee) for grantee in self.grantees],
            "sessions": [vars(session) for session in self.sessions],
        }


def look_before_retirement(endpoint: Endpoint, settings: Settings, service: str) -> Preflight:
    """Looks at a service that was provisioned. Raises ApplyError where it was not, ServerConnectionError."""
    users = settings.users_of(service)
    with connect_admin(endpoint) as admin:
        cluster = read_cluster(admin, settings.environment, settings.database, settings.users)
        absent = [user for user in users if user not in cluster.roles]
        if not cluster.database_exists or absent:
            what = f"no database {settings.database}" if not cluster.database_exists else f"no user {absent[0]}"
            raise ApplyError(
                f"there is {what} yet, so there is nothing to retire; nothing was changed",
                where=endpoint.address,
                mend=f"golabs up {settings.environment} first; or take {service} out of {settings.source}, where it was "
                "never provisioned",
            )
        sessions = open_sessions(admin, settings.database, users)
    with connect_admin(endpoint, settings.database) as connection:
        _begin(connection)
        return Preflight(
            service,
            tuple(Holding(**row) for row in read_rows(connection, "holdings", schema=service)),
            tuple(
                Dependent(row["name"], tuple(row["needs"]))
                for row in read_rows(connection, "dependents", schema=service)
            ),
            tuple(
                Grantee(row["name"], tuple(row["privileges"] or ()), tuple(row["member_of"] or ()))
                for row in read_rows(connection, "granted", schema=service, users=list(users))
            ),
            sessions,
        )


def close_service(endpoint: Endpoint, settings: Settings, service: str) -> tuple[Session, ...]:
    """Ends the sessions of a service's users that the admin may end. Gives those that it was asked to end."""
    with connect_admin(endpoint) as admin:
        return close_sessions(admin, settings.database, settings.users_of(service))


def still_connected(
    endpoint: Endpoint, settings: Settings, service: str, ended: Collection[Session] = ()
) -> tuple[Session, ...]:
    """The sessions that a service's users still have, after those that were `ended` have had a moment to go."""
    with connect_admin(endpoint) as admin:
        return sessions_left(admin, settings.database, settings.users_of(service), ended)


def _begin(connection: psycopg.Connection[Any]) -> None:
    """Nothing that somebody made in `public` is run as the admin, and no migration's lock is waited for long."""
    trust_only_the_catalogs(connection)
    with lost_in_words(connection):
        connection.execute(f"SET lock_timeout TO '{_LOCK_TIMEOUT}'")
