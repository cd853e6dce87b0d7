"""Finds the assignments in a shell file, with the conditions that they stand under. Pure; nothing is ever run.

A file may hold lines that are no shell at all (sections, tables); who reads it says which, line by line. What sets no
variable and changes none is passed over; whatever else is not read becomes an `Unread`, so that nothing is lost silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from .shell_commands import HARMLESS, set_by, told
from .shell_words import BLANKS, NAME, REFERENCE, Cursor, Obscure, Word, WordScanner

_Line = TypeVar("_Line")

ELSE = "*"
"""The label of a branch that is taken where no other one is."""

_DECLARES = re.compile(r"(export|declare|typeset|readonly|local)(?=[ \t])")
_OPTION = re.compile(r"[ \t]+([-+][A-Za-z]+|--)(?=[ \t])")
_KEYWORD = re.compile(
    r"(then|do|else|elif|fi|done|esac|if|while|until|for|select|case|function|\}|\{|!)(?=[ \t\n;]|$)", re.MULTILINE
)
_CASE = re.compile(r"case[ \t]+(\S+)[ \t]+in(?=[ \t\n;])")
_LABEL = re.compile(r"\(?[ \t]*([^()\n]*?)[ \t]*\)")
_FUNCTION = re.compile(rf"(?:function[ \t]+)?{NAME}[ \t]*(?:\([ \t]*\))[ \t\n]*\{{")
_COMPARISON = re.compile(r"(?:\[\[?|test)[ \t]+(\S+)[ \t]+={1,2}[ \t]+(\S+?)(?:[ \t]+\]\]?)?[ \t]*")
_DEFAULT = re.compile(
    rf":[ \t]+(\"?)\$\{{({NAME})(?::?=)([^'\"\\$`{{}}~\n]*)\}}\1[ \t]*(?=[;\n]|$|[ \t]#)", re.MULTILINE
)
_UNSET = re.compile(rf"unset[ \t]+(?:-v[ \t]+)?({NAME}(?:[ \t]+{NAME})*)[ \t]*(?=[;\n]|$)", re.MULTILINE)
_ASSIGNS = re.compile(rf"{NAME}(\[[^\]\n]*\])?\+?=")
_COMMAND = re.compile(r"[A-Za-z_.][A-Za-z0-9_.-]*(?=[ \t;\n]|$)", re.MULTILINE)
_TRANSFORMING = frozenset("ilucnI")
CHANGED = "it was declared with an option that changes its values"


@dataclass(frozen=True)
class Condition:
    """One branch of a `case` or `if`. `labels` are what is compared with, None where it is not read."""

    group: int
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class Element:
    """One element of an array: its subscript, if it is given, and its value."""

    subscript: Word | None
    value: Word


@dataclass(frozen=True)
class Assignment:
    """`name=word`, or `name=(elements)`, on a line that begins at 1."""

    line: int
    name: str
    word: Word | None
    when: tuple[Condition, ...] = ()
    elements: tuple[Element, ...] = ()
    subscript: Word | None = None
    appends: bool = False
    if_unset: bool = False
    """`: "${name:=word}"`."""
    is_final: bool = False
    """`readonly`: later assignments fail."""


@dataclass(frozen=True)
class Unset:
    """`unset name`, or a declaration after which a variable's values are not what is assigned to it."""

    line: int
    name: str
    when: tuple[Condition, ...] = ()
    spoils: bool = False


@dataclass(frozen=True)
class Unread:
    """What was not read, and why; `name` is the variable that it is about, if it is.

    `is_inner`: the name was found inside of a statement, so it may be a piece of a value.
    """

    line: int
    name: str
    reason: str
    when: tuple[Condition, ...] = ()
    is_inner: bool = False


