"""Writes a file whole or not at all, private ones and tracked ones in place, and removes them. Knows nothing of what is in it."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from .errors import GolabsError

_PREFIX = ".golabs-"


def write_private(path: Path, text: str, *, durable: bool = True) -> None:
    """Puts `text` into `path`, 0600 in a 0700 folder; a reader sees the old or the new text, never a part."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = prepare_private(path.parent, text, durable=durable)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def prepare_private(folder: Path, text: str, *, durable: bool = True) -> str:
    """A complete temporary file in `folder`, ready to be renamed. Gives its path.

    It is on the disk before this returns, unless it need not be `durable` because it can be made again.
    """
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=_PREFIX)  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def replace_file(path: Path, content: bytes) -> None:
    """Puts `content` into a file in one step; it keeps its mode and owner. A new one gets 0644; a link's target is meant.

    Raises OSError before anything is written where something else than a file is there (a folder, a device), or one
    that we may not write to.
    """
    path = Path(os.path.realpath(path))
    before = _replaceable(path)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = 0o644
        if before is not None:
            mode = before.st_mode & 0o7777
            with suppress(PermissionError):  # only root may give files away
                os.chown(temporary, before.st_uid, before.st_gid)
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _replaceable(path: Path) -> os.stat_result | None:
    """What the file at `path` is like; None where there is none. Raises OSError where it is not to be replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    if not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return found


def remove_private(path: Path) -> None:
    """Removes a file, if it is there. Raises GolabsError where it can't be."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise GolabsError(
            f"the file can't be removed: {error.strerror}",
            where=str(path),
            mend="remove it by hand, and run this again",
        ) from error


def remove_leftovers(folder: Path) -> None:
    """Removes the temporary files that a run which was killed has left in `folder`; they may hold secrets."""
    for leftover in folder.glob(f"{_PREFIX}*"):
        if not leftover.is_dir():  # which is nobody's leftover
            leftover.unlink(missing_ok=True)
