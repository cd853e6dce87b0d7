"""Reads one word of shell text as bash would: quotes, backslashes, `$NAME`. Pure; nothing is ever run.

A word is read into parts, and becomes text once it is known what the variables hold. What only a shell could work out,
such as `$(...)`, stays an `Obscure` part with the reason: a value is read right, or said not to be understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

NAME = r"[A-Za-z_][A-Za-z0-9_]*"
BLANKS = " \t"
_ENDS = frozenset(" \t\n;&|<>()")
REFERENCE = re.compile(rf"\$(?:({NAME})|\{{({NAME})(?:(:?[-=])([^'\"\\$`{{}}~\n]*))?\}})")
_HERE_DOCUMENT = re.compile(r"<<-?[ \t]*(['\"]?)([A-Za-z_]\w*)\1")
_ESCAPES = {
    **{"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b", "E": "\x1b"},
    **{sign: sign for sign in "\\'\"?"},
}
COMMAND = "it is what a command prints, and nothing is run here"
_BROKEN = "the line is continued right behind a $"
UNKNOWN = "a variable in it is not set in the files (if the $ is meant as it is: single quotes)"
"""It never names the variable: the name may be a piece of a password."""
UNCLOSED = "a quote is not closed"


@dataclass(frozen=True)
class Reference:
    """`$NAME` or `${NAME}`, or `${NAME:-default}` with one of the operators `-`, `:-`, `=`, `:=`."""

    name: str
    operator: str = ""
    default: str = field(default="", repr=False)


@dataclass(frozen=True)
class Obscure:
    """A part whose text can't be known without running something."""

    reason: str


@dataclass(frozen=True)
class Word:
    """A word in parts; adjoining texts are one part. It may hold a password, so it shows none of them."""

    parts: tuple[str | Reference | Obscure, ...] = field(repr=False)
    assumption: str = ""
    """What was taken for granted where the text could be read in two ways."""


@dataclass(frozen=True)
class Expansion:
    """The text of a word, or why it has none. `assumptions` tell what the text hangs on besides the files."""

    text: str | None = field(repr=False)
    problem: str = ""
    assumptions: tuple[str, ...] = ()


def expand(word: Word, known: Mapping[str, str | None], supposed: Mapping[str, str] | None = None) -> Expansion:
    """The text of a word where `known` holds the variables' values, None for one that was not understood.

    `supposed` are values of variables that no file sets; what hangs on them is told.
    """
    text = ""
    assumptions = [word.assumption] if word.assumption else []
    for part in word.parts:
        if isinstance(part, str):
            text += part
            continue
        if isinstance(part, Obscure):
            return Expansion(None, part.reason)
        value = known.get(part.name)
        if part.name in known:
            if value is None:
                return Expansion(None, "a variable in it was not understood")
            text += part.default if not value and part.operator.startswith(":") else value
        elif supposed and part.name in supposed:
            assumptions.append(f"${part.name} is taken for {supposed[part.name]}")
            text += supposed[part.name]
        elif part.operator:
            assumptions.append(f"${part.name} is not set in the files, so its default is taken")
            text += part.default
        else:
            return Expansion(None, UNKNOWN)
    if "\0" in text:
        return Expansion(None, "it holds a NUL character")
    return Expansion(text, assumptions=tuple(dict.fromkeys(assumptions)))


