"""Runs `golabs` in processes that are killed (SIGKILL) at a point of their work: before or after a write, a statement, a login.

A process that has imported everything forks one child for each run, so that a run takes as long as its work. Points are
counted at what reaches outside: files that take their place, and whatever is said to PostgreSQL. As a module it is that
process; `Killer` starts it and asks it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from golabs_infra.project import Project

from ..support import REPOSITORY

ITERATIONS = "KILLER_ITERATIONS"
"""How many rounds make the key of a stack's secrets; fewer than Pulumi's save a third of a second for each run."""


@dataclass(frozen=True)
class Run:
    """How one run ended: its exit code, None where it was killed; the points that it came to, and what it printed."""

    code: int | None
    points: tuple[str, ...]
    printed: str


class Killer:
    """Runs commands in one project; use it as a context manager."""

    def __init__(self, project: Project, environ: dict[str, str]) -> None:
        self._project = project
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=REPOSITORY,
            env={**os.environ, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def __enter__(self) -> Killer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def run(self, *words: str, kill_at: int | None = None) -> Run:
        """Runs a command to its end, or to its point of this number, from 0."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        arguments = ["--project", str(self._project.root), *words]
        self._process.stdin.write(json.dumps({"arguments": arguments, "kill_at": kill_at}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Run(answer["code"], tuple(answer["points"]), answer["printed"])

    def kill_after(self, label: str, *words: str) -> None:
        """Runs a command over and over, each time killed one point later, until that was right after what the label says."""
        for number in range(200):
            run = self.run(*words, kill_at=number)
            assert run.code is None, run.printed
            if run.points[-1] == f"after {label}":
                return
        raise AssertionError(f"it never came to {label}")


def _count(kill_at: int | None, told: int) -> Callable[[str], None]:
    passed = [0]

    def point(label: str) -> None:
        os.write(told, f"{label}\n".encode())
        if passed[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed[0] += 1

    return point


def _watch(point: Callable[[str], None]) -> None:
    """Has every way to the outside tell before and after it is taken."""
    import psycopg

    def around(owner: Any, name: str, label: Callable[[tuple[Any, ...]], str]) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            said = label(args)
            if said:
                point(f"before {said}")
            result = original(*args, **kwargs)
            if said:
                point(f"after {said}")
            return result

        setattr(owner, name, watched)

    around(os, "replace", lambda args: f"{Path(args[1]).name} takes its place")
    around(os, "unlink", lambda args: f"{'a temporary file' if '.golabs-' in str(args[0]) else args[0]} goes")
    around(psycopg.Cursor, "execute", lambda args: _words(args[1]))
    around(psycopg.Transaction, "__exit__", lambda args: "commit")
    around(psycopg, "connect", lambda args: "login")


def _words(statement: Any) -> str:
    """How a statement that changes something begins; nothing for those that only look."""
    text = statement if isinstance(statement, str) else getattr(statement, "as_string", str)()
    return " ".join(text.split()[:4]) if text.startswith(("ALTER", "CREATE", "GRANT", "REVOKE", "DROP")) else ""


def _child(arguments: Sequence[str], kill_at: int | None, told: int, printed: int) -> None:
    from golabs_infra import cli

    os.dup2(printed, 1)
    os.dup2(printed, 2)
    _watch(_count(kill_at, told))
    try:
        cli.main(list(arguments))
    except SystemExit as ended:
        sys.stdout.flush()
        os._exit(ended.code if isinstance(ended.code, int) else 99)


def _serve() -> None:
    from golabs_infra import cli, passphrase, rotating  # noqa: F401  (so that children have them)

    passphrase.ITERATIONS = int(os.environ.get(ITERATIONS, passphrase.ITERATIONS))

    for line in sys.stdin:
        asked = json.loads(line)
        with open(os.memfd_create("told"), "rb") as told, open(os.memfd_create("printed"), "rb") as printed:
            pid = os.fork()
            if pid == 0:
                _child(asked["arguments"], asked["kill_at"], told.fileno(), printed.fileno())
            _, status = os.waitpid(pid, 0)
            code = None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)
            told.seek(0)
            printed.seek(0)
            points = told.read().decode().splitlines()
            text = printed.read().decode()
        sys.stdout.write(json.dumps({"code": code, "points": points, "printed": text}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
