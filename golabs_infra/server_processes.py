"""The processes of the embedded PostgreSQL as the system shows them, and the lock between processes of golabs. Found by
the pid file in the data folder, by command line and by working folder, so that no pid is believed that some other
program has by now. Nothing is started, signalled or written here, except for the lock's own empty file.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import ServerError

POLL_SECONDS = 0.02
_SETTLING_SECONDS = 5.0


@contextmanager
def locked(file: Path, seconds: float) -> Iterator[int]:
    """Hold the lock of this file; gives its descriptor. Raises ServerError if others hold it all the time."""
    deadline = time.monotonic() + seconds
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"another golabs has been at work on this for over {seconds:.0f} seconds",
                        where=str(file),
                        mend="wait for it to end, then try again",
                    ) from None
            time.sleep(POLL_SECONDS)
        yield lock
    finally:
        os.close(lock)


@dataclass(frozen=True)
class Postmaster:
    """What postmaster.pid says; `state` is starting, ready, stopping, or empty while the file is being written."""

    pid: int
    port: int
    state: str


def read_pid_file(data: Path) -> Postmaster | None:
    """The server that a data folder names, alive or not. Raises OSError where that may not be read."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()
        state = lines[7].strip() if len(lines) > 7 else ""
        return Postmaster(pid=int(lines[0]), port=int(lines[3]), state=state)
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None


def command_line(pid: int) -> str:
    """What a process was called with, separated by spaces; empty if it has ended."""
    if sys.platform != "linux":
        return "".join(line for number, line in processes() if number == pid)
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return os.fsdecode(line).replace("\0", " ")


def processes() -> Iterator[tuple[int, str]]:
    """Every process that we may see, with its command line."""
    if sys.platform == "linux":
        for name in os.listdir("/proc"):
            if name.isdecimal():
                yield int(name), command_line(int(name))
        return
    listing = subprocess.check_output(["/bin/ps", "-axww", "-o", "pid=,stat=,command="], text=True)
    for line in listing.splitlines():
        number, state, *command = line.split(maxsplit=2)
        if command and not state.startswith("Z"):
            yield int(number), command[0].strip()


def data_argument(line: str) -> Path | None:
    """The data folder in the command line of a server that golabs started; None for any other program."""
    found = re.match(r"(?!/bin/sh )/.*?/postgres -D (.+?)(?: -c [a-z_.]+=.*| *)$", line, re.DOTALL)
    return Path(found[1]) if found is not None else None


def is_postmaster(pid: int, line: str, data: Path) -> bool:
    """Whether the process of this command line is a server on this very folder, not on a deleted namesake."""
    program = line.split(" -", 1)[0].strip()  # a backend's goes on: "postgres: checkpointer"
    if not program.endswith("postgres") or not data.is_dir():
        return False
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/cwd"), data.stat())
    except OSError:  # no /proc, or another user's process
        return data_argument(line) == data


def find_postmaster(data: Path) -> Postmaster | None:
    """The server that runs on this data folder, whatever its state. Raises OSError where that can't be seen."""
    postmaster = read_pid_file(data)
    if postmaster is None or not is_postmaster(postmaster.pid, command_line(postmaster.pid), data):
        return None
    return postmaster


def settled_postmaster(data: Path) -> Postmaster | None:
    """As find_postmaster, but one whose starter was killed gets the time to write its pid file."""
    deadline = time.monotonic() + _SETTLING_SECONDS
    while True:
        postmaster = find_postmaster(data)
        if postmaster is not None or time.monotonic() > deadline:
            return postmaster
        if not any(f" -D {data} -c " in line for _, line in processes()):
            return None
        time.sleep(POLL_SECONDS)
