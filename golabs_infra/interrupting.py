"""What a kill (SIGTERM) does while something is left half way: an interruption as by Ctrl-C, or one that waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def killed_is_interrupted() -> Iterator[None]:
    """A kill is taken like Ctrl-C, so that what has to be undone or said at the end still is."""
    with _handled(signal.default_int_handler):
        yield


@contextmanager
def kills_wait() -> Iterator[None]:
    """A kill interrupts only when this has come to its end: for what must be cleaned up, and is in a moment."""
    kills: list[int] = []
    with _handled(lambda number, _frame: kills.append(number)):
        yield
    if kills:
        raise KeyboardInterrupt


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Only the main thread may say what a signal does; in others nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
