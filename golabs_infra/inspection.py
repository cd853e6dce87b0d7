"""Reads the live catalogs into the model's types, in a constant number of queries. Changes nothing.

The queries stand in `queries/*.sql`. `Cluster` is what can be known before the database exists, `Live` everything.
"""

from __future__ import annotations

import hmac
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import psycopg
from psycopg.rows import dict_row
from pydantic import SecretStr

from .connecting import LoginAnswer, connect_admin, try_login
from .endpoint import Endpoint
from .errors import ServerConnectionError
from .model import PUBLIC_SCHEMA, DefaultPrivileges, Desired, Extension, Grant, Role
from .names import LOGINS, parse_user_name, rebuilt_name
from .passwords import verifier_matches
from .proofs import proof

MINIMUM_VERSION = 130000
PUBLIC_CLOSED_VERSION = 150000
"""From 15 on the database's owner owns schema `public` and can close it."""

_PATH_ELEMENT = re.compile(r'"(?:[^"]|"")*"|[^",\s]+')
_SETTINGS = frozenset({"role", "search_path", "statement_timeout", "idle_in_transaction_session_timeout"})


@dataclass(frozen=True)
class LiveRole:
    """A role as it is: the model's value, and what no user of ours has.

    `memberships` are the roles that it is a member of, each with its grantor (None where that one is gone);
    `overridden` the settings of the model that it has another time in the environment's database only; `administered`
    tells whether the admin may alter it and grant membership in it.
    """

    role: Role
    expires: bool
    admin_is_member: bool
    memberships: tuple[tuple[str, str | None], ...] = ()
    overridden: tuple[str, ...] = ()
    administered: bool = True

    def is_as(self, role: Role) -> bool:
        """Whether it is as a declared role is to be, its password aside."""
        return self.role == role and not (
            self.expires or self.overridden or self.strange_memberships(role) or self.lacks_membership(role)
        )

    def strange_memberships(self, role: Role) -> tuple[tuple[str, str | None], ...]:
        """The memberships that a declared role is not to have."""
        return tuple(each for each in self.memberships if each[0] != role.acts_as)

    def lacks_membership(self, role: Role) -> bool:
        """Whether it is no member of the role that it is to act as."""
        return bool(role.acts_as) and all(group != role.acts_as for group, _ in self.memberships)


@dataclass(frozen=True)
class Cluster:
    """The server, the admin's rights there, whether the database exists, and the environment's users.

    `superuser_extensions` are those that only a superuser can create; `unfinished_reset`: a reset that was killed has
    left the database that was to take the place of this one; `invalid_database`: the database is one that a DROP DATABASE
    has left half dropped, which PostgreSQL can only drop, and so does not count as one that exists; `tls_version` is None
    where the admin's connection is not encrypted.
    """

    version_number: int
    version: str
    system_identifier: str
    admin: str
    superuser: bool
    create_database: bool
    create_role: bool
    signal_backend: bool
    in_recovery: bool
    read_only: bool
    available_extensions: frozenset[str]
    database_exists: bool
    database_owner: str | None
    owns_database: bool
    allows_connections: bool
    roles: Mapping[str, LiveRole] = field(default_factory=dict)
    inherits: bool = True
    unfinished_reset: bool = False
    invalid_database: bool = False
    encoding: str | None = "UTF8"
    superuser_extensions: frozenset[str] = frozenset()
    tls_version: str | None = None


@dataclass(frozen=True, order=True)
class OwnedObject:
    """An object in a schema as ALTER names it: kind (`TABLE`), name, a routine's arguments; and its owner.

    `administered` tells whether the admin may act as the owner.
    """

    schema: str
    kind: str
    name: str
    arguments: str = ""
    owner: str = ""
    administered: bool = True


@dataclass(frozen=True)
class Live:
    """What is in the database now. Empty where it does not exist yet.

    `grants` has one entry for each object and grantee (never the owner); `relations` names every table-like object
    and sequence that is no extension's own, also those without a grant. A privilege that may be handed on comes a
    second time, as `SELECT WITH GRANT OPTION`. Default privileges with an empty schema hold in every one.
    `administered_schemas` are those whose owner the admin may act as. `foreign_objects` are in a service's schema and
    belong to somebody else than its migration user; `public_objects` are what the users can reach in schema public now;
    `through_public` who else reaches the database, or its schema public, through PUBLIC alone.
    """

    cluster: Cluster
    schemas: Mapping[str, str] = field(default_factory=dict)
    extensions: frozenset[Extension] = frozenset()
    relations: frozenset[tuple[str, str, str]] = frozenset()
    grants: frozenset[Grant] = frozenset()
    default_privileges: frozenset[DefaultPrivileges] = frozenset()
    administered_schemas: frozenset[str] = frozenset()
    foreign_objects: tuple[OwnedObject, ...] = ()
    public_objects: tuple[OwnedObject, ...] = ()
    through_public: tuple[tuple[str, str], ...] = ()


