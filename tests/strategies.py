"""What property tests draw: configurations, migrations, what somebody breaks by hand, names and live catalogs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from golabs_infra.names import RESERVED_SERVICES, USER_KINDS, user_name

POOL = ("billing", "catalog", "order", "app", "migration", "order_app")
"""Few services, so that two configurations overlap; some look like a part of another one's users."""

ENVIRONMENT = "tst"
DATABASE = f"go-labs-{ENVIRONMENT}"


@dataclass(frozen=True)
class Stack:
    """One configuration: services as the contract has them, and the passwords that it gives."""

    services: tuple[dict[str, Any], ...]
    passwords: dict[str, dict[str, str]]

    @property
    def names(self) -> tuple[str, ...]:
        """The services' names."""
        return tuple(str(service["name"]) for service in self.services)

    @property
    def active(self) -> tuple[str, ...]:
        """Those whose users can log in."""
        return tuple(str(service["name"]) for service in self.services if not service.get("retired"))

    @property
    def has_extensions(self) -> bool:
        """Whether any service asks for one."""
        return any(service.get("extensions") for service in self.services)

    def without(self, extension: str) -> Stack:
        """The same, where no service asks for this extension."""
        kept = [[name for name in service.get("extensions", ()) if name != extension] for service in self.services]
        services = zip(self.services, kept, strict=True)
        return replace(self, services=tuple({**service, "extensions": names} for service, names in services))

    @property
    def users(self) -> tuple[str, ...]:
        """Every user of every service."""
        return tuple(user_name(name, kind, ENVIRONMENT) for name in self.names for kind in USER_KINDS)


_DURATIONS = st.sampled_from(["90s", "1500ms", "2min", "24d"])
_PASSWORDS = st.sampled_from(["first-Password.1", "2nd_Password-22", "Third.3.Password"])


def services(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """A service of this name, with any of the options."""
    return st.fixed_dictionaries(
        {"name": st.just(name)},
        optional={
            "connectionLimit": st.integers(5, 262_143),
            "statementTimeout": _DURATIONS,
            "idleInTransactionTimeout": _DURATIONS,
            "extensions": st.lists(st.sampled_from(["plpgsql", "vector"]), unique=True),
            "retired": st.booleans(),
        },
    )


@st.composite
def stacks(draw: st.DrawFn, *, pool: tuple[str, ...] = POOL) -> Stack:
    """A configuration with some services of the pool, in any order."""
    names = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=4, unique=True))
    given = st.dictionaries(st.sampled_from(("migration", "app")), _PASSWORDS)
    return Stack(
        tuple(draw(services(name)) for name in names),
        {name: users for name in names if (users := draw(given))},
    )


MIGRATIONS = (
    "CREATE TABLE schema_migrations (version text PRIMARY KEY); INSERT INTO schema_migrations VALUES ('0001')",
    'CREATE TABLE "line item" (id bigint GENERATED ALWAYS AS IDENTITY, "select" text DEFAULT \'x\')',
    "CREATE TABLE invoice (id serial PRIMARY KEY, total numeric); INSERT INTO invoice (total) VALUES (1), (2)",
    "CREATE TABLE day (day date NOT NULL) PARTITION BY RANGE (day); CREATE TABLE day_other PARTITION OF day DEFAULT",
    "CREATE VIEW one AS SELECT 1 AS one; CREATE MATERIALIZED VIEW two AS SELECT 2 AS two",
    "CREATE SEQUENCE ticket; SELECT nextval('ticket')",
    "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN positive AS int CHECK (value > 0)",
    "CREATE FUNCTION doubled(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n'",
)
"""What a migration may do, each by itself, in the schema that is first on the search_path."""


def migrations() -> st.SearchStrategy[dict[str, tuple[str, ...]]]:
    """What each service of the pool has its migration user do."""
    each = st.lists(st.sampled_from(MIGRATIONS), unique=True, max_size=4).map(tuple)
    return st.dictionaries(st.sampled_from(POOL), each)


# ---- what somebody breaks by hand

BROKEN = Stack(
    tuple({"name": name, "extensions": ["plpgsql", "vector"]} for name in ("billing", "catalog", "order_app")), {}
)
"""The environment that breakages name the parts of."""

_SERVICES = st.sampled_from(BROKEN.names)
_USERS = st.sampled_from(BROKEN.users)
_OWNERS = st.sampled_from(tuple(user for user in BROKEN.users if "_migration_" in user))
_GRANTEES = st.sampled_from((*BROKEN.users, "PUBLIC"))
_OPTION = st.sampled_from(("", " WITH GRANT OPTION"))
_PRIVILEGES = {
    "DATABASE": ("CONNECT", "TEMPORARY", "CREATE", "ALL"),
    "SCHEMA": ("USAGE", "CREATE", "ALL"),
    "TABLE": ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "ALL"),
    "SEQUENCE": ("USAGE", "SELECT", "UPDATE", "ALL"),
}
_OBJECTS = {
    "DATABASE": st.just(f'DATABASE "{DATABASE}"'),
    "SCHEMA": st.sampled_from((*BROKEN.names, "public", "extensions")).map("SCHEMA {}".format),
    "TABLE": st.one_of(
        _SERVICES.map("ALL TABLES IN SCHEMA {}".format),
        st.builds("TABLE {}.{}".format, _SERVICES, st.sampled_from(("invoice", '"line item"', "day", "one", "two"))),
    ),
    "SEQUENCE": st.one_of(
        _SERVICES.map("ALL SEQUENCES IN SCHEMA {}".format), _SERVICES.map("SEQUENCE {}.ticket".format)
    ),
}


