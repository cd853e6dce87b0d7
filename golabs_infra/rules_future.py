"""Rules on what will be: default privileges, and settings that new sessions begin with. Pure; see docs/reference/findings.md."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .authority import Authority
from .evidence import DefaultEntry, Evidence, Setting
from .expectation import Expectation, User, entered_schemas
from .findings import Finding, Severity
from .mends import close_default, grantee_word, open_default, words
from .model import PUBLIC
from .statement import remedy

_EVERYBODYS = {"functions": frozenset({"EXECUTE"}), "types": frozenset({"USAGE"})}
"""What PUBLIC has on later objects, unless an owner says otherwise."""

TIMEOUTS = ("statement_timeout", "idle_in_transaction_session_timeout")

REDIRECTING = frozenset(
    {
        *("search_path", "role", "session_authorization", "session_replication_role", "row_security"),
        *("default_transaction_read_only", "transaction_read_only", "lo_compat_privileges", "allow_system_table_mods"),
        *(
            "local_preload_libraries",
            "session_preload_libraries",
            "dynamic_library_path",
            "exit_on_error",
            "default_transaction_isolation",
        ),
        *("idle_session_timeout", "lock_timeout", "transaction_timeout", *TIMEOUTS),
    }
)
"""Settings that change what a session may do, sees or runs. Every other one is tuning, and left alone."""

_DBAS_OWN = frozenset(
    {
        *("lock_timeout", "transaction_timeout", "idle_session_timeout", "default_transaction_isolation"),
        "session_preload_libraries",
    }
)
"""Of these, what a DBA may well set for a whole database."""


def default_findings(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    """Default privileges: too many, too few, and what an owner will lack on its own."""
    entered = entered_schemas(evidence, expectation)
    has: dict[tuple[str, str, str, str], frozenset[str]] = {}
    for entry in evidence.defaults:
        key = entry.owner, entry.schema, entry.kind, entry.grantee
        has[key] = entry.privileges
        if entry.lost:
            yield from _lost(entry, expectation)
        if entry.grantee != entry.owner and _concerns(entry, expectation, authority, entered):
            expected = _expected(entry, expectation)
            excess = entry.privileges - expected
            excess |= entry.grantable & entry.privileges
            if excess:
                yield _too_much(entry, excess, expectation)
    schemas = {item.name for item in evidence.objects if item.kind == "schema"}
    for key, wanted in expectation.defaults.items():
        owner, schema, kind, grantee = key
        if not {owner, grantee} <= evidence.roles.keys() or schema not in schemas:
            continue  # that is the finding
        service = expectation.service_of(schema)
        lacking = wanted - has.get(key, frozenset())
        if lacking and service is not None and not expectation.is_gone(service.name):
            yield _too_little(owner, schema, kind, grantee, lacking, service.name)


def _where(schema: str, kind: str) -> str:
    return f"default privileges on {kind} in schema {schema}" if schema else f"default privileges on {kind}"


def _concerns(entry: DefaultEntry, expectation: Expectation, authority: Authority, entered: frozenset[str]) -> bool:
    """Whether anything of the environment will be given by it: into a service's schema, by a user, or to one."""
    if entry.grantee in authority.above and entry.grantee not in expectation.users:
        return False
    ours = expectation.service_of(entry.schema) is not None or entry.owner in expectation.users
    reached = not entry.schema or entry.schema in entered
    return ours or entry.grantee in expectation.users or (entry.grantee == PUBLIC and reached)


def _expected(entry: DefaultEntry, expectation: Expectation) -> frozenset[str]:
    """What may be given: to PUBLIC what it has from the beginning; in a service's schema, what the model gives there by
    whomever, for the admin makes foreign tables."""
    if entry.grantee == PUBLIC:
        return _EVERYBODYS.get(entry.kind, frozenset())
    return (
        expectation.privileges(entry.kind.removesuffix("s"), entry.schema, entry.grantee)
        if entry.schema
        else frozenset()
    )


def _too_much(entry: DefaultEntry, excess: Collection[str], expectation: Expectation) -> Finding:
    grantee, holder = grantee_word(entry.grantee), expectation.users.get(entry.grantee)
    service = expectation.service_of(entry.schema)
    owner = expectation.users.get(entry.owner)
    own = holder is not None and holder.service in {
        *([service.name] if service else []),
        *([owner.service] if owner and not service else []),
    }
    severity = (
        Severity.MEDIUM if own else Severity.HIGH if holder is None and grantee != "PUBLIC" else Severity.CRITICAL
    )
    return Finding(
        id=f"default-privilege/{entry.owner}/{grantee}/{'+'.join(sorted(excess))}",
        severity=severity,
        object=_where(entry.schema, entry.kind),
        who=grantee,
        what=f"{grantee} will have {words(excess)} on {entry.kind} that {entry.owner} makes "
        f"{f'in schema {entry.schema}' if entry.schema else 'in any schema'}, and should not",
        cause=f"ALTER DEFAULT PRIVILEGES FOR ROLE {entry.owner}"
        + (" ... WITH GRANT OPTION" if entry.grantable & set(excess) else ""),
        statements=_restored(entry, excess, expectation),
        acts_as=entry.owner,
        service=service.name if service else holder.service if holder else "",
    )


def _restored(entry: DefaultEntry, excess: Collection[str], expectation: Expectation) -> tuple[str, ...]:
    """Takes the excess, and gives again what of it is only not to be handed on."""
    again = frozenset(excess) & _expected(entry, expectation)
    given = open_default(entry.owner, entry.schema, entry.kind, entry.grantee, again) if again else ()
    return (*close_default(entry, excess), *given)


