"""Looks for secrets wherever they could have got to: in texts, files and processes, also as other programs write them.

A canary is a password with characters that quoting changes, around a core of letters and digits that no quoting does. So its
core is found however a program quotes the rest, and is looked for in hexadecimal, base64 and UTF-16 besides. What is looked for
must be found where it has to be: that shows that the search works.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

PAUSE_S = 0.003
"""Between two looks at what runs, which has to get on with its work."""

_SHORTEST = 12
"""Fewer characters would be found by chance."""


def core(secret: str) -> str:
    """The longest part of a secret that every quoting leaves as it is: ASCII letters, digits, and `-._`."""
    return max(re.findall(r"[A-Za-z0-9._-]+", secret), key=len, default="")


def spellings(secret: str) -> dict[str, bytes]:
    """How a secret's core may be written down, each with a name; alike ones once."""
    raw = core(secret).encode()
    found = {
        "quoted in whatever way": raw,
        "hexadecimal": raw.hex().encode(),
        "hexadecimal, upper case": raw.hex().upper().encode(),
        "UTF-16": raw.decode().encode("utf-16-le"),
    }
    for shift in range(3):  # where a text begins in base64 decides how all of it is written
        body = base64.b64encode(b"\0" * shift + raw)
        inner = body[4 if shift else 0 : len(body) // 4 * 4 - 4]
        found[f"base64 at {shift}"] = inner
        found[f"base64 for URLs at {shift}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    unique: dict[bytes, str] = {}
    for name, text in found.items():
        unique.setdefault(text, name)
    return {name: text for text, name in unique.items()}


class Search:
    """A search for named secrets."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        assert all(len(core(secret)) >= _SHORTEST for secret in secrets.values()), "too short a core to be looked for"
        self._wanted = {
            (name, spelling): text for name, secret in secrets.items() for spelling, text in spellings(secret).items()
        }

    def names_in(self, content: bytes) -> set[str]:
        """The names of the secrets that are in a content, however they are written."""
        return {name for (name, _), text in self._wanted.items() if text in content}

    def told(self, content: bytes) -> list[str]:
        """Each secret that is in a content, how it is written there, and what stands before it."""
        return [
            f"{name} ({spelling}) after {content[max(0, content.find(text) - 80) : content.find(text)]!r}"
            for (name, spelling), text in self._wanted.items()
            if text in content
        ]

    def assert_absent(self, content: bytes | str, where: str) -> None:
        """Fails where any of the secrets is there."""
        found = self.told(content.encode(errors="surrogateescape") if isinstance(content, str) else content)
        assert found == [], f"{where}: {found}"

    def in_files(self, folder: Path) -> dict[str, set[str]]:
        """The files below a folder that hold a secret, by their path in it, with the secrets' names."""
        found: dict[str, set[str]] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                names = self.names_in(path.read_bytes()) | self.names_in(str(path.relative_to(folder)).encode())
                if names:
                    found[str(path.relative_to(folder))] = names
        return found


@dataclass
class Seen:
    """What was seen while commands ran: arguments and environment of processes, by program, and files of some folders.

    All of it is kept, and searched at the end: a secret that a command makes is known only after it.
    """

    arguments: dict[str, set[bytes]] = field(default_factory=dict)
    environments: dict[str, set[bytes]] = field(default_factory=dict)
    files: dict[str, set[bytes]] = field(default_factory=dict)
    looks: int = 0

    def found(self, search: Search, what: Mapping[str, set[bytes]]) -> dict[str, set[str]]:
        """The programs, or files, in whose contents a secret is, and which."""
        names = {where: set().union(*map(search.names_in, contents)) for where, contents in what.items() if contents}
        return {where: held for where, held in names.items() if held}


@contextmanager
def watched(mark: str, *folders: Path) -> Iterator[Seen]:
    """Looks at all processes that we have started, or whose environment holds a mark, and at all files of some folders, as
    often as it can, as long as the block lasts."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.looks += 1
            for process in _processes(mark.encode()):
                _look_at(process, seen)
            over.wait(PAUSE_S)
            for folder in folders:
                _look_into(folder, seen)

    threads = [threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _processes(mark: bytes) -> list[Path]:
    """Those that descend from this one, whatever is in their environment, and those that bear the mark."""
    parents: dict[int, int] = {}
    marked: set[int] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int(
                (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
            )
            if mark in (process / "environ").read_bytes():
                marked.add(int(process.name))
        except OSError:  # it has ended, or is somebody else's
            continue
    found = []
    for number in parents:
        above = number
        while above in parents and above not in marked and above != os.getpid():
            above = parents[above]
        if number != os.getpid() and above in (marked | {os.getpid()}):
            found.append(Path(f"/proc/{number}"))
    return found


def _look_at(process: Path, seen: Seen) -> None:
    try:
        name = Path(os.readlink(process / "exe")).name
        arguments, environment = ((process / part).read_bytes() for part in ("cmdline", "environ"))
    except OSError:
        return
    seen.arguments.setdefault(name, set()).add(arguments)
    seen.environments.setdefault(name, set()).add(environment)


def _look_into(folder: Path, seen: Seen) -> None:
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file():
                seen.files.setdefault(str(path.relative_to(folder)), set()).add(path.read_bytes())


@dataclass(frozen=True)
class Printed:
    """A command that has ended."""

    command: str
    code: int
    out: bytes
    err: bytes


def run_golabs(
    project: Path, words: Sequence[str], environ: Mapping[str, str], *, repository: Path, typed: str = ""
) -> Printed:
    """Runs the command on a project as a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", "golabs_infra", "--project", str(project), *words],
        cwd=repository,
        env={**os.environ, **environ},
        input=typed.encode(),
        capture_output=True,
        timeout=180,
        check=False,
    )
    return Printed(" ".join(words), ended.returncode, ended.stdout, ended.stderr)


def assert_nothing_printed(search: Search, printed: Iterable[Printed]) -> None:
    """Fails where a command has printed a secret."""
    for each in printed:
        search.assert_absent(each.out, f"standard output of: golabs {each.command}")
        search.assert_absent(each.err, f"standard error of: golabs {each.command}")
