"""What stands in the way of taking over what is on a server, found before anything is changed; and what should be known.

Pure: it compares the model with what a look at the server and into the database has shown. A finding that blocks stops
the run of either engine; every other one is a warning. Each comes with the SQL or the configuration that settles it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from .errors import Fault
from .inspection import Cluster, Live, LiveRole, OwnedObject
from .model import PUBLIC_SCHEMA, Desired, Role
from .names import DATABASE_OWNER, EXTENSIONS_SCHEMA, parse_user_name
from .policy import Policy
from .rights import unadministered
from .stackfile import NAMESPACE
from .statement import remedy
from .wording import counted, some

ENCODING = "UTF8"


@dataclass(frozen=True)
class Concern:
    """One thing that is not as it should be for a takeover; `blocks` stops the run."""

    fault: Fault
    blocks: bool

    @property
    def warning(self) -> str:
        """The finding as a sentence."""
        return f"{self.fault.where}: {self.fault.what}; to settle it: {self.fault.mend}"


@dataclass(frozen=True)
class Takeover:
    """A run that meets things it may not have made. `managed` are the users that an earlier run has provisioned,
    `first` tells that none has provisioned the database, `live` is None where nobody could look into it."""

    policy: Policy
    desired: Desired
    cluster: Cluster
    live: Live | None
    managed: frozenset[str]
    first: bool

    def findings(self) -> Iterator[Concern]:
        """Everything at once, in the order of who has to act: rights, the database, users, what is in schemas."""
        yield from self._rights()
        if self.cluster.database_exists:
            yield from self._database()
        for role in self.desired.roles:
            if (current := self.cluster.roles.get(role.name)) is not None:
                yield from self._user(role, current)
        if self.live is not None:
            yield from self._schemas(self.live)
            yield from self._objects(self.live)
            yield from self._extensions(self.live)
            yield from self._public(self.live)
        elif not self.cluster.database_exists:
            yield from self._extensions(Live(self.cluster))

    @property
    def _keeps(self) -> bool:
        """Whether what is there has to be kept as somebody may rely on it."""
        return not self.policy.drops

    def _adopts(self, *users: str) -> bool:
        """Whether one of these users, or the database itself, is to be taken over with all that hangs on it."""
        return self._keeps and any(user in self.cluster.roles and user not in self.managed for user in users)

    def _inside(self, *statements: str, by: str = "its owner or a superuser") -> str:
        """Statements to be run in the environment's database, once it is there."""
        name = self.desired.database.name
        make = [] if self.cluster.database_exists else [remedy("CREATE DATABASE {} TEMPLATE template0", name), "and"]
        return "\n        ".join([*make, f"in {name}, as {by}:", *statements])

    def _extensions_schema(self) -> str:
        return remedy("CREATE SCHEMA IF NOT EXISTS {} AUTHORIZATION {}", EXTENSIONS_SCHEMA, self.cluster.admin)

    def _rights(self) -> Iterator[Concern]:
        users = set(self._users)
        if self.policy.drops:  # with the users of services that are to be dropped
            users |= self.managed
        if (lack := unadministered(self.cluster, users)) is not None:
            yield Concern(lack, True)

    def _database(self) -> Iterator[Concern]:
        name, cluster = self.desired.database.name, self.cluster
        if cluster.database_owner in cluster.roles and self._keeps and cluster.owns_database:
            what = f"it belongs to {cluster.database_owner}, who can undo every privilege in it"
            yield Concern(Fault(name, what, remedy("ALTER DATABASE {} OWNER TO {}", name, cluster.admin)), True)
        elif self.first and cluster.superuser and cluster.database_owner != cluster.admin and self._keeps:
            what = f"it belongs to {cluster.database_owner}, not to the admin {cluster.admin}; it is left so"
            yield Concern(Fault(name, what, remedy("ALTER DATABASE {} OWNER TO {}", name, cluster.admin)), False)
        if cluster.encoding != ENCODING:
            what = f"its encoding is {cluster.encoding}, not {ENCODING}, which only a new database can have"
            mend = f"golabs reset {self.desired.environment}, which makes it anew, empty"
            if self._keeps:
                old = f"{name}~{cluster.encoding}".lower()
                mend = "\n        ".join(
                    [
                        f"pg_dump -Fc -f {name}.dump -d {name}, and then",
                        remedy("ALTER DATABASE {} RENAME TO {}", name, old),
                        remedy("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'", name, cluster.admin),
                        f"pg_restore -d {name} {name}.dump",
                    ]
                )
            yield Concern(Fault(name, what, mend), self._keeps and self.first)
        if not cluster.allows_connections and self._keeps:
            what = "somebody has closed it: it allows no connections"
            yield Concern(Fault(name, what, remedy("ALTER DATABASE {} ALLOW_CONNECTIONS true", name)), True)

    def _user(self, role: Role, current: LiveRole) -> Iterator[Concern]:
        """What up would take away from a user, or may not take away."""
        has, name = current.role, role.name
        privileged = [word for word, given in _attributes(has) if given]
        needs_superuser = not self.cluster.superuser and (
            has.superuser or has.replication or has.bypass_row_level_security
        )
        if self._adopts(name) or needs_superuser:
            groups = sorted({group for group, _ in current.strange_memberships(role)})
            told = [f"it has {', '.join(privileged)}"] if privileged else []
            told += [f"it is a member of {', '.join(groups)}"] if groups else []
            told += ["its password expires"] if current.expires else []
            if told:
                statements = [remedy(f"ALTER ROLE {{}} {' '.join(f'NO{word}' for word in privileged)}", name)]
                statements = statements if privileged else []
                statements += [remedy("REVOKE {} FROM {}", group, name) for group in groups]
                statements += [remedy("ALTER ROLE {} VALID UNTIL 'infinity'", name)] if current.expires else []
                by = "as a superuser: " if needs_superuser else ""
                end = "only a superuser can take it away" if needs_superuser else "up would take it away unasked"
                what = f"{', and '.join(told)}, which no service's user has; {end}"
                yield Concern(Fault(name, what, by + " ".join(statements)), True)
        if self._adopts(name):
            yield from self._limits(role, has)
            yield from self._settings(role, current)

    def _limits(self, role: Role, has: Role) -> Iterator[Concern]:
        parts = parse_user_name(role.name)
        for key, wanted, value in (
            ("connectionLimit", role.connection_limit, has.connection_limit),
            ("statementTimeout", role.statement_timeout, has.statement_timeout),
            (
                "idleInTransactionTimeout",
                role.idle_in_transaction_session_timeout,
                has.idle_in_transaction_session_timeout,
            ),
        ):
            none = -1 if key == "connectionLimit" else 0
            if value in (wanted, none) or parts is None:
                continue
            seen = "one of its own" if value < 0 else str(value) if key == "connectionLimit" else f"{value}ms"
            what = f"its {_spaced(key)} is {seen}, which up changes to {'none' if wanted == none else wanted}"
            mend = (
                f"to keep it, {key}: {'<value>' if value < 0 else seen} on the service {parts.service} in {NAMESPACE}services"
                if parts.kind == "app"
                else "nothing keeps it: a migration must be able to run long"
            )
            yield Concern(Fault(role.name, what, mend), False)

    def _settings(self, role: Role, current: LiveRole) -> Iterator[Concern]:
        """Settings that up would take away, on which unqualified names or the user's sessions may depend."""
        strange = [name for name in current.role.search_path if name not in {*role.search_path, "$user", PUBLIC_SCHEMA}]
        told = [f"its search_path names {', '.join(strange)}"] if strange else []
        statements = [remedy("ALTER ROLE {} RESET search_path", role.name)] if strange else []
        if current.overridden:
            told.append(f"it has {', '.join(current.overridden)} for this database alone")
            statements += [
                remedy("ALTER ROLE {} IN DATABASE {} RESET {}", role.name, self.desired.database.name, setting)
                for setting in current.overridden
            ]
        if told:
            what = f"{', and '.join(told)}, which up would take away unasked"
            mend = (
                f"once its clients do without (qualified names, limits in {NAMESPACE}services): {' '.join(statements)}"
            )
            yield Concern(Fault(role.name, what, mend), True)
        if role.login and not current.role.login:
            what = "somebody has closed its login, which up opens again"
            parts = parse_user_name(role.name)
            mend = f"to keep it closed, retired: true on the service {parts.service if parts else role.name}"
            yield Concern(Fault(role.name, what, mend), False)

    def _schemas(self, live: Live) -> Iterator[Concern]:
        for schema in self.desired.schemas:
            owner = live.schemas.get(schema.name)
            if owner is None or owner == (schema.owner or self.cluster.admin):
                continue
            wanted = schema.owner or self.cluster.admin
            # An admin who is no superuser can take it from the environment's users, and from whom it may act as.
            reachable = schema.name in live.administered_schemas or owner in self.cluster.roles
            adopts = schema.owner is not None and self._adopts_service(schema.name)
            if adopts or not (reachable or self.cluster.superuser):
                what = f"it belongs to {owner}, not to {wanted}"
                statement = remedy("ALTER SCHEMA {} OWNER TO {}", schema.name, wanted)
                mend = self._given(wanted, [statement], schema.name in live.administered_schemas)
                yield Concern(Fault(f"schema {schema.name}", what, mend), True)

    def _adopts_service(self, schema: str) -> bool:
        """Whether a schema that is there is to be a service's that no earlier run has provisioned."""
        users = {role.name for service in self.desired.services if service.name == schema for role in service.roles}
        return self._keeps and not users & self.managed

    def _objects(self, live: Live) -> Iterator[Concern]:
        migration = {service.name: service.migration.name for service in self.desired.services}
        for schema, group in groupby(live.foreign_objects, key=lambda each: each.schema):
            objects = list(group)
            owners = sorted({each.owner for each in objects})
            user = migration[schema]
            what = (
                f"{counted(len(objects), 'object')} in it {'belongs' if len(objects) == 1 else 'belong'} to {', '.join(owners)}, so that migrations of {user} can't "
                f"change them: {some([_named(each) for each in objects])}"
            )
            # The new owner must be allowed to create in the schema, so that comes first.
            first = [] if live.schemas.get(schema) == user else [remedy("ALTER SCHEMA {} OWNER TO {}", schema, user)]
            statements = first + [
                remedy(f"ALTER {each.kind} {{}}{_signature(each)} OWNER TO {{}}", (schema, each.name), user)
                for each in objects
            ]
            unreachable = any(not each.administered for each in objects)
            blocks = self._adopts_service(schema) or (unreachable and not self.cluster.superuser)
            mend = self._given(user, statements, not unreachable)
            yield Concern(Fault(f"schema {schema}", what, mend), blocks)

    def _given(self, user: str, statements: Sequence[str], reachable: bool) -> str:
        """Statements that give something to a user, by the admin itself where that may, as no managed server has another."""
        if self.cluster.superuser or not reachable or user == self.cluster.admin:
            return self._inside(*statements, by="a superuser")
        borrow, back = (remedy(f"{verb} CURRENT_USER", user) for verb in ("GRANT {} TO", "REVOKE {} FROM"))
        return self._inside(borrow, *statements, back, by=self.cluster.admin)

    def _extensions(self, live: Live) -> Iterator[Concern]:
        present = {extension.name: extension.schema for extension in live.extensions}
        for extension in self.desired.database.extensions:
            schema = present.get(extension.name)
            if schema is None and not self.cluster.superuser and extension.name in self.cluster.superuser_extensions:
                what = f"only a superuser can create it, which {self.cluster.admin} is not"
                create = remedy("CREATE EXTENSION {} WITH SCHEMA {}", extension.name, extension.schema)
                mend = self._inside(self._extensions_schema(), create, by="a superuser")
                yield Concern(Fault(f"extension {extension.name}", what, mend), True)
            elif schema not in (None, extension.schema):
                what = f"it is in the schema {schema}, which services can't reach, and not in {extension.schema}"
                fault = Fault(f"extension {extension.name}", what, self._moved(extension.name))
                yield Concern(fault, self._keeps and self.first)

    def _public(self, live: Live) -> Iterator[Concern]:
        """The schema public: whether the admin can close it, and what users would be cut off from once it is closed."""
        owner = live.schemas.get(PUBLIC_SCHEMA)
        if owner not in (None, DATABASE_OWNER) and PUBLIC_SCHEMA not in live.administered_schemas:
            # Also where somebody has closed it: the provider's REVOKE, which has nothing to do there, is refused.
            what = f"it belongs to {owner}, so that {self.cluster.admin} can't close it"
            mend = self._inside(remedy("ALTER SCHEMA public OWNER TO {}", self.cluster.admin), by="a superuser")
            yield Concern(Fault("schema public", what, mend), True)
        if self._keeps and self.first:
            yield from self._through_public(live)
        if not (live.public_objects and ((self._keeps and self.first) or self._adopts(*self._users))):
            return
        wanted = {extension.name for extension in self.desired.database.extensions}
        for each in live.public_objects:
            if each.kind == "EXTENSION" and each.name not in wanted:
                what = "it is in the schema public, which up closes: services would lose it"
                mend = f"add it to the services that need it, extensions: [{each.name}]; and {self._moved(each.name)}"
                yield Concern(Fault(f"extension {each.name}", what, mend), True)
        others = [each for each in live.public_objects if each.kind != "EXTENSION"]
        if others:
            what = (
                f"services reach {counted(len(others), 'object')} in it, and up closes it: "
                f"{some([_named(each) for each in others])}"
            )
            statements = [statement for each in others for statement in self._into_its_service(each)]
            mend = (
                "move each to the service that it is for, or, where none needs it, take PUBLIC's and the users' privileges "
                f"on it away; {self._inside(*statements)}"
            )
            yield Concern(Fault("schema public", what, mend), True)

    @property
    def _users(self) -> tuple[str, ...]:
        return tuple(role.name for role in self.desired.roles)

    def _through_public(self, live: Live) -> Iterator[Concern]:
        """Others who would be locked out once PUBLIC is."""
        database = self.desired.database.name
        for kind, privilege, where in (("DATABASE", "CONNECT", database), ("SCHEMA", "USAGE", PUBLIC_SCHEMA)):
            names = [name for found, name in live.through_public if found == kind]
            if names:
                what = f"{some(names)} get in through PUBLIC alone, which up closes"
                grant = f"GRANT {privilege} ON {kind} {{}} TO {', '.join('{}' for _ in names)}"
                shown = database if kind == "DATABASE" else f"schema {PUBLIC_SCHEMA}"
                yield Concern(Fault(shown, what, self._inside(remedy(grant, where, *names))), True)

    def _into_its_service(self, each: OwnedObject) -> Iterator[str]:
        """Moves an object out of public: to its owner's service, or the only one; else the reader has to name it."""
        services = self.desired.services
        candidates = [
            service for service in services if each.owner in (service.migration.name, service.app.name)
        ] or services
        schema, user = "<service>", "<its migration user>"
        if len(candidates) == 1:
            schema, user = candidates[0].name, candidates[0].migration.name
        alter = f"ALTER {each.kind} {{}}{_signature(each)}"
        yield remedy(f"{alter} SET SCHEMA {{}}", (PUBLIC_SCHEMA, each.name), schema)
        if each.owner != user:
            yield remedy(f"{alter} OWNER TO {{}}", (schema, each.name), user)

    def _moved(self, extension: str) -> str:
        use = remedy("GRANT USAGE ON SCHEMA {} TO PUBLIC", EXTENSIONS_SCHEMA)
        move = remedy("ALTER EXTENSION {} SET SCHEMA {}", extension, EXTENSIONS_SCHEMA)
        by = f"the extension's owner or a superuser (until up has set the search_path, clients write {EXTENSIONS_SCHEMA}.)"
        return self._inside(self._extensions_schema(), use, move, by=by)


def _attributes(role: Role) -> Iterator[tuple[str, bool]]:
    yield "SUPERUSER", role.superuser
    yield "CREATEDB", role.create_database
    yield "CREATEROLE", role.create_role
    yield "REPLICATION", role.replication
    yield "BYPASSRLS", role.bypass_row_level_security


def _signature(each: OwnedObject) -> str:
    """A routine's arguments as the server itself writes them, for a statement's template."""
    routine = each.kind in ("FUNCTION", "PROCEDURE", "AGGREGATE")
    return (
        f"({each.arguments or ('*' if each.kind == 'AGGREGATE' else '')})".replace("{", "{{").replace("}", "}}")
        if routine
        else ""
    )


def _named(each: OwnedObject) -> str:
    return f"{each.kind.lower()} {each.name}"


def _spaced(key: str) -> str:
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in key)
