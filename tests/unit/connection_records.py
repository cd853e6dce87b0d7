"""Connection records for the tests, with passwords that readers of URLs and of YAML stumble over."""

from __future__ import annotations

import stat
from pathlib import Path

from pydantic import SecretStr

from golabs_infra.connections import (
    Record,
    build_records,
)
from golabs_infra.endpoint import Endpoint

from .catalogs import make_desired

MIGRATION = "billing_migration_tst_user"
APP = "billing_app_tst_user"
PASSWORD = "pencil"
ODD = [
    "p w",
    "p@w",
    "p/w",
    "p%w",
    "p%40w",
    "p:w",
    "p?w=1&x#y",
    "pä✓🔑w",
    "+p+",
    "p'w\"",
    "p\\w",
    "[p]",
    " p ",
    "=&;",
    "p\nw",
    "`$!~",
]
AMBIGUOUS = [
    *("12345678", "0123456", "0x1F", "0o17", "0b11", "1_000", "1e9", "1.5e10", "12e034", ".5", "+1", "-1", "1:30:99"),
    *(
        "true",
        "True",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "N",
        "null",
        "Null",
        "~",
        "",
        " ",
        ".inf",
        ".nan",
        "<<",
        "=",
    ),
    *("2027-01-31", "- a", "a: b", "a #b", "#a", "&a", "*a", "!a", "|", ">", "%a", "@a", "`a", "{a}", "[a]", "'", '"'),
    *("a\nb", "a\n", "\ta", "\u2028", "\x85", "\x7f", "a " * 100),
]
HARMLESS = ["secret", "ä✓🔑", "c" * 300, "nobody", "yesterday", "trueish"]


def endpoint(host: str = "db.example.org", port: int = 5432, **options: object) -> Endpoint:
    """An endpoint, with TLS unless said otherwise."""
    given: dict[str, object] = {"ssl_mode": "require"} | options
    return Endpoint(host, port, "postgres", SecretStr("admin's"), "postgres", **given)  # type: ignore[arg-type]


def records_of(*services: str, password: str = PASSWORD, host: str = "db.example.org") -> list[Record]:
    """Records of services in tst, every user with this password."""
    desired = make_desired("tst", services=list(services))
    return build_records(desired, endpoint(host), {role.name: password for role in desired.roles})


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)
