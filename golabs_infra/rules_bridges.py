"""Rules on ways around privileges: definer's routines, triggers, inheritance, foreign keys, row security. Pure.

See docs/reference/findings.md for what each finding says.
"""

from __future__ import annotations

from collections.abc import Iterator

from .authority import TABLE_KINDS, Authority
from .evidence import (
    ROUTINES,
    Bridge,
    CatalogObject,
    Entry,
    EventTrigger,
    Evidence,
    RowPolicy,
    SecuredTable,
    in_words,
)
from .expectation import SYSTEM_SCHEMAS, Expectation
from .findings import Finding, Severity
from .mends import revoke
from .model import PUBLIC, ServiceModel
from .statement import remedy

_COMMANDS = ("SELECT", "INSERT", "UPDATE", "DELETE")


def bridge_findings(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    """Everything that leads from one service to another without a privilege on the other's objects."""
    entered = _entered(evidence, expectation, authority)
    for item in evidence.objects:
        yield from _definer(item, expectation, authority, entered)
    owners = {(item.schema, item.name): item.owner for item in evidence.objects if item.kind in TABLE_KINDS}
    for bridge in evidence.bridges:
        service = expectation.service_of(bridge.schema)
        other = expectation.service_of(bridge.other)
        if service is not None or other is not None:
            owner = owners.get((bridge.schema, bridge.relation), "")
            yield from _bridge(bridge, service, other, owner)
    for trigger in evidence.event_triggers:
        if trigger.enabled and trigger.owner not in authority.above - expectation.users.keys():
            yield _event_trigger(trigger, expectation)
    for table in evidence.secured:
        service = expectation.service_of(table.schema)
        if service is not None and service.app.login and not expectation.is_gone(service.name):
            yield from _row_security(table, service, authority)


def _entered(evidence: Evidence, expectation: Expectation, authority: Authority) -> dict[str, frozenset[str]]:
    """For each schema, the users who can use the names in it."""
    holders = {user: authority.inherited(user) | {PUBLIC} for user in expectation.users if user in evidence.roles}
    return dict.fromkeys(SYSTEM_SCHEMAS, frozenset(holders)) | {
        item.name: frozenset(
            user
            for user, roles in holders.items()
            if any(entry.grantee in roles and "USAGE" in entry.privileges for entry in item.entries)
        )
        for item in evidence.objects
        if item.kind == "schema" and item.name not in SYSTEM_SCHEMAS
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


def _event_trigger(trigger: EventTrigger, expectation: Expectation) -> Finding:
    user = expectation.users.get(trigger.owner)
    return Finding(
        id=f"event-trigger/{trigger.owner}",
        severity=Severity.CRITICAL,
        object=in_words("event trigger", "", trigger.name),
        who=trigger.owner,
        what=f"event trigger {trigger.name} runs {trigger.function}, which {trigger.owner} can replace, at other roles' "
        "commands and with their rights, a superuser's too",
        cause="CREATE EVENT TRIGGER by a superuser, on a function that is somebody else's",
        statements=(remedy("DROP EVENT TRIGGER {}", trigger.name),),
        service=user.service if user is not None else "",
    )


def _call(bridge: Bridge, service: ServiceModel) -> Finding:
    """Whoever may use what calls a function, has it run, also without a privilege on the function's schema."""
    caller, function = (
        in_words("", bridge.schema, bridge.relation).strip(),
        in_words("", bridge.other, bridge.target).strip(),
    )
    told = f"{bridge.name} of {caller}"
    rights = ", with its owner's rights" if bridge.strong else ""
    return Finding(
        id=f"call/{bridge.other}",
        severity=Severity.CRITICAL,
        object=told,
        who=bridge.other,
        what=f"{told} calls {function} of schema {bridge.other}{rights}: what that does, or shows, is in others' hands",
        cause="it was made while its maker could use the other schema; what was made then stays",
        advice=f"drop {told}, or have it call a function of schema {bridge.schema}",
        service=service.name,
    )


def _bridge(bridge: Bridge, service: ServiceModel | None, other: ServiceModel | None, owner: str) -> Iterator[Finding]:
    table = in_words("table", bridge.schema, bridge.relation)
    relation, target = (bridge.schema, bridge.relation), (bridge.other, bridge.target)
    far, name = table.removeprefix("table "), in_words("", bridge.other, bridge.target).strip()
    match bridge.kind:
        case "call" if service is not None and other is not None:
            yield _call(bridge, service)
        case "trigger" if service is not None and other is not None:
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
                severity=Severity.MEDIUM if owner in _own(service, other) else Severity.CRITICAL,
                object=table,
                who=bridge.other,
                what=f"{table} is a {'partition' if bridge.strong else 'child'} of {name}: who may read that, reads this",
                cause="PARTITION OF, or ATTACH PARTITION" if bridge.strong else "INHERITS, or ALTER TABLE ... INHERIT",
                statements=(detach if bridge.strong else inherit,),
                acts_as=other.migration.name if other is not None and bridge.strong else "",
                service=service.name if service is not None else "",
            )
        case "foreign key":
            told = "and changes here when that is changed there" if bridge.strong else "and tells which keys are there"
            yield Finding(
                id=f"foreign-key/{bridge.other}",
                severity=Severity.HIGH if bridge.strong or service is None else Severity.LOW,
                object=f"{in_words('constraint', '', bridge.name)} on {far}",
                who=bridge.other,
                what=f"a foreign key of {table} depends on {name}, which it keeps from being changed freely, {told}",
                cause="ADD FOREIGN KEY by who had REFERENCES on the other table",
                statements=(remedy("ALTER TABLE {} DROP CONSTRAINT {}", relation, bridge.name),),
                acts_as=service.migration.name if service is not None else "",
                service=service.name if service is not None else other.name if other is not None else "",
            )


def _own(service: ServiceModel | None, other: ServiceModel | None) -> set[str]:
    """Who may own both ends where only one of the schemas is a service's: its migration user."""
    return {each.migration.name for each in (service, other) if each is not None} if not (service and other) else set()


def _row_security(table: SecuredTable, service: ServiceModel, authority: Authority) -> Iterator[Finding]:
    users = [service.app, *([service.migration] if table.forced and not table.policies else [])]
    for role in users:
        policies = [
            policy for policy in table.policies if set(policy.roles) & (authority.inherited(role.name) | {PUBLIC})
        ]
        shut = [command for command in _COMMANDS if not _lets(policies, command)]
        if not shut:
            continue
        closing = [policy for policy in policies if policy.closed and not policy.permissive]
        words = in_words("table", table.schema, table.name)
        yield Finding(
            id=f"row-security/{role.name}",
            severity=Severity.HIGH,
            object=words,
            who=role.name,
            what=f"row security lets {role.name} {', '.join(shut)} no row of {words}",
            cause=_cause(closing),
            statements=_opened(table, closing),
            acts_as=service.migration.name,
            service=service.name,
        )


def _lets(policies: list[RowPolicy], command: str) -> bool:
    """Whether some row can pass, as far as the policies' texts tell."""
    asked = [policy for policy in policies if policy.command in ("ALL", command)]
    return any(each.permissive and not each.closed for each in asked) and not any(
        each.closed and not each.permissive for each in asked
    )


def _cause(closing: list[RowPolicy]) -> str:
    if closing:
        return f"the restrictive policy {', '.join(policy.name for policy in closing)}, which lets no row pass"
    return "ENABLE ROW LEVEL SECURITY, and no policy that lets it do so"


def _opened(table: SecuredTable, closing: list[RowPolicy]) -> tuple[str, ...]:
    relation = (table.schema, table.name)
    if closing:
        return tuple(remedy("DROP POLICY {} ON {}", policy.name, relation) for policy in closing)
    return (remedy("ALTER TABLE {} DISABLE ROW LEVEL SECURITY", relation),)
