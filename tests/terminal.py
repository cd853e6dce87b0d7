"""A terminal for the tests: a command runs at a pseudo-terminal, and what a person would see is kept, picture by picture."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyte

SCROLLBACK = 2000
PICTURE = 1024
"""Characters from one picture to the next."""
HIDE_CURSOR = "\x1b[?25l"


@dataclass(frozen=True)
class Seen:
    """What was on the screen over time, without empty lines at its end, and what stands in the scrollback at last."""

    pictures: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]
    code: int
    cursor_was_hidden: bool

    def ever(self, text: str) -> bool:
        """Whether a text was on the screen at any time."""
        return any(text in line for picture in self.pictures for line in picture)


def watch(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    size: tuple[int, int] = (24, 80),
    interrupt_at: Callable[[str], bool] | None = None,
    limit_s: float = 120,
) -> Seen:
    """Runs a command at a terminal of so many lines and columns. `interrupt_at`: types Ctrl-C once what was said is so."""
    screen = _screen(size)
    stream = pyte.Stream(screen)
    child, ours = pty.fork()
    if child == 0:  # pragma: no cover - another program from here on
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.execvpe(command[0], list(command), {**environ, "TERM": "xterm-256color"})  # noqa: S606
    pictures: list[tuple[str, ...]] = []
    said, typed, deadline = "", False, time.monotonic() + limit_s
    try:
        while True:
            assert time.monotonic() < deadline, said
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                break
            said += part
            for at in range(
                0, len(part), PICTURE
            ):  # a busy machine hands much over at once, which a person sees bit by bit
                stream.feed(part[at : at + PICTURE])
                pictures.append(_shown(list(screen.display)))
            if interrupt_at is not None and not typed and interrupt_at(said):
                typed = True
                os.write(ours, b"\x03")
    finally:
        os.close(ours)
        _, status = os.waitpid(child, 0)
    return Seen(
        tuple(pictures),
        _all_lines(screen),
        os.waitstatus_to_exitcode(status),
        HIDE_CURSOR in said,
    )


def lines_left(written: str, size: tuple[int, int]) -> tuple[str, ...]:
    """What a terminal of so many lines and columns has in its scrollback and on its screen after all that was written to it."""
    screen = _screen(size)
    pyte.Stream(screen).feed(written.replace("\n", "\r\n"))
    return _all_lines(screen)


def _screen(size: tuple[int, int]) -> pyte.HistoryScreen:
    return pyte.HistoryScreen(size[1], size[0], history=SCROLLBACK, ratio=0.5)


def _all_lines(screen: pyte.HistoryScreen) -> tuple[str, ...]:
    past = ["".join(line[at].data for at in range(screen.columns)).rstrip() for line in screen.history.top]
    return _shown([*past, *screen.display])


def _shown(lines: list[str]) -> tuple[str, ...]:
    stripped = [line.rstrip() for line in lines]
    while stripped and not stripped[-1]:
        stripped.pop()
    return tuple(stripped)