def read_cluster(connection: psycopg.Connection[Any], environment: str, database: str, users: Iterable[str]) -> Cluster:
    """What the admin's connection shows of the server. Raises ServerConnectionError where it may not look."""
    trust_only_the_catalogs(connection)
    try:
        (facts,) = read_rows(connection, "cluster", database=database, rebuilt=rebuilt_name(database))
    except ServerConnectionError as error:
        if "pg_control_system" not in error.what:
            raise
        raise ServerConnectionError(
            f"the admin may not read the server's identity: {error.what}",
            mend="as a superuser: GRANT EXECUTE ON FUNCTION pg_control_system() TO <admin>",
        ) from error
    patterns = [f"%\\_{environment}\\_{login}" for login in LOGINS]
    roles = {
        row["name"]: _live_role(row)
        for row in read_rows(connection, "roles", names=list(users), patterns=patterns, database=database)
        if row["name"] in users or _belongs(row["name"], environment)
    }
    for name in ("available_extensions", "superuser_extensions"):
        facts[name] = frozenset(facts[name])
    return Cluster(**facts, roles=roles)


def look_at(endpoint: Endpoint, environment: str, database: str, users: Iterable[str]) -> Cluster:
    """`read_cluster` over a connection of its own."""
    with connect_admin(endpoint) as connection:
        return read_cluster(connection, environment, database, tuple(users))


def read_live(connection: psycopg.Connection[Any], cluster: Cluster, desired: Desired) -> Live:
    """What a connection to the environment's database shows of it, in the schemas that are ours to look after."""
    trust_only_the_catalogs(connection)
    schemas = read_rows(connection, "schemas")
    watched = sorted({PUBLIC_SCHEMA, *(schema.name for schema in desired.schemas)})
    owners = {schema.name: schema.owner for schema in desired.schemas if schema.owner}
    users = sorted(cluster.roles)
    rows = read_rows(connection, "grants", schemas=watched)
    return Live(
        cluster=cluster,
        schemas={row["name"]: row["owner"] for row in schemas},
        administered_schemas=frozenset(row["name"] for row in schemas if row["administered"]),
        foreign_objects=tuple(
            OwnedObject(**row)
            for row in read_rows(connection, "foreign_objects", schemas=list(owners), owners=list(owners.values()))
        ),
        public_objects=tuple(
            OwnedObject(PUBLIC_SCHEMA, **row) for row in read_rows(connection, "public_objects", users=users)
        ),
        through_public=tuple(
            (row["kind"], row["name"])
            for row in read_rows(connection, "through_public", users=[role.name for role in desired.roles])
        ),
        extensions=frozenset(Extension(**row) for row in read_rows(connection, "extensions")),
        relations=frozenset((row["kind"], row["schema"], row["relation"]) for row in rows if row["relation"]),
        grants=frozenset(
            Grant(row["kind"], row["schema"], row["grantee"], tuple(row["privileges"]), row["relation"])
            for row in rows
            if row["privileges"]
        ),
        default_privileges=frozenset(
            DefaultPrivileges(**{**row, "privileges": tuple(row["privileges"])})
            for row in read_rows(connection, "default_privileges", schemas=watched)
        ),
    )


def look_inside(endpoint: Endpoint, cluster: Cluster, desired: Desired) -> Live | None:
    """`read_live` over a connection of its own; None where the database is not there, or lets nobody in."""
    if not (cluster.database_exists and cluster.allows_connections):
        return None
    with connect_admin(endpoint, desired.database.name) as connection:
        return read_live(connection, cluster, desired)


