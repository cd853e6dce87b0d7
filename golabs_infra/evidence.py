"""Everything that the catalogs tell of who may do what in an environment, as values. Reads; judges nothing.

`inspection` reads what the engines compare with the model, and no more; this is the whole of it, for the proofs: every
owner, every list of privileges, every role of the server and how they are tied to each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import psycopg

from .inspection import Cluster, read_rows, trust_only_the_catalogs
from .model import Extension

ROUTINES = frozenset({"function", "procedure", "aggregate"})

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_$.-]*")

PARAMETERS_VERSION = 150000
"""From 15 on parameters have lists of privileges."""


@dataclass(frozen=True)
class ServerRole:
    """A role of the server. `expired` is None where its password never expires."""

    name: str
    superuser: bool
    inherit: bool
    create_role: bool
    create_database: bool
    login: bool
    replication: bool
    bypass_row_level_security: bool
    connection_limit: int
    expired: bool | None


@dataclass(frozen=True, order=True)
class Membership:
    """A member of a group. `inherits`: it has the group's privileges at once; `becomes`: it may SET ROLE to it;
    `administers`: it may make others members. The grantor is None where that role is gone."""

    group: str
    member: str
    grantor: str | None = None
    administers: bool = False
    inherits: bool = True
    becomes: bool = True


@dataclass(frozen=True)
class Entry:
    """What one grantee has been granted on an object by one grantor; `grantable` is the part that it may hand on."""

    grantee: str
    grantor: str
    privileges: frozenset[str]
    grantable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Database:
    """A database of the server."""

    name: str
    owner: str
    allows_connections: bool
    is_template: bool
    connection_limit: int
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class CatalogObject:
    """An object of the environment's database, its owner and its list of privileges.

    `kind` is PostgreSQL's word (`table`, `materialized view`, `large object`); `detail` a routine's arguments, or a
    column's name. `brought`: PostgreSQL or an extension made it, and the entries are only what was granted since.
    `definer`: it runs with its owner's rights (a view, a SECURITY DEFINER routine). `follows`: its owner is another
    object's (a column, a column's own sequence).
    """

    kind: str
    schema: str
    name: str
    owner: str
    detail: str = ""
    brought: bool = False
    definer: bool = False
    follows: bool = False
    entries: tuple[Entry, ...] = ()

    @property
    def words(self) -> str:
        """The object as findings name it: `table billing."line item"`, `column billing.customer.name`."""
        return in_words(self.kind, self.schema, self.name, self.detail)


def in_words(kind: str, schema: str, name: str, detail: str = "") -> str:
    """An object's kind and name; a name is quoted where it is not plain."""
    dotted = ".".join(_quoted(part) for part in (schema, name, detail if kind == "column" else "") if part)
    return f"{kind} {dotted}{f'({detail})' if kind in ROUTINES else ''}"


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in name)
    return '"' + shown.replace('"', '""') + '"'


@dataclass(frozen=True)
class DefaultEntry:
    """What a grantee will have on what `owner` makes in a schema, or in any (then it is empty). `lost` is what an owner
    will lack on its own objects."""

    owner: str
    schema: str
    kind: str
    grantee: str
    privileges: frozenset[str]
    grantable: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Setting:
    """A setting of a role, or of the database, or of both; empty where it holds for all of them."""

    role: str
    database: str
    name: str
    value: str


@dataclass(frozen=True)
class RowPolicy:
    """A policy of row security. `closed`: it lets no row pass."""

    name: str
    permissive: bool
    command: str
    closed: bool
    roles: tuple[str, ...]


@dataclass(frozen=True)
class SecuredTable:
    """A table with row security, and its policies."""

    schema: str
    name: str
    forced: bool
    policies: tuple[RowPolicy, ...]


@dataclass(frozen=True, order=True)
class Bridge:
    """What ties something to another schema: a `trigger`, `inheritance`, a `foreign key`, or a `call` of a function there.

    `name` is the trigger's, the constraint's, or what calls (`view`, `default of total`, ...); `strong`: it is a partition,
    a foreign key that changes rows, a function that runs with its owner's rights.
    """

    kind: str
    schema: str
    relation: str
    name: str
    other: str
    target: str
    strong: bool = False


@dataclass(frozen=True, order=True)
class EventTrigger:
    """A function that is run at other people's commands, superusers' among them."""

    name: str
    function: str
    owner: str
    enabled: bool


