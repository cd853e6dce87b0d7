"""Who has what, service by service, and which services reach each other: the evidence as the report shows it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from .authority import OVERALL, TABLE_KINDS, Authority
from .evidence import CatalogObject, Evidence
from .expectation import Expectation
from .findings import Finding
from .mends import grantee_word
from .model import PUBLIC, ServiceModel
from .report import FindingName, Holding, Reach, ServiceReport
from .rules_objects import OWNERS_OWN

_SHOWN = {"schema": "schema", **dict.fromkeys(TABLE_KINDS, "tables"), "sequence": "sequences"}
_EVERYTHING = "everything"
_GIVING_MORE = frozenset({"membership", "attribute"})
"""Rules whose findings let a role reach more than one service."""
PUBLIC_WORD = grantee_word(PUBLIC)


class Holdings:
    """One environment's evidence, ordered by schema."""

    def __init__(self, evidence: Evidence, expectation: Expectation, authority: Authority) -> None:
        self._evidence = evidence
        self._expectation = expectation
        self._authority = authority
        self._objects: dict[tuple[str, str], list[CatalogObject]] = defaultdict(list)
        self._granted: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for item in evidence.objects:
            schema = item.name if item.kind == "schema" else item.schema
            if item.brought or expectation.service_of(schema) is None:
                continue
            if shown := _SHOWN.get(item.kind):
                self._objects[schema, shown].append(item)
            if shown or item.kind == "column":
                for entry in item.entries:
                    self._granted[schema][entry.grantee] |= entry.privileges

    def services(self) -> tuple[ServiceReport, ...]:
        """Every service of the configuration, with what its users and PUBLIC have."""
        return tuple(
            ServiceReport(
                service.name,
                not service.app.login,
                service.migration.name,
                service.app.name,
                tuple(self._of_service(service)),
            )
            for service in self._expectation.desired.services
        )

    def _of_service(self, service: ServiceModel) -> Iterator[Holding]:
        grantees = (PUBLIC, service.migration.name, service.app.name)
        database = self._evidence.databases.get(self._evidence.database)
        schema = service.schema.name
        for grantee in grantees:
            if database is not None:
                item = CatalogObject("database", "", database.name, database.owner, entries=database.entries)
                expected = self._expectation.privileges("database", "", grantee)
                yield self._holding("database", [item], grantee, expected)
            for on, kind in (("schema", "schema"), ("tables", "table"), ("sequences", "sequence")):
                owned = OWNERS_OWN[kind] if grantee == service.migration.name else frozenset()
                expected = self._expectation.privileges(kind, schema, grantee) | owned
                if items := self._objects[schema, on]:
                    yield self._holding(on, items, grantee, expected)
            if grantee != service.migration.name:
                yield from self._later(service, grantee)

    def _holding(self, on: str, items: Iterable[CatalogObject], grantee: str, expected: frozenset[str]) -> Holding:
        """MAINTAIN, which came with PostgreSQL 17, is an owner's own and nobody's question."""
        lists = [
            {word for entry in item.entries if entry.grantee == grantee for word in entry.privileges} - {"MAINTAIN"}
            for item in items
        ]
        everywhere, somewhere = set.intersection(*lists), set.union(*lists)
        return Holding(
            on,
            len(lists),
            "PUBLIC" if grantee == PUBLIC else grantee,
            tuple(sorted(expected)),
            tuple(sorted(everywhere)),
            tuple(sorted(somewhere - everywhere)),
        )

    def _later(self, service: ServiceModel, grantee: str) -> Iterator[Holding]:
        owner, schema = service.migration.name, service.schema.name
        for kind in ("tables", "sequences"):
            expected = self._expectation.defaults.get((owner, schema, kind, grantee), frozenset())
            has = {
                word
                for entry in self._evidence.defaults
                if (entry.owner, entry.kind, entry.grantee) == (owner, kind, grantee) and entry.schema in ("", schema)
                for word in entry.privileges
            }
            name = "PUBLIC" if grantee == PUBLIC else grantee
            yield Holding(f"later {kind}", 1, name, tuple(sorted(expected)), tuple(sorted(has)))

    def reach(self, tried: Iterable[tuple[str, str, str]], findings: Sequence[Finding]) -> tuple[Reach, ...]:
        """The pairs of services that are not isolated, by the catalogs, and by what was `tried` at logins: user, schema
        and action of each attempt that should not have been permitted. Each with the `findings` that tell why."""
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        names = [service.schema.name for service in self._expectation.desired.services]
        for user in self._expectation.users.values():
            if user.leftover or user.name not in self._evidence.roles:
                continue
            for schema, privileges in self._into(user.name, names):
                if schema != user.service:
                    found[user.service, schema] |= privileges
        seen: dict[tuple[str, str], set[str]] = defaultdict(set)
        for name, schema, action in tried:
            service = self._expectation.users[name].service
            if schema != service and schema in names:
                seen[service, schema].add(action)
        return tuple(
            Reach(*pair, tuple(sorted(found[pair])), tuple(sorted(seen[pair])), self._why(*pair, findings))
            for pair in sorted(found.keys() | seen.keys())
        )

    def _why(self, service: str, into: str, findings: Sequence[Finding]) -> tuple[FindingName, ...]:
        """The findings about whom the service's users are, or can become, that are about what is reached."""
        users = [user.name for user in self._expectation.users.values() if user.service == service]
        names = {PUBLIC_WORD, *(name for user in users for name in self._authority.reaches(user))}
        return tuple(
            sorted(
                FindingName(each.id, each.object)
                for each in findings
                if each.who in names and (each.service == into or each.rule in _GIVING_MORE)
            )
        )

    def _into(self, user: str, schemas: Iterable[str]) -> Iterator[tuple[str, set[str]]]:
        holders = self._authority.reaches(user) | {PUBLIC}
        above = any(self._evidence.roles[name].superuser for name in holders if name in self._evidence.roles)
        overall = {word for name in holders for word in OVERALL.get(name, ())}
        for schema in schemas:
            granted = self._granted.get(schema, {})
            privileges = {word for holder in holders for word in granted.get(holder, ())} | overall
            if above:
                privileges = {_EVERYTHING}
            if privileges:
                yield schema, privileges
