"""Whether a value of the old files has the shape of what its key is about, before it is taken or shown. Pure.

A connection string, or the tail of a password, under another key does not pass, so that no message can show it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

from .config_keys import ADMIN_PASSWORD, is_address
from .endpoint import SslMode
from .legacy_lines import Entry

_SSL_MODES: frozenset[str] = frozenset(get_args(SslMode))
_OPPORTUNISTIC = frozenset({"allow", "prefer"})
_FILES = frozenset({"sslRootCert", "sslCert", "sslKey"})
_HOST = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
_PATH = r"/[^\s@=:]*"
_NAME = r"[A-Za-z_][A-Za-z0-9_.$-]{0,62}"
_SHAPES: Mapping[str, tuple[str, str]] = {
    "host": (rf"{_HOST}|{_PATH}", "a host"),
    "port": (r"[0-9]{1,5}", "a port"),
    "adminUser": (_NAME, "a user's name"),
    "adminDatabase": (_NAME, "a database's name"),
    "database": (_NAME, "a database's name"),
    "environments": (r"[A-Za-z][\w-]*", "names of environments"),
    **dict.fromkeys(_FILES, (_PATH, "a file's path")),
}


def is_password(path: str) -> bool:
    """Whether a key of ours holds a password."""
    return path == ADMIN_PASSWORD or path.startswith("passwords.")


def misshapen(path: str, value: str) -> str:
    """Why a value can't be what the key is about, without the value; empty where it can be."""
    pattern, what = _SHAPES.get(path, (".*", ""))
    if re.fullmatch(pattern, value) or (path == "host" and is_address(value)):
        return ""
    return f"it is not shaped like {what} (a connection string? give its parts)"


def split_host(value: str) -> tuple[str, str]:
    """`host:port`, `[address]` or `[address]:port` -> the host and the port; the port is empty where there is none."""
    found = re.fullmatch(rf"(?:\[([^\[\]]+)\]|({_HOST}))(?::([0-9]{{1,5}}))?", value)
    if found is None or (found[1] and not is_address(found[1])):
        return value, ""
    return found[1] or found[2], found[3] or ""


def listed(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names in a list, however it is written: `a b`, `a,b`, `a|b`, `["a", "b"]`."""
    texts = (value,) if isinstance(value, str) else value or ()
    return tuple(name for text in texts for name in re.split(r"[\s,;|:\[\]'\"]+", text) if name)


def value_of(path: str, entry: Entry) -> tuple[str | None, str]:
    """The value that an entry gives, or None and the reason, which never holds any of it."""
    value = entry.value
    if value is None:
        return None, entry.problem
    if not value or isinstance(value, tuple):
        return None, "it is a list" if value else "it is empty"
    problem = _of_password(entry) if is_password(path) else _of_other(path, value)
    return (None, problem) if problem else (value, "")


def _of_password(entry: Entry) -> str:
    told = "; ".join(re.sub(r"\$\w+", "a variable", text) for text in entry.assumptions)
    return f"a password is not guessed: {told}" if told else ""


def _of_other(path: str, value: str) -> str:
    if path == "sslMode" and value in _OPPORTUNISTIC:
        return f"{value!r} does without encryption where it can't be had; here it is disable, require or verify-..."
    if path == "sslMode" and value not in _SSL_MODES:
        return "it is no mode of PostgreSQL's"
    if path in _FILES and not value.startswith("/"):
        return "a path that is not absolute means another file here"
    return misshapen(path, split_host(value)[0] if path == "host" else value)
