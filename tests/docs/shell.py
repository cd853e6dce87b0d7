"""Runs a page's commands in one bash, as its reader would: what one command exports, the next one finds."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from types import TracebackType

PREPARATIONS = Path(__file__).parent / "prepare.sh"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, and all that it has printed."""

    code: int
    printed: str


class Shell:
    """One bash, with a folder for what commands read and print."""

    def __init__(self, folder: Path, working: Path, environ: Mapping[str, str], limit_s: float) -> None:
        self._folder = folder
        self._limit_s = limit_s
        self._answers, answering = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=working,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[answering],
            start_new_session=True,
            text=True,
        )
        os.close(answering)
        self._answer = answering

    def __enter__(self) -> Shell:
        prepared = self.run(f". '{PREPARATIONS}'")
        assert prepared.code == 0, prepared.printed
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.communicate()
        os.close(self._answers)

    def run(self, command: str, typed: str = "") -> Ended:
        """Runs one command in the shell itself. Fails the test if it takes too long."""
        script, given, printed = (self._folder / name for name in ("command", "typed", "printed"))
        script.write_text(f"{command}\n", encoding="utf-8")
        given.write_text(typed, encoding="utf-8")
        assert self._bash.stdin is not None
        self._bash.stdin.write(
            f". '{script}' <'{given}' >'{printed}' 2>&1 {self._answer}>&-; echo $? >&{self._answer}\n"
        )
        self._bash.stdin.flush()
        ready, _, _ = select([self._answers], [], [], self._limit_s)
        text = printed.read_text(encoding="utf-8", errors="replace") if printed.exists() else ""
        assert ready, f"{command}: no end within {self._limit_s:.0f} s; it has printed:\n{text}"
        code = os.read(self._answers, 32).decode().strip()
        assert code, f"{command}: it ended the shell; it has printed:\n{text}"
        return Ended(int(code), printed.read_text(encoding="utf-8", errors="replace"))
