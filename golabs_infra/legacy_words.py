"""The words in the keys of old files, the names of environments among them, and values that are no shell. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .shell_words import Obscure, Word

ALIASES: Mapping[str, str] = {
    **{"test": "tst", "testing": "tst", "development": "dev", "develop": "dev"},
    **{"qa": "qua", "quality": "qua", "prod": "prd", "production": "prd"},
    **{name: name for name in ("tst", "dev", "qua", "prd", "uat", "stg", "stage", "staging", "int", "local", "ci")},
}
"""What environments are called in old files, and the names that they have here."""

PASSWORDS = frozenset({"password", "passwords", "passwd", "pass", "pwd", "pw"})
"""Words that say that a key is about a password."""

_COMMENT = re.compile(r"[ \t]+[#;].*")
_NAMES = re.compile(r"\[[ \t]*(?:(?:[\w-]+|'[\w-]+'|\"[\w-]+\")[ \t,]*)*\]")
_UNCLEAR = "outside of shell syntax it is not clear what quotes, $ and \\ in it stand for"


def canonical(word: str, environment: str) -> str | None:
    """The environment that a word of a key names, or None where it names none."""
    return environment if word == environment else ALIASES.get(word)


def words_of(key: str) -> tuple[str, ...]:
    """The words of a key: `DB_HOST_DEV`, `dev.dbHost` and `[dev] db-host` have the same ones."""
    parts = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    return tuple(word.lower() for word in re.split(r"[^A-Za-z0-9]+", parts) if word)


def lists_services(key: str) -> bool:
    """Whether a key is one for a list of services, of which more forms can be read than of a password."""
    return "".join(words_of(key)).endswith(("services", "servicelist", "servicenames", "schemas"))


def plain(text: str, key: str) -> Word:
    """A key's value that is no shell: the rest of the line, without quotes around it and without a comment."""
    text = text.strip()
    if found := re.fullmatch(r"'([^']*)'(?:[ \t]+[#;].*|[ \t]*)|\"([^\"\\$`]*)\"(?:[ \t]+[#;].*|[ \t]*)", text):
        return Word((found[1] or found[2] or "",))
    bare = _COMMENT.sub("", text) if not text.startswith(("#", ";")) else ""
    if re.search(r"['\"\\$`]", bare) and not (lists_services(key) and _NAMES.fullmatch(bare)):
        return Word((Obscure(_UNCLEAR),))
    return Word((bare,), "" if bare == text else "what follows white space and # or ; is taken for a comment")


def cell(text: str) -> Word:
    """A table's cell, which is no place for quotes and comments: they may be a part of it."""
    return Word((Obscure(_UNCLEAR) if re.search(r"['\"\\$`]|[ \t][#;]", text) else text,))