def _too_little(owner: str, schema: str, kind: str, grantee: str, lacking: Collection[str], service: str) -> Finding:
    where = f"in schema {schema}" if schema else "in any schema"
    return Finding(
        id=f"missing-default-privilege/{owner}/{grantee}/{'+'.join(sorted(lacking))}",
        severity=Severity.HIGH,
        object=_where(schema, kind),
        who=grantee,
        what=f"{grantee} will lack {words(lacking)} on {kind} that {owner} makes {where}, and should have it",
        cause=f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner} ... REVOKE",
        statements=open_default(owner, schema, kind, grantee, lacking),
        acts_as=owner,
        service=service,
    )


def _lost(entry: DefaultEntry, expectation: Expectation) -> Iterator[Finding]:
    user = expectation.users.get(entry.owner)
    if user is not None and not user.leftover:
        yield _too_little(entry.owner, entry.schema, entry.kind, entry.owner, entry.lost, user.service)


def setting_findings(evidence: Evidence, expectation: Expectation) -> Iterator[Finding]:
    """Settings of the users, of the database, and of everybody."""
    for name, user in expectation.users.items():
        if name in evidence.roles and not user.leftover:
            yield from _of_the_model(evidence, user)
    for setting in evidence.settings:
        listed = setting.name in REDIRECTING
        holder = expectation.users.get(setting.role)
        if not listed or (setting.role and holder is None):
            continue
        acting = setting.name == "role" and holder is not None and bool(holder.role.acts_as)
        modelled = setting.name in ("search_path", *TIMEOUTS) or acting
        if holder is not None and not holder.leftover and not (modelled and not setting.database):
            yield _of_a_user(setting, holder)
        elif not setting.role and setting.name not in _DBAS_OWN:
            yield _of_everybody(setting)


def _of_the_model(evidence: Evidence, user: User) -> Iterator[Finding]:
    current = evidence.cluster.roles.get(user.name)
    if current is None:
        return
    pairs = [(name, getattr(user.role, name), getattr(current.role, name)) for name in ("search_path", *TIMEOUTS)]
    if user.role.acts_as and user.role.acts_as != current.role.acts_as:
        yield _not_acting(user, current.role.acts_as)
    for name, wanted, has in pairs:
        if wanted == has:
            continue
        if name == "search_path":
            mend = remedy(f"ALTER ROLE {{}} SET search_path TO {', '.join('{}' for _ in wanted)}", user.name, *wanted)
            seen, should = ", ".join(has) or "not set", ", ".join(wanted)
        else:
            reset = f"ALTER ROLE {{}} SET {name} TO '{wanted:d}'" if wanted else f"ALTER ROLE {{}} RESET {name}"
            mend = remedy(reset, user.name)
            seen, should = (f"{value} ms" if value else "none" for value in (has, wanted))
        yield Finding(
            id=f"setting/{user.name}/{name}",
            severity=Severity.HIGH,
            object=f"role {user.name}",
            who=user.name,
            what=f"{name} of {user.name} is {seen}, and should be {should}",
            cause=f"ALTER ROLE {user.name} SET, or RESET, {name}",
            statements=(mend,),
            service=user.service,
        )


def _not_acting(user: User, seen: str) -> Finding:
    """A twin whose sessions would do everything in its own name."""
    return Finding(
        id=f"setting/{user.name}/role",
        severity=Severity.HIGH,
        object=f"role {user.name}",
        who=user.name,
        what=f"sessions of {user.name} act as {seen or 'itself'}, and should as {user.role.acts_as}, whose second login it is",
        cause=f"ALTER ROLE {user.name} SET, or RESET, role",
        statements=(remedy("ALTER ROLE {} SET role TO {}", user.name, user.role.acts_as),),
        service=user.service,
    )


def _of_a_user(setting: Setting, user: User) -> Finding:
    where = f"role {setting.role}" + (f" in database {setting.database}" if setting.database else "")
    template = "ALTER ROLE {} IN DATABASE {} RESET {}" if setting.database else "ALTER ROLE {} RESET {}"
    names = [name for name in (setting.role, setting.database, setting.name) if name]
    return Finding(
        id=f"setting/{user.name}/{setting.name}",
        severity=Severity.HIGH,
        object=where,
        who=user.name,
        what=f"sessions of {user.name} begin with {setting.name} = {setting.value}, which is not the model's",
        cause=f"ALTER ROLE ... SET {setting.name}",
        statements=(remedy(template, *names),),
        service=user.service,
    )


def _of_everybody(setting: Setting) -> Finding:
    if setting.database:
        scope, where, who = "database", f"database {setting.database}", "every role"
        mend = remedy("ALTER DATABASE {} RESET {}", setting.database, setting.name)
    else:
        scope, where, who = "all", "all roles", "every role of the server"
        mend = remedy("ALTER ROLE ALL RESET {}", setting.name)
    return Finding(
        id=f"setting/{scope}/{setting.name}",
        severity=Severity.HIGH,
        object=where,
        who=who,
        what=f"sessions of {who} begin with {setting.name} = {setting.value} here, where nothing else is set for them",
        cause=f"ALTER {'DATABASE' if setting.database else 'ROLE ALL'} SET {setting.name}",
        statements=(mend,),
        beyond=not setting.database,
    )
