"""Kills runs of the real engine (SIGKILL): golabs or pulumi with all that they have started, at a line that they print."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from .checkout import Checkout, Ran


def killed_up(checkout: Checkout, moment: str, stack: str = "dev") -> None:
    """Starts `pulumi up` and kills it with SIGKILL as soon as it prints what `moment` describes."""
    command = [str(checkout.toolchain.cli), "up", "--yes", "--skip-preview", "--color", "never", "--stack", stack]
    process = subprocess.Popen(
        [*command, "--non-interactive"],
        cwd=checkout.root,
        env={**checkout.environ, **checkout.variables(stack)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    kill_at(process, moment)


def killed_golabs(checkout: Checkout, command: str, moment: str, *options: str, stack: str = "tst") -> None:
    """Starts a command of golabs and kills it and the engine with SIGKILL, as `killed_up` does."""
    kill_at(started_golabs(checkout, command, stack, *options), moment)


def started_golabs(checkout: Checkout, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "golabs_infra", *words],
        cwd=checkout.root,
        env={**checkout.environ, **checkout.golabs_variables(words)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def heard(process: subprocess.Popen[str], moment: str) -> str:
    """What a process prints until it prints what `moment` describes."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if re.search(moment, line):
            return said
    pytest.fail(f"it ended before {moment} was seen:\n{said}")


def kill_at(process: subprocess.Popen[str], moment: str) -> None:
    """Kills a process and its engine with SIGKILL as soon as it prints what `moment` describes."""
    said = heard(process, moment)
    assert kill(process), f"it ended before it was killed:\n{said}"


def kill_at_line(process: subprocess.Popen[str], number: int) -> bool:
    """The same as soon as it has printed so many lines. Gives whether it had not come to its end by then."""
    assert process.stdout is not None
    for _ in range(number):
        process.stdout.readline()
    return kill(process)


def kill(process: subprocess.Popen[str]) -> bool:
    """Kills a process with all that it has started. Gives whether it had not come to its end before."""
    for pid in (process.pid, *_below(process.pid)):  # they go no further while all of them are looked for
        with suppress(ProcessLookupError):  # one that has just come to its end
            os.kill(pid, signal.SIGSTOP)
    started = _below(process.pid)
    engines = [pid for pid in started if os.getsid(pid) == pid]  # golabs gives its engine a session of its own
    for pid in (process.pid, *engines):
        os.killpg(pid, signal.SIGKILL)
    assert process.stdout is not None
    process.stdout.close()
    killed = process.wait() == -signal.SIGKILL
    time.sleep(0.5)  # what it had begun on the server comes to its end
    for pid in started:  # plugins outlive their engine by minutes
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return killed


def _below(parent: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    found = [parent]
    for pid in found:
        found += [int(line.split()[0]) for line in listed.splitlines() if int(line.split()[1]) == pid]
    return found[1:]


def follow(checkout: Checkout, refused: Ran, stack: str) -> Ran:
    """Does what the message says: the pulumi command in it."""
    found = re.search(r"&& pulumi (cancel [^;\n]*)", refused.text)
    assert found, f"no command to follow:\n{refused}"
    words = [word for word in found[1].split() if word not in ("--stack", stack)]
    return checkout.pulumi(*words, stack=stack)
