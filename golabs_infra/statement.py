"""Single statements as text, for people, scripts and probes. Here and in `sql` alone something is quoted."""

from __future__ import annotations

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal


def remedy(template: str, *names: str | tuple[str, ...]) -> str:
    """A statement for somebody to run by hand, as text of one line; names are quoted, those of a tuple joined by dots."""
    identifiers = (_on_one_line(name if isinstance(name, tuple) else (name,)) for name in names)
    return f"{_compose(template, *identifiers).as_string()};"


STOP_ON_ERROR = "\\set ON_ERROR_STOP on"
"""What a script begins with, so that psql ends at the first statement that is refused."""


def connect_to(database: str) -> str:
    """The line that has psql go on in a database."""
    return f"\\connect {quoted(database)}"


def quoted(name: str) -> str:
    """A name as an identifier of one line."""
    return _on_one_line((name,)).as_string()


def _on_one_line(names: tuple[str, ...]) -> Composable:
    """A name that may hold anything, so that it neither ends a comment in a script nor does anything on a terminal."""
    return SQL(".").join(Identifier(name) if name.isprintable() else SQL(_escaped(name)) for name in names)


def _escaped(name: str) -> str:
    """A name as PostgreSQL's U&"...": every character that can't be printed by its number."""
    characters = (
        character.replace("\\", "\\\\").replace('"', '""') if character.isprintable() else f"\\+{ord(character):06x}"
        for character in name
    )
    return f'U&"{"".join(characters)}"'


def call(function: str, *arguments: str | tuple[str, ...]) -> str:
    """A query of one of PostgreSQL's own functions, as text; a tuple is a qualified name, quoted inside its literal."""
    literals = (Literal(Identifier(*each).as_string() if isinstance(each, tuple) else each) for each in arguments)
    return _compose(f"SELECT pg_catalog.{function}({{}})", SQL(", ").join(literals)).as_string()


def filled(script: str, value: str) -> str:
    """A script with a value as the literal in place of its `{}`."""
    return _compose(script, Literal(value)).as_string()


def _compose(template: str, *parts: Composable) -> Composed:
    return SQL(template).format(*parts)
