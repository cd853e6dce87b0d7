"""The embedded PostgreSQL for the tst stack, demos and tests: made, started, stopped and looked at here.

A home folder holds one server: its data, admin password, log and last port. It listens on 127.0.0.1 only, asks every
login for a password, and outlives the process that started it. Nothing here prints, creates roles or databases, or
deletes data of a home that still exists.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import string
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psycopg

from .errors import ServerError
from .server_binaries import (
    ENVIRONMENT,
    POLL_SECONDS,
    SHARED_FOLDER,
    Account,
    Postmaster,
    command_line,
    data_argument,
    find_account,
    is_postmaster,
    locked,
    make_cluster,
    processes,
    read_pid_file,
    shared_folder,
    usable_programs,
    write_file,
)

DEFAULT_PORT = 54329
HOST = "127.0.0.1"
ADMIN_USER = "postgres"
START_SECONDS = 60.0
STOP_SECONDS = 30.0

DEFAULT_SETTINGS = {
    "shared_buffers": "64MB",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}
FIXED_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "log_destination": "stderr",
    "logging_collector": "off",
}
_LOG_BYTES = 10_000_000
_SETTLING_SECONDS = 5.0
_LAUNCH = 'exec "$@" </dev/null >&2 & echo $!'


@dataclass(frozen=True)
class ServerStatus:
    """What is known of a server. While it does not run, `port` is the one that it would be started with."""

    running: bool
    host: str
    port: int
    admin_user: str
    admin_password_file: Path
    version: str | None
    pid: int | None
    data_directory: Path

    def as_json(self) -> dict[str, object]:
        """The same under the keys of `golabs server status --json`; paths as text."""
        return {
            "running": self.running,
            "host": self.host,
            "port": self.port,
            "adminUser": self.admin_user,
            "adminPasswordFile": str(self.admin_password_file),
            "version": self.version,
            "pid": self.pid,
            "dataDirectory": str(self.data_directory),
        }


class _EndedError(ServerError):
    """PostgreSQL ended while it was starting."""


class EmbeddedServer:
    """The server of one home folder.

    `port`: to start with; None takes the port of the last start, else DEFAULT_PORT. `major`: PostgreSQL's major
    version. `settings`: further settings of postgresql.conf, for the start. Every method may raise ServerError.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        major: int = 18,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.home = Path(os.path.realpath(home))
        self.password_file = self.home / "admin-password"
        self.log_file = self.home / "server.log"
        # The data itself or, where the server's user can't reach home, a link to it.
        self._link = self.home / "data"
        self._far = SHARED_FOLDER / hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        self._port = port
        self._major = major
        self._settings = dict(settings)
        if port is not None and not 0 < port < 65536:
            raise ServerError(f"{port} is not a port", mend="take one from 1 to 65535")
        for name, value in self._settings.items():
            known = re.fullmatch(r"[a-z_][a-z0-9_.]*", name) and name not in (*FIXED_SETTINGS, "port")
            if not known or "\0" in value:
                raise ServerError(f"the setting {name!r} can't be given so", mend="leave it out")

    def start(self) -> ServerStatus:
        """Start the server, made first if need be, and wait until it accepts the admin's login. Idempotent."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            with self._readable_errors():
                self._bring_up(deadline)
            status = self.status()
            if status.running:
                return status
            if time.monotonic() > deadline:
                raise ServerError(
                    f"PostgreSQL ends again and again:\n{self._log_tail()}",
                    where=str(self.home),
                    mend=f"see above, or all of {self.log_file}; then golabs server start",
                )

    def stop(self) -> ServerStatus:
        """Stop the server, whose open transactions are rolled back, and wait for its end. Idempotent."""
        with self._readable_errors():
            if self.home.is_dir():
                with locked(self.home / "lock", STOP_SECONDS):
                    self._end_all()
            else:
                self._end_all()
        return self.status()

    def status(self) -> ServerStatus:
        """How the server is. Raises ServerError where its data was deleted while it runs."""
        with self._readable_errors():
            self._refuse_strays()
            data = self._data()
            postmaster = self._postmaster(data)
            running = postmaster is not None and postmaster.state == "ready" and _answers(postmaster.port)
            version = None
            if postmaster is not None and running:
                try:
                    version = self._login(postmaster.port)
                except ServerError:  # it is start that tells about the password; the server runs all the same
                    version = None
                version = version or _major_of(data)
            return ServerStatus(
                running=running,
                host=HOST,
                port=postmaster.port if postmaster is not None else self._next_port(),
                admin_user=ADMIN_USER,
                admin_password_file=self.password_file,
                version=version,
                pid=postmaster.pid if postmaster is not None else None,
                data_directory=data,
            )

    def admin_password(self) -> str:
        """The password of ADMIN_USER, from its file."""
        with self._readable_errors():
            try:
                password = self.password_file.read_text(encoding="utf-8", errors="replace").removesuffix("\n")
                what = "this is not a password on one line"
            except FileNotFoundError:
                password = ""
                what = "the admin's password is missing"
            if re.fullmatch(r"[!-~]{8,}", password):
                return password
            data = self._data()
            if _has_cluster(data):
                raise self._password_error(what, data)
            raise ServerError(what, where=str(self.password_file), mend="golabs server start")

    # ---- the data

    def _data(self) -> Path:
        """The data folder, or where it is going to be."""
        far = self._far / "data"
        if not os.path.lexists(self._link) and self.password_file.exists() and far.exists():
            return far
        return self._link.resolve()

    def _ready_data(self, data: Path, lock: int) -> Path:
        """The data folder to start on, made now if there is none."""
        if _has_cluster(data):
            self._refuse_other_major(data)
            self.admin_password()
            self.password_file.chmod(0o600)
        else:
            self._refuse_to_replace(data)
            account = find_account(data)
            programs = usable_programs(account, self._major)
            left = self._far / "data"
            # Left by a home that was deleted, and its password with it; the last such is kept.
            if account.switch and _has_cluster(left):
                shutil.rmtree(self._far / "data.old", ignore_errors=True)
                left.rename(self._far / "data.old")
            try:
                password = self.admin_password()
            except ServerError:
                password = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
                write_file(self.password_file, password + "\n", 0o600)
            bases = self._bases(account)
            data = make_cluster(account, programs, bases=bases, user=ADMIN_USER, password=password, lock=lock)
        return data

    def _bases(self, account: Account) -> Iterator[Path]:
        """Where the data may be kept, the best place first; the other is made when its turn comes."""
        yield self.home
        if account.switch:
            shared_folder()
            self._far.mkdir(exist_ok=True)
            self._far.chmod(0o711)
            yield self._far

    def _refuse_to_replace(self, data: Path) -> None:
        if self._link.is_symlink() and data != self._far / "data":
            raise ServerError(
                f"this link points to {data}, where no PostgreSQL data is",
                where=str(self._link),
                mend=f"bring it back, or begin with an empty one: rm {_quoted(self._link)}; golabs server start",
            )
        if data.is_dir() and any(data.iterdir()):
            raise ServerError(
                "this folder holds something else than PostgreSQL's data",
                where=str(data),
                mend=f"mv {_quoted(data)} {_quoted(data, '.aside')} && golabs server start",
            )

    # ---- starting and stopping

    def _bring_up(self, deadline: float) -> None:
        self._refuse_strays()
        if not self.home.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)
            # The user that root runs PostgreSQL as must be able to pass; what is secret has its own mode.
            self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        with locked(self.home / "lock", START_SECONDS) as lock:
            data = self._data()
            postmaster = self._settled(data)
            if postmaster is not None:
                postmaster = self._taken_over(data, postmaster, deadline)
            if postmaster is None:
                data = self._ready_data(data, lock)
                postmaster = self._launch(data, lock, deadline)
            if data != self._link.resolve():
                self._link.unlink(missing_ok=True)
                self._link.symlink_to(data)
            write_file(self.home / "port", f"{postmaster.port}\n", 0o644)

    def _taken_over(self, data: Path, postmaster: Postmaster, deadline: float) -> Postmaster | None:
        """The server that runs already, once it is ready; None if it ends instead."""
        if postmaster.state == "stopping":
            self._await_end(postmaster.pid)
            return None
        self._refuse_differences(postmaster, data)
        try:
            postmaster = self._await_ready(data, postmaster.pid, deadline)
        except _EndedError:
            return None
        self._login(postmaster.port)
        return postmaster

    def _launch(self, data: Path, lock: int, deadline: float) -> Postmaster:
        """Start the server on its data and wait until it is ready."""
        account = find_account(data)
        programs = usable_programs(account, self._major)
        port = self._next_port()
        settings = {**DEFAULT_SETTINGS, **self._settings, **FIXED_SETTINGS, "port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # The shell ends at once, so the server is nobody's child: no zombie, no signal from the terminal. Its stdin
        # is the lock, so that nobody else starts or stops before it has ended, even where golabs is killed.
        command = ["/bin/sh", "-c", _LAUNCH, "sh", programs["postgres"], "-D", str(data), *options]
        environment = dict(ENVIRONMENT)
        stale = read_pid_file(data)
        if stale is not None:
            # A postmaster.pid whose pid some other program has by now keeps PostgreSQL from starting, unless that
            # program is said to be its grandparent. Deleting the file would lose PostgreSQL's own check for
            # backends that are still alive.
            environment["PG_GRANDPARENT_PID"] = str(stale.pid)
        while True:
            self._refuse_taken_port(port)
            log = self._open_log()
            try:
                begin = os.fstat(log).st_size
                shell = account.run(command, folder=data, environment=environment, stdin=lock, log=log)
            finally:
                os.close(log)
            try:
                postmaster = self._await_ready(data, int(shell.stdout), deadline, begin)
                break
            except _EndedError as error:
                self._refuse_taken_port(port)
                # Backends of a server that was killed end by themselves, a moment after it.
                if "is still in use" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(5 * POLL_SECONDS)
        try:
            self._login(port)
        except ServerError:
            self._end(postmaster.pid, signal.SIGINT)
            raise
        return postmaster

    def _await_ready(self, data: Path, pid: int, deadline: float, log_begin: int = 0) -> Postmaster:
        while True:
            # Asked first: a server that ends hereafter is found dead in the next round.
            alive = bool(command_line(pid))
            postmaster = read_pid_file(data)
            if postmaster is not None and postmaster.pid == pid and postmaster.state == "ready":
                return postmaster
            if not alive:
                raise _EndedError(
                    f"PostgreSQL ended while starting:\n{self._log_tail(log_begin)}",
                    where=str(data),
                    mend=f"see above, or all of {self.log_file}; then golabs server start",
                )
            if time.monotonic() > deadline:
                raise ServerError(
                    f"PostgreSQL (pid {pid}) doesn't accept connections yet:\n{self._log_tail(log_begin)}",
                    where=str(data),
                    mend="golabs server start goes on waiting; golabs server stop gives up",
                )
            time.sleep(POLL_SECONDS)

    def _end_all(self) -> None:
        for pid, folder in self._strays():
            # Where the data is gone there is nothing to save, and an orderly shutdown would only stumble over it.
            self._end(pid, signal.SIGINT if folder.exists() else signal.SIGQUIT)
        postmaster = self._settled(self._data())
        if postmaster is not None:
            self._end(postmaster.pid, signal.SIGINT)

    def _end(self, pid: int, how: signal.Signals) -> None:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            return
        self._await_end(pid)

    def _await_end(self, pid: int) -> None:
        deadline = time.monotonic() + STOP_SECONDS
        while command_line(pid):
            if time.monotonic() > deadline:
                raise ServerError(
                    f"PostgreSQL (pid {pid}) has not ended after {STOP_SECONDS:.0f} seconds:\n{self._log_tail()}",
                    where=str(self.home),
                    mend=f"kill -QUIT {pid} (the next start recovers)",
                )
            time.sleep(POLL_SECONDS)

    # ---- looking

    def _postmaster(self, data: Path) -> Postmaster | None:
        """The server that runs on this data folder, whatever its state."""
        postmaster = read_pid_file(data)
        if postmaster is None or not is_postmaster(postmaster.pid, command_line(postmaster.pid), data):
            return None
        return postmaster

    def _settled(self, data: Path) -> Postmaster | None:
        """As _postmaster, but one whose starter was killed gets the time to write its pid file."""
        deadline = time.monotonic() + _SETTLING_SECONDS
        while True:
            postmaster = self._postmaster(data)
            launched = any(f" -D {data} -c " in line for _, line in processes())
            if postmaster is not None or not launched or time.monotonic() > deadline:
                return postmaster
            time.sleep(POLL_SECONDS)

    def _strays(self) -> list[tuple[int, Path]]:
        """Servers of this home that run on another data folder than the one that is there now."""
        data = self._data()
        places = {self._link, self._far / "data", data}
        strays = []
        for pid, line in processes():
            folder = data_argument(line)
            if folder is None or folder not in places or is_postmaster(pid, line, data):
                continue
            # A backend looks like its postmaster until it has set its title; a process may also just have ended.
            if command_line(pid) == line:
                strays.append((pid, folder))
        return strays

    def _refuse_strays(self) -> None:
        for pid, folder in self._strays():
            raise ServerError(
                f"PostgreSQL (pid {pid}) still runs on {folder}, which was deleted or has lost its home meanwhile",
                where=str(self.home),
                mend="golabs server stop (golabs server start then begins with an empty one)",
            )

    def _refuse_differences(self, postmaster: Postmaster, data: Path) -> None:
        """A running server is left as it is, so it must be the one that was asked for."""
        self._refuse_other_major(data)
        line = command_line(postmaster.pid) + " "
        differing = [name for name, value in self._settings.items() if f" -c {name}={value} " not in line]
        again = "golabs server stop && golabs server start"
        if self._port is not None and self._port != postmaster.port:
            what = f"the server runs on port {postmaster.port}, not {self._port}"
            raise ServerError(what, where=str(self.home), mend=f"{again} --port {self._port}")
        if differing:
            what = f"the server runs with another value of {', '.join(differing)}"
            raise ServerError(what, where=str(self.home), mend=again)

    def _refuse_other_major(self, data: Path) -> None:
        made_by = _major_of(data)
        if made_by != str(self._major):
            aside = f"mv {_quoted(data)} {_quoted(data, f'-{made_by}')}"
            raise ServerError(
                f"the data was made by PostgreSQL {made_by}, this is {self._major}",
                where=str(data),
                mend=f"golabs server stop && {aside} && golabs server start (begins empty)",
            )

    def _refuse_taken_port(self, port: int) -> None:
        if _is_free(port):
            return
        lines = (line for _, line in processes() if f" -c port={port} " in line)
        holders = (f"the PostgreSQL of {data}" for data in map(data_argument, lines) if data is not None)
        holder = next(holders, "another program")
        free = next((number for number in range(port + 1, 65536) if _is_free(number)), DEFAULT_PORT)
        what = f"port {port} on {HOST} is taken by {holder}"
        raise ServerError(what, where=str(self.home), mend=f"golabs server start --port {free}")

    def _next_port(self) -> int:
        if self._port is not None:
            return self._port
        try:
            return int((self.home / "port").read_text(encoding="ascii"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return DEFAULT_PORT

    def _login(self, port: int) -> str | None:
        """Log in as the admin; gives the server's version, None where it can't be had right now.

        Raises ServerError for a password that is missing or wrong.
        """
        password = self.admin_password()
        try:
            # What PGHOSTADDR, PGSSLMODE and the like would turn elsewhere is said here.
            with psycopg.connect(
                host=HOST,
                hostaddr=HOST,
                port=port,
                user=ADMIN_USER,
                password=password,
                dbname="postgres",
                sslmode="prefer",
                options="",
                connect_timeout=5,
            ) as session:
                version = session.info.parameter_status("server_version")
                return version.split()[0] if version else None
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error):
                raise self._password_error("the server refuses the admin's password", self._data()) from error
            return None

    # ---- log and errors

    def _open_log(self) -> int:
        if self.log_file.exists() and self.log_file.stat().st_size > _LOG_BYTES:
            self.log_file.replace(self.home / "server.log.1")
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            log = os.open(self.log_file, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return os.open(self.log_file, flags)
        if os.geteuid() == 0:  # with sudo in an ordinary user's project, the log is that user's
            owner = self.home.stat()
            os.fchown(log, owner.st_uid, owner.st_gid)
        return log

    def _log_tail(self, begin: int = 0) -> str:
        """The last lines of the log after `begin`, without statements that may hold a password."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(begin, log.seek(0, os.SEEK_END) - 8000))
                lines = log.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return "  (no log)"
        return "\n".join(f"  {line}" for line in lines[-12:] if "password '" not in line.lower())

    def _password_error(self, what: str, data: Path) -> ServerError:
        return ServerError(
            what,
            where=str(self.password_file),
            mend="put the password back (one line, mode 0600), or give up the data and begin with an empty server: "
            f"golabs server stop; rm -r {_quoted(data)} && golabs server start",
        )

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        """What the system refuses, as a ServerError."""
        try:
            yield
        except (OSError, subprocess.SubprocessError) as error:
            file = str(getattr(error, "filename", None) or self.home)
            mend = f"look at {file} and {self.log_file}"
            if isinstance(error, PermissionError):
                mend = f"ls -ld {_quoted(self.home)} says whose server this is; run golabs as that user"
            what = getattr(error, "strerror", None) or str(error)
            raise ServerError(what, where=file, mend=mend) from error


def _has_cluster(data: Path) -> bool:
    return (data / "PG_VERSION").is_file()


def _major_of(data: Path) -> str:
    return (data / "PG_VERSION").read_text(encoding="ascii").strip()


def _quoted(path: Path, suffix: str = "") -> str:
    """A path as a shell takes it: the commands in these messages are there to be copied."""
    return shlex.quote(f"{path}{suffix}")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=5):
            return True
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
