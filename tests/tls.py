"""A real PostgreSQL with TLS and certificates of one's own: a root, an issuer below it, and whatever they sign.

The wheel's PostgreSQL was built without TLS, so it is the npm package that the matrix has, too.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg import sql

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer

from .matrix.servers import UnavailableError, programs_of
from .support import home_in_memory, running_server, wipe

MAJOR = 17
HOSTS = ("127.0.0.1", "localhost")
DAY = datetime.timedelta(days=1)

_RULES = """
host    all postgres 127.0.0.1/32 scram-sha-256
hostssl all sealed   127.0.0.1/32 cert
hostssl all deployer 127.0.0.1/32 scram-sha-256 clientcert=verify-full
hostssl all all      127.0.0.1/32 scram-sha-256
"""
"""pg_hba.conf: tests get in as postgres in any case; `sealed` by certificate alone, `deployer` by certificate and
password; services by password, over TLS only."""


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain below the root, and its key, both in PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """A root that signs an issuer, which signs everything else. `root` is its certificate in PEM."""

    def __init__(self, name: str) -> None:
        root_key = ec.generate_private_key(ec.SECP256R1())
        root_name = _name(f"{name} root")
        root = _signed(root_name, root_key.public_key(), root_name, root_key, 2 * DAY, authority=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(f"{name} issuer")
        issuer = _signed(self._name, self._key.public_key(), root_name, root_key, 2 * DAY, authority=True)
        self.root = root.public_bytes(serialization.Encoding.PEM)
        self._issuer = issuer.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, *hosts: str, ends: datetime.timedelta = DAY) -> Pair:
        """A certificate of a name, for these hosts, that ends in a while or has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = _signed(_name(name), key.public_key(), self._name, self._key, ends, hosts)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(made.public_bytes(serialization.Encoding.PEM) + self._issuer, pem)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _signed(
    name: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    ends: datetime.timedelta,
    hosts: tuple[str, ...] = (),
    *,
    authority: bool = False,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * DAY)
        .not_valid_after(now + ends)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


@dataclass(frozen=True)
class TlsServer:
    """A server whose certificate `authority` has signed, and which takes client certificates of the same one."""

    superuser: Endpoint
    authority: Authority
    data: Path

    def show(self, pair: Pair) -> None:
        """Has the server show this certificate from now on."""
        self._put("server.crt", pair.certificate)
        self._put("server.key", pair.key)
        self._reload()

    @contextmanager
    def rules(self, line: str) -> Iterator[None]:
        """Has this line of pg_hba.conf decide first, but for postgres."""
        first, _, rest = _RULES.strip().partition("\n")
        self._put("pg_hba.conf", f"{first}\n{line}\n{rest}".encode())
        self._reload()
        yield
        self._put("pg_hba.conf", _RULES.encode())
        self._reload()

    def _reload(self) -> None:
        with connect_admin(self.superuser) as admin:
            since = admin.execute("SELECT pg_conf_load_time()").fetchone()
            admin.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + 10
            while admin.execute("SELECT pg_conf_load_time()").fetchone() == since:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        time.sleep(0.05)  # the postmaster reads it before it tells its children

    def show_its_own(self) -> None:
        """Has the server show a good certificate of its own hosts."""
        self.show(self.authority.issue("the server", *HOSTS))

    def admin(self, name: str, *, password: bool) -> Endpoint:
        """Makes an admin, who is no superuser; one without a password gets in by certificate only."""
        word = "deploys-every-day"
        with connect_admin(self.superuser) as admin:
            statement = sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB PASSWORD {}")
            admin.execute(statement.format(sql.Identifier(name), sql.Literal(word if password else None)))
            admin.execute(sql.SQL("GRANT pg_signal_backend TO {}").format(sql.Identifier(name)))
        given = type(self.superuser.admin_password)(word if password else "")
        return replace(self.superuser, admin_user=name, admin_password=given, ssl_mode="verify-full")

    def _put(self, name: str, content: bytes) -> None:
        owner = self.data.stat()
        new = self.data / f"{name}.new"
        new.write_bytes(content)
        new.chmod(0o600)
        os.chown(new, owner.st_uid, owner.st_gid)
        new.rename(self.data / name)

    def prepare(self) -> None:
        """Turns TLS on, and makes it what everybody but postgres must use."""
        self._put("root.crt", self.authority.root)
        self._put("pg_hba.conf", _RULES.encode())
        with connect_admin(self.superuser) as admin:
            for name, value in {"ssl": "on", "ssl_ca_file": "root.crt"}.items():
                admin.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        self.show_its_own()


@contextmanager
def running_tls_server(home: Path) -> Iterator[TlsServer]:
    """A server with TLS for the length of a test. Raises UnavailableError where its programs can't be had here."""
    programs = programs_of(MAJOR)
    with running_server(home, major=MAJOR, programs=programs) as superuser:
        server = TlsServer(superuser, Authority("ours"), EmbeddedServer(home).status().data_directory)
        server.prepare()
        yield server


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A server with TLS, for all tests of the session."""
    with ExitStack() as stack:
        home = stack.enter_context(home_in_memory(tmp_path_factory.mktemp("tls")))
        try:
            server = stack.enter_context(running_tls_server(home))
        except UnavailableError as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def tls_admin(tls: TlsServer) -> Endpoint:
    """An admin whom the server asks for a certificate and a password, on an empty server."""
    wipe(tls.superuser)
    return tls.admin("deployer", password=True)


@pytest.fixture
def tls_keys(tls: TlsServer, project: Project) -> dict[str, Any]:
    """The certificates in the project's folder, as the configuration names them."""
    return put_certificates(project.root / "certs", tls.authority, "deployer")


@pytest.fixture
def encrypted(tls: TlsServer, project: Project) -> Endpoint:
    """The superuser's endpoint on the server, emptied. The project has its root in certs/ca.pem, another in other.pem."""
    wipe(tls.superuser)
    put(project.root / "certs", "ca.pem", tls.authority.root, 0o644)
    put(project.root / "certs", "other.pem", Authority("another").root, 0o644)
    return tls.superuser


def put(folder: Path, name: str, content: bytes, mode: int = 0o600) -> Path:
    """Writes a file with permissions."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def put_certificates(folder: Path, authority: Authority, admin: str) -> dict[str, str]:
    """Writes the root's certificate, and an admin's certificate and key; gives the keys of the configuration, relative to
    the folder above."""
    pair = authority.issue(admin)
    put(folder, "ca.pem", authority.root, 0o644)
    put(folder, "admin.pem", pair.certificate, 0o644)
    put(folder, "admin.key", pair.key)
    return {
        "sslRootCert": f"{folder.name}/ca.pem",
        "sslCert": f"{folder.name}/admin.pem",
        "sslKey": f"{folder.name}/admin.key",
    }
