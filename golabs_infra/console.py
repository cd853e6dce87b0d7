"""What `golabs` shows: lines as work goes on, tables at the end, JSON for programs. Used by `cli` alone.

Results go to standard output, progress and errors to standard error, so that `--json` can be piped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_STYLES = {"+": "green", "=": "cyan", "~": "yellow", "-": "red", "o": "magenta"}


class Screen:
    """Standard output and standard error of one run; `as_json` keeps everything but the result off standard output."""

    def __init__(self, as_json: bool = False) -> None:
        self._json = as_json
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def line(self, text: str) -> None:
        """A line of the account of a run."""
        (self._err if self._json else self._out).print(escape(text))

    def step(self, symbol: str, text: str) -> None:
        """One change, as it is made or would be."""
        style = _STYLES.get(symbol, "default")
        (self._err if self._json else self._out).print(f"  [{style}]{escape(symbol)}[/] {escape(text)}")

    def warning(self, text: str) -> None:
        """Something to know that stops nothing."""
        self._err.print(f"[yellow]warning:[/] {escape(text)}")

    def error(self, text: str) -> None:
        """Why the command failed."""
        self._err.print(f"[bold red]error:[/] {escape(text)}")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table of the result."""
        target = self._err if self._json else self._out
        if not target.is_terminal:
            _plain_table(target, columns, list(rows))
            return
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        target.print(table, soft_wrap=False)

    def result(self, value: dict[str, Any]) -> None:
        """The result for programs; printed with `--json` only."""
        if self._json:
            self.raw(json.dumps(value, indent=2))

    def raw(self, text: str) -> None:
        """Text for another program, as it is."""
        self._out.out(text, highlight=False)

    def ask(self, question: str) -> str:
        """What the user types; empty where there is nobody to ask."""
        try:
            return self._err.input(f"{escape(question)} ").strip()
        except EOFError:
            return ""


def _plain_table(target: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The same table for a file or a pipe: nothing is cut or wrapped to a terminal's width."""
    lines = [tuple(columns), *(tuple(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        target.out(text.rstrip(), highlight=False)
