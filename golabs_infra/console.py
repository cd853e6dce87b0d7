"""What `golabs` shows: lines as work goes on, tables at the end, JSON for programs. Nothing else prints.

Results go to standard output, progress and errors to standard error, so that `--json` can be piped. A terminal gets
colours and a live table of long work, from rich; a file or a pipe plain text, which is several times faster. What people see may
hold names from a server: characters that would do something on a terminal are written out. A closed stream takes all.
"""

from __future__ import annotations

import getpass
import json
import os
import select
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from .errors import GolabsError, UsageError
from .interrupting import signals_wait
from .progress import Board

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .live_table import TerminalConsole

_STYLES = {"+": "green", "=": "cyan", "~": "yellow", "-": "red", "o": "magenta"}
_WORD_STYLES = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "cyan",
    "accepted": "green",
    "done": "green",
}


_GAP = 2
"""Between the columns of a table."""

_LONGEST_SECRET = 2**20
"""Bytes of standard input that are read at most: more than any secret has, so that its reader can say so."""

_MANY = 20
"""From so many steps on progress is told where there is no terminal, in quarters."""


def visible(text: str) -> str:
    r"""The text with every character that is not printed, but newline and tab, as an escape: `\x1b`, `\u202e`.

    >>> print(visible("a\x1b[2Jb\u202ec é"))
    a\x1b[2Jb\u202ec é
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in "\n\t" or unicodedata.category(each) == "Zs"
        else each.encode("unicode_escape").decode()
        for each in text
    )


@cache
def _nowhere() -> TextIO:
    """A stream that takes all. From here on no file that is opened takes the place of a standard stream that is closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    return open(os.devnull, "w", encoding="utf-8")  # until the process ends, as the stream that it stands for


def _has_come(stream: TextIO) -> bool:
    """Whether a stream that nothing was read from yet has something, or its end, to be read at once."""
    try:
        return bool(select.select([stream], [], [], 0)[0])
    except (OSError, ValueError):  # of a test's, which is no file
        return True


class _Cursor:
    """Where progress has left a line unfinished. There is one terminal, whatever writes to it, on whichever stream."""

    def __init__(self) -> None:
        self._left_on: TextIO | None = None

    def leave(self, stream: TextIO) -> None:
        """The line has no end yet."""
        self._left_on = stream

    def was_ended(self) -> None:
        """Whoever typed has ended the line."""
        self._left_on = None

    def end_line(self) -> None:
        """What follows begins on a line of its own."""
        left, self._left_on = self._left_on, None
        if left is not None and left is sys.stderr:
            left.write("\n")
            left.flush()


_CURSOR = _Cursor()


class _Live:
    """The table that is being drawn, if one is: all that goes to the terminal meanwhile has to go above it."""

    console: TerminalConsole | None = None
    board: Board | None = None


_LIVE = _Live()


