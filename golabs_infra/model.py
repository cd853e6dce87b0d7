"""The desired state of one environment, expanded from its settings: pure values, ordered, each privilege written once.

Components declare it as Pulumi resources, `plan` compares it with what `inspection` reads into the same types. Nothing
else in the project knows which privilege who has on what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .config_keys import ServiceSettings
from .names import EXTENSIONS_SCHEMA, USER_KINDS, UserKind, login_name
from .settings import Settings

PUBLIC = "public"
"""The pseudo-role of every role; no real role can have this name."""

PUBLIC_SCHEMA = "public"

ObjectKind = Literal["database", "schema", "table", "sequence"]
RelationKind = Literal["table", "sequence"]

DATABASE_MIGRATION = ("CONNECT", "TEMPORARY")
DATABASE_APP = ("CONNECT",)
SCHEMA_APP = ("USAGE",)
RELATION_APP: dict[RelationKind, tuple[str, ...]] = {
    "table": ("DELETE", "INSERT", "SELECT", "UPDATE"),
    "sequence": ("SELECT", "USAGE"),
}


@dataclass(frozen=True, order=True)
class Role:
    """A login role and its role-wide settings. Timeouts in milliseconds; 0 means none, connection limit -1 no limit."""

    name: str
    login: bool
    search_path: tuple[str, ...]
    connection_limit: int = -1
    statement_timeout: int = 0
    idle_in_transaction_session_timeout: int = 0
    superuser: bool = False
    create_database: bool = False
    create_role: bool = False
    replication: bool = False
    bypass_row_level_security: bool = False
    inherit: bool = True
    acts_as: str = ""
    """The one role that it is a member of, and that its sessions act as from their beginning; empty for none."""


@dataclass(frozen=True, order=True)
class Schema:
    """A schema; the owner None stands for the admin that connects."""

    name: str
    owner: str | None


@dataclass(frozen=True, order=True)
class Extension:
    """An extension and the schema that its objects are in."""

    name: str
    schema: str


@dataclass(frozen=True, order=True)
class Grant:
    """All that a grantee may do on an object: no privileges means none.

    `schema` is empty for the database. `relation` is empty for the database and for schemas; for tables and sequences
    empty stands for each one in the schema (tables include views, materialised views, partitions, foreign tables).
    """

    kind: ObjectKind
    schema: str
    grantee: str
    privileges: tuple[str, ...]
    relation: str = ""


@dataclass(frozen=True, order=True)
class DefaultPrivileges:
    """What a grantee will be able to do on objects that `owner` makes in `schema` later."""

    owner: str
    schema: str
    kind: RelationKind
    grantee: str
    privileges: tuple[str, ...]


@dataclass(frozen=True)
class ServiceModel:
    """One service: its two users, the twins that they may have, its schema, and the privileges in it.

    A twin is a second login of a user, and acts as it. `open_logins` are by kind the names of those that are open, of
    which the last is the newest: what the service's connection file has.
    """

    name: str
    migration: Role
    app: Role
    schema: Schema
    grants: tuple[Grant, ...]
    default_privileges: tuple[DefaultPrivileges, ...]
    open_logins: Mapping[UserKind, tuple[str, ...]]
    twins: tuple[Role, ...] = ()

    @property
    def roles(self) -> tuple[Role, ...]:
        """Migration user, app user, and then their twins."""
        return self.migration, self.app, *self.twins


@dataclass(frozen=True)
class DatabaseModel:
    """The database, what it closes to PUBLIC, and the extensions that services asked for."""

    name: str
    schemas: tuple[Schema, ...]
    extensions: tuple[Extension, ...]
    grants: tuple[Grant, ...]


@dataclass(frozen=True)
class Desired:
    """The whole environment. The properties give everything of a kind, in a stable order."""

    environment: str
    database: DatabaseModel
    services: tuple[ServiceModel, ...]

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every user of every service."""
        return tuple(role for service in self.services for role in service.roles)

    @property
    def schemas(self) -> tuple[Schema, ...]:
        """The schema of extensions, if there is one, and every service's."""
        return self.database.schemas + tuple(service.schema for service in self.services)

    @property
    def grants(self) -> tuple[Grant, ...]:
        """Every grant, the database's first."""
        return self.database.grants + tuple(grant for service in self.services for grant in service.grants)

    @property
    def default_privileges(self) -> tuple[DefaultPrivileges, ...]:
        """Every default privilege."""
        return tuple(entry for service in self.services for entry in service.default_privileges)


def expand(settings: Settings) -> Desired:
    """The desired state that a stack's settings describe."""
    extensions = sorted({name for service in settings.services for name in service.extensions})
    return Desired(
        environment=settings.environment,
        database=DatabaseModel(
            name=settings.database,
            schemas=(Schema(EXTENSIONS_SCHEMA, None),) if extensions else (),
            extensions=tuple(Extension(name, EXTENSIONS_SCHEMA) for name in extensions),
            grants=tuple(_database_grants(bool(extensions))),
        ),
        services=tuple(_service(settings, service, bool(extensions)) for service in settings.services),
    )


def _database_grants(extensions: bool) -> Iterator[Grant]:
    yield Grant("database", "", PUBLIC, ())
    yield Grant("schema", PUBLIC_SCHEMA, PUBLIC, ())
    if extensions:
        yield Grant("schema", EXTENSIONS_SCHEMA, PUBLIC, ("USAGE",))


def _service(settings: Settings, service: ServiceSettings, extensions: bool) -> ServiceModel:
    """A retired service keeps its users, schema and data; nobody can log in, and the app user has no privileges."""
    active = not service.retired
    closed = settings.closed
    search_path = (service.name, EXTENSIONS_SCHEMA) if extensions else (service.name,)
    names = {kind: settings.user(service.name, kind) for kind in USER_KINDS}
    migration = Role(names["migration"], active and names["migration"] not in closed, search_path)
    app = Role(
        names["app"],
        active and names["app"] not in closed,
        search_path,
        connection_limit=-1 if service.connection_limit is None else service.connection_limit,
        statement_timeout=service.statement_timeout or 0,
        idle_in_transaction_session_timeout=service.idle_in_transaction_timeout or 0,
    )

    def unless_retired(privileges: tuple[str, ...]) -> tuple[str, ...]:
        return privileges if active else ()

    twins = [
        replace(role, name=twin, login=active and twin not in closed, acts_as=role.name)
        for kind, role in zip(USER_KINDS, (migration, app), strict=True)
        if (twin := login_name(service.name, kind, settings.environment, "twin")) in settings.users_of(service.name)
    ]
    return ServiceModel(
        name=service.name,
        migration=migration,
        app=app,
        schema=Schema(service.name, migration.name),
        grants=(
            Grant("database", "", migration.name, unless_retired(DATABASE_MIGRATION)),
            Grant("database", "", app.name, unless_retired(DATABASE_APP)),
            Grant("schema", service.name, app.name, unless_retired(SCHEMA_APP)),
            *(Grant(kind, service.name, app.name, unless_retired(of)) for kind, of in RELATION_APP.items()),
        ),
        default_privileges=tuple(
            DefaultPrivileges(migration.name, service.name, kind, app.name, unless_retired(of))
            for kind, of in RELATION_APP.items()
        ),
        open_logins={kind: settings.open_logins(service.name, kind) for kind in USER_KINDS},
        twins=tuple(twins),
    )
