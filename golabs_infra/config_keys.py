"""The keys of the contract: what each may hold, as pydantic types and models, with an example of every value.

A value's rule stands here and nowhere else. How faults are collected and worded is `settings`' business.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import re
from collections.abc import Collection, Iterable
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from .endpoint import SslMode
from .errors import UsageError
from .policy import PolicyName

STRUCTURED_KEYS = frozenset({"services", "passwords", "logins", "accepted"})
"""Keys whose values are lists or mappings; Pulumi hands them to a program as JSON."""

_UNITS_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"([0-9]{1,12})\s*(ms|s|min|h|d)")
_MAX_MS = 2**31 - 1
UNSHOWN = "unshown"
"""The type of faults whose value may hold a secret although its key is none."""


def shown(value: object) -> str:
    """A value as messages show it: nothing encrypted, and nothing of what lies in lists and mappings."""
    match value:
        case SecretStr():
            return "the value"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case None | bool():
            return json.dumps(value)
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def nearest(word: object, known: Iterable[str]) -> str:
    """The end of a message that names the nearest known word, if one is near."""
    near = nearest_known(word, known)
    return f"; the nearest known one is {near!r}" if near else ""


def nearest_known(word: object, known: Iterable[str]) -> str:
    """The known word that is nearest, empty where none is near.

    >>> nearest_known("servises", KEYS)
    'services'
    """
    return next(iter(difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)), "")


def unknown_service(
    service: str, known: Collection[str], *, where: str, or_else: str = "", shown: bool = True
) -> UsageError:
    """What a command says that was given a service which there is not; `or_else` is another way on.

    What was given is not `shown` where it may be a password that somebody has typed in its place.
    """
    names = ", ".join(known)
    ways = [f"name one of {names}" if names else "add it to services first", *([or_else] if or_else else [])]
    what = f"there is no service {service!r}" if shown else "there is no such service"
    return UsageError(f"{what}{nearest(service, known)}", where=where, mend=", or ".join(ways))


def service_names(listed: object) -> list[str]:
    """The names in a list of services as it was written, also of those that have a fault."""
    given = [service_name(entry) for entry in listed] if isinstance(listed, list) else []
    return [name for name in given if isinstance(name, str)]


def service_name(entry: object) -> object:
    """The name of a service as it was written: a name, or a mapping that has one."""
    return entry.get("name") if isinstance(entry, dict) else entry


def _open(value: object) -> object:
    """Any value but an encrypted one: what is no secret is shown in messages, files and outputs."""
    if isinstance(value, SecretStr):
        raise PydanticCustomError("encrypted", "is encrypted, which only adminPassword and passwords can be")
    return value


def from_json(value: object) -> object:
    """What a structured key says that was set as one JSON text; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _whole_number(value: object) -> object:
    value = _open(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise PydanticCustomError("whole_number", "is not a whole number")
    return value


def _text(value: object) -> str:
    value = _open(value)
    if not isinstance(value, str):
        raise PydanticCustomError("text", "is not a string")
    return value


def _duration(value: object) -> object:
    value = _open(value)
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("duration", "is not a duration: a whole number and one of ms, s, min, h, d")
    milliseconds = int(found[1]) * _UNITS_MS[found[2]]
    if not 0 < milliseconds <= _MAX_MS:
        raise PydanticCustomError("duration", "is not a duration between 1ms and 24d")
    return milliseconds


def _extensions(value: object) -> object:
    value = _open(value)
    if not isinstance(value, list):
        raise PydanticCustomError("list", "is not a list")
    for name in value:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", name):
            raise PydanticCustomError("extension", "holds {name}, which is no extension's name", {"name": shown(name)})
    return tuple(sorted(set(value)))


def _present(value: object) -> str:
    text = _text(value)
    if not text:
        raise PydanticCustomError("empty", "is empty")
    return text


def _secret(value: object) -> object:
    text = _present(value.get_secret_value() if isinstance(value, SecretStr) else value)
    if "\0" in text:
        raise PydanticCustomError("nul", "holds a NUL character")
    return value


def _plain_word(value: object) -> str:
    word = _present(value)
    if re.search(r"[\s\x00-\x1f\x7f]", word):
        raise PydanticCustomError("plain_word", "has white space or control characters in it")
    return word


def parse_host(value: object) -> str:
    """A name, an address or a socket folder. A URL is not shown, as it may hold a password."""
    host = _plain_word(value)
    if host.startswith("/"):
        return host
    if "@" in host or "/" in host:
        raise PydanticCustomError(
            UNSHOWN, "is a URL; give host, port, adminUser and adminPassword as keys of their own"
        )
    if ":" in host and not is_address(host):
        raise PydanticCustomError("host", "is no host: a port goes into the key port, an IPv6 address has no brackets")
    return host


def is_address(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _day(value: object) -> object:
    """A date; Pulumi's engine hands one on as `2027-01-31 00:00:00 +0000 UTC`."""
    value = _open(value)
    day = value.removesuffix(" 00:00:00 +0000 UTC") if isinstance(value, str) else ""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
        raise PydanticCustomError("day", "is not a date")
    return day


def _true_or_false(value: object) -> object:
    value = _open(value)
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise PydanticCustomError("bool", "is neither true nor false")


WholeNumber = Annotated[int, BeforeValidator(_whole_number)]
Milliseconds = Annotated[int, BeforeValidator(_duration)]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
Text = Annotated[str, BeforeValidator(_text)]
Word = Annotated[str, BeforeValidator(_plain_word)]
Host = Annotated[str, BeforeValidator(parse_host)]
FilePath = Annotated[str, BeforeValidator(_present)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]


class _Frozen(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, validate_by_alias=True, validate_by_name=False
    )


class ServiceSettings(_Frozen):
    """One service: its schema's name and the limits of its app user.

    The limits hold for the app user only: a migration must be able to run long. Timeouts are in milliseconds.
    """

    name: Text = Field(
        description="`[a-z][a-z0-9_]*`, but `public`, `extensions`, `database` and `pg_...`: schema, users and files are called by it"
    )
    connection_limit: Annotated[WholeNumber, Field(ge=1, le=262_143)] | None = Field(
        default=None, description="how many sessions the app user may have at once"
    )
    statement_timeout: Milliseconds | None = Field(
        default=None, description="after which the server ends a statement of the app user: `ms`, `s`, `min`, `h`, `d`"
    )
    idle_in_transaction_timeout: Milliseconds | None = Field(
        default=None, description="after which the server ends a session of the app user that idles in a transaction"
    )
    extensions: Annotated[tuple[str, ...], BeforeValidator(_extensions)] = Field(
        default=(),
        description="a list; made by the admin in the schema `extensions`, second on both users' `search_path`",
    )
    retired: Flag = Field(
        default=False, description="nobody can log in; users, schema and data stay; `golabs retire` writes it"
    )


class AcceptedFinding(_Frozen):
    """A finding of `golabs verify` that is known and accepted, until a day if one is given."""

    id: Text = Field(description="as `golabs verify` prints it; may hold `*`")
    object: Text = Field(description="as `golabs verify` prints it; may hold `*`")
    note: Text = Field(description="why it is accepted, for the report")
    until: Annotated[date, BeforeValidator(_day)] | None = Field(
        default=None, description="the last day on which it is accepted; for ever without one"
    )


class ServerKeys(_Frozen):
    """The scalar keys, as they stand in the file."""

    server: Annotated[Literal["embedded"], BeforeValidator(_open)] | None = Field(
        default=None, description="`embedded`: the PostgreSQL of this checkout; in place of `host`"
    )
    host: Host | None = Field(
        default=None,
        description="the server's name or address, or the absolute folder of its socket; in place of `server`",
    )
    port: Annotated[WholeNumber, Field(ge=1, le=65_535)] = Field(default=5432, description="the server's TCP port")
    admin_user: Word = Field(
        default="postgres", description="who provisions: a superuser, or a role with CREATEDB and CREATEROLE"
    )
    admin_password: Secret | None = Field(
        default=None,
        description="its password, encrypted: `golabs set-password ENV --admin`; not needed beside `sslCert` and `sslKey`",
    )
    admin_database: Word = Field(
        default="postgres", description="the database that the admin connects to before there is ours"
    )
    ssl_mode: Annotated[SslMode, BeforeValidator(_open)] | None = Field(
        default=None,
        description="`disable`, `require`, `verify-ca` or `verify-full`; `require`, but `disable` on this machine itself",
    )
    ssl_root_cert: FilePath | None = Field(
        default=None,
        description="PEM file of the authority that has signed the server's certificate; from the project's folder",
    )
    ssl_cert: FilePath | None = Field(
        default=None, description="PEM file of the admin's own certificate, with its chain"
    )
    ssl_key: FilePath | None = Field(default=None, description="PEM file of its key: 0600, without a passphrase")
    policy: Annotated[PolicyName, BeforeValidator(_open)] | None = Field(
        default=None,
        description="`disposable`, `keep` or `guarded`; known by name for tst, dev, qua and prd, other stacks must say it",
    )


KEYS: dict[str, str] = {
    "server": "embedded",
    "host": "db.example.org",
    "port": "5432",
    "adminUser": "postgres",
    "adminPassword": "(a secret)",
    "adminDatabase": "postgres",
    "sslMode": "verify-full",
    "sslRootCert": "certs/ca.pem",
    "sslCert": "certs/admin.pem",
    "sslKey": "certs/admin.key",
    "policy": "keep",
    "services": "[billing]",
    "passwords": "{billing: {migration: ..., app: ...}}",
    "logins": "{billing: {app: [user, twin]}}",
    "accepted": "[{id: ..., object: ..., note: ...}]",
}
"""Every top-level key, with an example of its value."""

EXAMPLES = KEYS | {
    "name": "billing",
    "connectionLimit": "50",
    "statementTimeout": "30s",
    "idleInTransactionTimeout": "60s",
    "extensions": "[pg_trgm]",
    "retired": "true",
    "id": "the id that golabs verify prints",
    "object": "the object that golabs verify prints",
    "note": "why it is accepted",
    "until": "2027-01-31",
}
ADMIN_PASSWORD = "adminPassword"  # noqa: S105  (a key's name)
PASSWORDS = "passwords"
SECRET_KEYS = (ADMIN_PASSWORD, PASSWORDS)
