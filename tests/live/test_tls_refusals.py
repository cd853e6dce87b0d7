"""TLS that fails: one clear error for each reason that says what mends it, before anything on the server is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ConfigError, ServerConnectionError
from golabs_infra.project import Project

from ..tls import DAY, HOSTS, Authority, Pair, TlsServer, put
from . import tools
from .tools import engine

Keys = dict[str, Any]


@dataclass(frozen=True)
class Refused:
    """What a run said that came to nothing."""

    what: str
    mend: str


Fails = Callable[..., Refused]


@pytest.fixture
def fails(tls: TlsServer, tls_admin: Endpoint, project: Project, tls_keys: Keys) -> Fails:
    """Runs `up` and gives the one error; sees to it that nothing was made on the server, and no file written."""

    def refused(endpoint: Endpoint = tls_admin, **given: Any) -> Refused:
        before = tools.files(project)
        with pytest.raises(ServerConnectionError) as caught:
            engine(project, endpoint, **{**tls_keys, **given}).up()
        assert tools.role_names(tls.superuser) == ["deployer"]
        assert not tools.database_exists(tls.superuser)
        assert tools.files(project) == before
        assert len(str(caught.value).splitlines()) == 2
        shown = str(project.root / "certs")
        return Refused(caught.value.what.replace(shown, "certs"), caught.value.mend.replace(shown, "certs"))

    return refused


@pytest.fixture
def shows(tls: TlsServer) -> Iterator[Callable[[Pair], None]]:
    """Has the server show another certificate until the test ends."""
    yield tls.show
    tls.show_its_own()


def put_pair(project: Project, pair: Pair) -> Keys:
    """Another client certificate in the project, as the configuration names it."""
    put(project.root / "certs", "another.pem", pair.certificate)
    put(project.root / "certs", "another.key", pair.key)
    return {"sslCert": "certs/another.pem", "sslKey": "certs/another.key"}


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full", "require"])
def test_another_authority_does_not_prove_the_server(
    fails: Fails,
    tls_admin: Endpoint,
    project: Project,
    mode: Any,
) -> None:
    put(project.root / "certs", "other.pem", Authority("another").root)
    said = fails(replace(tls_admin, ssl_mode=mode), sslRootCert="certs/other.pem")
    why = "(self-signed certificate in certificate chain|unable to get local issuer certificate)"
    assert re.fullmatch(rf"TLS failed: certs/other\.pem does not prove the server's certificate \({why}\)", said.what)
    assert "golabs-infra:sslRootCert" in said.mend


def test_a_certificate_that_has_expired_is_told_as_such(
    fails: Fails,
    tls: TlsServer,
    shows: Callable[[Pair], None],
) -> None:
    shows(tls.authority.issue("the server", *HOSTS, ends=-DAY))
    said = fails()
    assert said.what == "TLS failed: the server's certificate has expired"
    assert "have the server get a certificate" in said.mend


def test_another_hosts_certificate_is_refused_where_the_host_is_to_be_proven_only(
    fails: Fails,
    tls: TlsServer,
    tls_admin: Endpoint,
    project: Project,
    tls_keys: Keys,
    shows: Callable[[Pair], None],
) -> None:
    shows(tls.authority.issue("the server", "db.example.org"))
    for host in HOSTS:
        said = fails(replace(tls_admin, host=host))
        assert said.what.startswith('TLS failed: server certificate for "db.example.org"')
        assert said.what.endswith(f'does not match host name "{host}"')
        assert "golabs-infra:host" in said.mend
        assert "sslMode verify-ca --stack tst" in said.mend
    engine(project, replace(tls_admin, ssl_mode="verify-ca"), **tls_keys).up()


def test_a_server_without_tls_is_told(server: Endpoint, project: Project) -> None:
    with pytest.raises(ServerConnectionError) as caught:
        engine(project, replace(server, ssl_mode="require")).up()
    assert caught.value.what == "TLS failed: the server has none, and golabs-infra:sslMode is require"
    assert "pulumi config set sslMode disable --stack tst" in caught.value.mend


def test_a_server_that_wants_tls_is_told(fails: Fails, tls_admin: Endpoint) -> None:
    none = dict.fromkeys(("sslRootCert", "sslCert", "sslKey"))
    said = fails(replace(tls_admin, ssl_mode="disable"), **none)
    assert said.what == "the server lets deployer in over TLS only, and golabs-infra:sslMode is disable"
    assert said.mend.startswith(
        "write golabs-infra:sslMode: require below config: in Pulumi.tst.yaml; or: pulumi config set"
    )


def test_a_client_certificate_that_is_missing_is_told(fails: Fails) -> None:
    said = fails(sslCert=None, sslKey=None)
    assert said.what == "the server wants a client certificate of deployer"
    assert "golabs-infra:sslCert and golabs-infra:sslKey" in said.mend


def test_a_client_certificate_of_another_authority_is_told(fails: Fails, project: Project) -> None:
    said = fails(**put_pair(project, Authority("another").issue("deployer")))
    assert said.what == "TLS failed: the server does not know who has signed certs/another.pem"
    assert "ssl_ca_file" in said.mend


def test_a_client_certificate_that_has_expired_is_told(
    fails: Fails,
    tls: TlsServer,
    project: Project,
) -> None:
    said = fails(**put_pair(project, tls.authority.issue("deployer", ends=-DAY)))
    assert said.what == "TLS failed: the client certificate certs/another.pem has expired"
    assert said.mend.endswith("openssl x509 -noout -dates -in certs/another.pem")


def test_somebody_elses_client_certificate_is_told(
    fails: Fails,
    tls: TlsServer,
    project: Project,
) -> None:
    said = fails(**put_pair(project, tls.authority.issue("somebody")))
    assert said.what == "the server refuses the password of deployer, or a client certificate that is not deployer's"
    assert said.mend.endswith("openssl x509 -noout -subject -in certs/another.pem")


def test_somebody_elses_client_certificate_is_told_where_it_alone_counts(
    tls: TlsServer,
    tls_admin: Endpoint,
    project: Project,
    tls_keys: Keys,
) -> None:
    with pytest.raises(ServerConnectionError) as caught:
        engine(project, tls.admin("sealed", password=False), adminPassword=None, **tls_keys).up()
    assert caught.value.what == "the server does not take the client certificate for sealed's"
    assert "CN is sealed" in caught.value.mend


def test_a_password_that_is_missing_beside_a_client_certificate_is_told(fails: Fails) -> None:
    said = fails(adminPassword=None)
    assert said.what == "the server asks for a password of deployer, and none is given"
    assert "golabs-infra:adminPassword" in said.mend


def test_a_key_of_another_certificate_is_told(
    fails: Fails,
    tls: TlsServer,
    project: Project,
) -> None:
    said = fails(sslKey=put_pair(project, tls.authority.issue("deployer"))["sslKey"])
    assert said.what == "TLS failed: certs/another.key is not the key of certs/admin.pem"
    assert "golabs-infra:sslKey" in said.mend


def test_a_key_that_others_can_read_is_told_before_any_connection(
    tls_admin: Endpoint,
    project: Project,
    tls_keys: Keys,
) -> None:
    key = project.root / "certs" / "admin.key"
    key.chmod(0o644)
    with pytest.raises(ConfigError) as caught:
        engine(project, replace(tls_admin, port=1), **tls_keys)
    (fault,) = caught.value.faults
    assert (fault.where, fault.mend) == ("golabs-infra:sslKey", f"chmod 600 {key}")


def test_a_server_that_wants_certificates_of_services_too_is_told(
    tls: TlsServer,
    tls_admin: Endpoint,
    project: Project,
    tls_keys: Keys,
) -> None:
    engine(project, tls_admin, **tls_keys).up()
    wants = tls.rules("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca")
    with wants, pytest.raises(ServerConnectionError) as caught:
        engine(project, tls_admin, **tls_keys).up()
    assert "services have none" in caught.value.what
    assert "pg_hba.conf" in caught.value.mend
