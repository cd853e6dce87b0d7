"""The kinds of change that there are: each one step, a value that `sql` renders, `wording` tells and `direct` applies.

What has to change is decided in `plan`; nothing here knows a reason or a statement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .inspection import LiveRole
from .model import DefaultPrivileges, Extension, Grant, Role, Schema

WITH_GRANT_OPTION = " WITH GRANT OPTION"
"""Ends the name of a live privilege that may be handed on. No grant of the model has it."""


@dataclass(frozen=True)
class Change:
    """One step. `destructive` changes take data or a login away; no other kind does. `outside` ones are no part of a
    transaction: they make or end what a session is connected to."""

    destructive: ClassVar[bool] = False
    outside: ClassVar[bool] = False


@dataclass(frozen=True)
class CreateDatabase(Change):
    """Runs before everything else."""

    outside: ClassVar[bool] = True
    name: str


@dataclass(frozen=True)
class RenameDatabase(Change):
    """Puts a database in the place of one that was dropped."""

    outside: ClassVar[bool] = True
    name: str
    to: str


@dataclass(frozen=True)
class AllowConnections(Change):
    """Opens a database that a destroy that failed had closed."""

    outside: ClassVar[bool] = True
    database: str


@dataclass(frozen=True)
class AlterDatabaseOwner(Change):
    """Takes the database from one of the environment's own users and gives it to the admin."""

    database: str


@dataclass(frozen=True)
class CreateRole(Change):
    """A new user with its verifier and settings. None stands for a verifier that is not known yet."""

    role: Role
    verifier: str | None = field(repr=False)


@dataclass(frozen=True)
class AlterRole(Change):
    """An existing user's attributes, as they should be and as they are."""

    role: Role
    current: LiveRole


@dataclass(frozen=True)
class SetPassword(Change):
    """A new verifier for an existing user. None stands for one that is not known yet."""

    role: str
    verifier: str | None = field(repr=False)


@dataclass(frozen=True)
class BorrowMembership(Change):
    """Lets an admin who is no superuser act on what a role owns, until the transaction's end."""

    role: str


@dataclass(frozen=True)
class ReturnMembership(Change):
    """Ends what BorrowMembership began."""

    role: str


@dataclass(frozen=True)
class CreateSchema(Change):
    """A new schema."""

    schema: Schema


@dataclass(frozen=True)
class AlterSchemaOwner(Change):
    """An existing schema gets its owner; None stands for the admin."""

    schema: Schema


@dataclass(frozen=True)
class CreateExtension(Change):
    """A new extension."""

    extension: Extension


@dataclass(frozen=True)
class GrantPrivileges(Change):
    """What is missing."""

    grant: Grant


@dataclass(frozen=True)
class RevokePrivileges(Change):
    """What is too much."""

    grant: Grant


@dataclass(frozen=True)
class GrantDefaultPrivileges(Change):
    """What is missing on later objects."""

    entry: DefaultPrivileges


@dataclass(frozen=True)
class RevokeDefaultPrivileges(Change):
    """What is too much on later objects."""

    entry: DefaultPrivileges


@dataclass(frozen=True)
class DropSchema(Change):
    """A removed service's schema with all that is in it."""

    destructive: ClassVar[bool] = True
    name: str


@dataclass(frozen=True)
class DropOwned(Change):
    """All that a user owns or may do in the environment's database."""

    destructive: ClassVar[bool] = True
    role: str


@dataclass(frozen=True)
class DropRole(Change):
    """A user that owns nothing any more."""

    destructive: ClassVar[bool] = True
    name: str


@dataclass(frozen=True)
class DropDatabase(Change):
    """The whole database, its sessions ended."""

    outside: ClassVar[bool] = True
    destructive: ClassVar[bool] = True
    name: str