class WordScanner:
    """Reads words from a place in a text; `position` moves behind what was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def here(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.position : self.position + 1]

    def word(self, *, as_argument: bool = False) -> Word:
        """The word that begins here, maybe an empty one.

        `as_argument`: it stands where bash expands braces and patterns and splits values, as assignments do not.
        """
        parts: list[str | Reference | Obscure] = []
        begins = True
        while (sign := self.here) and sign not in _ENDS:
            if sign == "~" and begins:
                self.position += 1
                parts.append(Obscure("~ is a home folder, which is not known here"))
            elif as_argument and sign in "{*?[$":
                self.position += 1
                parts.append(Obscure("an unquoted {, *, ?, [ or $ means more than itself there"))
            else:
                parts += self._piece(sign)
            begins = sign in ":="
        return Word(_joined(parts))

    def _piece(self, sign: str) -> list[str | Reference | Obscure]:
        """What is read from one character on, outside of quotes."""
        if sign == "\\":
            following = self.text[self.position + 1 : self.position + 2]
            self.position += 2
            return [] if following == "\n" else [following or Obscure("a backslash ends the file")]
        if sign == "'":
            return [self._upto("'")]
        if sign == '"':
            return self._double_quoted()
        if sign in "$`":
            return [self._dollar(quoted=False)]
        self.position += 1
        return [sign]

    def _upto(self, quote: str) -> str | Obscure:
        end = self.text.find(quote, self.position + 1)
        if end < 0:
            return self._unclosed()
        text = self.text[self.position + 1 : end]
        self.position = end + 1
        return text

    def _unclosed(self) -> Obscure:
        """Gives the line up: what follows it is read as if the quote had been closed."""
        end = self.text.find("\n", self.position)
        self.position = len(self.text) if end < 0 else end
        return Obscure(UNCLOSED)

    def _double_quoted(self) -> list[str | Reference | Obscure]:
        began = self.position
        self.position += 1
        parts: list[str | Reference | Obscure] = [""]
        while sign := self.here:
            if sign == '"':
                self.position += 1
                return parts
            if sign == "\\":
                following = self.text[self.position + 1 : self.position + 2]
                self.position += 2
                if following != "\n":
                    parts.append(following if following and following in '$`"\\' else f"\\{following}")
            elif sign in "$`":
                parts.append(self._dollar(quoted=True))
            else:
                self.position += 1
                parts.append(sign)
        self.position = began
        return [self._unclosed()]

    def _dollar(self, *, quoted: bool) -> str | Reference | Obscure:
        """A `$` or a backtick."""
        following = self.text[self.position + 1 : self.position + 2]
        if found := REFERENCE.match(self.text, self.position):
            self.position = found.end()
            broken = found[1] and self.text.startswith("\\\n", self.position)
            return Obscure(_BROKEN) if broken else Reference(found[1] or found[2], found[3] or "", found[4] or "")
        if self.here == "`" or following == "(":
            return self._skipped(*(("`", "`") if self.here == "`" else ("(", ")")), COMMAND)
        if following == "{":
            return self._skipped("{", "}", "the shell works this ${...} out")
        if following == "'" and not quoted:
            self.position += 1
            return self._ansi()
        knows = bool(following) and (
            following in "[@*#?$!-" or following.isdigit() or (following == '"' and not quoted)
        )
        self.position += 1 if following == '"' or not knows else 2
        if self.text.startswith("\\\n", self.position):
            return Obscure(_BROKEN)
        return Obscure("only the shell that runs the file knows what a $ in it stands for") if knows else "$"

    def _skipped(self, opening: str, closing: str, reason: str) -> Obscure:
        depth = 0
        start = self.text.index(opening, self.position)
        for index in range(start, len(self.text)):
            sign = self.text[index]
            if sign == closing and index > start:
                depth -= 1
            elif sign == opening:
                depth += 1
            if depth == 0:
                self.position = index + 1
                return Obscure(reason)
        self._unclosed()
        return Obscure(reason)

    def _ansi(self) -> str | Obscure:
        """`$'...'`, with the escapes that are one letter."""
        found = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self.text, self.position)
        if found is None:
            return self._unclosed()
        self.position = found.end()
        text, rest = "", found[1]
        while rest:
            if rest[0] != "\\":
                text, rest = text + rest[0], rest[1:]
            elif rest[1] in _ESCAPES:
                text, rest = text + _ESCAPES[rest[1]], rest[2:]
            else:
                return Obscure("an escape in $'...' is not read here")
        return text


class Cursor(WordScanner):
    """A scanner that also knows lines and where a statement ends."""

    @property
    def line(self) -> int:
        """The number of the line, counted from 1."""
        return self.text.count("\n", 0, self.position) + 1

    @property
    def at_line_start(self) -> bool:
        """Whether a line begins here."""
        return self.position == 0 or self.text[self.position - 1] == "\n"

    @property
    def rest_of_line(self) -> str:
        """What follows on the line."""
        end = self.text.find("\n", self.position)
        return self.text[self.position : len(self.text) if end < 0 else end]

    def skip_line(self) -> None:
        """Goes to the next line."""
        end = self.text.find("\n", self.position)
        self.position = len(self.text) if end < 0 else end + 1

    def skip_blanks(self) -> None:
        """Goes to what follows on the line, or on the next one after a backslash."""
        while (self.here and self.here in BLANKS) or self.text.startswith("\\\n", self.position):
            self.position += 2 if self.here == "\\" else 1

    def skip_statement(self, *, whole: bool = False) -> None:
        """Goes to the `;` or the line's end that ends a statement; `whole` takes the text of a here-document with it."""
        began = self.position
        while (sign := self.here) and sign not in "\n;":
            before = self.position
            if sign == "#" and (before == 0 or self.text[before - 1] in BLANKS):
                break
            if any(part == Obscure(UNCLOSED) for part in self.word().parts):
                break
            if self.position == before:
                self.position += 1
        found = _HERE_DOCUMENT.search(self.text, began, self.position) if whole else None
        if found and "<<<" not in self.text[began : self.position]:
            end = re.compile(rf"^\t*{found[2]}$", re.MULTILINE).search(self.text, self.position)
            self.position = end.end() if end else len(self.text)


def _joined(parts: list[str | Reference | Obscure]) -> tuple[str | Reference | Obscure, ...]:
    joined: list[str | Reference | Obscure] = []
    for part in parts:
        if isinstance(part, str) and joined and isinstance(joined[-1], str):
            joined[-1] += part
        elif part != "":
            joined.append(part)
    return tuple(joined)
