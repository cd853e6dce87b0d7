"""Changes in words: one line for each, the same for preview, up and errors. Pure text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

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
from .model import PUBLIC, DefaultPrivileges, Grant


@dataclass(frozen=True)
class Line:
    """A change in words: `+` made, `~` changed, `-` taken away, and what."""

    symbol: str
    text: str


_SHOWN = 3


def counted(number: int, noun: str) -> str:
    """`1 table`, `2 tables`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(names: Sequence[str]) -> str:
    """Names for a sentence: the first three, and how many more there are."""
    return ", ".join(names) if len(names) <= _SHOWN else f"{', '.join(names[:_SHOWN])}, and {len(names) - _SHOWN} more"


@singledispatch
def describe(change: Change) -> Line:
    """One line that says what a change does."""
    raise AssertionError(f"no words for {type(change).__name__}")


@describe.register
def _(change: CreateDatabase) -> Line:
    return Line("+", f"database {change.name}")


@describe.register
def _(change: AllowConnections) -> Line:
    return Line("~", f"database {change.database}: connections allowed again")


@describe.register
def _(change: RenameDatabase) -> Line:
    return Line("~", f"database {change.name}: name -> {change.to}")


@describe.register
def _(change: AlterDatabaseOwner) -> Line:
    return Line("~", f"database {change.database}: owner -> the admin")


@describe.register
def _(change: DropDatabase) -> Line:
    return Line("-", f"database {change.name}, with everything in it")


@describe.register
def _(change: CreateRole) -> Line:
    acts = f", a second login of {change.role.acts_as}" if change.role.acts_as else ""
    return Line("+", f"user {change.role.name}{acts}")


@describe.register
def _(change: AlterRole) -> Line:
    wanted, current = change.role, change.current.role
    names = [name for name in vars(wanted) if getattr(wanted, name) != getattr(current, name)]
    differences = [
        f"{name.replace('_', ' ')} {_value(getattr(current, name))} -> {_value(getattr(wanted, name))}"
        for name in names
    ]
    if change.current.expires:
        differences.append("no expiry")
    differences += [f"{name.replace('_', ' ')} of this database alone taken away" for name in change.current.overridden]
    differences += [f"no member of {group}" for group, _ in change.current.strange_memberships(wanted)]
    if change.current.lacks_membership(wanted):
        differences.append(f"member of {wanted.acts_as}")
    return Line("~", f"user {wanted.name}: {', '.join(differences)}")


@describe.register
def _(change: SetPassword) -> Line:
    return Line("~", f"user {change.role}: password")


@describe.register
def _(change: BorrowMembership) -> Line:
    return Line("~", f"the admin acts as {change.role} for this transaction")


@describe.register
def _(change: ReturnMembership) -> Line:
    return Line("~", f"the admin no longer acts as {change.role}")


@describe.register
def _(change: CreateSchema) -> Line:
    return Line("+", f"schema {change.schema.name}")


@describe.register
def _(change: AlterSchemaOwner) -> Line:
    return Line("~", f"schema {change.schema.name}: owner -> {change.schema.owner or 'the admin'}")


@describe.register
def _(change: CreateExtension) -> Line:
    return Line("+", f"extension {change.extension.name} in schema {change.extension.schema}")


@describe.register
def _(change: GrantPrivileges) -> Line:
    return Line("+", _privileges(change.grant, "to"))


@describe.register
def _(change: RevokePrivileges) -> Line:
    return Line("-", _privileges(change.grant, "from"))


@describe.register
def _(change: GrantDefaultPrivileges) -> Line:
    return Line("+", _later(change.entry, "to"))


@describe.register
def _(change: RevokeDefaultPrivileges) -> Line:
    return Line("-", _later(change.entry, "from"))


@describe.register
def _(change: DropSchema) -> Line:
    return Line("-", f"schema {change.name}, with everything in it")


@describe.register
def _(change: DropOwned) -> Line:
    return Line("-", f"what {change.role} owns or may do in the database")


@describe.register
def _(change: DropRole) -> Line:
    return Line("-", f"user {change.name}")


def _value(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value).lower()


def _grantee(name: str) -> str:
    return "PUBLIC" if name == PUBLIC else name


def _privileges(grant: Grant, preposition: str) -> str:
    match grant.kind:
        case "database":
            target = "the database"
        case "schema":
            target = f"schema {grant.schema}"
        case kind:
            target = f"{kind} {grant.schema}.{grant.relation}" if grant.relation else f"all {kind}s in {grant.schema}"
    return f"{', '.join(grant.privileges)} on {target} {preposition} {_grantee(grant.grantee)}"


def _later(entry: DefaultPrivileges, preposition: str) -> str:
    return f"{', '.join(entry.privileges)} on later {entry.kind}s in {entry.schema or 'every schema'} {preposition} {_grantee(entry.grantee)}"