@st.composite
def _privileges(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(sorted(_OBJECTS)))
    privilege, of, grantee = draw(st.sampled_from(_PRIVILEGES[kind])), draw(_OBJECTS[kind]), draw(_GRANTEES)
    owns = f" {grantee.removesuffix('_migration_tst_user')}" in of  # what an owner has of its own is not compared
    if not owns and draw(st.booleans()):
        return f"REVOKE {privilege} ON {of} FROM {grantee}"
    statement = f"GRANT {privilege} ON {of} TO {grantee}{draw(_OPTION) if grantee != 'PUBLIC' else ''}"
    # As somebody who may hand it on, and else is refused.
    return f"SET ROLE {draw(_USERS)}; {statement}" if draw(st.booleans()) else statement


@st.composite
def _later_privileges(draw: st.DrawFn) -> str:
    kind, owner = draw(st.sampled_from(("TABLE", "SEQUENCE"))), draw(_OWNERS)
    grantee = draw(_GRANTEES.filter(lambda name: name != owner))
    where = draw(st.one_of(st.just(""), _SERVICES.map(" IN SCHEMA {}".format)))
    privilege = draw(st.sampled_from(_PRIVILEGES[kind]))
    if draw(st.booleans()):
        action = f"REVOKE {privilege} ON {kind}S FROM {grantee}"
    else:
        action = f"GRANT {privilege} ON {kind}S TO {grantee}{draw(_OPTION) if grantee != 'PUBLIC' else ''}"
    return f"ALTER DEFAULT PRIVILEGES FOR ROLE {owner}{where} {action}"


_ATTRIBUTES = st.sampled_from(
    (
        *("NOLOGIN", "CREATEDB", "CREATEROLE", "NOINHERIT", "CONNECTION LIMIT 0"),
        *("VALID UNTIL '2001-01-01'", "VALID UNTIL '2101-01-01'", "VALID UNTIL 'infinity'"),
        *("PASSWORD 'somebody-elses'", "PASSWORD NULL"),
    )
)
_SETTINGS = st.sampled_from(
    (
        *("SET search_path TO public", "SET search_path TO DEFAULT", "SET search_path TO ''", "RESET ALL"),
        *('SET search_path TO "$user", "a ""b", "c,d"', "SET statement_timeout TO '1s'"),
        *("SET idle_in_transaction_session_timeout TO 5", "SET idle_in_transaction_session_timeout TO '2 min'"),
    )
)
_IN_DATABASE = st.sampled_from(("", f' IN DATABASE "{DATABASE}"'))


_ANYBODYS = (
    _privileges(),
    _later_privileges(),
    st.builds("ALTER ROLE {} {}".format, _USERS, _ATTRIBUTES),
    st.builds("ALTER ROLE {}{} {}".format, _USERS, _IN_DATABASE, _SETTINGS),
    st.builds("ALTER SCHEMA {} OWNER TO {}".format, _SERVICES, _USERS),
    st.builds("ALTER SCHEMA extensions OWNER TO {}".format, _USERS),
)
_SUPERUSERS = (
    st.builds("ALTER ROLE {} {}".format, _USERS, st.sampled_from(("SUPERUSER", "REPLICATION", "BYPASSRLS"))),
    st.builds("ALTER SCHEMA {} OWNER TO postgres".format, _SERVICES),
    st.builds(f'ALTER DATABASE "{DATABASE}" OWNER TO {{}}'.format, _USERS),
    st.builds("GRANT {} TO {}{}".format, _USERS, _USERS, st.sampled_from(("", " WITH ADMIN OPTION"))),
)


def breakages(admin: str) -> st.SearchStrategy[str]:
    """Something that somebody does by hand, as a superuser in the environment's database; the server may refuse it.

    Where the admin is no superuser, it is nothing that only a superuser can undo.
    """
    return st.one_of(*_ANYBODYS, *(_SUPERUSERS if admin == "superuser" else ()))


# ---- names


def service_names(environment: str = ENVIRONMENT) -> st.SearchStrategy[str]:
    """Every name that the rules permit, up to the longest."""
    longest = 63 - len(user_name("", "migration", environment))
    accepted = st.from_regex(rf"[a-z][a-z0-9_]{{0,{longest - 1}}}", fullmatch=True)
    return accepted.filter(lambda name: name not in RESERVED_SERVICES and not f"{name}_".startswith("pg_"))


def other_texts(environment: str = ENVIRONMENT) -> st.SearchStrategy[str]:
    """Texts of which most are no service's name: any at all, those that are nearly one, reserved and too long ones."""
    letters = st.text(st.sampled_from("abz09_-. AZ\u00e4\u0131\ud800\0'\"\\;\n"), max_size=20)
    nearly = st.builds(
        "{}{}{}".format, service_names(environment), letters, st.sampled_from(("", "x", " ", "\n", "\u0663"))
    )
    reserved = st.sampled_from((*sorted(RESERVED_SERVICES), "pg_", "pg_catalog", "pg_x", "PUBLIC", "Extensions"))
    return st.one_of(st.text(), letters, nearly, reserved)


HOSTILE = st.text(
    st.one_of(
        st.sampled_from("\"'\\;$-/*%{}()., \n\t:?@E"), st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    ),
    min_size=1,
    max_size=30,
)
"""Identifiers and literals that nobody would choose, of the characters that PostgreSQL takes."""


USUAL_EXAMPLES = 50
"""What a property test that does not say otherwise draws in the profile "ci"."""


def examples(usual: int) -> settings:
    """How many examples a test draws: `usual` many in the profile "ci", more in "explore"."""
    return settings(max_examples=max(1, usual * settings().max_examples // USUAL_EXAMPLES))
