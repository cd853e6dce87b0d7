"""Runs the Pulumi CLI: one command as a process of its own, its events as they come, and how it ended.

A run costs what the CLI costs and no more: Pulumi's Automation API would ask the CLI for its version before each
command, and for the outputs and the history after it. What the words and events mean is for others to know.
"""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from .interrupting import handled

EventHandler = Callable[[Mapping[str, Any]], None]
DRIVEN_VARIABLE = "GOLABS_DRIVEN"
"""Tells the program that its run is shown by golabs, where debugging messages have no reader."""
_STREAM = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true", DRIVEN_VARIABLE: "true"}
"""Without the first a preview would print one digest at its end instead of events."""
_NO_SUCH_STACK = "no stack named"


@dataclass(frozen=True)
class Ended:
    """How a command ended; `out` leaves the events out."""

    code: int
    out: str
    err: str
    interrupted: int
    """The signal that has interrupted it; 0 where none has."""

    @property
    def lacks_stack(self) -> bool:
        """Whether it failed because there is no such stack on the backend."""
        return self.code != 0 and _NO_SUCH_STACK in self.err


@dataclass(frozen=True)
class PulumiCommand:
    """The CLI, in a project's folder, with all that its commands find in their environment."""

    cli: Path
    folder: Path
    environ: Mapping[str, str]

    def run(self, words: Sequence[str], given: str | None = None) -> Ended:
        """Runs a command that asks nothing; `given` is what it finds on its standard input."""
        return self._run(words, {}, None, given)

    def stream(self, words: Sequence[str], on_event: EventHandler, variables: Mapping[str, str] | None = None) -> Ended:
        """Runs an operation of the engine. What `on_event` raises is raised when the engine has come to its end."""
        return self._run([*words, "--json"], {**_STREAM, **(variables or {})}, on_event)

    def _run(
        self,
        words: Sequence[str],
        variables: Mapping[str, str],
        on_event: EventHandler | None,
        given: str | None = None,
    ) -> Ended:
        out: list[str] = []
        failures: list[Exception] = []
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said,
            subprocess.Popen(  # noqa: S603  (Pulumi's own CLI, found by find_toolchain)
                [str(self.cli), *words, "--non-interactive"],
                cwd=self.folder,
                env={**self.environ, **variables},
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that a signal reaches it once, from us, whoever sent it to whom
            ) as process,
            _ending_in_order(process) as interruptions,
        ):
            if given is not None and process.stdin is not None:
                with suppress(BrokenPipeError), process.stdin:  # it may end before it has read it, and says why
                    process.stdin.write(given)
            for line in process.stdout or ():
                event = _event(line) if on_event else None
                if on_event is None or event is None:
                    out.append(line)
                elif not failures:
                    try:
                        on_event(event)
                    except Exception as failure:  # a listener that fails must not cut the engine's run short
                        failures.append(failure)
            code = process.wait()
            said.seek(0)
            ended = Ended(code, "".join(out), said.read(), interruptions[0] if interruptions else 0)
        if failures:
            raise failures[0]
        return ended


def _event(line: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def _ending_in_order(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Hands signals on instead of ending on them: the CLI has to come to its end in order, and writes its state then."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        process.send_signal(number)

    with handled(note, signal.SIGINT, signal.SIGTERM):
        yield received
