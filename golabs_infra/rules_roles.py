"""Rules on roles: attributes, logins, memberships. Pure; see docs/reference/findings.md for what each finding says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from .authority import OF_THE_MACHINE, OVERALL, POWERFUL, Authority, attributes_of
from .evidence import Evidence, Membership, ServerRole
from .expectation import Expectation, User
from .findings import Finding, Severity
from .mends import leave
from .model import PUBLIC
from .names import parse_user_name
from .sql import verifier_variable
from .statement import remedy
from .wording import counted

SET_ROLE_VERSION = 160000
"""Before 16 who may create roles may also make itself a member of any."""

_ATTRIBUTES = {
    "SUPERUSER": (Severity.CRITICAL, "is above every privilege"),
    "BYPASSRLS": (Severity.CRITICAL, "is above row security"),
    "REPLICATION": (Severity.CRITICAL, "can copy the whole server"),
    "CREATEROLE": (Severity.HIGH, "can make roles, and alter them"),
    "CREATEDB": (Severity.MEDIUM, "can make databases"),
}


def role_findings(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    """Everything about roles themselves."""
    for user in expectation.users.values():
        known = evidence.roles.get(user.name)
        if known is None:
            if not user.leftover:
                yield _missing(user)
            continue
        yield from _attributes(evidence, user, known)
        yield from _login(user, known)
        if not user.leftover:
            yield from _without_membership(evidence, user)
        if user.name in evidence.passwordless and user.role.login and not user.leftover:
            yield password_finding(user, "NO PASSWORD")
    yield from _memberships(evidence, expectation, authority)
    if evidence.cluster.version_number < SET_ROLE_VERSION:
        yield from _role_makers(evidence, expectation, authority)


def _missing(user: User) -> Finding:
    return Finding(
        id=f"missing-user/{user.name}",
        severity=Severity.HIGH,
        object=f"role {user.name}",
        who=user.name,
        what=f"{user.name} does not exist, so that {user.service} can't log in as it",
        cause="it was dropped, or no up has made it yet",
        advice="golabs up",
        service=user.service,
    )


def _attributes(evidence: Evidence, user: User, known: ServerRole) -> Iterator[Finding]:
    for word in _ATTRIBUTES.keys() & attributes_of(evidence, user.name):
        severity, effect = _ATTRIBUTES[word]
        yield Finding(
            id=f"attribute/{user.name}/{word}",
            severity=severity,
            object=f"role {user.name}",
            who=user.name,
            what=f"{user.name} has {word}: it {effect}, and no service's user has it",
            cause=f"ALTER ROLE {user.name} {word}",
            statements=(remedy(f"ALTER ROLE {{}} NO{word}", user.name),),
            service=user.service,
        )
    if not known.inherit:
        yield Finding(
            id=f"attribute/{user.name}/NOINHERIT",
            severity=Severity.LOW,
            object=f"role {user.name}",
            who=user.name,
            what=f"{user.name} has NOINHERIT, which no service's user has",
            cause=f"ALTER ROLE {user.name} NOINHERIT",
            statements=(remedy("ALTER ROLE {} INHERIT", user.name),),
            service=user.service,
        )


def _login(user: User, known: ServerRole) -> Iterator[Finding]:
    name = user.name
    if user.leftover:
        if known.login:
            yield Finding(
                id=f"leftover-user/{name}",
                severity=Severity.MEDIUM,
                object=f"role {name}",
                who=name,
                what=f"{name} can log in, and {_gone(user)} in the configuration any more",
                cause=f"{'its entry in logins' if user.role.acts_as else 'its service'} was taken out of the configuration, "
                "which leaves it in place here",
                statements=(remedy("ALTER ROLE {} NOLOGIN", name),),
                service=user.service,
            )
        return
    if known.login != user.role.login:
        word = "LOGIN" if known.login else "NOLOGIN"
        told = "can log in, and its login is to be closed" if known.login else "can't log in: its login is closed"
        wanted = "NOLOGIN" if known.login else "LOGIN"
        yield _of_login(user, word, f"{name} {told}", f"ALTER ROLE {name} {word}", f"ALTER ROLE {{}} {wanted}")
    if known.expired is not None:
        word, told = ("EXPIRED", "is over") if known.expired else ("EXPIRES", "will be over one day")
        severity = Severity.HIGH if known.expired else Severity.MEDIUM
        what = f"the password of {name} {told}; no service's password expires"
        cause, mend = f"ALTER ROLE {name} VALID UNTIL ...", "ALTER ROLE {} VALID UNTIL 'infinity'"
        yield _of_login(user, word, what, cause, mend, severity)
    if known.connection_limit != user.role.connection_limit:
        limit, allowed = known.connection_limit, user.role.connection_limit
        seen = "any number of connections" if limit < 0 else counted(limit, "connection") if limit else "no connection"
        yield Finding(
            id=f"connection-limit/{name}/{limit}",
            severity=Severity.HIGH if limit == 0 else Severity.MEDIUM,
            object=f"role {name}",
            who=name,
            what=f"{name} may have {seen} at a time, and should have {'no limit' if allowed < 0 else allowed}",
            cause=f"ALTER ROLE {name} CONNECTION LIMIT {limit}",
            statements=(remedy(f"ALTER ROLE {{}} CONNECTION LIMIT {allowed:d}", name),),
            service=user.service,
        )


def _gone(user: User) -> str:
    return (
        f"nothing names this second login of {user.role.acts_as}"
        if user.role.acts_as
        else f"there is no service {user.service}"
    )


def _of_login(user: User, word: str, what: str, cause: str, mend: str, severity: Severity = Severity.HIGH) -> Finding:
    return Finding(
        id=f"login/{user.name}/{word}",
        severity=severity,
        object=f"role {user.name}",
        who=user.name,
        what=what,
        cause=cause,
        statements=(remedy(mend, user.name),),
        service=user.service,
    )


_PASSWORDS = {
    "NO PASSWORD": (
        Severity.HIGH,
        "has no password, so that nobody can log in with one",
        "ALTER ROLE ... PASSWORD NULL",
    ),
    "WRONG PASSWORD": (
        Severity.HIGH,
        "has another password than its connection file or the configuration says",
        "ALTER ROLE ... PASSWORD, or another connection file than the last up has written",
    ),
    "REFUSED": (
        Severity.HIGH,
        "could not log in to the environment's database",
        "something that the catalogs don't tell: pg_hba.conf, a trigger at logins, or a full server",
    ),
    "PASSWORD NOT ASKED": (
        Severity.CRITICAL,
        "is let in without being asked for its password",
        "a line of pg_hba.conf with trust, peer or ident for it",
    ),
}


_ADVICE = {
    "REFUSED": "see what the server says, mend that, and run golabs verify again",
    "PASSWORD NOT ASKED": "in pg_hba.conf, scram-sha-256 as the method of its line; then SELECT pg_reload_conf()",
}


def password_finding(user: User, word: str, said: str = "") -> Finding:
    """What is wrong with a user's login, as the catalogs or a login have shown; `said` is the server's message."""
    severity, told, cause = _PASSWORDS[word]
    set_again = f"ALTER ROLE {{}} PASSWORD :'{verifier_variable(user.name)}'"
    asked = word in ("NO PASSWORD", "WRONG PASSWORD")
    return Finding(
        id=f"login/{user.name}/{word}",
        severity=severity,
        object=f"role {user.name}",
        who=user.name,
        what=f"{user.name} {told}{f': {said}' if said else ''}",
        cause=cause,
        statements=(remedy(set_again, user.name),) if asked else (),
        advice=_ADVICE.get(word, ""),
        service=user.service,
    )


def _memberships(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    pairs = sorted(evidence.memberships, key=lambda each: (each.member, each.group))
    for (member, group), edges in groupby(pairs, key=lambda each: (each.member, each.group)):
        user, of = expectation.users.get(member), expectation.users.get(group)
        same = list(edges)
        if _is_twins(user, group):  # which is as it should be, unless it may hand it on
            same = [each for each in same if each.administers]
            if not same:
                continue
        if user is None and (member in authority.above or not _concerns(evidence, expectation, authority, same[0])):
            continue
        if user is None and evidence.roles[member].create_role and all(_only_administers(each) for each in same):
            continue  # it has made the user, which gives it that much from PostgreSQL 16 on
        gains = _gains(evidence, expectation, authority, group)
        effect = f"so that it {gains}" if gains else "which has nothing here"
        chain = f", itself a member of {', '.join(more)}" if (more := _further(authority, group)) else ""
        yield Finding(
            id=f"membership/{member}/{group}",
            severity=Severity.CRITICAL if gains else Severity.MEDIUM,
            object=f"role {group}",
            who=member,
            what=f"{member} is a member of {group}{chain}, {effect}",
            cause=f"granted by {', '.join(sorted({each.grantor or 'a role that is gone' for each in same}))} {_how(same)}",
            statements=(
                *(leave(each) for each in same),
                *([_joined(evidence, member, group)] if _is_twins(user, group) else []),
            ),
            beyond=user is None and of is None,
            service=(of or user).service if (of or user) is not None else "",  # type: ignore[union-attr]
        )


def _is_twins(user: User | None, group: str) -> bool:
    """Whether it is the membership that makes a twin what it is."""
    return user is not None and not user.leftover and user.role.acts_as == group


def _joined(evidence: Evidence, member: str, group: str) -> str:
    """Membership with all that a twin needs of it; from 16 on that is told by options."""
    options = " WITH INHERIT TRUE, SET TRUE" if evidence.cluster.version_number >= SET_ROLE_VERSION else ""
    return remedy(f"GRANT {{}} TO {{}}{options}", group, member)


def _without_membership(evidence: Evidence, user: User) -> Iterator[Finding]:
    """A twin that can't act as its user."""
    group = user.role.acts_as
    edges = [each for each in evidence.memberships if (each.member, each.group) == (user.name, group)]
    if not group or (any(each.inherits for each in edges) and any(each.becomes for each in edges)):
        return
    yield Finding(
        id=f"missing-membership/{user.name}/{group}",
        severity=Severity.HIGH,
        object=f"role {group}",
        who=user.name,
        what=f"{user.name} is a second login of {group}, and is no member of it, so that it can't act as it",
        cause="REVOKE, or GRANT with other options",
        statements=(_joined(evidence, user.name, group),),
        service=user.service,
    )


