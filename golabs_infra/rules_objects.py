"""Rules on objects: who owns them, and who has which privilege on them. Pure; see docs/reference/findings.md.

An object is a service's (in its schema), shared (the schemas public and extensions), the server's own (pg_catalog, a
parameter), or somebody else's. What others do with their own is no finding, unless a service's user gets something of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .authority import TABLE_KINDS, Authority
from .evidence import ROUTINES, CatalogObject, Entry, Evidence
from .expectation import Expectation, entered_schemas
from .findings import Finding, Severity
from .inspection import PUBLIC_CLOSED_VERSION
from .mends import change_owner, grant, grantee_word, revoke, revoke_grant_option, words
from .model import PUBLIC, PUBLIC_SCHEMA, ServiceModel
from .names import DATABASE_OWNER, EXTENSIONS_SCHEMA

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


_EVERYBODYS_SECRETS = frozenset(
    {"pg_authid", "pg_largeobject", "pg_statistic", "pg_user_mapping", "pg_read_file", "pg_read_binary_file"}
)
"""What of the server's own shows every service's data, or its passwords' verifiers, to whoever has it."""


@dataclass(frozen=True)
class ObjectRules:
    """The rules on one environment's objects."""

    evidence: Evidence
    expectation: Expectation
    authority: Authority

    def findings(self) -> Iterator[Finding]:
        """Everything about owners and privileges."""
        entered = entered_schemas(self.evidence, self.expectation)
        owners = {item.name: item.owner for item in self.evidence.objects if item.kind == "schema"}
        for item in self.evidence.objects:
            schema = item.name if item.kind == "schema" else item.schema
            service = self.expectation.service_of(schema)
            if (
                service is not None
                and self.expectation.is_gone(service.name)
                and owners[schema] != service.migration.name
            ):
                service = None  # a schema of that name, and not its any more
            if service is not None and not item.brought:
                yield from self._in_service(item, service)
            elif item.kind == "large object":
                yield from self._large_object(item)
            else:
                yield from self._elsewhere(item, entered)

    def _in_service(self, item: CatalogObject, service: ServiceModel) -> Iterator[Finding]:
        owner = service.migration.name
        if item.owner != owner and not item.follows and not self.expectation.is_gone(service.name):
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
        """What a former owner is to have, which goes to the new one with all that it had; on what follows it, too."""
        followers = [
            each
            for each in self.evidence.objects
            if each.follows and each.kind == "sequence" and (each.schema, each.owner) == (item.schema, item.owner)
        ]
        return tuple(
            statement
            for each in (item, *(followers if item.kind == "table" else ()))
            if (wanted := self.expectation.privileges(each.kind, service.schema.name, item.owner))
            for statement in grant(each, item.owner, wanted)
        )

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
            again = self._below(item, service, entry) if entry.grantable & excess else ()
            yield self._excess(item, entry, excess, severity, service.name, again)
        if option := entry.grantable & entry.privileges & expected:
            yield self._grant_option(item, entry, option, service.name, self._below(item, service, entry))

    def _below(self, item: CatalogObject, service: ServiceModel, entry: Entry) -> tuple[str, ...]:
        """What the model gives and an entry that goes has handed on, to be granted again by the owner."""
        statements: list[str] = []
        givers, left = {entry.grantee}, list(item.entries)
        while below := [each for each in left if each.grantor in givers and each is not entry]:
            left = [each for each in left if each not in below]
            givers |= {each.grantee for each in below}
            for each in below:
                if wanted := each.privileges & self._expected(item, service, each.grantee):
                    statements += grant(item, each.grantee, wanted)
        return tuple(statements)

    def _expected(self, item: CatalogObject, service: ServiceModel, grantee: str) -> frozenset[str]:
        """What a grantee may have: the model's, on a column the same as on its table, and what routines and types give to
        everybody from the beginning."""
        kind = "table" if item.kind == "column" else item.kind
        everybodys = _PUBLIC_FROM_THE_BEGINNING.get(item.kind, frozenset())
        expected = self.expectation.privileges(kind, service.schema.name, grantee)
        return expected | (everybodys if grantee in (PUBLIC, service.app.name) else frozenset())

    def _excess(
        self,
        item: CatalogObject,
        entry: Entry,
        excess: Collection[str],
        severity: Severity,
        service: str = "",
        again: tuple[str, ...] = (),
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
            statements=(*revoke(item, entry, excess), *again),
            acts_as=item.owner,
            service=service,
            beyond=item.kind in ("parameter", "tablespace"),
        )

    def _grant_option(
        self, item: CatalogObject, entry: Entry, option: Collection[str], service: str, again: tuple[str, ...]
    ) -> Finding:
        grantee = grantee_word(entry.grantee)
        return Finding(
            id=f"grant-option/{grantee}/{'+'.join(sorted(option))}",
            severity=Severity.MEDIUM,
            object=item.words,
            who=grantee,
            what=f"{grantee} may hand on {words(option)} on {item.words}, to whomever it likes",
            cause=f"granted by {entry.grantor} WITH GRANT OPTION",
            statements=(*revoke_grant_option(item, entry, option), *again),
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
        own = ", which is its own" if user == item.owner else ""
        return Finding(
            id=f"missing-privilege/{grantee_word(user)}/{'+'.join(sorted(lacking))}",
            severity=Severity.HIGH,
            object=item.words,
            who=grantee_word(user),
            what=f"{grantee_word(user)} lacks {words(lacking)} on {item.words}{own}, and should have it",
            cause="it was revoked, or somebody for whom no default privileges hold has made the object",
            statements=grant(item, user, lacking),
            acts_as=item.owner,
            service=service,
        )

    def _elsewhere(self, item: CatalogObject, entered: frozenset[str]) -> Iterator[Finding]:
        """What is in no service's schema: only what a service's user has of it, or anybody can use."""
        user = self.expectation.users.get(item.owner)
        looked_in = EXTENSIONS_SCHEMA in (item.schema, item.name if item.kind == "schema" else "")
        strange = looked_in and not item.brought and item.owner not in self.authority.above
        if (user is not None or strange) and not item.follows:
            yield self._owned_elsewhere(item, user.service if user else "")
        if looked_in and item.kind == "schema":
            has = {word for entry in item.entries if entry.grantee == PUBLIC for word in entry.privileges}
            if lacking := self.expectation.privileges("schema", item.name, PUBLIC) - has:
                yield self._lacking(item, PUBLIC, lacking, "")
        for entry in item.entries:
            grantee = entry.grantee
            holder = self.expectation.users.get(grantee)
            if grantee == item.owner or not self._concerns(item, entry, looked_in):
                continue
            excess = entry.privileges - self._given_elsewhere(item, grantee)
            if grantee == PUBLIC and not item.brought and item.schema and item.schema not in entered:
                continue  # nobody gets that far
            if excess:
                severity = (
                    Severity.CRITICAL if item.brought else Severity.HIGH if grantee == PUBLIC else Severity.MEDIUM
                )
                yield self._excess(item, entry, excess, severity, holder.service if holder else "")

    def _concerns(self, item: CatalogObject, entry: Entry, looked_in: bool) -> bool:
        """Whether an entry gives something to a user or everybody; or to a stranger what reaches every user."""
        if entry.grantee == PUBLIC or entry.grantee in self.expectation.users:
            return True
        if entry.grantee in self.authority.above:
            return False
        return (looked_in and item.kind == "schema" and "CREATE" in entry.privileges) or (
            item.schema == "pg_catalog" and item.name in _EVERYBODYS_SECRETS
        )

    def _large_object(self, item: CatalogObject) -> Iterator[Finding]:
        """It is in no schema: whose user owns it, that service it belongs to."""
        owner = self.expectation.users.get(item.owner)
        for entry in item.entries:
            holder = self.expectation.users.get(entry.grantee)
            within = owner is not None and holder is not None and holder.service == owner.service
            concerned = holder is not None or owner is not None or entry.grantee == PUBLIC
            if (
                entry.grantee == item.owner
                or within
                or not concerned
                or (holder is None and entry.grantee in self.authority.above)
            ):
                continue
            stranger = holder is None and entry.grantee != PUBLIC
            severity = Severity.HIGH if stranger else Severity.CRITICAL if owner else Severity.MEDIUM
            service = owner.service if owner else holder.service if holder else ""
            yield self._excess(item, entry, entry.privileges, severity, service)

    def _given_elsewhere(self, item: CatalogObject, grantee: str) -> frozenset[str]:
        if item.kind == "schema":
            return self.expectation.privileges("schema", item.name, grantee)
        if item.brought and item.schema not in ("pg_catalog", "information_schema", "") and item.kind in ROUTINES:
            return frozenset({"EXECUTE"})  # an extension's, by name, in place of everybody's
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
            what=f"{item.words} belongs to {item.owner}, who should own nothing "
            + (f"outside of the schema {service}" if service else "that every service can call"),
            cause=f"{item.owner} made it, or it was given to {item.owner} by ALTER ... OWNER TO",
            statements=change_owner(item, owner),
            acts_as=item.owner,
            service=service,
        )
