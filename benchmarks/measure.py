"""Runs commands: once by the clock, once with an eye on the memory of the whole process tree. Ends only what it started."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

import psutil

from .values import Command

TIMEOUT_S = 900.0
SAMPLING_S = 0.02
FREQUENT_LOOKUPS = 50
LOOKUP_EVERY = 10
_NOT_HANDED_ON = re.compile(r"(PULUMI|GOLABS|PYTHON|ANSIBLE|TF|PGROLES|BENCH|VIRTUAL)_?|PG[A-Z]|DATABASE_URL")
"""Variables that would make a command another one than the one that is described: PYTHONDONTWRITEBYTECODE, PGOPTIONS."""


class CommandError(Exception):
    """A command failed; the message says which, and ends with the last words of its output."""


@dataclass(frozen=True)
class Ran:
    """Commands that ran one after the other. `peak_bytes` is None where nobody looked."""

    seconds: float
    output: str
    peak_bytes: int | None = None


def base_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that every command has: the user's, without what is about the tools that are compared."""
    return {name: value for name, value in environ.items() if not _NOT_HANDED_ON.match(name)}


def run(commands: Sequence[Command], *, sample: bool = False) -> Ran:
    """Runs commands one after the other. Raises CommandError where one fails or takes longer than TIMEOUT_S.

    `sample`: look at the memory meanwhile; such a run's time is disturbed and must not be counted.
    """
    environ = base_environ(os.environ)
    with tempfile.TemporaryFile() as output:  # a file: with a pipe, reading it would take part in the timing
        peak = 0
        began = time.perf_counter()
        for command in commands:
            peak = max(peak, _run_one(command, environ, output, sample))
        seconds = time.perf_counter() - began
        return Ran(seconds, _text(output), peak if sample else None)


def _run_one(command: Command, environ: Mapping[str, str], output: IO[bytes], sample: bool) -> int:
    process = subprocess.Popen(
        command.argv,
        cwd=command.cwd,
        env={**environ, **command.environ},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        peak = _watch(process, time.monotonic() + TIMEOUT_S) if sample else 0
        code = _wait(process)
    except subprocess.TimeoutExpired as error:
        raise CommandError(f"{command.argv[0]} took longer than {TIMEOUT_S:.0f} s") from error
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code:
        raise CommandError(f"{' '.join(command.argv)} exited with {code}:\n{_text(output)[-2000:]}")
    return peak


def _wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code, at once when it is there: a wait with a time limit looks every 50 ms only."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(TIMEOUT_S, expire)
    timer.start()
    try:
        code = process.wait()
    finally:
        timer.cancel()
    if expired.is_set():
        raise subprocess.TimeoutExpired(process.args, TIMEOUT_S)
    return code


def _watch(process: subprocess.Popen[bytes], deadline: float) -> int:
    """The peak of the process tree. Who belongs to it is looked up less often later on: that takes time from the command."""
    root = psutil.Process(process.pid)
    tree = [root]
    peak = looks = 0
    while process.poll() is None and time.monotonic() < deadline:
        if looks < FREQUENT_LOOKUPS or looks % LOOKUP_EVERY == 0:
            with suppress(psutil.Error):
                tree = [root, *root.children(recursive=True)]
        peak = max(peak, sum(map(_resident_bytes, tree)))
        looks += 1
        time.sleep(SAMPLING_S)
    return peak


def _resident_bytes(process: psutil.Process) -> int:
    """The resident set. (The proportional one would depend on who else on the machine has mapped the same files.)"""
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return 0


def _text(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace").strip()
