"""Reads tables in old files: a row for each environment, cells between `|`, `;`, `,`, tabs, `:` or white space. Pure.

What a cell is about stands in the heading, and nothing is guessed where there is none or where a row does not fit it:
a password may hold the separator, and its tail must not pass for a host.
"""

from __future__ import annotations

import re

from .legacy_words import PASSWORDS, canonical, cell, words_of
from .shell_words import Obscure, Word

_SEPARATORS = ("|", ";", ",", "\t", ":", None)
_LOOSE = frozenset({":", None})
"""What also stands in lines that are no tables."""
_ENVIRONMENT_COLUMNS = frozenset({"env", "environment", "stage"})
_COLUMNS = PASSWORDS | frozenset(
    {"host", "hostname", "server", "port", "user", "username", "adminuser", "database", "db"}
    | {"dbname", "dbhost", "dbport", "dbuser", "sslmode", "ssl", "description", "comment"}
)
_NO_HEADING = "the table has no heading: only env|host and env|host|port are clear without one (env|host|port|...)"


class Tables:
    """Goes through the lines of a file; remembers the heading that they stand under."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._heading: list[str] = []
        self._separator: str | None = None

    def forget(self) -> None:
        """Ends the table: its heading is not the next one's."""
        self._heading = []

    def row(self, line: str, *, alone: bool) -> list[tuple[str, Word]] | None:
        """A row's keys and values, none for a heading, None for a line of no table.

        `alone`: it stands under no section, which might say what the cells are.
        """
        is_comment = line.lstrip().startswith("#")
        bare = re.sub(r"^[ \t]*#+[ \t]*", "", line).strip(" ")
        if self._heading and not is_comment and self._is_row(cells := _cells(bare, self._separator), bare):
            return self._under_heading(cells)
        for separator in _SEPARATORS:
            cells = _cells(bare, separator)
            if self._takes_heading(cells, separator, bare):
                return []
            if not is_comment and len(cells) > 1 and self._is_environment(cells[0]):
                found = self._without_heading(cells, separator, line, alone=alone)
                if found is not None:
                    self.forget()
                    return found
        return None

    def _is_environment(self, text: str) -> bool:
        return canonical(text.lower(), self._environment) is not None

    def _is_row(self, cells: list[str], bare: str) -> bool:
        is_shell = self._separator in _LOOSE and (any(sign in bare for sign in "=()") or _is_pair(bare))
        return len(cells) > 1 and self._is_environment(cells[0]) and not is_shell

    def _takes_heading(self, cells: list[str], separator: str | None, bare: str) -> bool:
        if len(cells) < 2 or any(sign in bare for sign in "=()$"):
            return False
        names = ["".join(words_of(text)) for text in cells]
        known = sum(bool({name, *words_of(text)} & _COLUMNS) for name, text in zip(names[1:], cells[1:], strict=True))
        certain = names[0] in _ENVIRONMENT_COLUMNS and separator not in _LOOSE
        needed = 0 if certain else 2 if names[0] in _ENVIRONMENT_COLUMNS | {"name"} else len(cells)
        if known < needed or not all(names):
            return False
        self._heading, self._separator = cells, separator
        return True

    def _under_heading(self, cells: list[str]) -> list[tuple[str, Word]]:
        heading = self._heading
        if len(cells) != len(heading):
            what = "more" if len(cells) > len(heading) else "fewer"
            return _refused(
                cells, f"it has {what} cells than the heading: does one hold the separator, or a comment follow?"
            )
        if len({words_of(column) for column in heading}) < len(heading):
            return _refused(cells, "its heading names a column twice")
        pairs = zip(heading[1:], cells[1:], strict=True)
        return [(f"{cells[0]} {column}", cell(text)) for column, text in pairs if text not in ("", "-")]

    @staticmethod
    def _without_heading(
        cells: list[str], separator: str | None, line: str, *, alone: bool
    ) -> list[tuple[str, Word]] | None:
        is_clear = len(cells) == 3 and cells[2].isdecimal() and not cells[1].isdecimal()
        is_clear |= len(cells) == 2 and separator not in _LOOSE and not cells[1].isdecimal()
        is_clear &= canonical(cells[1].lower(), "") is None  # `dev,prd` lists environments
        if any(sign in line for sign in "()=") or (separator in _LOOSE and _is_pair(line)):
            return None
        if is_clear and alone:
            return [
                (f"{cells[0]} {column}", cell(text))
                for column, text in zip(("host", "port")[: len(cells) - 1], cells[1:], strict=True)
            ]
        return None if separator is None or len(cells) < 3 else _refused(cells, _NO_HEADING)


def _cells(bare: str, separator: str | None) -> list[str]:
    if separator == "|" and len(bare) > 1 and bare.startswith("|") and bare.endswith("|"):
        bare = bare[1:-1]
    return [text.strip() for text in bare.split(separator)]


def _is_pair(line: str) -> bool:
    """Whether it is `key: value`."""
    return re.match(r"[ \t]*[\w.-]+[ \t]*:[ \t]", line) is not None


def _refused(cells: list[str], reason: str) -> list[tuple[str, Word]]:
    return [(cells[0], Word((Obscure(reason),)))]
