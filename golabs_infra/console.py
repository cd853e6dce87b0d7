"""What `golabs` shows: lines as work goes on, tables at the end, JSON for programs. Used by `cli` alone.

Results go to standard output, progress and errors to standard error, so that `--json` can be piped. A terminal gets
colours, from rich; a file or a pipe plain text, which starts and prints several times faster.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"+": "green", "=": "cyan", "~": "yellow", "-": "red", "o": "magenta"}
_WORD_STYLES = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "accepted": "green",
    "done": "green",
}


_MANY = 20
"""From so many steps on progress is told where there is no terminal, in quarters."""


class _Output:
    """One of the two streams: coloured on a terminal, plain elsewhere. Nothing is cut or wrapped to a width."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty() or bool(os.environ.get("FORCE_COLOR"))

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=self._stream, highlight=False, soft_wrap=True)

    def line(self, *parts: tuple[str, str]) -> None:
        """Texts of a line, each with its style."""
        if self.is_terminal:
            from rich.text import Text

            self._console.print(Text.assemble(*parts))
        else:
            self.raw("".join(text for text, _ in parts))

    def raw(self, text: str) -> None:
        """The text as it is, and a line's end."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, as wide as the terminal lets it be or as its texts are."""
        if self.is_terminal:
            from rich.table import Table
            from rich.text import Text

            table = Table(*columns, box=None, pad_edge=False, header_style="bold")
            for row in rows:
                table.add_row(*(Text(cell) for cell in row))
            self._console.print(table, soft_wrap=False)
            return
        lines = [tuple(columns), *(tuple(row) for row in rows)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
        self.raw("\n".join(text.rstrip() for text in texts))


class Screen:
    """Standard output and standard error of one run.

    `as_json`, or else `aside`, keeps everything but the result off standard output.
    """

    def __init__(self, as_json: bool = False, *, aside: bool = False) -> None:
        self._json = as_json
        self._aside = as_json or aside
        self._out = _Output(sys.stdout)
        self._err = _Output(sys.stderr)

    @property
    def _account(self) -> _Output:
        return self._err if self._aside else self._out

    def line(self, text: str) -> None:
        """A line of the account of a run."""
        self._account.line((text, ""))

    def step(self, symbol: str, text: str, *, indent: int = 2) -> None:
        """One change, as it is made or would be."""
        self._account.line((" " * indent, ""), (symbol, _STYLES.get(symbol, "")), (f" {text}", ""))

    def heading(self, text: str) -> None:
        """What the steps that follow are about."""
        self._account.line((f"  {text}", "bold"))

    def verdict(self, word: str, text: str, *, indent: int = 2) -> None:
        """A line that begins with how bad, or how good, something is."""
        self._account.line((" " * indent, ""), (word, _WORD_STYLES.get(word, "bold")), (f"  {text}", ""))

    def progress(self, text: str, done: int, total: int) -> None:
        """How far a long piece of work is: a line that is written over on a terminal, one in a while elsewhere."""
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r{text}: {done} of {total}{end}")
            sys.stderr.flush()
        elif total >= _MANY and done * 4 // total > (done - 1) * 4 // total:
            self._err.raw(f"{text}: {done} of {total}")

    def warning(self, text: str) -> None:
        """Something to know that stops nothing."""
        self._err.line(("warning:", "yellow"), (f" {text}", ""))

    def error(self, text: str) -> None:
        """Why the command failed."""
        self._err.line(("error:", "bold red"), (f" {text}", ""))

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table of the result."""
        self._account.table(columns, list(rows))

    def result(self, value: dict[str, Any]) -> None:
        """The result for programs; printed with `--json` only."""
        if self._json:
            self.raw(json.dumps(value, indent=2))

    def raw(self, text: str) -> None:
        """Text for another program, as it is."""
        self._out.raw(text)

    def ask(self, question: str) -> str:
        """What the user types; empty where there is nobody to ask."""
        sys.stderr.write(f"{question} ")
        sys.stderr.flush()
        return sys.stdin.readline().strip()
