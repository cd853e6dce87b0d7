"""What can be attempted at a login, what came of it, and what the model says must come of it. Pure values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from .authority import Need
from .model import PUBLIC, Desired

ACTIONS: dict[str, str] = {
    "log-in": "logs in to the environment's database with the known password",
    "connect-elsewhere": "logs in to another environment's database",
    "use-schema": "looks up names in a schema",
    "create-in-schema": "makes a table in a schema",
    "read": "selects every column of a table, view or materialised view",
    "insert": "inserts a row with every column",
    "update": "updates every column",
    "delete": "deletes rows",
    "truncate": "empties a table",
    "references": "makes a foreign key to a table",
    "trigger": "makes a trigger on a table",
    "read-sequence": "looks at the last value of a sequence",
    "use-sequence": "takes the next value of a sequence",
    "set-sequence": "sets a sequence to another value",
    "alter-table": "adds a column to a table",
    "create-index": "makes an index on a table",
    "drop-table": "drops a table",
    "create-schema": "makes a schema in the database",
    "temporary-table": "makes a temporary table",
    "become-role": "takes on another role by SET ROLE",
    "create-role": "makes a role",
    "create-database": "makes a database",
}
"""Every action with what it does. Where an attempt might change something, or reach another server, the server is asked
whether the user has the privilege instead of making it; in disposable environments everything is made, and rolled back."""

SCRATCH_PREFIX = "golabs_scratch_"
"""How the tables begin that are made for a proof and dropped at its end."""

PREDEFINED_ROLES = {
    "pg_read_all_data": 140000,
    "pg_write_all_data": 140000,
    "pg_read_server_files": 110000,
    "pg_write_server_files": 110000,
    "pg_execute_server_program": 110000,
}
"""The server's own roles that reach everybody's data, each with the version that brought it."""

WAITED = frozenset({"55P03"})
"""The SQLSTATE of what somebody's lock has held up."""
FULL = frozenset({"53300"})
"""The SQLSTATE of a login for which the role, the database or the server had no connection left."""
NO_SCHEMA = frozenset({"3F000"})
"""The SQLSTATE of what was tried in a schema that is not there."""

TABLE_ACTIONS = {
    "read": "SELECT",
    "insert": "INSERT",
    "update": "UPDATE",
    "delete": "DELETE",
    "truncate": "TRUNCATE",
    "references": "REFERENCES",
    "trigger": "TRIGGER",
}
SEQUENCE_ACTIONS = {"read-sequence": "SELECT", "use-sequence": "USAGE", "set-sequence": "UPDATE"}

_WORDS = {"v": "view", "m": "materialized view", "f": "foreign table", "S": "sequence"}


class Outcome(StrEnum):
    """What came of an attempt. Undecided: a lock, a limit, an error that says nothing of privileges."""

    PERMITTED = "permitted"
    DENIED = "denied"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Attempt:
    """Something that a user tries, or asks the server about where `asks` is set (the statement gives one boolean).

    `action` is a key of ACTIONS; `object` is in PostgreSQL's words, `schema` the one that it is in or is, else empty;
    `expected` is what the model says; `needs` is all that the user must have for it. A table or sequence with an empty
    name in `needs` is one that the schema's owner has just made: default privileges decide.
    """

    action: str
    object: str
    schema: str
    statement: str
    expected: bool
    needs: tuple[Need, ...]
    asks: bool = False


@dataclass(frozen=True)
class Observation:
    """What came of a user's attempt; `detail` is the server's message, empty where it said nothing.

    `state` is the SQLSTATE (42501), empty where it was permitted or none is known.
    """

    user: str
    attempt: Attempt
    outcome: Outcome
    detail: str = ""
    state: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether it came as the model says. What is undecided did not."""
        return self.outcome is (Outcome.PERMITTED if self.attempt.expected else Outcome.DENIED)


@dataclass(frozen=True, order=True)
class Relation:
    """A table-like object or sequence. `kind` is pg_class.relkind; `remote`: reading it may reach another server."""

    schema: str
    name: str
    kind: str
    owner: str
    columns: tuple[str, ...] = ()
    remote: bool = False

    @property
    def words(self) -> str:
        """`table billing.invoice`, in PostgreSQL's words."""
        return f"{_WORDS.get(self.kind, 'table')} {self.schema}.{self.name}"


class Entitlements:
    """What the model gives whom, asked by needs."""

    def __init__(self, desired: Desired) -> None:
        self._database = desired.database.name
        self._roles = {role.name: role for role in desired.roles}
        self._owners = {schema.name: schema.owner for schema in desired.schemas}
        self._granted: dict[tuple[str, str, str], set[str]] = {}
        for grant in desired.grants:
            self._granted.setdefault((grant.kind, grant.schema, grant.grantee), set()).update(grant.privileges)

    def has(self, user: str, needs: Iterable[Need]) -> bool:
        """Whether a user is to have all of these; for PUBLIC, whether everybody is."""
        return all(self._has(user, need) for need in needs)

    def _has(self, user: str, need: Need) -> bool:
        # A twin has nothing of its own: its sessions act as the user that it is a twin of.
        acting = self._roles[user].acts_as or user if user in self._roles else user
        match need.kind:
            case "role":
                return need.name in (user, acting)
            case "attribute":
                role = self._roles.get(user)
                has = (
                    {"LOGIN": role.login, "CREATEROLE": role.create_role, "CREATEDB": role.create_database}
                    if role
                    else {}
                )
                return has.get(need.privilege, False)
            case "database":
                if need.name != self._database:
                    return False
                schema = ""
            case kind:
                schema = need.name if kind == "schema" else need.schema
                if self._owners.get(schema) == acting:
                    return True
        return any(need.privilege in self._granted.get((need.kind, schema, each), ()) for each in (acting, PUBLIC))
