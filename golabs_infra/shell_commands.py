"""What a shell command sets besides assignments, as far as its text shows it. Pure; nothing is ever run."""

from __future__ import annotations

import re

from .shell_words import NAME

HARMLESS = frozenset({"set", "shopt", "echo", "true", ":", "exit", "return", "break", "umask", "cd"})
_UNSEEN = frozenset({"source", ".", "eval"})
_TOLD = frozenset({"read", "printf", "mapfile", "readarray", "let", "psql", "trap", "unset"})
"""Commands that may be named in a message; another first word might be a part of a password."""
_BEHIND = re.compile(rf"(?:&&|\|\||[;({{])[ \t]*(?:export[ \t]+)?({NAME})\+?=")
"""Assignments that hang on a command before them."""
_READS = re.compile(r"(?:^|[\s;&|(!])(?:read|mapfile|readarray|getopts)(?=[ \t]|$)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_LOOP = re.compile(rf"(?:for|select)[ \t]+({NAME})")


def set_by(statement: str) -> list[str]:
    """The variables that a command may set, each once."""
    names = _BEHIND.findall(statement)
    bare = _QUOTED.sub("", statement)
    for command in _READS.finditer(bare):
        names += re.findall(rf"(?<=[ \t]){NAME}(?=[ \t;\n<]|$)", bare[command.end() :])
    if found := re.match(r"(?:let|unset)[ \t]|\(\(", statement):
        names += re.findall(NAME, statement[found.end() :])
    names += re.findall(rf"(?<![\w-])printf[ \t]+-v[ \t]*['\"]?({NAME})", statement)
    if found := _LOOP.match(statement):
        names.append(found[1])
    return list(dict.fromkeys(names))


def told(first: str) -> str:
    """How a message speaks of a command, given its first word."""
    if first in _UNSEEN:
        return f"the command {first!r}: nothing is run here, so what it sets is not seen"
    if first in _TOLD:
        return f"the command {first!r}; nothing is run here"
    return "a line that sets no variable in a form known here; nothing is run here"
