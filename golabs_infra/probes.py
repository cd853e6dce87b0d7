"""What each user of an environment is to attempt, to show at the server what it can and cannot do. Pure.

What is expected follows from the model and from nothing else: an attempt succeeds where the model gives the user all
that it needs. `probing` makes the attempts. None of them changes anything that is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from .attempts import (
    PREDEFINED_ROLES,
    SEQUENCE_ACTIONS,
    TABLE_ACTIONS,
    Attempt,
    Entitlements,
    Observation,
    Outcome,
    Relation,
)
from .authority import Need
from .model import PUBLIC, PUBLIC_SCHEMA, Desired, ServiceModel
from .statement import call, remedy

_DATA = ("read", "insert", "update", "delete")
_TABLES = ("r", "p")
_VIEWS = ("v", "m")


class Program:
    """The attempts of every user of an environment. What many users try alike is put together once.

    `scratch` names the table that was made for this in each of some schemas, with the columns `id` (bigserial) and
    `note` (text). `passing` is a name that is free for what is made and rolled back at once; without it nothing is made.
    """

    def __init__(
        self,
        desired: Desired,
        admin: str,
        relations: Iterable[Relation],
        *,
        scratch: Mapping[str, str] | None = None,
        passing: str = "",
    ) -> None:
        self._desired = desired
        self._entitlements = Entitlements(desired)
        self._scratch = scratch or {}
        self._passing = passing
        self._services = {role.name: service for service in desired.services for role in service.roles}
        self._acting = {role.name: role.acts_as or role.name for role in desired.roles}
        self._relations: dict[str, list[Relation]] = {service.schema.name: [] for service in desired.services}
        for relation in relations:
            self._relations.setdefault(relation.schema, []).append(relation)
        shared = {PUBLIC_SCHEMA, *(schema.name for schema in desired.database.schemas)}
        self._everybody = [
            *(attempt for schema in sorted(shared) for attempt in self._schema(PUBLIC, schema)),
            *self._database_wide(PUBLIC),
        ]
        self._outside = {schema: list(self._from_outside(schema)) for schema in self._relations}
        others = [*(role.name for role in desired.roles), admin]
        self._roles = {role: self._become(role) for role in others}
        self._predefined = [(since, self._become(role)) for role, since in PREDEFINED_ROLES.items()]
        self._inside: dict[str, list[Attempt]] = {}

    def log_in(self, user: str) -> Attempt:
        """The login to the environment's database."""
        database = self._desired.database.name
        needs = Need("attribute", "", "", "LOGIN"), Need("database", "", database, "CONNECT")
        return self._attempt(user, "log-in", f"database {database}", "", "", *needs)

    def elsewhere(self, user: str, database: str) -> Attempt:
        """A login to another environment's database."""
        needs = Need("attribute", "", "", "LOGIN"), Need("database", "", database, "CONNECT")
        return self._attempt(user, "connect-elsewhere", f"database {database}", "", "", *needs)

    def first(self, user: str, version: int) -> list[Attempt]:
        """What a user tries as soon as it is in. `version` is the server's, as a number (180004)."""
        service = self._services[user]
        own = service.schema.name
        attempts = [*self._own(user, service), *(self._as(user, each) for each in self._everybody)]
        for schema, outside in self._outside.items():
            if schema != own:
                attempts += outside
        acting = self._acting[user]
        attempts += (
            self._as(user, attempt) if role == acting else attempt
            for role, attempt in self._roles.items()
            if role != user
        )
        attempts += (attempt for since, attempt in self._predefined if version >= since)
        return attempts

    def further(self, user: str, seen: Iterable[Observation]) -> list[Attempt]:
        """What is to be tried after the first attempts: all of a schema of others that the user could look into.

        Where it could not, no name in the schema means anything to it.
        """
        own = self._services[user].schema.name
        entered = [
            each.attempt.schema
            for each in seen
            if each.attempt.action == "use-schema" and each.outcome is not Outcome.DENIED
        ]
        attempts: list[Attempt] = []
        for schema in entered:
            if schema != own and schema in self._relations:
                attempts += self._whole(schema)
        return attempts

    def asked(self, attempt: Attempt) -> Attempt | None:
        """The question that stands for an attempt on a relation; None where there is none.

        It tells whether a refusal was for want of the privilege, or came from what the relation is built on.
        """
        if attempt.asks or attempt.action not in _DATA or not attempt.needs[-1].name:
            return None
        need = attempt.needs[-1]
        statement = call("has_table_privilege", (need.schema, need.name), need.privilege)
        return replace(attempt, statement=statement, asks=True)

    def _attempt(
        self, grantee: str, action: str, words: str, schema: str, statement: str, *needs: Need, asks: bool = False
    ) -> Attempt:
        return Attempt(action, words, schema, statement, self._entitlements.has(grantee, needs), needs, asks)

    def _as(self, user: str, attempt: Attempt) -> Attempt:
        expected = self._entitlements.has(user, attempt.needs)
        return attempt if expected == attempt.expected else replace(attempt, expected=expected)

    def _own(self, user: str, service: ServiceModel) -> Iterator[Attempt]:
        """The user's own schema. Its owner only reads: what else it may do with what it owns is no question."""
        schema = service.schema.name
        owns = self._acting[user] == service.schema.owner
        yield from self._schema(user, schema)
        for relation in self._relations[schema]:
            if owns and relation.kind == "f" and relation.owner != service.schema.owner:
                continue  # an admin's: only that one can make a foreign table where nobody may use its server
            if relation.kind == "S":
                actions: Sequence[str] = ("read-sequence",) if owns else tuple(SEQUENCE_ACTIONS)
            elif owns:
                actions = ("read",)
            else:
                actions = tuple(TABLE_ACTIONS) if relation.kind in _TABLES else _DATA
            for action in actions:
                yield self._on_relation(user, relation, action)
        if schema in self._scratch and not owns:
            yield from self._on_scratch(user, schema, service.migration.name)

    def _schema(self, grantee: str, schema: str) -> Iterator[Attempt]:
        usage = call("has_schema_privilege", schema, "USAGE")
        need = Need("schema", "", schema, "USAGE")
        yield self._attempt(grantee, "use-schema", f"schema {schema}", schema, usage, need, asks=True)
        need = Need("schema", "", schema, "CREATE")
        if self._passing:
            create = remedy("CREATE TABLE {} ()", (schema, self._passing))
        else:
            create = call("has_schema_privilege", schema, "CREATE")
        asks = not self._passing
        yield self._attempt(grantee, "create-in-schema", f"schema {schema}", schema, create, need, asks=asks)

    def _from_outside(self, schema: str) -> Iterator[Attempt]:
        """What users of other services try: one relation stands for all, as without the schema none has a name."""
        yield from self._schema(PUBLIC, schema)
        if table := self._scratch.get(schema):
            yield self._scratch_attempt(PUBLIC, schema, "read", remedy("SELECT * FROM {}", (schema, table)), "SELECT")
        elif first := self._representative(schema):
            yield self._on_relation(PUBLIC, first, "read")

    def _representative(self, schema: str) -> Relation | None:
        tables = [relation for relation in self._relations[schema] if relation.kind != "S"]
        return next(
            (each for each in tables if each.kind in _TABLES and not each.remote), tables[0] if tables else None
        )

    def _whole(self, schema: str) -> list[Attempt]:
        """Everything in a schema that somebody got into, but for what was tried before."""
        if schema not in self._inside:
            self._inside[schema] = [
                attempt
                for relation in self._relations[schema]
                for action in (SEQUENCE_ACTIONS if relation.kind == "S" else _DATA)
                if (attempt := self._on_relation(PUBLIC, relation, action)) not in self._outside[schema]
            ]
        return self._inside[schema]

    def _on_relation(self, grantee: str, relation: Relation, action: str) -> Attempt:
        kind = "sequence" if relation.kind == "S" else "table"
        privilege = SEQUENCE_ACTIONS[action] if relation.kind == "S" else TABLE_ACTIONS[action]
        needs = Need("schema", "", relation.schema, "USAGE"), Need(kind, relation.schema, relation.name, privilege)
        statement = _tried(relation, action)
        asks = not statement
        if asks:
            statement = call(f"has_{kind}_privilege", (relation.schema, relation.name), privilege)
        return self._attempt(grantee, action, relation.words, relation.schema, statement, *needs, asks=asks)

    def _on_scratch(self, user: str, schema: str, owner: str) -> Iterator[Attempt]:
        """What an app user tries on what its service's migrations make later, for real."""
        name = self._scratch[schema]
        table = (schema, name)
        uses = Need("sequence", schema, "", "USAGE")
        for action, template, privilege in (
            ("read", "SELECT * FROM {}", "SELECT"),
            ("update", "UPDATE {} SET note = 'updated'", "UPDATE"),
            ("delete", "DELETE FROM {}", "DELETE"),
            ("truncate", "TRUNCATE {}", "TRUNCATE"),
            (
                "trigger",
                "CREATE TRIGGER golabs_scratch BEFORE UPDATE ON {} FOR EACH ROW"
                " EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
                "TRIGGER",
            ),
        ):
            yield self._scratch_attempt(user, schema, action, remedy(template, table), privilege)
        insert = remedy("INSERT INTO {} (note) VALUES ('inserted')", table)
        yield self._scratch_attempt(user, schema, "insert", insert, "INSERT", uses)
        usage = Need("schema", "", schema, "USAGE")
        following = call("nextval", (schema, scratch_sequence(name)))
        words = f"new sequence in schema {schema}"
        yield self._attempt(user, "use-sequence", words, schema, following, usage, uses)
        as_owner = Need("role", "", owner, "USAGE")
        for action, template in (
            ("alter-table", "ALTER TABLE {} ADD COLUMN extra integer"),
            ("create-index", "CREATE INDEX ON {} (note)"),
            ("drop-table", "DROP TABLE {}"),
        ):
            words = f"new table in schema {schema}"
            yield self._attempt(user, action, words, schema, remedy(template, table), usage, as_owner)

    def _scratch_attempt(
        self, grantee: str, schema: str, action: str, statement: str, privilege: str, *needs: Need
    ) -> Attempt:
        all_needs = Need("schema", "", schema, "USAGE"), *needs, Need("table", schema, "", privilege)
        return self._attempt(grantee, action, f"new table in schema {schema}", schema, statement, *all_needs)

    def _database_wide(self, grantee: str) -> Iterator[Attempt]:
        database = self._desired.database.name
        words = f"database {database}"
        asks = not self._passing
        for action, template, privilege in (
            ("create-schema", "CREATE SCHEMA {}", "CREATE"),
            ("temporary-table", "CREATE TEMPORARY TABLE {} ()", "TEMPORARY"),
        ):
            question = call("has_database_privilege", database, privilege)
            statement = question if asks else remedy(template, self._passing)
            need = Need("database", "", database, privilege)
            yield self._attempt(grantee, action, words, "", statement, need, asks=asks)
        attribute = "SELECT {} OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
        create = remedy("CREATE ROLE {}", self._passing) if self._passing else remedy(attribute, "rolcreaterole")
        need = Need("attribute", "", "", "CREATEROLE")
        yield self._attempt(grantee, "create-role", "server", "", create, need, asks=asks)
        need = Need("attribute", "", "", "CREATEDB")
        question = remedy(attribute, "rolcreatedb")
        yield self._attempt(grantee, "create-database", "server", "", question, need, asks=True)

    def _become(self, role: str) -> Attempt:
        need = Need("role", "", role, "SET")
        return self._attempt(PUBLIC, "become-role", f"role {role}", "", remedy("SET LOCAL ROLE {}", role), need)