class ShellReader(Generic[_Line]):
    """Goes through a file. `foreign` is shown each line that begins a statement; what it gives is handed on."""

    def __init__(self, text: str, foreign: Callable[[str, int], tuple[_Line, ...] | None] | None = None) -> None:
        self.chain = 0
        """Counts the lines that begin with a statement: what has the same number stands behind each other."""
        self._scanner = Cursor(text)
        self._text = text
        self._foreign = foreign
        self._open: list[tuple[str, Condition | None]] = []
        self._groups = 0
        self._awaits_label = False

    def items(self) -> Iterator[Assignment | Unset | Unread | _Line]:
        """What there is, in its order."""
        while self._scanner.position < len(self._text):
            if self._scanner.at_line_start and self._foreign is not None and not self._awaits_label:
                lines = self._foreign(self._scanner.rest_of_line, self._scanner.line)
                if lines is not None:
                    yield from lines
                    self.chain += 1
                    self._scanner.skip_line()
                    continue
            yield from self._statement()

    def _statement(self) -> Iterator[Assignment | Unset | Unread]:
        """What stands here up to the next one: blanks, a comment, a label, or a statement."""
        scanner, text = self._scanner, self._text
        sign = scanner.here
        if sign and (sign in BLANKS or sign in "\n;"):
            if text.startswith(";;", scanner.position) and self._open and self._open[-1][0] == "case":
                scanner.position += 1
                self._awaits_label = True
            self.chain += sign == "\n"
            scanner.position += 1
        elif text.startswith("\\\n", scanner.position):
            scanner.position += 2
        elif sign == "#":
            self.chain += 1
            scanner.skip_line()
        elif self._awaits_label and not text.startswith("esac", scanner.position):
            yield from self._label()
        else:
            yield from self._simple_statement()

    def _simple_statement(self) -> Iterator[Assignment | Unset | Unread]:
        scanner, text = self._scanner, self._text
        line, position = scanner.line, scanner.position
        if found := _FUNCTION.match(text, position):
            scanner.position = found.end()
            self._push("{", None)
        elif found := _KEYWORD.match(text, position):
            yield from self._keyword(found[1])
        elif found := _DEFAULT.match(text, position):
            scanner.position = found.end()
            yield Assignment(line, found[2], Word((found[3],) if found[3] else ()), self._when, if_unset=True)
        elif found := _UNSET.match(text, position):
            scanner.position = found.end()
            yield from (Unset(line, name, self._when) for name in found[1].split())
        elif found := _DECLARES.match(text, position):
            scanner.position = found.end()
            yield from self._declaration(found[1])
        elif _ASSIGNS.match(text, position):
            yield from self._assignments()
        else:
            yield from self._command()

    # Blocks

    @property
    def _when(self) -> tuple[Condition, ...]:
        return tuple(condition for _, condition in self._open if condition is not None)

    def _push(self, kind: str, labels: tuple[str, ...] | None, *, conditional: bool = True) -> None:
        self._groups += 1
        self._open.append((kind, Condition(self._groups, labels) if conditional else None))

    def _pop(self, kind: str) -> None:
        if self._open and self._open[-1][0] == kind:
            self._open.pop()

    def _switch(self, labels: tuple[str, ...] | None) -> None:
        """The next branch of the innermost block."""
        if self._open and (condition := self._open[-1][1]) is not None:
            self._open[-1] = (self._open[-1][0], Condition(condition.group, labels))

    def _keyword(self, word: str) -> Iterator[Unread]:
        line, began, when = self._scanner.line, self._scanner.position, self._when
        found = _CASE.match(self._text, began)
        if word == "case" and found is None:
            yield from self._command()
        elif word == "case" and found is not None:
            self._scanner.position = found.end()
            self._push("case", None)
            self._awaits_label = True
        else:
            if word in ("for", "while", "until", "select"):
                self._header()
                self._push("do", None)
            else:
                self._scanner.position += len(word)
                self._block(word)
            for name in set_by(self._text[began : self._scanner.position]):
                reason = "a loop or a condition sets it; nothing is run here"
                yield Unread(line, name, reason, when, is_inner=True)

    def _block(self, word: str) -> None:
        """Opens, switches or closes a block."""
        match word:
            case "if":
                self._push("if", _compared(self._header()))
            case "elif":
                self._switch(_compared(self._header()))
            case "else":
                self._switch((ELSE,))
            case "{":
                self._push("{", None, conditional=False)
            case "esac":
                self._awaits_label = False
                self._pop("case")
            case "fi" | "done" | "}":
                self._pop({"fi": "if", "done": "do", "}": "{"}[word])

    def _label(self) -> Iterator[Unread]:
        found = _LABEL.match(self._text, self._scanner.position)
        self._awaits_label = False
        if found is None:
            yield from self._command()
            return
        labels = tuple(label.strip().strip("'\"") for label in found[1].split("|"))
        readable = all(label == ELSE or not re.search(r"[*?\[\\$`'\"]", label) for label in labels)
        self._switch(labels if readable else None)
        self._scanner.position = found.end()

    def _header(self) -> str:
        """What stands between `if` and `then`."""
        began = self._scanner.position
        self._scanner.skip_statement()
        return self._text[began : self._scanner.position].strip()

    # Statements

    def _declaration(self, command: str) -> Iterator[Assignment | Unset | Unread]:
        """What follows `export`, `declare` and the like."""
        line, when = self._scanner.line, self._when
        options = ""
        while found := _OPTION.match(self._text, self._scanner.position):
            options += found[1]
            self._scanner.position = found.end()
        spoils = bool(_TRANSFORMING & set(options))
        is_final = command == "readonly" or "r" in options
        items: list[Assignment | Unset | Unread] = []
        while True:
            self._scanner.skip_blanks()
            item: Assignment | Unset | Unread | None = self._assignment(is_final=is_final, declared=True)
            if item is None:
                found = re.compile(rf"{NAME}(?=[ \t\n;]|$)", re.MULTILINE).match(self._text, self._scanner.position)
                if found is None:
                    break
                self._scanner.position = found.end()
                item = Unset(line, found[0], when, spoils=True) if spoils else None
            elif spoils and isinstance(item, Assignment):
                items.append(Unset(line, item.name, when, spoils=True))
            if item is not None:
                items.append(item)
        yield from self._ended(items)

    def _assignments(self) -> Iterator[Assignment | Unset | Unread]:
        """`A=1 B=2`; nothing is set where a command follows."""
        items: list[Assignment | Unset | Unread] = []
        while (item := self._assignment(is_final=False, declared=False)) is not None:
            items.append(item)
            self._scanner.skip_blanks()
        yield from self._ended(items)

    def _ended(self, items: list[Assignment | Unset | Unread]) -> Iterator[Assignment | Unset | Unread]:
        """The items, if the statement ends here; what they are about is not understood otherwise."""
        self._scanner.skip_blanks()
        position = self._scanner.position
        sign = self._scanner.here
        if not sign or sign in "\n;" or (sign == "#" and self._text[position - 1] in BLANKS):
            yield from items
            return
        names = list(dict.fromkeys(item.name for item in items))
        reason = "more follows it on its line: bash would take that for a command (are quotes missing?)"
        line = items[0].line if items else self._scanner.line
        for name in names or [""]:
            yield Unread(line, name, reason, self._when)
        self._scanner.skip_statement(whole=True)
        for name in set_by(self._text[position : self._scanner.position]):
            yield Unread(line, name, "a command on the line may set it; nothing is run here", self._when, is_inner=True)

    def _assignment(self, *, is_final: bool, declared: bool) -> Assignment | Unread | None:
        """The assignment that begins here, if one does."""
        scanner = self._scanner
        found = re.compile(rf"({NAME})(\[)?").match(self._text, scanner.position)
        if found is None:
            return None
        line, position, when = self._scanner.line, scanner.position, self._when
        subscript: Word | None = None
        scanner.position = found.end()
        if found[2]:
            subscript = self._subscript()
        sign = re.compile(r"\+?=").match(self._text, scanner.position)
        if sign is None or (found[2] and subscript is None):
            scanner.position = position
            return None
        scanner.position = sign.end()
        appends = sign[0] == "+="
        if scanner.here == "(":
            elements = self._elements()
            if elements is None:
                return Unread(line, found[1], "the list is not closed", when)
            return Assignment(line, found[1], None, when, elements, None, appends, is_final=is_final)
        began = scanner.position
        word = scanner.word()
        if declared:
            word = self._without_braces(word, self._text[began : scanner.position])
        return Assignment(line, found[1], word, when, (), subscript, appends, is_final=is_final)

    @staticmethod
    def _without_braces(word: Word, written: str) -> Word:
        if "{" not in REFERENCE.sub("", written) or re.fullmatch(r"'[^']*'|\"[^\"]*\"", written):
            return word
        return Word((Obscure("bash may expand unquoted braces after export or declare"),))

    def _subscript(self) -> Word | None:
        end = self._text.find("]", self._scanner.position)
        written = self._text[self._scanner.position : end] if end >= 0 else "\n"
        if "\n" in written:
            return None
        inner = WordScanner(written.strip())
        word = inner.word()
        self._scanner.position = end + 1
        return word if inner.position == len(written.strip()) else Word((Obscure("the subscript is not one word"),))

    def _elements(self) -> tuple[Element, ...] | None:
        scanner = self._scanner
        scanner.position += 1
        elements: list[Element] = []
        while sign := scanner.here:
            if sign == ")":
                scanner.position += 1
                return tuple(elements)
            if sign in BLANKS or sign == "\n":
                scanner.position += 1
            elif sign == "#":
                self._scanner.skip_line()
            elif sign == "[":
                scanner.position += 1
                subscript = self._subscript()
                if subscript is None or scanner.here != "=":
                    return None
                scanner.position += 1
                elements.append(Element(subscript, scanner.word()))
            else:
                before = scanner.position
                elements.append(Element(None, scanner.word(as_argument=True)))
                if scanner.position == before:
                    return None
        return None

    def _command(self) -> Iterator[Unread]:
        """Anything else: passed over where it is known to set nothing."""
        line = self._scanner.line
        found = _COMMAND.match(self._text, self._scanner.position)
        first = found[0] if found else self._scanner.here
        began = self._scanner.position
        self._scanner.skip_statement(whole=True)
        statement = self._text[began : self._scanner.position]
        alone = not re.search(r"&&|\|\||[|`]|\$\(", statement)
        if found and first in ("exit", "return") and alone and not self._open:
            self._scanner.position = len(self._text)  # bash reads no further
        if found and first in HARMLESS and alone:
            return
        if f"{first}{statement[1:2]}" == ": " and alone:
            return
        names = set_by(statement)
        for name in names or [""]:
            yield Unread(line, name, told(first), self._when, is_inner=True)


def _compared(header: str) -> tuple[str, ...] | None:
    """The labels of `[ "$ENV" = dev ]`, also with `||` between several; None for any other condition."""
    labels = []
    for part in header.split("||"):
        found = _COMPARISON.fullmatch(part.strip())
        if found is None or not found[1].strip('"').startswith("$") or re.search(r"[$*?`\\]", found[2]):
            return None
        labels.append(found[2].strip("'\""))
    return tuple(labels)
