"""Launches PostgreSQL on a data folder that is ready, waits until it accepts connections, and ends it. A launched server
is nobody's child and outlives golabs. Whether one may be launched or has to end is decided in `server`, by the holder
of the home's lock; nothing is done to data here.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from .errors import ServerError
from .server_binaries import ENVIRONMENT, find_account, usable_programs
from .server_home import ServerHome
from .server_login import DEFAULT_PORT, HOST, login
from .server_processes import POLL_SECONDS, Postmaster, command_line, data_argument, processes, read_pid_file

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
_LAUNCH = 'exec "$@" </dev/null >&2 & echo $!'


class EndedError(ServerError):
    """PostgreSQL ended while it was starting."""


def launch(
    home: ServerHome,
    data: Path,
    *,
    port: int,
    major: int,
    folder: Path | None,
    settings: Mapping[str, str],
    lock: int,
    deadline: float,
) -> Postmaster:
    """Start the server on its data and wait until it is ready and lets the admin in.

    `folder` holds the programs if the wheel's are not meant; `settings` take precedence over DEFAULT_SETTINGS, not over
    FIXED_SETTINGS; `lock` is the descriptor of the home's lock, `deadline` a time of time.monotonic(). Raises ServerError,
    EndedError where PostgreSQL can't start, OSError.
    """
    account = find_account(data)
    programs = usable_programs(account, major, folder)
    settings = {**DEFAULT_SETTINGS, **settings, **FIXED_SETTINGS, "port": str(port)}
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
        _refuse_taken_port(home, port)
        log = home.open_log()
        try:
            begin = os.fstat(log).st_size
            shell = account.run(command, folder=data, environment=environment, stdin=lock, log=log)
        finally:
            os.close(log)
        try:
            postmaster = await_ready(home, data, int(shell.stdout), deadline, begin)
            break
        except EndedError as error:
            _refuse_taken_port(home, port)
            # Backends of a server that was killed end by themselves, a moment after it.
            if "is still in use" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(5 * POLL_SECONDS)
    try:
        login(home, port)
    except ServerError:
        end(home, postmaster.pid, signal.SIGINT)
        raise
    return postmaster


def await_ready(home: ServerHome, data: Path, pid: int, deadline: float, log_begin: int = 0) -> Postmaster:
    """The server of this pid once it accepts connections. Raises EndedError if it ends instead, else ServerError.

    Errors show the log after byte `log_begin`.
    """
    while True:
        # Asked first: a server that ends hereafter is found dead in the next round.
        alive = bool(command_line(pid))
        postmaster = read_pid_file(data)
        if postmaster is not None and postmaster.pid == pid and postmaster.state == "ready":
            return postmaster
        if not alive:
            raise EndedError(
                f"PostgreSQL ended while starting:\n{home.log_tail(log_begin)}",
                where=str(data),
                mend=f"see above, or all of {home.log_file}; then golabs server start",
            )
        if time.monotonic() > deadline:
            raise ServerError(
                f"PostgreSQL (pid {pid}) doesn't accept connections yet:\n{home.log_tail(log_begin)}",
                where=str(data),
                mend="golabs server start goes on waiting; golabs server stop gives up",
            )
        time.sleep(POLL_SECONDS)


def end(home: ServerHome, pid: int, how: signal.Signals) -> None:
    """Send a server this signal and wait for its end. Raises ServerError, OSError where it may not be sent."""
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return
    await_end(home, pid)


def await_end(home: ServerHome, pid: int) -> None:
    """Wait until a server that is stopping has ended. Raises ServerError after STOP_SECONDS."""
    deadline = time.monotonic() + STOP_SECONDS
    while command_line(pid):
        if time.monotonic() > deadline:
            raise ServerError(
                f"PostgreSQL (pid {pid}) has not ended after {STOP_SECONDS:.0f} seconds:\n{home.log_tail()}",
                where=str(home.folder),
                mend=f"kill -QUIT {pid} (the next start recovers)",
            )
        time.sleep(POLL_SECONDS)


def _refuse_taken_port(home: ServerHome, port: int) -> None:
    if _is_free(port):
        return
    lines = (line for _, line in processes() if f" -c port={port} " in line)
    holders = (f"the PostgreSQL of {data}" for data in map(data_argument, lines) if data is not None)
    holder = next(holders, "another program")
    free = next((number for number in range(port + 1, 65536) if _is_free(number)), DEFAULT_PORT)
    what = f"port {port} on {HOST} is taken by {holder}"
    raise ServerError(what, where=str(home.folder), mend=f"golabs server start --port {free}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True
