"""Who may do what in fact: through grants, PUBLIC, ownership, membership and attributes. Pure, from the evidence alone.

It is the catalogs' side of the two proofs; what happens at a login must agree with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from .evidence import CatalogObject, Entry, Evidence, Membership
from .model import PUBLIC
from .names import DATABASE_OWNER, parse_user_name

MANAGED_ADMINS = frozenset({"rds_superuser", "cloudsqlsuperuser", "azure_pg_admin"})
"""What managed servers have in place of a superuser."""

OVERALL: Mapping[str, frozenset[str]] = {
    "pg_read_all_data": frozenset({"SELECT", "USAGE"}),
    "pg_write_all_data": frozenset({"INSERT", "UPDATE", "DELETE", "USAGE"}),
}
"""Predefined roles that have privileges on everything: on schemas USAGE alone."""

POWERFUL = frozenset(
    {
        *OVERALL,
        *("pg_maintain", "pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"),
        *("pg_create_subscription", "pg_signal_backend", "pg_checkpoint", "pg_use_reserved_connections"),
    }
)
"""Predefined roles that reach beyond one's own objects."""

OF_THE_MACHINE = frozenset({"pg_read_server_files", "pg_write_server_files", "pg_execute_server_program"})
"""Predefined roles with which one gets at the server's files, and so at everybody's data, from any database."""

TABLE_KINDS = frozenset({"table", "view", "materialized view", "foreign table"})
"""What the model and PostgreSQL's lists of privileges call a table."""


@dataclass(frozen=True, order=True)
class Need:
    """One thing that a role must have to do something.

    `kind` is `database`, `schema`, `table`, `sequence`, with the privilege that is needed on the object of that name;
    `role`, with `SET`, to become the role of that name, or `USAGE`, to act as it at once; or `attribute`, with `LOGIN`,
    `CREATEROLE` or another one, with no name. `schema` is empty but for tables and sequences; one of these without a
    name is what the schema's owner will make next.
    """

    kind: str
    schema: str
    name: str
    privilege: str


class Authority:
    """Answers for one set of evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._groups: dict[str, list[Membership]] = defaultdict(list)
        for membership in evidence.memberships:
            self._groups[membership.member].append(membership)
        self._reached: dict[tuple[str, str], frozenset[str]] = {}

    def inherited(self, role: str) -> frozenset[str]:
        """The roles whose privileges it has at once, itself among them."""
        return self._closure(role, "inherits")

    def becomes(self, role: str) -> frozenset[str]:
        """The roles that it may SET ROLE to, itself among them; a superuser may become everyone."""
        if self._is_superuser(role):
            return frozenset(self._evidence.roles)
        return self._closure(role, "becomes")

    def reaches(self, role: str) -> frozenset[str]:
        """Every role whose privileges it can come to have, by whatever chain of memberships."""
        return self._closure(role, "any")

    def _closure(self, role: str, way: str) -> frozenset[str]:
        key = role, way
        if key not in self._reached:
            found, left = {role}, [role]
            while left:
                for group in self._steps(left.pop(), way):
                    if group not in found:
                        found.add(group)
                        left.append(group)
            self._reached[key] = frozenset(found)
        return self._reached[key]

    def _steps(self, role: str, way: str) -> Iterator[str]:
        for each in self._groups.get(role, ()):
            if way == "any" or (each.inherits if way == "inherits" else each.becomes):
                yield each.group
        database = self._evidence.databases.get(self._evidence.database)
        if database is not None and database.owner == role and DATABASE_OWNER in self._evidence.roles:
            yield DATABASE_OWNER

    def _is_superuser(self, role: str) -> bool:
        known = self._evidence.roles.get(role)
        return known is not None and known.superuser

    @cached_property
    def above(self) -> frozenset[str]:
        """Roles that are above privileges by design: superusers, the admin, what manages the server, and who can become one
        of them. Whether one of them is a service's user is another question."""
        admins = {name for name, role in self._evidence.roles.items() if role.superuser}
        admins |= {self._evidence.cluster.admin, *(MANAGED_ADMINS & self._evidence.roles.keys())}
        database = self._evidence.databases.get(self._evidence.database)
        owner = self._evidence.roles.get(database.owner) if database is not None else None
        if owner is not None and owner.create_role and not parse_user_name(owner.name):
            admins.add(owner.name)  # another admin, who has provisioned it
        return frozenset(name for name in self._evidence.roles if self.reaches(name) & admins)

    @cached_property
    def _objects(self) -> Mapping[tuple[str, str, str], CatalogObject]:
        return {
            ("table" if each.kind in TABLE_KINDS else each.kind, each.schema, each.name): each
            for each in self._evidence.objects
            if each.kind in TABLE_KINDS or each.kind in ("schema", "sequence")
        }

    def may(self, role: str, need: Need) -> bool:
        """Whether a role has at once what is needed. False where the object is not there."""
        if need.kind == "attribute":
            return need.privilege in attributes_of(self._evidence, role) or (
                need.privilege != "LOGIN" and self._is_superuser(role)
            )
        if need.kind == "role":
            ways = self.becomes(role) if need.privilege == "SET" else self.inherited(role)
            return need.name in ways or self._is_superuser(role)
        return self._is_superuser(role) or self._may_use(role, need)

    def _may_use(self, role: str, need: Need) -> bool:
        """The same for objects, of a role that is no superuser."""
        if need.kind == "database":
            database = self._evidence.databases.get(need.name)
            return database is not None and self._has(role, database.entries, need.privilege)
        overall = any(need.privilege in self._overall(group, need.kind) for group in self.inherited(role))
        if need.kind in ("table", "sequence") and not need.name:
            return overall or self._will_have(role, need)
        found = self._objects.get((need.kind, need.schema, need.name))
        return found is not None and (overall or self._has(role, found.entries, need.privilege))

    def _will_have(self, role: str, need: Need) -> bool:
        schema = self._objects.get(("schema", "", need.schema))
        holders = self.inherited(role) | {PUBLIC}
        if schema is None or schema.owner in holders:
            return schema is not None
        return any(
            need.privilege in entry.privileges
            for entry in self._evidence.defaults
            if entry.owner == schema.owner
            and entry.kind == f"{need.kind}s"
            and entry.schema in ("", need.schema)
            and entry.grantee in holders
        )

    @staticmethod
    def _overall(group: str, kind: str) -> frozenset[str]:
        given = OVERALL.get(group, frozenset())
        return given & {"USAGE"} if kind == "schema" else given - {"USAGE"}

    def _has(self, role: str, entries: Iterable[Entry], privilege: str) -> bool:
        """An owner's privileges stand in the list like everybody else's, where it has not taken them from itself."""
        holders = self.inherited(role) | {PUBLIC}
        return any(entry.grantee in holders and privilege in entry.privileges for entry in entries)


def attributes_of(evidence: Evidence, role: str) -> list[str]:
    """The attributes that a role has, as ALTER ROLE names them."""
    known = evidence.roles.get(role)
    if known is None:
        return []
    words = {
        "LOGIN": known.login,
        "SUPERUSER": known.superuser,
        "CREATEROLE": known.create_role,
        "CREATEDB": known.create_database,
        "REPLICATION": known.replication,
        "BYPASSRLS": known.bypass_row_level_security,
    }
    return [word for word, given in words.items() if given]
