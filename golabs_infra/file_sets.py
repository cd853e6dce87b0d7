"""Puts a set of private files into one folder, all or none of them. Knows nothing of what is in them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .files import prepare_private, remove_leftovers

FOLDER_MODE = 0o700
_WRITERS = 4


def replace_together(folder: Path, texts: Mapping[str, str], removed: Iterable[str] = ()) -> None:
    """Writes every file that is not as it should be, 0600 in the 0700 folder, and removes others, each by its name.

    All are prepared whole before the first takes its place. Raises OSError; the old ones are kept then.
    """
    gone = [folder / name for name in removed]
    prepared: dict[Path, str] = {}
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        remove_leftovers(folder)
        for path in (*(folder / name for name in texts), *gone):
            if path.is_dir():  # the one thing that could stop a rename between two others
                raise IsADirectoryError(errno.EISDIR, f"{path.name} is a folder")
        outdated = {folder / name: text for name, text in texts.items() if not _holds(folder / name, text)}
        with ThreadPoolExecutor(_WRITERS) as writers:  # each waits for the disk; together they wait once
            written = {path: writers.submit(prepare_private, folder, text) for path, text in outdated.items()}
        prepared = {path: future.result() for path, future in written.items() if not future.exception()}
        for future in written.values():
            future.result()
        for path, temporary in prepared.items():
            os.replace(temporary, path)
        for path in gone:
            path.unlink(missing_ok=True)
    finally:
        for temporary in prepared.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def names_in(folder: Path) -> list[str]:
    """The names of the files in a folder, in order; none where there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _holds(path: Path, text: str) -> bool:
    """Whether a file is there already, private and with this text. A link, or what is no file, is to be replaced."""
    try:
        return path.lstat().st_mode == stat.S_IFREG | 0o600 and path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
