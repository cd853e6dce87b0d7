"""Rules on objects: who owns them, and who has which privilege on them. Pure; see docs/findings.md.

An object is a service's (in its schema), shared (the schemas public and extensions), the server's own (pg_catalog, a
parameter), or somebody else's. What others do with their own is no finding, unless a service's user gets something of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .authority import DATABASE_OWNER, TABLE_KINDS, Authority
from .evidence import ROUTINES, CatalogObject, Entry, Evidence
from .expectation import Expectation
from .findings import Finding, Severity
from .inspection import PUBLIC_CLOSED_VERSION
from .mends import change_owner, grant, grantee_word, revoke, revoke_grant_option, words
from .model import PUBLIC, PUBLIC_SCHEMA, ServiceModel

OWNERS_OWN = {
    "schema": frozenset({"CREATE", "USAGE"}),
    "sequence": frozenset({"SELECT", "UPDATE", "USAGE"}),
    **{
        kind: frozenset({"DELETE", "INSERT", "REFERENCES", "SELECT", "TRIGGER", "TRUNCATE", "UPDATE"})
        for kind in TABLE_KINDS
    },
}
"""What an owner has on its own, unless it took that from itself."""

_PUBLIC_FROM_THE_BEGINNING = {
    **{kind: frozenset({"EXECUTE"}) for kind in ROUTINES},
    **{kind: frozenset({"USAGE"}) for kind in ("type", "domain", "language")},
}


@dataclass(frozen=True)
class ObjectRules:
    """The rules on one environment's objects."""

    evidence: Evidence
    expectation: Expectation
    authority: Authority

    def findings(self) -> Iterator[Finding]:
        """Everything about owners and privileges."""
        entered = frozenset(item.name for item in self.evidence.objects if item.kind == "schema" and self._open(item))
        for item in self.evidence.objects:
            schema = item.name if item.kind == "schema" else item.schema
            service = self.expectation.service_of(schema)
            if service is not None and not item.brought:
                yield from self._in_service(item, service)
            else:
                yield from self._elsewhere(item, entered)

    def _open(self, schema: CatalogObject) -> bool:
        """Whether PUBLIC or a service's user can use the names in a schema."""
        holders = {PUBLIC, *self.expectation.users}
        return any("USAGE" in entry.privileges and entry.grantee in holders for entry in schema.entries)

    def _in_service(self, item: CatalogObject, service: ServiceModel) -> Iterator[Finding]:
        owner = service.migration.name
        if item.owner != owner and not item.follows:
            yield from self._owner(item, service)
        for entry in item.entries:
            if entry.grantee != item.owner:
                yield from self._entry(item, service, entry)
        if not self.expectation.is_gone(service.name):
            yield from self._missing(item, service)

    def _owner(self, item: CatalogObject, service: ServiceModel) -> Iterator[Finding]:
        above = item.owner in self.authority.above and item.owner not in self.expectation.users
        if above and item.kind == "foreign table":
            return  # only an admin can make one, where migration users may not use its server
        user = self.expectation.users.get(item.owner)
        stranger = user is not None and user.service != service.name
        borrows = above and item.definer
        severity = Severity.HIGH if item.kind == "schema" else Severity.MEDIUM
        effect = "which alone should own it"
        if borrows:
            effect = f"so that it runs with the rights of {item.owner}, who is above privileges"
        elif stranger:
            effect = "who can do everything with it"
        owner = service.migration.name
        yield Finding(
            id=f"owner/{item.owner}",
            severity=Severity.CRITICAL if stranger or borrows else severity,
            object=item.words,
            who=item.owner,
            what=f"{item.words} belongs to {item.owner} and not to {owner}, {effect}",
            cause=f"{item.owner} made it, or it was given to {item.owner} by ALTER ... OWNER TO",
            statements=(*change_owner(item, owner), *self._again(item, service)),
            acts_as=owner,
            service=service.name,
        )

    def _again(self, item: CatalogObject, service: ServiceModel) -> tuple[str, ...]:
        """What a former owner is to have, which goes to the new one with all that it had."""
        wanted = self.expectation.privileges(item.kind, service.schema.name, item.owner)
        return grant(item, item.owner, wanted) if wanted else ()

    def _entry(self, item: CatalogObject, service: ServiceModel, entry: Entry) -> Iterator[Finding]:
        grantee, user = entry.grantee, self.expectation.users.get(entry.grantee)
        if grantee == service.migration.name or (grantee in self.authority.above and user is None):
            return
        expected = self._expected(item, service, grantee)
        excess = entry.privileges - expected
        if excess:
            if grantee == PUBLIC or (user is not None and user.service != service.name):
                severity = Severity.CRITICAL
            else:
                severity = Severity.MEDIUM if user is not None else Severity.HIGH
            yield self._excess(item, entry, excess, severity, service.name)
        if option := entry.grantable & entry.privileges & expected:
            yield self._grant_option(item, entry, option, service.name)

    def _expected(self, item: CatalogObject, service: ServiceModel, grantee: str) -> frozenset[str]:
        """What a grantee may have: the model's, on a column the same as on its table, and what routines and types give to
        everybody from the beginning."""
        kind = "table" if item.kind == "column" else item.kind
        everybodys = _PUBLIC_FROM_THE_BEGINNING.get(item.kind, frozenset())
        expected = self.expectation.privileges(kind, service.schema.name, grantee)
        return expected | (everybodys if grantee in (PUBLIC, service.app.name) else frozenset())

    def _excess(
        self, item: CatalogObject, entry: Entry, excess: Collection[str], severity: Severity, service: str = ""
    ) -> Finding:
        grantee = grantee_word(entry.grantee)
        option = " WITH GRANT OPTION" if entry.grantable & set(excess) else ""
        everyone = ", that is every role that can connect," if entry.grantee == PUBLIC else ""
        return Finding(
            id=f"privilege/{grantee}/{'+'.join(sorted(excess))}",
            severity=severity,
            object=item.words,
            who=grantee,
            what=f"{grantee}{everyone} has {words(excess)} on {item.words}, and should not",
            cause=f"granted by {entry.grantor}{option}",
            statements=revoke(item, entry, excess),
            acts_as=item.owner,
            service=service,
        )

    def _grant_option(self, item: CatalogObject, entry: Entry, option: Collection[str], service: str) -> Finding:
        grantee = grantee_word(entry.grantee)
        return Finding(
            id=f"grant-option/{grantee}/{'+'.join(sorted(option))}",
            severity=Severity.MEDIUM,
            object=item.words,
            who=grantee,
            what=f"{grantee} may hand on {words(option)} on {item.words}, to whomever it likes",
            cause=f"granted by {entry.grantor} WITH GRANT OPTION",
            statements=revoke_grant_option(item, entry, option),
            acts_as=item.owner,
            service=service,
        )

    def _missing(self, item: CatalogObject, service: ServiceModel) -> Iterator[Finding]:
        """EXECUTE is nobody's lack: taking it from PUBLIC is how an owner keeps a routine to itself."""
        has: dict[str, set[str]] = defaultdict(set)
        for entry in item.entries:
            has[entry.grantee] |= entry.privileges
        app, migration = service.app.name, service.migration.name
        expected = {app: self.expectation.privileges(item.kind, service.schema.name, app)}
        expected[migration] = OWNERS_OWN.get(item.kind, frozenset()) if item.owner == migration else frozenset()
        for user, wanted in expected.items():
            lacking = wanted - has[user]
            if lacking and user in self.evidence.roles and (user != item.owner or user == migration):
                yield self._lacking(item, user, lacking, service.name)

    def _lacking(self, item: CatalogObject, user: str, lacking: Collection[str], service: str) -> Finding:
        own = ", its own," if user == item.owner else ""
        return Finding(
            id=f"missing-privilege/{user}/{'+'.join(sorted(lacking))}",
            severity=Severity.HIGH,
            object=item.words,
            who=user,
            what=f"{user} lacks {words(lacking)} on {item.words}{own}, and should have it",
            cause="it was revoked, or somebody for whom no default privileges hold has made the object",
            statements=grant(item, user, lacking),
            acts_as=item.owner,
            service=service,
        )

    def _elsewhere(self, item: CatalogObject, entered: frozenset[str]) -> Iterator[Finding]:
        """What is in no service's schema: only what a service's user has of it, or anybody can use."""
        user = self.expectation.users.get(item.owner)
        if user is not None and not item.follows and item.kind != "large object":
            yield self._owned_elsewhere(item, user.service)
        for entry in item.entries:
            grantee = entry.grantee
            holder = self.expectation.users.get(grantee)
            if grantee == item.owner or (holder is None and grantee != PUBLIC):
                continue
            excess = entry.privileges - self._given_elsewhere(item, grantee)
            if grantee == PUBLIC and not item.brought and item.schema and item.schema not in entered:
                continue  # nobody gets that far
            if excess:
                severity = (
                    Severity.CRITICAL if item.brought else Severity.HIGH if grantee == PUBLIC else Severity.MEDIUM
                )
                yield self._excess(item, entry, excess, severity, holder.service if holder else "")

    def _given_elsewhere(self, item: CatalogObject, grantee: str) -> frozenset[str]:
        if item.kind == "schema":
            return self.expectation.privileges("schema", item.name, grantee)
        # Of what PostgreSQL or an extension brought there are only the entries that it did not bring.
        everybodys = grantee == PUBLIC and not item.brought
        return _PUBLIC_FROM_THE_BEGINNING.get(item.kind, frozenset()) if everybodys else frozenset()

    def _owned_elsewhere(self, item: CatalogObject, service: str) -> Finding:
        owner = self.evidence.cluster.admin
        high = item.kind == "schema" and item.name == PUBLIC_SCHEMA
        if high and self.evidence.cluster.version_number >= PUBLIC_CLOSED_VERSION:
            owner = DATABASE_OWNER
        return Finding(
            id=f"owner/{item.owner}",
            severity=Severity.HIGH if high else Severity.MEDIUM,
            object=item.words,
            who=item.owner,
            what=f"{item.words} belongs to {item.owner}, who should own nothing outside of the schema {service}",
            cause=f"{item.owner} made it, or it was given to {item.owner} by ALTER ... OWNER TO",
            statements=change_owner(item, owner),
            acts_as=item.owner,
            service=service,
        )