@dataclass(frozen=True)
class Evidence:
    """All of it. `inside` tells whether somebody could look into `database`, the environment's; else there is nothing of
    what is in it."""

    cluster: Cluster
    database: str
    inside: bool
    roles: Mapping[str, ServerRole]
    memberships: tuple[Membership, ...]
    databases: Mapping[str, Database]
    objects: tuple[CatalogObject, ...] = ()
    defaults: tuple[DefaultEntry, ...] = ()
    settings: tuple[Setting, ...] = ()
    secured: tuple[SecuredTable, ...] = ()
    bridges: tuple[Bridge, ...] = ()
    event_triggers: tuple[EventTrigger, ...] = ()
    extensions: frozenset[Extension] = frozenset()
    passwordless: frozenset[str] = field(default_factory=frozenset)
    """Users without a password, as far as the admin may know."""

    @property
    def privileges(self) -> int:
        """How many entries all the lists have together."""
        lists = [each.entries for each in self.objects] + [each.entries for each in self.databases.values()]
        return sum(map(len, lists)) + len(self.defaults)


_OF_THE_SERVER = ("roles", "memberships", "databases")
_OF_THE_DATABASE = ("objects", "defaults", "settings", "row_security", "bridges", "event_triggers")


def read_evidence(
    connection: psycopg.Connection[Any], cluster: Cluster, database: str, passwordless: Iterable[str] = ()
) -> Evidence:
    """What a connection to the environment's database shows, in a constant number of queries; from another database,
    where nobody can connect to that one, only what is the whole server's.

    Raises ServerConnectionError where the connection is lost, or the admin may not look.
    """
    inside = connection.info.dbname == database
    parameters = ("parameters",) if cluster.version_number >= PARAMETERS_VERSION else ()
    queries = (*_OF_THE_SERVER, *((*_OF_THE_DATABASE, *parameters) if inside else ()))
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in (*_OF_THE_SERVER, *_OF_THE_DATABASE, "parameters")}
    trust_only_the_catalogs(connection)
    for name in queries:
        rows[name] = read_rows(connection, f"proof_{name}")
    return Evidence(
        cluster=cluster,
        database=database,
        inside=inside,
        roles={row["name"]: ServerRole(**row) for row in rows["roles"]},
        memberships=tuple(Membership(**row) for row in rows["memberships"]),
        databases={each.name: each for each in _databases(rows["databases"])},
        objects=(*_objects(rows["objects"]), *_parameters(rows["parameters"])),
        defaults=tuple(_default(row) for row in rows["defaults"]),
        settings=tuple(
            Setting(row["role"], row["database"], *setting.split("=", 1))
            for row in rows["settings"]
            for setting in row["settings"]
        ),
        secured=tuple(_secured(row) for row in rows["row_security"]),
        bridges=tuple(Bridge(**row) for row in rows["bridges"]),
        event_triggers=tuple(EventTrigger(**row) for row in rows["event_triggers"]),
        extensions=frozenset(Extension(**row) for row in read_rows(connection, "extensions"))
        if inside
        else frozenset(),
        passwordless=frozenset(passwordless),
    )


def _secured(row: dict[str, Any]) -> SecuredTable:
    policies = tuple(RowPolicy(**{**policy, "roles": tuple(policy["roles"])}) for policy in row["policies"])
    return SecuredTable(row["schema"], row["name"], row["forced"], policies)


def _entries(rows: Iterable[dict[str, Any]]) -> tuple[Entry, ...]:
    return tuple(
        Entry(row["grantee"], row["grantor"], frozenset(row["privileges"]), frozenset(row["grantable"] or ()))
        for row in rows
        if row["grantee"] is not None and row["privileges"]
    )


def _databases(rows: Iterable[dict[str, Any]]) -> Iterable[Database]:
    for name, group in groupby(rows, key=lambda row: row["name"]):
        same = list(group)
        owner, limit = same[0]["owner"], same[0]["connection_limit"]
        is_open, is_template = same[0]["allows_connections"], same[0]["is_template"]
        yield Database(name, owner, is_open, is_template, limit, _entries(same))


def _objects(rows: Iterable[dict[str, Any]]) -> Iterable[CatalogObject]:
    for facts, group in groupby(
        rows,
        key=lambda row: (
            *(row["kind"], row["schema"], row["name"], row["owner"], row["detail"]),
            *(row["brought"], row["definer"], row["follows"]),
        ),
    ):
        yield CatalogObject(*facts, _entries(group))


def _parameters(rows: Iterable[dict[str, Any]]) -> Iterable[CatalogObject]:
    for name, group in groupby(rows, key=lambda row: row["name"]):
        yield CatalogObject("parameter", "", name, "", brought=True, entries=_entries(group))


def _default(row: dict[str, Any]) -> DefaultEntry:
    privileges, grantable, lost = (frozenset(row[key] or ()) for key in ("privileges", "grantable", "lost"))
    return DefaultEntry(row["owner"], row["schema"], row["kind"], row["grantee"], privileges, grantable, lost)
