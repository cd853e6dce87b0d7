"""What a kill (SIGTERM), or Ctrl-C, does while something is left half way: an interruption, or one that waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noted() -> Iterator[list[int]]:
    """Ctrl-C and a kill interrupt what goes on; gives the list of those that came, for the process to end by at last."""
    came: list[int] = []

    def interrupt(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    heeded = (number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN)
    with handled(interrupt, *heeded):
        yield came


@contextmanager
def killed_is_interrupted() -> Iterator[None]:
    """A kill is taken like Ctrl-C, so that what has to be undone or said at the end still is."""
    taken = [signal.SIGTERM] if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else []
    with handled(signal.default_int_handler, *taken):
        yield


@contextmanager
def kills_wait() -> Iterator[None]:
    """A kill interrupts only when this has come to its end: for what must be cleaned up, and is in a moment."""
    kills: list[int] = []
    with handled(lambda number, _frame: kills.append(number), signal.SIGTERM):
        yield
    for number in kills[:1]:
        signal.raise_signal(number)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Ctrl-C and a kill do what they do when this has come to its end: for what is drawn in one go."""
    waiting: list[int] = []
    with handled(lambda number, _frame: waiting.append(number), signal.SIGINT, signal.SIGTERM):
        yield
    for number in waiting[:1]:
        signal.raise_signal(number)


@contextmanager
def handled(handler: Callable[[int, FrameType | None], object], *signals: signal.Signals) -> Iterator[None]:
    """Has a handler take signals meanwhile. Only the main thread may say what they do; in others nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual or signal.SIG_DFL)