def scratch_sequence(table: str) -> str:
    """What PostgreSQL calls the sequence of such a table's `id`."""
    return f"{table}_id_seq"


def _tried(relation: Relation, action: str) -> str:
    """A statement that needs what the action needs and changes nothing; empty where there is none.

    EXPLAIN checks privileges as the statement itself would, runs nothing, and looks at no content. Views are not run:
    what they are built on may be anything, and a materialised one may have no content yet.
    """
    every = relation.columns
    templates: dict[str, str] = {}
    if relation.remote:
        pass
    elif relation.kind == "S":
        templates = {"read-sequence": "SELECT last_value FROM {}"}
    elif relation.kind in _VIEWS:
        templates = {"read": "EXPLAIN SELECT * FROM {}"}
    elif relation.kind in _TABLES and every:
        # Every column is named: with none named, or one, a privilege on that one would be enough.
        columns, defaults = ", ".join(["{}"] * len(every)), ", ".join(["DEFAULT"] * len(every))
        settings = ", ".join(["{} = DEFAULT"] * len(every))
        templates = {
            "read": "SELECT * FROM {} LIMIT 0",
            "insert": f"EXPLAIN INSERT INTO {{}} ({columns}) VALUES ({defaults})",  # noqa: S608  (no names in it yet)
            "update": f"EXPLAIN UPDATE {{}} SET {settings}",  # noqa: S608  (no names in it yet)
            "delete": "EXPLAIN DELETE FROM {}",
        }
    if action not in templates:
        return ""
    return remedy(
        templates[action], (relation.schema, relation.name), *(every if action in ("insert", "update") else ())
    )
