"""A way to a server that counts the statements on it, and has something happen before one of them: a session's end, a restart.

It hands PostgreSQL's messages on as they are, whoever sends them: golabs, or Pulumi's provider. Nothing is mocked: sessions
are ended by the server itself, connections by TCP's reset, restarts are those of `pg_ctl`.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

from golabs_infra.endpoint import Endpoint
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import find_account, usable_programs

from ..live.tools import as_superuser

MAJOR = 18
DURABLE = {"synchronous_commit": "on"}
"""What a server needs that is to keep what it has said yes to, when it is crashed."""
DONE_WITHIN_S = 0.3
"""How long the server has for a statement whose answer is lost."""
_PROTOCOL = 3
"""The major version in the first message of a session; other first messages ask for encryption, or to cancel."""
_SYNC = b"S\0\0\0\4"
_STATEMENTS = (b"Q", b"E")
"""The messages that have the server execute something: a simple query, or a prepared one."""
_TEXTS = (b"Q", b"P")
"""The messages that hold a statement's words: a simple query, or one that is prepared."""


@dataclass(eq=False)
class Session:
    """One connection through the wire: both of its ends, and the server's process, once it has told it."""

    client: socket.socket
    server: socket.socket
    pid: int = 0
    mute: bool = False
    """Whether what the server says goes nowhere."""

    def reset(self) -> None:
        """Both ends see the connection gone, without a word."""
        for end in (self.client, self.server):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()


Happening = Callable[["Wire", Session, bytes], None]
"""What happens before a statement is handed on, which is its last argument."""


@dataclass(eq=False)
class Wire:
    """The way to one server; `endpoint` leads through it. `seen` counts the statements since it was armed last."""

    direct: Endpoint
    endpoint: Endpoint
    seen: int = 0
    over: threading.Event = field(default_factory=threading.Event)
    """Set once it has happened."""
    _at: int | None = None
    _happening: Happening | None = None
    _words: bytes | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, at: int | None = None, happening: Happening | None = None) -> None:
        """Counts anew, and has something happen once before the statement of this number, from 0; None: nothing."""
        with self._lock:
            self.seen, self._at, self._happening = 0, at, happening
            self.over.clear()

    def arm_at_words(self, words: str, happening: Happening) -> None:
        """Has something happen once, before the first statement that has these words in it."""
        self.arm(None, happening)
        self._words = words.encode()

    def read(self, session: Session, message: bytes) -> None:
        """A message that may hold a statement's words is about to be handed on."""
        with self._lock:
            due = self._words is not None and self._words in message
            self._words = None if due else self._words
        if due and self._happening is not None:
            self._happening(self, session, message)
            self.over.set()

    def count(self, session: Session, statement: bytes) -> None:
        """One statement is about to be handed on."""
        with self._lock:
            due = self._at == self.seen
            self.seen += 1
        if due and self._happening is not None:
            self._happening(self, session, statement)
            self.over.set()


def terminated(wire: Wire, session: Session, _statement: bytes) -> None:
    """The server ends the session, as an administrator asks it to."""
    as_superuser(wire.direct, f"SELECT pg_terminate_backend({session.pid}, 5000)")


def cut(_wire: Wire, session: Session, _statement: bytes) -> None:
    """The network ends the connection."""
    session.reset()


def unanswered(_wire: Wire, session: Session, statement: bytes) -> None:
    """The network ends the connection when the server has done what it was told, and before its answer has come."""
    session.mute = True
    session.server.sendall(statement + (b"" if statement.startswith(b"Q") else _SYNC))
    time.sleep(DONE_WITHIN_S)
    session.reset()


def restarted(home: EmbeddedServer, mode: str) -> Happening:
    """The server is restarted by its own tool: `fast` ends sessions, `immediate` crashes and recovers."""

    def restart(_wire: Wire, _session: Session, _statement: bytes) -> None:
        data = home.status().data_directory
        account = find_account(data)
        programs = usable_programs(account, MAJOR, None)
        ran = account.run(
            [programs["pg_ctl"], "-D", str(data), "-w", "-m", mode, "-l", "/dev/null", "restart"], folder=data
        )
        assert ran.returncode == 0, ran.stdout

    return restart


@contextmanager
def wire(server: Endpoint) -> Iterator[Wire]:
    """A wire to a server, on a port of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        made = Wire(server, replace(server, host="127.0.0.1", port=listener.getsockname()[1]))

        def serve() -> None:
            with suppress(OSError):  # the listener is closed at the end
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_carry, args=(made, client), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # closing alone would not wake who waits in accept


def _carry(made: Wire, client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        server = socket.create_connection((made.direct.host, made.direct.port), timeout=10)
    except OSError:  # the server is down
        client.close()
        return
    server.settimeout(None)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session = Session(client, server)
    back = threading.Thread(target=_answers, args=(session,), daemon=True)
    with suppress(OSError, EOFError):
        _begin(session)
        back.start()
        while True:
            kind, message = _message(client)
            if kind in _TEXTS:
                made.read(session, message)
            if kind in _STATEMENTS:
                made.count(session, kind + message)
            server.sendall(kind + message)
    with suppress(OSError):  # what the server has said last is still on its way
        server.shutdown(socket.SHUT_WR)
    if back.ident is not None:
        back.join(5)
    for end in (client, server):
        end.close()


def _begin(session: Session) -> None:
    """Everything up to the message that opens the session; the server answers a request for encryption by one byte."""
    while True:
        length = _exactly(session.client, 4)
        body = _exactly(session.client, struct.unpack("!i", length)[0] - 4)
        session.server.sendall(length + body)
        if struct.unpack("!h", body[:2])[0] == _PROTOCOL:
            return
        session.client.sendall(_exactly(session.server, 1))


def _answers(session: Session) -> None:
    with suppress(OSError, EOFError):
        while session.pid == 0:
            kind, message = _message(session.server)
            if kind == b"K":
                session.pid = struct.unpack("!i", message[4:8])[0]
            session.client.sendall(kind + message)
        while data := session.server.recv(65536):
            if not session.mute:
                session.client.sendall(data)
    with suppress(OSError):
        session.client.shutdown(socket.SHUT_RDWR)


def _message(end: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(end, 1)
    length = _exactly(end, 4)
    return kind, length + _exactly(end, struct.unpack("!i", length)[0] - 4)


def _exactly(end: socket.socket, number: int) -> bytes:
    data = b""
    while len(data) < number:
        if not (more := end.recv(number - len(data))):
            raise EOFError
        data += more
    return data
