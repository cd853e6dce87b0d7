"""TLS: what the modes of sslMode prove, and that the connection files carry it on. Real certificates, nothing mocked."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from golabs_infra.endpoint import Endpoint, SslMode
from golabs_infra.errors import ServerConnectionError
from golabs_infra.project import Project

from . import tools
from .tools import engine


def certificate(address: str) -> tuple[bytes, bytes]:
    """A self-signed certificate of an address, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "golabs")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return made.public_bytes(serialization.Encoding.PEM), pem


class TlsServer:
    """Speaks TLS before a PostgreSQL that was built without it: answers SSLRequest, then passes everything on."""

    def __init__(self, target: Endpoint, files: Path) -> None:
        self._target = target
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(files / "server.crt", files / "server.key")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            if client.recv(8)[4:] != b"\x04\xd2\x16\x2f":  # SSLRequest
                return
            client.sendall(b"S")
            with (
                self._context.wrap_socket(client, server_side=True) as secured,
                socket.create_connection((self._target.host, self._target.port)) as server,
            ):
                threading.Thread(target=self._pass_on, args=[server, secured], daemon=True).start()
                self._pass_on(secured, server)

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def encrypted(server: Endpoint, project: Project) -> Iterator[Endpoint]:
    """A server with a certificate of 127.0.0.1, whose issuer the project has in certs/ca.pem."""
    folder = project.root / "certs"
    folder.mkdir()
    made, key = certificate("127.0.0.1")
    for name, text in (
        ("ca.pem", made),
        ("server.crt", made),
        ("server.key", key),
        ("other.pem", certificate("127.0.0.1")[0]),
    ):
        (folder / name).write_bytes(text)
    front = TlsServer(server, folder)
    yield replace(server, port=front.port)
    front.close()


def test_a_client_that_asks_for_no_tls_is_turned_away_here(encrypted: Endpoint) -> None:
    with pytest.raises(ServerConnectionError):
        tools.answer(encrypted, "SELECT 1")


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_an_environment_is_provisioned_over_tls_and_the_connection_files_carry_it_on(
    encrypted: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: SslMode
) -> None:
    endpoint = replace(encrypted, ssl_mode=mode)
    given = {} if mode == "require" else {"sslRootCert": "certs/ca.pem"}
    engine(project, endpoint, **given).up()
    assert engine(project, endpoint, **given).up().changes == ()
    monkeypatch.chdir(tmp_path)  # a service starts anywhere
    assert tools.can_log_in(project)
    with tools.login(project, "billing", "app") as session:
        assert session.pgconn.ssl_in_use
    assert tools.record(project, "billing")["sslmode"] == mode


@pytest.mark.parametrize("file", ["certs/other.pem", "certs/missing.pem"])
def test_a_certificate_that_proves_nothing_is_one_clear_error(encrypted: Endpoint, project: Project, file: str) -> None:
    with pytest.raises(ServerConnectionError, match="TLS failed") as caught:
        engine(project, replace(encrypted, ssl_mode="verify-full"), sslRootCert=file).up()
    assert "sslRootCert" in caught.value.mend
    assert len(str(caught.value).splitlines()) == 2


def test_a_certificate_of_another_host_is_one_clear_error(encrypted: Endpoint, project: Project) -> None:
    elsewhere = replace(encrypted, host="localhost", ssl_mode="verify-full")
    with pytest.raises(ServerConnectionError, match="TLS failed"):
        engine(project, elsewhere, sslRootCert="certs/ca.pem").up()
    engine(project, replace(elsewhere, ssl_mode="verify-ca"), sslRootCert="certs/ca.pem").up()


def test_a_url_without_the_issuer_is_refused(encrypted: Endpoint, project: Project) -> None:
    engine(project, replace(encrypted, ssl_mode="verify-full"), sslRootCert="certs/ca.pem").up()
    (project.root / "certs" / "ca.pem").unlink()
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        psycopg.connect(tools.url(project, "billing", "app"))
