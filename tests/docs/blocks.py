"""Reads the fenced blocks of a Markdown page: commands with the output that they show, and what comments before them say.

A `console` block's commands begin with `$ `; a line that ends in a backslash, an open quote or a heredoc goes on. All else
in it is output. HTML comments directly before the fence direct the run: `needs`, `exit`, `stdin`, `before`,
`not run`. Nothing is run here.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROMPT = "$ "
DIRECTIVES = ("needs", "exit", "stdin", "before", "not run")
MARKS = ("faults", "generated")
"""Comments that belong to whoever writes a part of the page."""
LANGUAGES = ("console", "text", "yaml", "sql", "json")
"""What fences may say: a reader sees `console` as commands, and so does the runner; there is no other shell."""
_FENCE = re.compile(r"^ *```(?P<language>\S*) *$")
_COMMENT = re.compile(r"^<!-- (?P<name>[a-z ]+): (?P<value>.+) -->$")
_NUMBER = re.compile(r"\d[\d,.]*\d|\d")
_GAP = re.compile(r"\.\.\.")


@dataclass(frozen=True)
class Command:
    """One command, whole, with the line that it begins on and the output that the page shows for it."""

    text: str
    line: int
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """One fenced block, and the comments before it by name."""

    language: str
    line: int
    text: str
    directives: dict[str, list[str]] = field(default_factory=dict)
    commands: tuple[Command, ...] = ()

    def told(self, name: str) -> str | None:
        """What the last comment of a name says."""
        return self.directives.get(name, [None])[-1]


class BlockError(Exception):
    """A page holds what nobody could run or check; the message says where."""


def read_page(path: Path) -> list[Block]:
    """The page's blocks. Raises BlockError."""
    return list(_blocks(path.read_text(encoding="utf-8").splitlines(), path.name))


def needs_of_page(path: Path) -> str:
    """What the whole page needs, by its first line."""
    first = _COMMENT.match(path.read_text(encoding="utf-8").partition("\n")[0])
    return first["value"] if first and first["name"] == "needs" else ""


def _blocks(lines: list[str], page: str) -> Iterator[Block]:
    directives: dict[str, list[str]] = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if comment := _COMMENT.match(line):
            if comment["name"] in MARKS:
                continue
            if comment["name"] not in DIRECTIVES:
                raise BlockError(f"{page}:{at}: no such directive: {comment['name']}")
            directives.setdefault(comment["name"], []).append(comment["value"])
        elif fence := _FENCE.match(line):
            first = at
            while at < len(lines) and not _FENCE.match(lines[at]):
                at += 1
            if at == len(lines):
                raise BlockError(f"{page}:{first}: the block has no end")
            if fence["language"] not in LANGUAGES:
                raise BlockError(f"{page}:{first}: a block is one of {', '.join(LANGUAGES)}, not {fence['language']!r}")
            inside = lines[first:at]
            at += 1
            if fence["language"] != "console" and any(each.startswith(PROMPT) for each in inside):
                raise BlockError(f"{page}:{first}: commands stand in a console block, where they are run")
            commands = tuple(_commands(inside, first + 1, page)) if fence["language"] == "console" else ()
            yield Block(fence["language"], first, "\n".join(inside), directives, commands)
            directives = {}
        elif line:
            directives = {}


def _commands(lines: list[str], first: int, page: str) -> Iterator[Command]:
    at = 0
    while at < len(lines):
        if not lines[at].startswith(PROMPT):
            raise BlockError(f"{page}:{first + at}: a console block begins with a command, after `{PROMPT}`")
        begins, text = at, lines[at].removeprefix(PROMPT)
        at += 1
        while not _is_whole(text):
            if at == len(lines):
                raise BlockError(f"{page}:{first + begins}: the command has no end")
            text += "\n" + lines[at].removeprefix("> ")
            at += 1
        shown = []
        while at < len(lines) and not lines[at].startswith(PROMPT):
            shown.append(lines[at])
            at += 1
        yield Command(text, first + begins, tuple(shown))


def _is_whole(text: str) -> bool:
    """Whether bash would not go on reading."""
    if text.endswith("\\"):
        return False
    read = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    return read.returncode == 0 and "here-document" not in read.stderr


def difference(shown: tuple[str, ...], printed: str) -> str | None:
    """Where a command has printed something else than its page shows, in words; None where it has not.

    Any number stands for any other, any run of spaces for one, `...` within a line for whatever there is, and as a line for
    any number of lines. Empty lines count for nothing; nor is a command compared whose page shows nothing for it.
    """
    if not shown:
        return None
    lines = [plain for line in printed.splitlines() if (plain := _plain(line))]
    text = "".join(f"{line}\n" for line in lines)
    expected = ""
    for line in filter(str.strip, shown):
        expected += r"(?:.*\n)*?" if _GAP.fullmatch(line.strip()) else _pattern(line)
        if not re.match(expected, text):
            return f"not printed, or not there: {line}"
    if re.fullmatch(expected, text):
        return None
    taken = re.match(expected, text)
    rest = text[taken.end() if taken else 0 :]
    return f"printed, and not shown: {rest.partition(chr(10))[0]}"


def _pattern(line: str) -> str:
    return ".*".join(re.escape(_plain(part)) for part in _GAP.split(line)) + r"\n"


def _plain(line: str) -> str:
    return " ".join(_NUMBER.sub("0", line).split())
