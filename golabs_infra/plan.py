"""diff(Desired, Live) -> ordered changes. Pure; the kinds of change stand in `changes`.

Only what is ours is compared: the database, the services' schemas and `public`, and there only PUBLIC and the
environment's own users. What others were granted on purpose is left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

from .changes import (
    AllowConnections,
    AlterDatabaseOwner,
    AlterRole,
    AlterSchemaOwner,
    BorrowMembership,
    Change,
    CreateDatabase,
    CreateExtension,
    CreateRole,
    CreateSchema,
    DropDatabase,
    DropOwned,
    DropRole,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    RenameDatabase,
    ReturnMembership,
    RevokeDefaultPrivileges,
    RevokePrivileges,
    SetPassword,
)
from .inspection import PUBLIC_CLOSED_VERSION, Cluster, Live
from .model import PUBLIC, PUBLIC_SCHEMA, DefaultPrivileges, Desired, Grant, ObjectKind, Role, Schema
from .names import EXTENSIONS_SCHEMA, UserName, parse_user_name, rebuilt_name


def plan_database(desired: Desired, live: Live) -> list[Change]:
    """What must happen before one can connect to the environment's database."""
    if not live.cluster.database_exists:
        return [CreateDatabase(desired.database.name)]
    return [] if live.cluster.allows_connections else [AllowConnections(desired.database.name)]


def plan(
    desired: Desired, live: Live, verifiers: Mapping[str, str | None], removed: tuple[str, ...] = ()
) -> list[Change]:
    """Everything else, in an order in which it can run in one transaction: what is the database's own, each service in
    turn, the services to drop (`removed`), and at last what users may do on the database, alike next to alike.

    `verifiers` holds the users whose password is to be set: every new one, and those that have another; None stands
    for a verifier that is not known, in a plan that is only to be shown.
    """
    leaving = leaving_users(live.cluster, removed)
    inside = [
        *_database_owner(desired, live),
        *_schemas(desired, live),
        *_grants(desired, live),
        *_default_privileges(desired, live),
        *_taken_back(desired, live, leaving),
    ]
    owners = _owners_to_borrow(desired, live, inside)
    changes = [
        *_roles(desired, live, verifiers),
        *(BorrowMembership(owner) for owner in owners),
        *inside,
        *(ReturnMembership(owner) for owner in owners if owner not in leaving),
        *_removals(live, leaving, borrowed=owners),
    ]
    shared = {live.schemas[change.schema.name] for change in inside if isinstance(change, AlterSchemaOwner)}
    return sorted(changes, key=_places(desired, shared, removed))


def plan_logins(
    desired: Desired, cluster: Cluster, users: Collection[str], verifiers: Mapping[str, str | None]
) -> list[Change]:
    """What makes some users what they should be, by themselves: attributes, settings, the passwords of `verifiers`.

    A user that is not there and has no verifier is left out: none is made without a password.
    """
    possible = {user for user in users if user in cluster.roles or user in verifiers}
    return list(_roles(desired, Live(cluster), verifiers, possible))


def service_of(change: Change) -> str:
    """The service that a change is about; empty for the database and what is shared in it."""
    match change:
        case (
            CreateRole(role=Role(name=user))
            | AlterRole(role=Role(name=user))
            | SetPassword(role=user)
            | BorrowMembership(role=user)
            | ReturnMembership(role=user)
            | DropOwned(role=user)
            | DropRole(name=user)
            | GrantDefaultPrivileges(entry=DefaultPrivileges(owner=user))
            | RevokeDefaultPrivileges(entry=DefaultPrivileges(owner=user))
            | GrantPrivileges(grant=Grant(kind="database", grantee=user))
            | RevokePrivileges(grant=Grant(kind="database", grantee=user))
        ):
            parts = parse_user_name(user)
            return parts.service if parts else ""
        case (
            CreateSchema(schema=Schema(name=schema))
            | AlterSchemaOwner(schema=Schema(name=schema))
            | GrantPrivileges(grant=Grant(schema=schema))
            | RevokePrivileges(grant=Grant(schema=schema))
            | DropSchema(name=schema)
        ):
            return "" if schema in (PUBLIC_SCHEMA, EXTENSIONS_SCHEMA) else schema
    return ""


