"""The home folder of one embedded server: where its files are, what they say, and errors that name them. The data lies in
it or, where the server's user can't reach it, in a folder of its own in `SHARED_FOLDER`. No process is looked at here,
and no data is made, judged or deleted.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import ServerError
from .server_binaries import SHARED_FOLDER

_LOG_BYTES = 10_000_000


@dataclass(frozen=True)
class ServerHome:
    """The files of one server; `folder` is absolute and may not be there yet."""

    folder: Path

    @property
    def password_file(self) -> Path:
        """Holds the admin's password on one line."""
        return self.folder / "admin-password"

    @property
    def log_file(self) -> Path:
        """What PostgreSQL writes to stderr."""
        return self.folder / "server.log"

    @property
    def lock_file(self) -> Path:
        """Locked by whoever starts or stops the server."""
        return self.folder / "lock"

    @property
    def port_file(self) -> Path:
        """Holds the port of the last start."""
        return self.folder / "port"

    @property
    def link(self) -> Path:
        """The data itself or, where the server's user can't reach the home, a link to it."""
        return self.folder / "data"

    @property
    def far(self) -> Path:
        """The folder in SHARED_FOLDER that belongs to this home, there or not."""
        return SHARED_FOLDER / hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:12]

    def data(self) -> Path:
        """The data folder, or where it is going to be."""
        far = self.far / "data"
        if not os.path.lexists(self.link) and self.password_file.exists() and far.exists():
            return far
        return self.link.resolve()

    def last_port(self) -> int | None:
        """The port of the last start; None before the first one."""
        try:
            return int(self.port_file.read_text(encoding="ascii"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None

    def admin_password(self) -> str:
        """The admin's password, from its file. Raises ServerError."""
        with self.readable_errors():
            try:
                password = self.password_file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
                what = "this is not a password on one line"
            except FileNotFoundError:
                password = ""
                what = "the admin's password is missing"
            if re.fullmatch(r"[!-~]{8,}", password):
                return password
            data = self.data()
            if has_cluster(data):
                raise self.password_error(what, data)
            raise ServerError(what, where=str(self.password_file), mend="golabs server start")

    def password_error(self, what: str, data: Path) -> ServerError:
        """The error of a password that doesn't open the data, with the ways out."""
        return ServerError(
            what,
            where=str(self.password_file),
            mend="put the password back (one line, mode 0600), or give up the data and begin with an empty server: "
            f"golabs server stop; rm -r {quoted(data)} && golabs server start",
        )

    def open_log(self) -> int:
        """A descriptor that appends to the log; a long one is set aside first, one such is kept. Raises OSError."""
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.folder / "server.log.1")
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            log = os.open(self.log_file, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(self.log_file, flags)
        if os.geteuid() == 0:  # with sudo in an ordinary user's project, the log is that user's
            owner = self.folder.stat()
            os.fchown(log, owner.st_uid, owner.st_gid)
        return log

    def log_tail(self, begin: int = 0) -> str:
        """The last lines of the log after byte `begin`, without statements that may hold a password."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(begin, log.seek(0, os.SEEK_END) - 8000))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in lines[-12:] if "password '" not in line.lower())

    @contextmanager
    def readable_errors(self) -> Iterator[None]:
        """What the system refuses, as a ServerError."""
        try:
            yield
        except (OSError, subprocess.SubprocessError) as error:
            file = str(getattr(error, "filename", None) or self.folder)
            mend = f"look at {file} and {self.log_file}"
            if isinstance(error, PermissionError):
                mend = f"ls -ld {quoted(self.folder)} says whose server this is; run golabs as that user"
            what = getattr(error, "strerror", None) or str(error)
            raise ServerError(what, where=file, mend=mend) from error


def has_cluster(data: Path) -> bool:
    """Whether PostgreSQL's data is in this folder."""
    return (data / "PG_VERSION").is_file()


def major_of(data: Path) -> str:
    """The major version that made the data, e.g. "18". Raises OSError where there is none."""
    return (data / "PG_VERSION").read_text(encoding="ascii").strip()


def quoted(path: Path, suffix: str = "") -> str:
    """A path as a shell takes it: the commands in these messages are there to be copied."""
    return shlex.quote(f"{path}{suffix}")


def write_file(file: Path, text: str, mode: int) -> None:
    """Write a file so that readers find the old text or the new one, never under a looser mode. Raises OSError."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        os.fchmod(descriptor, mode)
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    fresh.replace(file)
