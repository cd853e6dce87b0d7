"""Live catalogs made by hand: what a server shows once a desired state has been applied, for tests to change a part of."""

from __future__ import annotations

from collections.abc import Iterable

from golabs_infra.inspection import Cluster, Live, LiveRole
from golabs_infra.model import Desired, Grant, RelationKind, Role, expand

from ..support import make_settings

RELATIONS: tuple[tuple[RelationKind, str, str], ...] = (
    ("table", "billing", "invoice"),
    ("table", "billing", "schema_migrations"),
    ("sequence", "billing", "invoice_id_seq"),
    ("table", "order", "line item"),
)
"""What migrations have made: kind, schema, name."""


def make_desired(environment: str = "tst", /, **values: object) -> Desired:
    """The desired state of a configuration (tests.support.raw_config)."""
    return expand(make_settings(environment, **values))


def make_cluster(roles: Iterable[Role | LiveRole] = (), /, **facts: object) -> Cluster:
    """A PostgreSQL 18 with the database in place, looked at by its superuser, unless facts say otherwise."""
    live = [role if isinstance(role, LiveRole) else LiveRole(role, False, True) for role in roles]
    given: dict[str, object] = {
        "version_number": 180001,
        "version": "18.1",
        "system_identifier": "7000000000000000001",
        "admin": "postgres",
        "superuser": True,
        "create_database": True,
        "create_role": True,
        "signal_backend": True,
        "in_recovery": False,
        "read_only": False,
        "available_extensions": frozenset({"pg_trgm", "plpgsql", "vector"}),
        "database_exists": True,
        "database_owner": "postgres",
        "owns_database": True,
        "allows_connections": True,
    }
    return Cluster(**(given | facts), roles={each.role.name: each for each in live})  # type: ignore[arg-type]


def make_live(
    desired: Desired,
    /,
    *,
    relations: Iterable[tuple[RelationKind, str, str]] = RELATIONS,
    roles: Iterable[Role | LiveRole] | None = None,
    **facts: object,
) -> Live:
    """What is live once `desired` has been applied, with relations that migrations have made."""
    made = frozenset(relations)
    grants = [
        Grant(grant.kind, grant.schema, grant.grantee, grant.privileges, name)
        for grant in desired.grants
        for name in (
            [name for kind, schema, name in sorted(made) if (kind, schema) == (grant.kind, grant.schema)]
            if grant.kind in ("table", "sequence")
            else [""]
        )
    ]
    return Live(
        cluster=make_cluster(desired.roles if roles is None else roles, **facts),
        schemas={"public": "pg_database_owner", **{s.name: s.owner or "postgres" for s in desired.schemas}},
        extensions=frozenset(desired.database.extensions),
        relations=made,
        grants=frozenset(grant for grant in grants if grant.privileges),
        default_privileges=frozenset(entry for entry in desired.default_privileges if entry.privileges),
    )


def make_empty(desired: Desired, /, **facts: object) -> Live:
    """A new database, as template0 makes it: PUBLIC may connect, and use schema public."""
    return Live(
        cluster=make_cluster(**facts),
        schemas={"public": "pg_database_owner"},
        grants=frozenset(
            {Grant("database", "", "public", ("CONNECT", "TEMPORARY")), Grant("schema", "public", "public", ("USAGE",))}
        ),
    )