def read_ties(connection: psycopg.Connection[Any], database: str, users: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The users that can't be dropped with the database, and what keeps them from it: other databases mostly."""
    rows = read_rows(connection, "elsewhere", users=list(users), database=database, rebuilt=rebuilt_name(database))
    return {row["name"]: tuple(row["ties"]) for row in rows}


def read_verifiers(connection: psycopg.Connection[Any], cluster: Cluster) -> dict[str, str | None]:
    """The stored password verifiers of the environment's users. Only a superuser may look."""
    trust_only_the_catalogs(connection)
    return {row["name"]: row["verifier"] for row in read_rows(connection, "verifiers", names=sorted(cluster.roles))}


class PasswordProver:
    """Tells whether a password is the one that a user has now. What was shown once is not asked again.

    A superuser's connection compares with the stored verifier (1 ms each, unless one of the `noted` proofs of earlier
    runs is of it); any other admin can only try to log in. `connection` saves opening another one.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        database: str,
        cluster: Cluster,
        connection: psycopg.Connection[Any] | None = None,
        noted: Mapping[str, str] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._database = database if cluster.database_exists else endpoint.admin_database
        self._superuser = cluster.superuser
        self._noted = noted or {}
        self._shown: dict[tuple[str, str], bool] = {}
        self._verifiers: Mapping[str, str | None] = {}
        if cluster.superuser and cluster.roles:
            with connect_admin(endpoint) if connection is None else nullcontext(connection) as opened:
                self._verifiers = read_verifiers(opened, cluster)

    def __call__(self, user: str, password: SecretStr) -> bool:
        """True only where the password was shown to be right. Raises ServerConnectionError where nothing can be shown."""
        key = user, password.get_secret_value()
        if key not in self._shown:
            self._shown[key] = self._show(*key)
        return self._shown[key]

    def compare(self, passwords: Mapping[str, SecretStr], workers: Executor) -> None:
        """Does at once, on every core, what calls for these passwords would do in turn; logs in nowhere."""
        if self._superuser:
            deque(workers.map(self, passwords.keys(), passwords.values()), maxlen=0)

    @property
    def proofs(self) -> dict[str, str]:
        """What was shown of stored verifiers, for later runs to remember."""
        shown = [key for key, right in self._shown.items() if right]
        stored = {user: self._verifiers.get(user) for user, _ in shown}
        return {user: proof(verifier, user, password) for user, password in shown if (verifier := stored[user])}

    def _show(self, user: str, password: str) -> bool:
        if not self._superuser:
            return try_login(self._endpoint, self._database, user, SecretStr(password)) is LoginAnswer.ACCEPTED
        verifier = self._verifiers.get(user)
        if verifier and hmac.compare_digest(self._noted.get(user, ""), proof(verifier, user, password)):
            return True
        return verifier_matches(verifier, password, user)


def _belongs(name: str, environment: str) -> bool:
    parts = parse_user_name(name)
    return parts is not None and parts.environment == environment


def _live_role(row: dict[str, Any]) -> LiveRole:
    settings = _settings(row.pop("settings"))
    in_database = _settings(row.pop("settings_in_database"))
    expires, admin_is_member, administered = (row.pop(name) for name in ("expires", "admin_is_member", "administered"))
    memberships = tuple((role, grantor) for role, grantor in row.pop("memberships") or ())
    role = Role(
        **row,
        search_path=tuple(search_path_elements(settings.get("search_path", ""))),
        statement_timeout=_milliseconds(settings.get("statement_timeout", "0")),
        idle_in_transaction_session_timeout=_milliseconds(settings.get("idle_in_transaction_session_timeout", "0")),
        acts_as=settings.get("role", ""),
    )
    overridden = tuple(sorted(set(in_database) & _SETTINGS))
    return LiveRole(role, expires, admin_is_member, memberships, overridden, administered)


def _settings(listed: list[str] | None) -> dict[str, str]:
    return dict(setting.split("=", 1) for setting in listed or ())


def search_path_elements(value: str) -> Iterable[str]:
    """The schemas of a search_path as PostgreSQL stores it: separated by commas, quoted where need be."""
    for name in _PATH_ELEMENT.findall(value):
        yield name[1:-1].replace('""', '"') if name.startswith('"') else name


def _milliseconds(value: str) -> int:
    """A timeout as PostgreSQL stores it, in ms; -1, which equals no declared value, where it has a unit of its own."""
    return int(value) if value.isdigit() else -1


@cache
def _query(name: str) -> str:
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


def trust_only_the_catalogs(connection: psycopg.Connection[Any]) -> None:
    """From here on no function or operator that somebody else made in `public` is run as the admin."""
    with lost_in_words(connection):
        connection.execute("SET search_path TO pg_catalog, pg_temp")


def read_rows(connection: psycopg.Connection[Any], query: str, **parameters: object) -> list[dict[str, Any]]:
    """What a query of `queries/` gives. Raises ServerConnectionError where the connection is lost."""
    with lost_in_words(connection), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(_query(query).encode(), parameters or None).fetchall()


@contextmanager
def lost_in_words(
    connection: psycopg.Connection[Any],
    failed: str = "the server could not be looked at",
    consequence: str = "; nothing was changed by looking",
) -> Iterator[None]:
    """Whatever the server answers to the admin with an error, or not at all, is one ServerConnectionError.

    It says what has `failed`, and after the mend what that means.
    """
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServerConnectionError(
            f"the admin may not look at the catalogs: {error.diag.message_primary}",
            where=f"{connection.info.host}:{connection.info.port}",
            mend="as a superuser, grant the admin SELECT or EXECUTE on what it names, as everybody has by default",
        ) from error
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
        raise ServerConnectionError(
            f"{failed}: {str(error).strip()}",
            where=f"{connection.info.host}:{connection.info.port}",
            mend="give the admin's sessions more time (SHOW statement_timeout; SHOW lock_timeout), and run this again"
            f"{consequence}",
        ) from error
    except psycopg.Error as error:
        raise ServerConnectionError(
            f"{failed}: {str(error).strip()}",
            where=f"{connection.info.host}:{connection.info.port}" if not connection.closed else "",
            mend=f"see that the server runs, and run this again{consequence}",
        ) from error
