"""The embedded PostgreSQL for the tst stack, demos and tests: started, stopped and looked at here. A home folder holds one
server: its data, admin password, log and last port. It listens on 127.0.0.1 only, asks every login for a password, and
outlives the process that started it. This module decides; the modules `server_*` do the work. Nothing here prints,
creates roles or databases, or deletes data of a home that still exists.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from .errors import ServerError
from .server_cluster import ready_data, refuse_other_major
from .server_home import ServerHome, major_of, write_file
from .server_launch import FIXED_SETTINGS, STOP_SECONDS, EndedError, await_end, await_ready, end, launch
from .server_login import ADMIN_USER, DEFAULT_PORT, HOST, answers, login
from .server_processes import (
    Postmaster,
    command_line,
    data_argument,
    find_postmaster,
    is_postmaster,
    locked,
    processes,
    settled_postmaster,
)

__all__ = ["ADMIN_USER", "DEFAULT_PORT", "HOST", "EmbeddedServer", "ServerStatus"]

START_SECONDS = 60.0


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


class EmbeddedServer:
    """The server of one home folder.

    `port`: to start with; None takes the port of the last start, else DEFAULT_PORT. `major`: PostgreSQL's major
    version. `programs`: the folder of its programs (`bin` is in it); None takes the wheel's. `settings`: further settings
    of postgresql.conf, for the start. Every method may raise ServerError.
    """

    def __init__(
        self,
        home: Path,
        *,
        port: int | None = None,
        major: int = 18,
        programs: Path | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.home = Path(os.path.realpath(home))
        self._home = ServerHome(self.home)
        self.password_file = self._home.password_file
        self.log_file = self._home.log_file
        self._port = port
        self._major = major
        self._programs = Path(os.path.realpath(programs)) if programs is not None else None
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
            with self._home.readable_errors():
                self._bring_up(deadline)
            status = self.status()
            if status.running:
                return status
            if time.monotonic() > deadline:
                raise ServerError(
                    f"PostgreSQL ends again and again:\n{self._home.log_tail()}",
                    where=str(self.home),
                    mend=f"see above, or all of {self.log_file}; then golabs server start",
                )

    def stop(self) -> ServerStatus:
        """Stop the server, whose open transactions are rolled back, and wait for its end. Idempotent."""
        with self._home.readable_errors():
            if self.home.is_dir():
                with locked(self._home.lock_file, STOP_SECONDS):
                    self._end_all()
            else:
                self._end_all()
        return self.status()

    def status(self) -> ServerStatus:
        """How the server is. Raises ServerError where its data was deleted while it runs."""
        with self._home.readable_errors():
            self._refuse_strays()
            data = self._home.data()
            postmaster = find_postmaster(data)
            running = False
            version: str | None = None
            if postmaster is not None and postmaster.state == "ready" and answers(postmaster.port):
                running = True
                with suppress(ServerError):  # it is start that tells about the password; the server runs all the same
                    version = login(self._home, postmaster.port)
                version = version or major_of(data)
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
        return self._home.admin_password()

    def _bring_up(self, deadline: float) -> None:
        self._refuse_strays()
        if not self.home.is_dir():
            self.home.mkdir(parents=True, exist_ok=True)
            # The user that root runs PostgreSQL as must be able to pass; what is secret has its own mode.
            self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        with locked(self._home.lock_file, START_SECONDS) as lock:
            data = self._home.data()
            postmaster = settled_postmaster(data)
            if postmaster is not None:
                postmaster = self._taken_over(data, postmaster, deadline)
            if postmaster is None:
                data = ready_data(
                    self._home, data, major=self._major, folder=self._programs, user=ADMIN_USER, lock=lock
                )
                postmaster = launch(
                    self._home,
                    data,
                    port=self._next_port(),
                    major=self._major,
                    folder=self._programs,
                    settings=self._settings,
                    lock=lock,
                    deadline=deadline,
                )
            link = self._home.link
            if data != link.resolve():
                link.unlink(missing_ok=True)
                link.symlink_to(data)
            write_file(self._home.port_file, f"{postmaster.port}\n", 0o644)

    def _taken_over(self, data: Path, postmaster: Postmaster, deadline: float) -> Postmaster | None:
        """The server that runs already, once it is ready; None if it ends instead."""
        if postmaster.state == "stopping":
            await_end(self._home, postmaster.pid)
            return None
        self._refuse_differences(postmaster, data)
        try:
            postmaster = await_ready(self._home, data, postmaster.pid, deadline)
        except EndedError:
            return None
        login(self._home, postmaster.port)
        return postmaster

    def _end_all(self) -> None:
        for pid, folder in self._strays():
            # Where the data is gone there is nothing to save, and an orderly shutdown would only stumble over it.
            end(self._home, pid, signal.SIGINT if folder.exists() else signal.SIGQUIT)
        postmaster = settled_postmaster(self._home.data())
        if postmaster is not None:
            end(self._home, postmaster.pid, signal.SIGINT)

    def _strays(self) -> list[tuple[int, Path]]:
        """Servers of this home that run on another data folder than the one that is there now."""
        data = self._home.data()
        places = {self._home.link, self._home.far / "data", data}
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
        refuse_other_major(data, self._major)
        line = command_line(postmaster.pid) + " "
        differing = [name for name, value in self._settings.items() if f" -c {name}={value} " not in line]
        again = "golabs server stop && golabs server start"
        if self._port is not None and self._port != postmaster.port:
            what = f"the server runs on port {postmaster.port}, not {self._port}"
            raise ServerError(what, where=str(self.home), mend=f"{again} --port {self._port}")
        if differing:
            what = f"the server runs with another value of {', '.join(differing)}"
            raise ServerError(what, where=str(self.home), mend=again)

    def _next_port(self) -> int:
        if self._port is not None:
            return self._port
        last = self._home.last_port()
        return DEFAULT_PORT if last is None else last
