"""diff(Desired, Live) -> ordered changes. Pure; a change is a value that `sql` renders and `direct` applies.

Only what is ours is compared: the database, the services' schemas and `public`, and there only PUBLIC and the
environment's own users. What others were granted on purpose is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from .inspection import PUBLIC_CLOSED_VERSION, Live, LiveRole
from .model import PUBLIC, PUBLIC_SCHEMA, DefaultPrivileges, Desired, Extension, Grant, ObjectKind, Role, Schema
from .names import parse_user_name

WITH_GRANT_OPTION = " WITH GRANT OPTION"
"""Ends the name of a live privilege that may be handed on. No grant of the model has it."""


@dataclass(frozen=True)
class Change:
    """One step. `destructive` changes take data or a login away; no other kind does."""

    destructive: ClassVar[bool] = False


@dataclass(frozen=True)
class CreateDatabase(Change):
    """Runs outside of a transaction, before everything else."""

    name: str


@dataclass(frozen=True)
class AllowConnections(Change):
    """Opens a database that a destroy that failed had closed. Outside of a transaction."""

    database: str


@dataclass(frozen=True)
class AlterDatabaseOwner(Change):
    """Takes the database from one of the environment's own users and gives it to the admin."""

    database: str


@dataclass(frozen=True)
class CreateRole(Change):
    """A new user with its verifier and settings."""

    role: Role
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class AlterRole(Change):
    """An existing user's attributes, as they should be and as they are."""

    role: Role
    current: LiveRole


@dataclass(frozen=True)
class SetPassword(Change):
    """A new verifier for an existing user."""

    role: str
    verifier: str = field(repr=False)


@dataclass(frozen=True)
class BorrowMembership(Change):
    """Lets an admin who is no superuser act on what a role owns, until the transaction's end."""

    role: str


@dataclass(frozen=True)
class ReturnMembership(Change):
    """Ends what BorrowMembership began."""

    role: str


@dataclass(frozen=True)
class CreateSchema(Change):
    """A new schema."""

    schema: Schema


@dataclass(frozen=True)
class AlterSchemaOwner(Change):
    """An existing schema gets its owner; None stands for the admin."""

    schema: Schema


@dataclass(frozen=True)
class CreateExtension(Change):
    """A new extension."""

    extension: Extension


@dataclass(frozen=True)
class GrantPrivileges(Change):
    """What is missing."""

    grant: Grant


@dataclass(frozen=True)
class RevokePrivileges(Change):
    """What is too much."""

    grant: Grant


@dataclass(frozen=True)
class GrantDefaultPrivileges(Change):
    """What is missing on later objects."""

    entry: DefaultPrivileges


@dataclass(frozen=True)
class RevokeDefaultPrivileges(Change):
    """What is too much on later objects."""

    entry: DefaultPrivileges


@dataclass(frozen=True)
class DropSchema(Change):
    """A removed service's schema with all that is in it."""

    destructive: ClassVar[bool] = True
    name: str


@dataclass(frozen=True)
class DropOwned(Change):
    """All that a user owns or may do in the environment's database."""

    destructive: ClassVar[bool] = True
    role: str


@dataclass(frozen=True)
class DropRole(Change):
    """A user that owns nothing any more."""

    destructive: ClassVar[bool] = True
    name: str


@dataclass(frozen=True)
class DropDatabase(Change):
    """The whole database, its sessions ended. Outside of a transaction."""

    destructive: ClassVar[bool] = True
    name: str


def plan_database(desired: Desired, live: Live) -> list[Change]:
    """What must happen before one can connect to the environment's database."""
    if not live.cluster.database_exists:
        return [CreateDatabase(desired.database.name)]
    return [] if live.cluster.allows_connections else [AllowConnections(desired.database.name)]


def plan(desired: Desired, live: Live, verifiers: Mapping[str, str], removed: tuple[str, ...] = ()) -> list[Change]:
    """Everything else, in an order in which it can run in one transaction.

    `verifiers` holds the users whose password is to be set: every new one, and those that have another. `removed` are
    the services to drop.
    """
    changes = [*_roles(desired, live, verifiers), *_removals(desired, live, removed)]
    inside = [
        *_database_owner(desired, live),
        *_schemas(desired, live),
        *_grants(desired, live),
        *_default_privileges(desired, live),
    ]
    owners = _owners_to_borrow(desired, live, inside)
    changes += [BorrowMembership(owner) for owner in owners]
    changes += inside
    changes += [ReturnMembership(owner) for owner in owners]
    return changes


def plan_destroy(desired: Desired, live: Live) -> list[Change]:
    """Drops the database, then every user of the environment."""
    changes: list[Change] = []
    if live.cluster.database_exists:
        changes.append(DropDatabase(desired.database.name))
    changes += [DropRole(name) for name in sorted(live.cluster.roles)]
    return changes


def _roles(desired: Desired, live: Live, verifiers: Mapping[str, str]) -> Iterator[Change]:
    for role in desired.roles:
        current = live.cluster.roles.get(role.name)
        if current is None:
            yield CreateRole(role, verifiers[role.name])
            continue
        if not current.is_as(role):
            yield AlterRole(role, current)
        if role.name in verifiers:
            yield SetPassword(role.name, verifiers[role.name])


