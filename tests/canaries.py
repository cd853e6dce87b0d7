"""Looks for secrets wherever they could have got to: in texts, files and processes, also as other programs write them.

A canary is a password with characters that quoting changes, so that it is looked for as it is, and percent-encoded, with
JSON's, SQL's and YAML's quotes, in hexadecimal and in base64. What is looked for must be found where it has to be: that shows
that the search works.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus

_SHORTEST = 12
"""Fewer characters would be found by chance."""


def spellings(secret: str) -> dict[str, bytes]:
    """How a secret may be written down, each with a name; alike ones once."""
    raw = secret.encode()
    found = {
        "clear": raw,
        "JSON": json.dumps(secret)[1:-1].encode(),
        "URL": quote(secret, safe="").encode(),
        "form": quote_plus(secret).encode(),
        "SQL": secret.replace("'", "''").encode(),
        "SQL with backslashes": secret.replace("\\", "\\\\").replace("'", "''").encode(),
        "shell": secret.replace("'", "'\"'\"'").encode(),
        "hexadecimal": raw.hex().encode(),
        "properties": "".join(map(_in_properties, secret)).encode(),
        "UTF-16": secret.encode("utf-16-le"),
    }
    for shift in range(3):  # where a text begins in base64 decides how all of it is written
        body = base64.b64encode(b"\0" * shift + raw)
        inner = body[4 if shift else 0 : len(body) // 4 * 4 - 4]
        found[f"base64 at {shift}"] = inner
    unique: dict[bytes, str] = {}
    for name, text in found.items():
        unique.setdefault(text, name)
    return {name: text for text, name in unique.items()}


def _in_properties(character: str) -> str:
    """As java.util.Properties reads it."""
    if character == "\\":
        return "\\\\"
    return character if character.isascii() else f"\\u{ord(character):04x}"


class Search:
    """A search for named secrets."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        assert all(len(secret) >= _SHORTEST for secret in secrets.values()), "too short to be looked for"
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
    """What was seen of processes: each program whose arguments, or environment, held a secret, and which."""

    arguments: dict[str, set[str]] = field(default_factory=dict)
    environment: dict[str, set[str]] = field(default_factory=dict)
    looks: int = 0


@contextmanager
def watched(search: Search, mark: str) -> Iterator[Seen]:
    """Looks at all processes whose environment holds a mark, as often as it can, as long as the block lasts."""
    seen, over = Seen(), threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.looks += 1
            for process in Path("/proc").glob("[0-9]*"):
                _look_at(process, search, mark.encode(), seen)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def _look_at(process: Path, search: Search, mark: bytes, seen: Seen) -> None:
    try:
        environment = (process / "environ").read_bytes()
        if mark not in environment:
            return
        arguments = (process / "cmdline").read_bytes()
        name = Path(os.readlink(process / "exe")).name
    except OSError:  # it has ended, or is somebody else's
        return
    for content, found in ((arguments, seen.arguments), (environment, seen.environment)):
        if names := search.names_in(content):
            found.setdefault(name, set()).update(names)


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
