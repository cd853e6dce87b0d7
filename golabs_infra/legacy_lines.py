"""Reads a file of the old scripts into entries: a key, the words in it, a value. Pure; nothing is ever run.

Shell assignments, `[sections]`, `key = value`, `key: value`, arrays by environment, `case` blocks and tables are all
turned into the same entries. What a key means is `legacy`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .legacy_tables import Tables
from .legacy_words import canonical, lists_services, plain, words_of
from .shell_assignments import CHANGED, ELSE, Assignment, Condition, ShellReader, Unread, Unset
from .shell_words import Expansion, Word, expand

ENVIRONMENT_VARIABLES = ("ENV", "ENVIRONMENT", "ENV_NAME", "ENVIRONMENT_NAME", "TARGET_ENV", "DEPLOY_ENV")
"""What a script may call its argument. Only what is no secret is read with them."""

_SECTION = re.compile(r"[ \t]*\[[ \t]*([A-Za-z][\w.:/ -]*?)[ \t]*\][ \t]*(?:[#;].*)?")
_NESTED = re.compile(r"([ \t]*)([A-Za-z][\w.-]*):[ \t]*(?:#.*)?")
_PAIR = re.compile(r"([ \t]*)(?:export[ \t]+)?([A-Za-z][\w.-]*)[ \t]*([=:])(?!=)[ \t]*(.*)")
_SHELL = re.compile(r"[ \t]*(?:export[ \t]+)?[A-Za-z_]\w*\+?=(?![ \t]+\S)")
_ITEM = re.compile(r"([ \t]*)-[ \t]+(.*)")


@dataclass(frozen=True, order=True)
class Place:
    """Where something stands: a file's name and a line, counted from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Entry:
    """A key and its value. `words` are the key's, in lower case, with those of the section that it stands in.

    `value` is None where it is not understood, which `problem` explains; a tuple for a list. `elsewhere` marks what
    stands in a branch that another environment takes.
    """

    place: Place
    key: str
    words: tuple[str, ...]
    value: str | tuple[str, ...] | None = field(repr=False)
    problem: str = ""
    assumptions: tuple[str, ...] = ()
    elsewhere: bool = False
    follows: bool = False
    """Another statement stands before it on its line."""
    is_inner: bool = False
    """Its key was found inside of a command, so it may be a piece of a value."""


@dataclass(frozen=True)
class _Line:
    """A line that is no shell: a key with the section before it, and a word."""

    line: int
    key: str
    name: str
    word: Word


def read_entries(text: str, file: str, environment: str, scope: dict[str, str | None]) -> list[Entry]:
    """The entries of a file in their order. `scope` is what earlier files have set, and takes what this one sets."""
    lines = _Lines(environment)
    reader: ShellReader[_Line] = ShellReader(text.removeprefix("\ufeff").replace("\r\n", "\n"), lines.take)
    return list(_Evaluation(file, environment, scope).entries(reader))


class _Lines:
    """Takes the lines that are no shell; remembers the section and what they stand under."""

    def __init__(self, environment: str) -> None:
        self._tables = Tables(environment)
        self._section: str | None = None
        self._nests: list[tuple[int, str]] = []

    def take(self, line: str, number: int) -> tuple[_Line, ...] | None:
        """The lines' entries, none for one that only leads others, or None where the line is shell."""
        if found := _SECTION.fullmatch(line):
            self._section, self._nests = found[1], []
            self._tables.forget()
            return ()
        if (item := self._item(line, number)) is not None:
            return item
        if (row := self._tables.row(line, alone=self._section is None)) is not None:
            return tuple(_Line(number, key, "", word) for key, word in row)
        if not line.strip() or line.lstrip().startswith("#"):
            return None
        if self._section is not None and line.lstrip().startswith(";"):
            return ()
        return () if self._nests_more(line) else self._pair(line, number)

    def _item(self, line: str, number: int) -> tuple[_Line, ...] | None:
        """`- billing` below `services:`."""
        found = _ITEM.fullmatch(line)
        if found is None or not self._nests or len(found[1]) < self._nests[-1][0]:
            return None
        *above, key = self._above
        if not lists_services(key):
            return None
        return (_Line(number, " ".join([*(f"[{name}]" for name in above), key]), "", plain(found[2], key)),)

    @property
    def _above(self) -> list[str]:
        """What a line stands under: the section, and the keys that lead it."""
        return [*([self._section] if self._section else []), *(name for _, name in self._nests)]

    def _nests_more(self, line: str) -> bool:
        """Whether it is `dev:`, before lines that stand further to the right."""
        indent = len(line) - len(line.lstrip())
        self._nests = [(depth, name) for depth, name in self._nests if depth < indent]
        if found := _NESTED.fullmatch(line):
            self._nests.append((len(found[1]), found[2]))
        return found is not None

    def _pair(self, line: str, number: int) -> tuple[_Line, ...] | None:
        """`key = value` or `key: value`."""
        found = _PAIR.fullmatch(line)
        is_shell = self._section is None and not self._nests and _SHELL.match(line)
        if (
            found is None
            or is_shell
            or found[2] == "IFS"
            or (found[3] == ":" and not line[found.end(2) :].lstrip()[1:2].isspace())
        ):
            return None
        above = self._above
        shown = " ".join([*(f"[{name}]" for name in above), found[2]])
        name = "" if above or not found[2].isidentifier() else found[2]
        return (_Line(number, shown, name, plain(found[4], found[2])),)