def _only_administers(edge: Membership) -> bool:
    return edge.administers and not (edge.inherits or edge.becomes)


def _concerns(evidence: Evidence, expectation: Expectation, authority: Authority, edge: Membership) -> bool:
    """Whether a membership of a role that is no user gives it something of the environment."""
    if edge.group in expectation.users or edge.group in OF_THE_MACHINE:
        return True
    database = evidence.databases.get(evidence.database)
    connecting = {entry.grantee for entry in database.entries if "CONNECT" in entry.privileges} if database else set()
    members = [
        name for name in evidence.roles if edge.member in authority.reaches(name) and name not in authority.above
    ]
    connects = any((authority.reaches(name) | {PUBLIC}) & connecting for name in members)
    return connects and edge.group in OVERALL


def _further(authority: Authority, group: str) -> list[str]:
    return sorted(authority.reaches(group) - {group})


def _gains(evidence: Evidence, expectation: Expectation, authority: Authority, group: str) -> str:
    """What a member of a group comes to have of the environment, in words; empty for nothing."""
    reached = authority.reaches(group)
    users = sorted(reached & expectation.users.keys())
    told = [f"can do all that {', '.join(users)} can"] if users else []
    if elsewhere := sorted(name for name in reached - expectation.users.keys() if parse_user_name(name)):
        told.append(f"can do all that {', '.join(elsewhere)} of another environment can")
    if any(evidence.roles[name].superuser for name in reached if name in evidence.roles):
        told.append("can become a superuser")
    if strong := sorted(reached & POWERFUL):
        told.append(f"has what {', '.join(strong)} {'have' if len(strong) > 1 else 'has'}")
    if evidence.cluster.admin in reached:
        told.append("can do all that the admin can")
    if not told and _holds_something(evidence, reached):
        told.append("has its privileges and what it owns here")
    return " and ".join(told)


def _holds_something(evidence: Evidence, roles: frozenset[str]) -> bool:
    listed = [(each.owner, each.entries) for each in evidence.objects]
    listed += [(each.owner, each.entries) for name, each in evidence.databases.items() if name == evidence.database]
    return any(owner in roles or any(entry.grantee in roles for entry in entries) for owner, entries in listed)


def _how(edges: list[Membership]) -> str:
    ways = {
        "the privileges at once": any(each.inherits for each in edges),
        "SET ROLE": any(each.becomes for each in edges),
        "the right to hand it on": any(each.administers for each in edges),
    }
    return f"({', '.join(way for way, given in ways.items() if given) or 'with nothing at once'})"


def _role_makers(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    for name, role in sorted(evidence.roles.items()):
        if role.create_role and name not in authority.above and name not in expectation.users:
            yield Finding(
                id=f"attribute/{name}/CREATEROLE",
                severity=Severity.HIGH,
                object=f"role {name}",
                who=name,
                what=f"{name} has CREATEROLE: below PostgreSQL 16 it may make itself a member of every user",
                cause=f"ALTER ROLE {name} CREATEROLE",
                statements=(remedy("ALTER ROLE {} NOCREATEROLE", name),),
                beyond=True,
            )
