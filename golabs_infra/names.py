"""Naming rules: what a service, an environment, a database and a user may be called, and what they are called.

Pure functions on strings. The pattern of environment names has no underscore, so `<service>_<kind>_<env>_user` can
be read back from the right in one way only, and no two services of any two environments share a user name. A user may
have a twin, a second login that acts as it, for a change of passwords without a break; its name is as long.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, get_args

UserKind = Literal["migration", "app"]
USER_KINDS: tuple[UserKind, ...] = get_args(UserKind)

Login = Literal["user", "twin"]
"""The two logins that a service can have of each kind: the user itself, and its twin."""
LOGINS: tuple[Login, ...] = get_args(Login)

DATABASE_PREFIX = "go-labs-"
"""What the database of every environment begins with."""

DATABASE_OWNER = "pg_database_owner"
"""From 14 on the role that the database's owner is a member of, by being that."""

MAX_NAME_BYTES = 63
"""PostgreSQL's NAMEDATALEN - 1: a longer identifier is cut without an error, so we refuse it."""

SERVICE_PATTERN = re.compile(r"[a-z][a-z0-9_]*")
ENVIRONMENT_PATTERN = re.compile(r"[a-z][a-z0-9-]*")

EXTENSIONS_SCHEMA = "extensions"
DATABASE_SCRIPT = "database"
"""The SQL script of what all services share, beside those that are named after services."""
RESERVED_SERVICES = frozenset({"public", "information_schema", EXTENSIONS_SCHEMA, DATABASE_SCRIPT})

_USER_PATTERN = re.compile(
    r"(?P<service>[a-z][a-z0-9_]*)_(?P<kind>migration|app)_(?P<environment>[a-z][a-z0-9-]*)_(?P<login>user|twin)"
)


class UserName(NamedTuple):
    """What a user's name says: its service, its kind, its environment, and whether it is the twin of the user."""

    service: str
    kind: UserKind
    environment: str
    login: Login = "user"

    @property
    def key(self) -> str:
        """What its password is called below its service in `passwords`: `app`, `appTwin`."""
        return password_key(self.kind, self.login)


def database_name(environment: str) -> str:
    """`go-labs-<env>`."""
    return f"{DATABASE_PREFIX}{environment}"


def rebuilt_name(database: str) -> str:
    """What a database is called that is to take another one's place. No environment's has this name."""
    return f"{database}~reset"


def user_name(service: str, kind: UserKind, environment: str) -> str:
    """`<service>_<kind>_<env>_user`."""
    return login_name(service, kind, environment, "user")


def login_name(service: str, kind: UserKind, environment: str, login: Login) -> str:
    """`<service>_<kind>_<env>_user`, or `..._twin`."""
    return f"{service}_{kind}_{environment}_{login}"


def password_key(kind: UserKind, login: Login) -> str:
    """`migration`, `app`, `migrationTwin`, `appTwin`."""
    return kind if login == "user" else f"{kind}Twin"


PASSWORD_KEYS: dict[str, tuple[UserKind, Login]] = {
    password_key(kind, login): (kind, login) for login in LOGINS for kind in USER_KINDS
}
"""What a service's entry in `passwords` may hold, with the login that each is of."""


def other_login(login: Login) -> Login:
    """The other one of the two."""
    return "twin" if login == "user" else "user"


def parse_user_name(name: str) -> UserName | None:
    """The parts of a user's name, or None where it does not follow the convention."""
    found = _USER_PATTERN.fullmatch(name)
    if found is None:
        return None
    kind: UserKind = "migration" if found["kind"] == "migration" else "app"
    login: Login = "twin" if found["login"] == "twin" else "user"
    return UserName(found["service"], kind, found["environment"], login)


def service_name_problem(name: str, environment: str) -> tuple[str, str] | None:
    """What is wrong with a service's name and how to mend it, or None where it can be used."""
    if not SERVICE_PATTERN.fullmatch(name):
        return (
            f"{name!r} is not a service name",
            "use lower-case letters, digits and underscores, starting with a letter, such as 'billing'",
        )
    if name in RESERVED_SERVICES or f"{name}_".startswith("pg_"):  # its schema, or its users, would begin with pg_
        return (
            f"{name!r} is a reserved name",
            f"choose another name for the service, such as {f'service_{name}'!r}",
        )
    longest = user_name(name, "migration", environment)
    excess = len(longest.encode()) - MAX_NAME_BYTES
    if excess > 0:
        return (
            f"the user name {longest!r} has {len(longest.encode())} bytes; PostgreSQL takes {MAX_NAME_BYTES}",
            f"shorten the service's name by {excess} character{'s' if excess > 1 else ''}",
        )
    return None


def environment_name_problem(environment: str) -> tuple[str, str] | None:
    """What is wrong with an environment's (the stack's) name and how to mend it, or None."""
    if not ENVIRONMENT_PATTERN.fullmatch(environment):
        return (
            f"{environment!r} can't name an environment: it becomes a part of database and user names",
            "name the stack with lower-case letters, digits and hyphens, starting with a letter, such as 'tst'",
        )
    if len(user_name("a", "migration", environment).encode()) > MAX_NAME_BYTES:
        return (
            f"{environment!r} is too long to be a part of user names of {MAX_NAME_BYTES} bytes",
            "choose a shorter stack name",
        )
    return None
