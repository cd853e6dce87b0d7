"""Draws how far a run has come as a table at the bottom of a terminal, and takes it away when the run ends.

Lines that are printed meanwhile go above it, into the scrollback, so that a terminal keeps what a file would hold. It is never
taller than the terminal, and never hides the cursor, so that a run that is killed leaves a terminal that needs no mending. Where
there is none, or one that can only write lines, nothing is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .interrupting import signals_wait
from .progress import COLUMNS, Board

MOST_ROWS = 8
_AROUND = 4
"""Lines beside the rows: the heading, what is left out, the sum, and the line that the cursor is on."""
_TIMES_A_SECOND = 8


class TerminalConsole(Console):
    """A console whose cursor is always seen."""

    def show_cursor(self, show: bool = True) -> bool:
        """Leaves it as it is."""
        return False


class _Drawn:
    """The board as rich draws it, anew each time."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        view = self._board.view(max(0, min(MOST_ROWS, console.height - _AROUND)))
        clock = f"{view.seconds:.0f} s"
        if sum(view.total.counts):
            table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
            table.add_column(clock, no_wrap=True, overflow="ellipsis")
            for column in COLUMNS:
                table.add_column(column, justify="right", no_wrap=True, overflow="ellipsis")
            for row in (*view.rows, view.total):
                style = "bold" if row is view.total else ""
                table.add_row(Text(row.name, style), *(Text(str(count or ""), style) for count in row.counts))
            if view.left_out:
                table.caption = Text(f"and {view.left_out} more")
                table.caption_justify = "left"
            yield table
        else:
            yield Text(f"{clock}  at work" if not view.works else clock, no_wrap=True, overflow="ellipsis")
        for work in view.works:
            yield Text(f"{work.name}: {work.done} of {work.total}", no_wrap=True, overflow="ellipsis")


@contextmanager
def drawn(board: Board, console: Console) -> Iterator[None]:
    """The board is drawn for as long as the block lasts; however it ends, the terminal is as before."""
    live = Live(
        _Drawn(board),
        console=console,
        refresh_per_second=_TIMES_A_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    try:
        with signals_wait():
            live.start()
        yield
    finally:
        with signals_wait():
            live.stop()