def _places(
    desired: Desired, shared: Collection[str], removed: tuple[str, ...]
) -> Callable[[Change], tuple[int, tuple[str, ...]]]:
    """Where a change comes in the plan; what comes at the same place keeps its order.

    An owner is borrowed from for its own service's changes alone, for who acts as several owners may revoke in the name
    of the wrong one; only those that have another service's schema are `shared`, from the beginning to the end.
    """
    services = {service.name: place for place, service in enumerate(desired.services, start=1)}
    removal, last = len(services) + 1, len(services) + 2

    def place(change: Change) -> tuple[int, tuple[str, ...]]:
        service = service_of(change)
        match change:
            case GrantPrivileges(grant=grant) | RevokePrivileges(grant=grant) if grant.kind == "database" and service:
                return last, (type(change).__name__, *grant.privileges)
            case BorrowMembership(role=role) if role in shared:
                return 0, ()
            case ReturnMembership(role=role) if role in shared:
                return last + 1, ()
        return (removal if service in removed else services.get(service, 0)), ()

    return place


def plan_rebuild(desired: Desired, live: Live) -> tuple[list[Change], list[Change]]:
    """What makes a new database beside the old one; and, once all is in it, what puts it in the old one's place."""
    name, fresh = desired.database.name, rebuilt_name(desired.database.name)
    create: list[Change] = [DropDatabase(fresh)] if live.cluster.unfinished_reset else []
    cluster = live.cluster
    swap: list[Change] = [DropDatabase(name)] if cluster.database_exists or cluster.invalid_database else []
    return [*create, CreateDatabase(fresh)], [*swap, RenameDatabase(fresh, name)]


def plan_release(desired: Desired, live: Live, removed: tuple[str, ...]) -> list[Change]:
    """Empties removed services for an engine that drops their schemas and users itself: those it finds, the schemas the
    admin's now, and nothing that the users own or were granted, by whomever, keeps them from being dropped."""
    leaving = leaving_users(live.cluster, removed)
    taken_back = list(_taken_back(desired, live, leaving))
    owners = _owners_to_borrow(desired, live, taken_back)
    return [
        *(BorrowMembership(owner) for owner in owners),
        *taken_back,
        *(ReturnMembership(owner) for owner in owners),
        *(
            AlterSchemaOwner(Schema(change.name, None)) if isinstance(change, DropSchema) else change
            for change in _removals(live, leaving, borrowed=[])
            if not isinstance(change, DropRole)
        ),
    ]


def plan_destroy(desired: Desired, live: Live) -> list[Change]:
    """Drops the database, then every user of the environment."""
    changes: list[Change] = []
    if live.cluster.database_exists:
        changes.append(DropDatabase(desired.database.name))
    changes += [DropRole(name) for name in sorted(live.cluster.roles)]
    return changes


def _roles(
    desired: Desired, live: Live, verifiers: Mapping[str, str | None], users: Collection[str] | None = None
) -> Iterator[Change]:
    for role in desired.roles:
        if users is not None and role.name not in users:
            continue
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
    relations = defaultdict(list)
    for relation_kind, schema, name in live.relations:
        relations[relation_kind, schema].append(name)
    for grant in desired.grants:
        needed = set(grant.privileges)
        objects = relations[grant.kind, grant.schema] if grant.kind in ("table", "sequence") else [""]
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


def leaving_users(cluster: Cluster, removed: Collection[str]) -> dict[str, UserName]:
    """The users on the server of services that are to be dropped, each with what its name says."""
    return {name: parts for name in cluster.roles if (parts := parse_user_name(name)) and parts.service in removed}


def _taken_back(desired: Desired, live: Live, leaving: Collection[str]) -> Iterator[Change]:
    """What leaving users were granted in the services that stay: only an owner, or a superuser, takes it back."""
    staying = {schema.name: schema.owner for schema in desired.schemas}
    for grant in sorted(live.grants):
        if grant.grantee in leaving and grant.schema in staying:
            yield RevokePrivileges(grant)
    for entry in sorted(live.default_privileges):
        if entry.grantee in leaving and entry.owner in staying.values():
            yield RevokeDefaultPrivileges(entry)


def _removals(live: Live, leaving: Mapping[str, UserName], *, borrowed: list[str]) -> Iterator[Change]:
    """Schemas of removed services, if their own migration user owns them, then the users."""
    if not live.cluster.superuser:
        members = {name for name in leaving if live.cluster.roles[name].admin_is_member}
        yield from (BorrowMembership(name) for name in sorted(leaving.keys() - members - set(borrowed)))
    for name, parts in sorted(leaving.items()):
        if live.schemas.get(parts.service) == name:
            yield DropSchema(parts.service)
    for name in sorted(leaving):
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
