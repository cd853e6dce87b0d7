"""Rules on ways around privileges: definer's routines, triggers, inheritance, foreign keys, row security. Pure.

See docs/findings.md for what each finding says.
"""

from __future__ import annotations

from collections.abc import Iterator

from .authority import Authority
from .evidence import ROUTINES, Bridge, CatalogObject, Entry, Evidence, RowPolicy, SecuredTable, in_words
from .expectation import Expectation
from .findings import Finding, Severity
from .mends import revoke
from .model import PUBLIC, ServiceModel
from .sql import remedy


def bridge_findings(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    """Everything that leads from one service to another without a privilege on the other's objects."""
    entered = _entered(evidence, expectation, authority)
    for item in evidence.objects:
        yield from _definer(item, expectation, authority, entered)
    for bridge in evidence.bridges:
        service = expectation.service_of(bridge.schema)
        other = expectation.service_of(bridge.other)
        if service is not None or other is not None:
            yield from _bridge(bridge, service, other)
    for table in evidence.secured:
        service = expectation.service_of(table.schema)
        if service is not None and service.app.login and not expectation.is_gone(service.name):
            yield from _row_security(table, service, authority)


def _entered(evidence: Evidence, expectation: Expectation, authority: Authority) -> dict[str, frozenset[str]]:
    """For each schema, the users who can use the names in it."""
    holders = {user: authority.inherited(user) | {PUBLIC} for user in expectation.users if user in evidence.roles}
    return {
        item.name: frozenset(
            user
            for user, roles in holders.items()
            if any(entry.grantee in roles and "USAGE" in entry.privileges for entry in item.entries)
        )
        for item in evidence.objects
        if item.kind == "schema"
    }


def _definer(
    item: CatalogObject, expectation: Expectation, authority: Authority, entered: dict[str, frozenset[str]]
) -> Iterator[Finding]:
    """A routine with its owner's rights outside of the schemas where the owner is the service itself."""
    if not (item.definer and item.kind in ROUTINES) or item.brought or expectation.service_of(item.schema) is not None:
        return  # in a service's schema its owner tells, and who else gets in there
    callers = {
        user: entry
        for entry in item.entries
        for user in sorted(entered.get(item.schema, frozenset()))
        if "EXECUTE" in entry.privileges
        and entry.grantee in authority.inherited(user) | {PUBLIC}
        and user != item.owner
    }
    if not callers:
        return
    users = ", ".join(sorted(callers)[:3]) + (f" and {len(callers) - 3} more" if len(callers) > 3 else "")
    entries: list[Entry] = list({id(entry): entry for entry in callers.values()}.values())
    yield Finding(
        id=f"definer/{item.owner}",
        severity=Severity.CRITICAL,
        object=item.words,
        who=users,
        what=f"{users} can call {item.words}, which runs with the rights of {item.owner}",
        cause=f"{item.owner} made it SECURITY DEFINER in schema {item.schema}, which services can use",
        statements=tuple(text for entry in entries for text in revoke(item, entry, {"EXECUTE"})),
        acts_as=item.owner,
    )


def _bridge(bridge: Bridge, service: ServiceModel | None, other: ServiceModel | None) -> Iterator[Finding]:
    table = in_words("table", bridge.schema, bridge.relation)
    relation, target = (bridge.schema, bridge.relation), (bridge.other, bridge.target)
    far, name = table.removeprefix("table "), in_words("", bridge.other, bridge.target).strip()
    match bridge.kind:
        case "trigger" if service is not None:
            yield Finding(
                id=f"trigger/{bridge.other}",
                severity=Severity.HIGH,
                object=f"{in_words('trigger', '', bridge.name)} on {far}",
                who=bridge.other,
                what=f"a trigger on {table} runs {name}, a function of schema {bridge.other}, which sees every row",
                cause="CREATE TRIGGER by who had TRIGGER on the table and EXECUTE on the function",
                statements=(remedy("DROP TRIGGER {} ON {}", bridge.name, relation),),
                acts_as=service.migration.name,
                service=service.name,
            )
        case "inheritance":
            detach = remedy("ALTER TABLE {} DETACH PARTITION {}", target, relation)
            inherit = remedy("ALTER TABLE {} NO INHERIT {}", relation, target)
            yield Finding(
                id=f"inheritance/{bridge.other}",
                severity=Severity.CRITICAL,
                object=table,
                who=bridge.other,
                what=f"{table} is a {'partition' if bridge.partition else 'child'} of {name}: who may read that, reads this",
                cause="PARTITION OF, or ATTACH PARTITION"
                if bridge.partition
                else "INHERITS, or ALTER TABLE ... INHERIT",
                statements=(detach if bridge.partition else inherit,),
                acts_as=other.migration.name if other is not None and bridge.partition else "",
                service=service.name if service is not None else "",
            )
        case "foreign key" if service is not None:
            yield Finding(
                id=f"foreign-key/{bridge.other}",
                severity=Severity.LOW,
                object=f"{in_words('constraint', '', bridge.name)} on {far}",
                who=bridge.other,
                what=f"a foreign key of {table} depends on {name}, and tells which keys are there",
                cause="ADD FOREIGN KEY by who had REFERENCES on the other table",
                statements=(remedy("ALTER TABLE {} DROP CONSTRAINT {}", relation, bridge.name),),
                acts_as=service.migration.name,
                service=service.name,
            )


def _row_security(table: SecuredTable, service: ServiceModel, authority: Authority) -> Iterator[Finding]:
    users = [service.app, *([service.migration] if table.forced else [])]
    for role in users:
        policies = [
            policy for policy in table.policies if set(policy.roles) & (authority.inherited(role.name) | {PUBLIC})
        ]
        reading = [policy for policy in policies if policy.command in ("ALL", "SELECT")]
        closing = [policy for policy in reading if policy.closed and not policy.permissive]
        opening = [policy for policy in reading if policy.permissive and not policy.closed]
        if opening and not closing:
            continue
        words = in_words("table", table.schema, table.name)
        yield Finding(
            id=f"row-security/{role.name}",
            severity=Severity.HIGH,
            object=words,
            who=role.name,
            what=f"row security hides every row of {words} from {role.name}",
            cause=_cause(closing),
            statements=_opened(table, closing),
            acts_as=service.migration.name,
            service=service.name,
        )


def _cause(closing: list[RowPolicy]) -> str:
    if closing:
        return f"the restrictive policy {', '.join(policy.name for policy in closing)}, which lets no row pass"
    return "ENABLE ROW LEVEL SECURITY, and no policy that lets it read anything"


def _opened(table: SecuredTable, closing: list[RowPolicy]) -> tuple[str, ...]:
    relation = (table.schema, table.name)
    if closing:
        return tuple(remedy("DROP POLICY {} ON {}", policy.name, relation) for policy in closing)
    return (remedy("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", relation),)