def _database_owner(desired: Desired, live: Live) -> Iterator[Change]:
    """Whoever else owns it, does so on purpose. No admin but a superuser gets here where it is not the owner."""
    if live.cluster.database_exists and live.cluster.database_owner in live.cluster.roles:
        yield AlterDatabaseOwner(desired.database.name)


def _schemas(desired: Desired, live: Live) -> Iterator[Change]:
    for schema in desired.schemas:
        owner = live.schemas.get(schema.name)
        if owner is None:
            yield CreateSchema(schema)
        elif owner != schema.owner and (schema.owner is not None or owner in live.cluster.roles):
            yield AlterSchemaOwner(schema)
    present = {extension.name for extension in live.extensions}
    for extension in desired.database.extensions:
        if extension.name not in present:
            yield CreateExtension(extension)


def _grants(desired: Desired, live: Live) -> Iterator[Change]:
    """Missing privileges are granted on all relations of a schema at once; excess ones revoked one by one."""
    ours = {PUBLIC, *(role.name for role in desired.roles)}
    owned = {(schema.name, schema.owner) for schema in desired.schemas}
    has: dict[tuple[ObjectKind, str, str, str], set[str]] = {
        (g.kind, g.schema, g.relation, g.grantee): set(g.privileges) for g in live.grants
    }
    if not live.cluster.database_exists:
        has |= _given_by_a_new_database(live.cluster.version_number)
    wanted: dict[tuple[ObjectKind, str, str], tuple[str, ...]] = {
        (g.kind, g.schema, g.grantee): g.privileges for g in desired.grants
    }
    for (kind, schema, relation, grantee), privileges in sorted(has.items()):
        excess = privileges - set(wanted.get((kind, schema, grantee), ()))
        if excess and grantee in ours and (schema, grantee) not in owned:
            yield RevokePrivileges(Grant(kind, schema, grantee, tuple(sorted(excess)), relation))
    for grant in desired.grants:
        needed = set(grant.privileges)
        relations = [name for kind, schema, name in live.relations if (kind, schema) == (grant.kind, grant.schema)]
        objects = relations if grant.kind in ("table", "sequence") else [""]
        if any(needed - has.get((grant.kind, grant.schema, name, grant.grantee), set()) for name in objects):
            yield GrantPrivileges(grant)


def _given_by_a_new_database(version_number: int) -> dict[tuple[ObjectKind, str, str, str], set[str]]:
    """What PUBLIC may do in a database fresh from template0."""
    schema = {"USAGE"} if version_number >= PUBLIC_CLOSED_VERSION else {"CREATE", "USAGE"}
    return {
        ("database", "", "", PUBLIC): {"CONNECT", "TEMPORARY"},
        ("schema", PUBLIC_SCHEMA, "", PUBLIC): schema,
    }


def _default_privileges(desired: Desired, live: Live) -> Iterator[Change]:
    ours = {PUBLIC, *(role.name for role in desired.roles)}
    has = {(d.owner, d.schema, d.kind, d.grantee): set(d.privileges) for d in live.default_privileges}
    wanted = {(d.owner, d.schema, d.kind, d.grantee): d for d in desired.default_privileges}
    owners = {d.owner for d in desired.default_privileges}
    for key, privileges in sorted(has.items()):
        owner, schema, kind, grantee = key
        excess = privileges - set(wanted[key].privileges if key in wanted else ())
        if excess and owner in owners and grantee in ours:
            yield RevokeDefaultPrivileges(DefaultPrivileges(owner, schema, kind, grantee, tuple(sorted(excess))))
    for key, entry in sorted(wanted.items()):
        if set(entry.privileges) - has.get(key, set()):
            yield GrantDefaultPrivileges(entry)


def _removals(desired: Desired, live: Live, removed: tuple[str, ...]) -> Iterator[Change]:
    """Schemas of removed services, if their own migration user owns them, then the users."""
    users = {
        name: parts for name in live.cluster.roles if (parts := parse_user_name(name)) and parts.service in removed
    }
    if not live.cluster.superuser:
        yield from (BorrowMembership(name) for name in sorted(users) if not live.cluster.roles[name].admin_is_member)
    for name, parts in sorted(users.items()):
        if live.schemas.get(parts.service) == name:
            yield DropSchema(parts.service)
    for name in sorted(users):
        yield DropOwned(name)
        yield DropRole(name)


def _owners_to_borrow(desired: Desired, live: Live, changes: list[Change]) -> list[str]:
    """The migration users whose schemas or default privileges an admin who is no superuser is about to change."""
    if live.cluster.superuser:
        return []
    owner_of = {schema.name: schema.owner for schema in desired.schemas if schema.owner}
    needed: set[str] = set()
    for change in changes:
        match change:
            case CreateSchema(schema) if schema.owner:
                needed.add(schema.owner)
            case AlterSchemaOwner(schema):
                needed |= {schema.owner} if schema.owner else set()
                needed |= {live.schemas[schema.name]} & live.cluster.roles.keys()
            case GrantPrivileges(grant) | RevokePrivileges(grant) if grant.schema in owner_of:
                needed.add(owner_of[grant.schema])
            case GrantDefaultPrivileges(entry) | RevokeDefaultPrivileges(entry):
                needed.add(entry.owner)
    members = {name for name, role in live.cluster.roles.items() if role.admin_is_member}
    return sorted(needed - members)