class _Output:
    """One of the two streams: coloured on a terminal, plain elsewhere. Nothing is cut or wrapped to a width."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream = _nowhere() if stream is None else stream
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")  # a character that it has no bytes for must stop no run
        self.is_tty = stream.isatty()
        self.is_terminal = self.is_tty or bool(os.environ.get("FORCE_COLOR"))

    @cached_property
    def _own_console(self) -> TerminalConsole:
        from .live_table import TerminalConsole

        return TerminalConsole(file=self._stream, highlight=False, soft_wrap=True)

    def _print(self, shown: RenderableType, *, soft_wrap: bool = True) -> None:
        """Above the table at the bottom of the terminal, if there is one on it, and then whole, or the table would stay."""
        if _LIVE.console is None or not self.is_tty:
            self._own_console.print(shown, soft_wrap=soft_wrap)
        else:
            with signals_wait():
                _LIVE.console.print(shown, soft_wrap=soft_wrap)

    @property
    def _can_draw(self) -> bool:
        """Whether it is a terminal that can be drawn on, and whose user has not asked for lines."""
        asked_for_lines = any(os.environ.get(name) for name in ("CI", "NO_COLOR"))
        encoding = (self._stream.encoding or "").lower().replace("-", "")
        return self.is_tty and not asked_for_lines and encoding == "utf8" and not self._own_console.is_dumb_terminal

    @contextmanager
    def live(self, board: Board) -> Iterator[None]:
        """Draws a board at the bottom of the terminal for as long as the block lasts; elsewhere nothing is drawn."""
        if _LIVE.console is not None or not self._can_draw:
            yield
            return
        from .live_table import drawn

        _CURSOR.end_line()
        with drawn(board, self._own_console):
            _LIVE.console, _LIVE.board = self._own_console, board
            try:
                yield
            finally:
                _LIVE.console = _LIVE.board = None

    def line(self, *parts: tuple[str, str]) -> None:
        """Texts of a line, each with its style."""
        shown = [(visible(text), style) for text, style in parts]
        if self.is_terminal:
            from rich.text import Text

            _CURSOR.end_line()
            self._print(Text.assemble(*shown))
        else:
            self.raw("".join(text for text, _ in shown))

    def raw(self, text: str) -> None:
        """The text as it is, and a line's end."""
        _CURSOR.end_line()
        if _LIVE.console is not None and self.is_tty:
            with signals_wait():
                _LIVE.console.out(text, highlight=False)
            return
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def begin(self, text: str) -> None:
        """The text, with more to come on its line."""
        _CURSOR.end_line()
        self._stream.write(text)
        self._stream.flush()
        _CURSOR.leave(self._stream)

    def over(self, text: str, *, last: bool) -> None:
        """The text instead of the one before, on a line that goes on until the last one."""
        self._stream.write(f"\r{text}")
        _CURSOR.leave(self._stream)
        if last:
            _CURSOR.end_line()
        self._stream.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A table, as wide as the terminal lets it be or as its texts are; row below row where it would have to cut words."""
        columns, *rows = ([visible(cell) for cell in row] for row in (columns, *rows))
        lines = [tuple(columns), *(tuple(row) for row in rows)]
        if self.is_terminal and self._has_room(lines):
            from rich.table import Table
            from rich.text import Text

            *first, last = columns
            table = Table(box=None, pad_edge=False, header_style="bold")
            for column in first:
                table.add_column(column, no_wrap=True)
            table.add_column(last, overflow="fold")
            for row in rows:
                table.add_row(*(Text(cell) for cell in row))
            _CURSOR.end_line()
            self._print(table, soft_wrap=False)
            return
        if self.is_terminal:
            width = max(map(len, columns[1:]), default=0)
            for name, *cells in rows:
                self.line((name, "bold"))
                for column, cell in zip(columns[1:], cells, strict=True):
                    self.line((f"  {column.ljust(width)}  {cell}".rstrip(), ""))
            return
        widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
        texts = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
        self.raw("\n".join(text.rstrip() for text in texts))

    def _has_room(self, lines: Sequence[Sequence[str]]) -> bool:
        """Whether a table fits whose last column alone is wrapped, between words."""
        from rich.cells import cell_len

        *first, last = zip(*lines, strict=True)
        taken = sum(max(map(cell_len, column)) + _GAP for column in first)
        longest = max((cell_len(word) for cell in last for word in cell.split()), default=0)
        return taken + longest <= self._own_console.width


class Screen:
    """Standard output and standard error of one run.

    `as_json`, or else `aside`, keeps everything but the result off standard output.
    """

    def __init__(self, as_json: bool = False, *, aside: bool = False) -> None:
        self._json = as_json
        self._aside = as_json or aside
        self._out = _Output(sys.stdout)
        self._err = _Output(sys.stderr)
        if sys.stdin is None:
            _nowhere()

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

    def verdict(self, word: str, text: str) -> None:
        """A line that begins with how bad, or how good, something is."""
        self._account.line(("  ", ""), (word, _WORD_STYLES.get(word, "bold")), (f"  {text}", ""))

    def progress(self, text: str, done: int, total: int) -> None:
        """How far a long piece of work is: in the live table or a line that is written over on a terminal, a line in a while
        elsewhere."""
        if _LIVE.board is not None:
            _LIVE.board.reach(text, done, total)
        elif self._err.is_tty:
            self._err.over(visible(f"{text}: {done} of {total}"), last=done == total)
        elif total >= _MANY and done * 4 // total > (done - 1) * 4 // total:
            self._err.line((f"{text}: {done} of {total}", ""))

    @contextmanager
    def live(self, board: Board) -> Iterator[None]:
        """Draws how far the work in the block is, where the account of it is shown on a terminal."""
        with self._account.live(board):
            yield

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

    def ask(self, question: str) -> str | None:
        """What somebody types, or has piped in. None where there is nobody; nothing is asked then.

        Raises GolabsError where it is interrupted.
        """
        given, piped = sys.stdin, ""
        if given is None:
            return None
        typed = given.isatty()
        try:
            if not typed and _has_come(given) and not (piped := given.readline()):
                return None
            self._err.begin(f"{visible(question)} ")
            answer = piped or given.readline()
        except UnicodeDecodeError:
            return ""
        except KeyboardInterrupt:
            raise GolabsError("interrupted; nothing was changed") from None
        if typed and answer.endswith("\n"):
            _CURSOR.was_ended()
        return answer.strip() if answer or typed else None

    def secret(self, what: str) -> bytes:
        """A secret: typed twice without being shown where there is a terminal, else all of standard input.

        Raises UsageError where the two differ, where the terminal can't hide what is typed, and where nothing can be read.
        """
        if sys.stdin is None:
            raise UsageError(f"the {what} can't be asked for: standard input is closed", mend="type it, or pipe it in")
        if not sys.stdin.isatty():
            return sys.stdin.buffer.read(_LONGEST_SECRET)
        _CURSOR.end_line()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                typed = [getpass.getpass(visible(f"{begin} {what}: ")) for begin in ("the", "again, the")]
        except KeyboardInterrupt:
            _CURSOR.leave(sys.stderr)
            raise GolabsError("interrupted; nothing was written") from None
        except (getpass.GetPassWarning, EOFError, UnicodeDecodeError) as error:
            problem = "it would be shown" if isinstance(error, getpass.GetPassWarning) else "it did not come to its end"
            mend = "pipe it in instead; nothing was written"
            raise UsageError(f"the {what} can't be read from this terminal: {problem}", mend=mend) from None
        if typed[0] != typed[1]:
            raise UsageError(f"the {what} was typed in two ways", mend="run this again; nothing was written")
        return typed[0].encode(errors="surrogateescape")