class _Evaluation:
    """Goes through what was read, and keeps what the variables hold at each point."""

    def __init__(self, file: str, environment: str, scope: dict[str, str | None]) -> None:
        self._file = file
        self._environment = environment
        self._scope = scope
        self._supposed = dict.fromkeys(ENVIRONMENT_VARIABLES, environment)
        self._final: set[str] = set()
        self._spoilt: set[str] = set()
        self._taken: dict[int, bool] = {}
        self._about_environments: set[int] = set()
        self._verdicts: dict[Condition, bool | None] = {}
        self._follows = False

    def entries(self, reader: ShellReader[_Line]) -> Iterator[Entry]:
        """What the file says."""
        chain = 0
        for item in reader.items():
            self._follows = not isinstance(item, _Line) and chain == reader.chain + 1
            for entry in self._read(item):
                chain = reader.chain + 1
                yield entry

    def _read(self, item: Assignment | Unset | Unread | _Line) -> Iterator[Entry]:
        if isinstance(item, _Line):
            expansion = expand(item.word, self._scope)
            if item.name:
                self._scope[item.name] = expansion.text
            yield self._entry(item.line, item.key, expansion)
            return
        applies = self._applies(item.when)
        if applies is False:
            yield self._entry(item.line, item.name, Expansion(None, "in another branch"), elsewhere=True)
        elif isinstance(item, Unread):
            self._forget(item.name)
            yield replace(self._entry(item.line, item.name, Expansion(None, item.reason)), is_inner=item.is_inner)
        elif applies is None:
            self._forget(item.name)
            yield self._entry(item.line, item.name, Expansion(None, "it hangs on a condition that is not read here"))
        elif isinstance(item, Unset):
            if item.spoils:
                self._spoilt.add(item.name)
            self._forget(item.name)
            if not item.spoils:
                yield self._entry(item.line, item.name, Expansion(None, "it is unset there"))
        else:
            yield from self._assigned(item)

    def _assigned(self, item: Assignment) -> Iterator[Entry]:
        if item.name in self._final:
            yield self._entry(item.line, item.name, Expansion(None, "it is readonly: bash stops there"))
            return
        if item.if_unset and self._scope.get(item.name):
            return
        if item.is_final:
            self._final.add(item.name)
        if item.word is None:
            yield from self._array(item)
            return
        key, expansion = item.name, self._expand(item.word, item.name)
        if item.subscript is not None:
            subscript = self._expand(item.subscript, item.name)
            if subscript.text is None:
                yield self._entry(item.line, key, Expansion(None, f"its subscript: {subscript.problem}"))
                return
            key = f"{item.name}[{subscript.text}]"
        if item.appends:
            before = self._scope.get(key)
            if before is None:
                expansion = Expansion(None, "it is added to a value that is not known")
            elif expansion.text is not None:
                expansion = Expansion(before + expansion.text, "", expansion.assumptions)
        if item.if_unset:
            told = f"only where ${item.name} was not set before"
            expansion = Expansion(expansion.text, expansion.problem, (*expansion.assumptions, told))
        self._scope[key] = expansion.text
        yield self._entry(item.line, key, expansion)

    def _array(self, item: Assignment) -> Iterator[Entry]:
        self._forget(item.name)
        if item.appends:
            yield self._entry(item.line, item.name, Expansion(None, "a list that is added to is not read here"))
            return
        listed: list[str] = []
        assumptions: list[str] = []
        for element in item.elements:
            value = self._expand(element.value, item.name)
            if element.subscript is not None:
                subscript = self._expand(element.subscript, item.name)
                key = f"{item.name}[{subscript.text or ''}]"
                self._scope[key] = value.text
                yield self._entry(item.line, key, value if subscript.text is not None else subscript)
            elif value.text is None:
                yield self._entry(item.line, item.name, value)
                return
            else:
                listed.append(value.text)
                assumptions += value.assumptions
        if listed or not item.elements:
            found = self._entry(item.line, item.name, Expansion("", "", tuple(assumptions)))
            yield replace(found, value=tuple(listed))

    def _expand(self, word: Word, name: str) -> Expansion:
        if name in self._spoilt:
            return Expansion(None, CHANGED)
        return expand(word, self._scope, {key: value for key, value in self._supposed.items() if key != name})

    def _forget(self, name: str) -> None:
        if name:
            self._scope[name] = None

    def _entry(self, line: int, key: str, expansion: Expansion, *, elsewhere: bool = False) -> Entry:
        text, problem = expansion.text, expansion.problem
        if text is not None and "\n" in text:
            text, problem = None, "it goes on over several lines: a quote may be missing"
        shown = key if key.isprintable() else repr(key)
        place = Place(self._file, line)
        return Entry(
            place, shown, words_of(key), text, problem, expansion.assumptions, elsewhere, follows=self._follows
        )

    def _applies(self, when: tuple[Condition, ...]) -> bool | None:
        """Whether a branch is the one that this environment takes; None where that is not known."""
        verdicts = [self._verdict(condition) for condition in when]
        return False if False in verdicts else None if None in verdicts else True

    def _verdict(self, condition: Condition) -> bool | None:
        if condition not in self._verdicts:
            self._verdicts[condition] = self._decide(condition)
        return self._verdicts[condition]

    def _decide(self, condition: Condition) -> bool | None:
        group, labels = condition.group, condition.labels
        if labels is None:
            return None
        named = {canonical(label.lower(), self._environment) for label in labels} - {None}
        if named:
            self._about_environments.add(group)
        if group not in self._about_environments:
            return None
        takes = not self._taken.get(group) and (self._environment in named or ELSE in labels)
        self._taken[group] = self._taken.get(group, False) or takes
        return takes
