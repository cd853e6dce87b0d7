"""Draws how far a run has come as a table at the bottom of a terminal, and takes it away when the run ends.

Lines that are printed meanwhile go above it, into the scrollback, so that a terminal keeps what a file would hold. It is never
taller than the terminal, and never hides the cursor, so that a run that is killed leaves a terminal that needs no mending. Where
there is none, or one that can only write lines, nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .interrupting import signals_wait
from .progress import COLUMNS, Board

MOST_ROWS = 8
_AROUND = 3
"""Lines beside the rows: the heading, what is left out, and the sum."""
_TIMES_A_SECOND = 8


class TerminalConsole(Console):
    """A console whose cursor is always seen, and on which one thing is drawn after the other."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.drawing = RLock()

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints in one go. Live finds out how much to erase, and draws, in two steps that another thread could come between."""
        with self.drawing:
            super().print(*objects, **options)

    def show_cursor(self, show: bool = True) -> bool:
        """Leaves it as it is."""
        return False


class _Drawn:
    """The board as rich draws it, anew each time."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = console.height - 1  # the cursor is on a line of its own, and what scrolls away would never be erased
        view = self._board.view(MOST_ROWS)
        has_table = sum(view.total.counts) > 0 and room >= _AROUND
        works = view.works[: max(0, room - (_AROUND if has_table else 1))]
        clock = f"{view.seconds:.0f} s"
        if has_table:
            rows = view.rows[: room - _AROUND - len(works)]
            left_out = view.left_out + len(view.rows) - len(rows)
            table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
            table.add_column(clock, no_wrap=True, overflow="ellipsis")
            for column in COLUMNS:
                table.add_column(column, justify="right", no_wrap=True, overflow="ellipsis")
            for row in (*rows, view.total):
                style = "bold" if row is view.total else ""
                table.add_row(Text(row.name, style), *(Text(str(count or ""), style) for count in row.counts))
            if left_out:
                table.caption = Text(f"and {left_out} more", no_wrap=True, overflow="ellipsis")
                table.caption_justify = "left"
            yield table
        else:
            yield Text(clock if works else f"{clock}  at work", no_wrap=True, overflow="ellipsis")
        for work in works:
            yield Text(f"{work.name}: {work.done} of {work.total}", no_wrap=True, overflow="ellipsis")


@contextmanager
def drawn(board: Board, console: TerminalConsole) -> Iterator[None]:
    """The board is drawn for as long as the block lasts; however it ends, the terminal is as before."""
    live = Live(
        _Drawn(board),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        with signals_wait():
            live.start(refresh=True)
        with _redrawn(live, console):
            yield
    finally:
        with signals_wait():
            live.stop()


@contextmanager
def _redrawn(live: Live, console: TerminalConsole) -> Iterator[None]:
    """Time goes by in the table, whether or not anything is printed."""
    ended = Event()

    def redraw() -> None:
        while not ended.wait(1 / _TIMES_A_SECOND):
            with console.drawing:
                live.refresh()

    thread = Thread(target=redraw, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with signals_wait():
            ended.set()
            thread.join()
