"""The keys of TLS as the configuration has them: which go together, and what the admin may do without."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ConfigError

from ..support import make_settings

SECRET = SecretStr("admin's own")
CERTIFICATE = {"sslCert": "certs/admin.pem", "sslKey": "certs/admin.key"}


def endpoint(**values: object) -> Endpoint:
    """The endpoint of a configuration with a host."""
    found = make_settings("dev", **({"server": None, "host": "db", "adminPassword": SECRET} | values)).endpoint
    assert found is not None
    return found


def faults(**values: object) -> list[str]:
    """Every fault as `key: what | mend`."""
    with pytest.raises(ConfigError) as caught:
        endpoint(**values)
    return [f"{each.where.removeprefix('golabs-infra:')}: {each.what} | {each.mend}" for each in caught.value.faults]


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_mode_that_verifies_wants_the_certificate_to_verify_with(mode: str) -> None:
    assert faults(sslMode=mode) == [
        f"sslRootCert: sslMode {mode} needs the certificate of the authority that the server's is proven by"
        " | write golabs-infra:sslRootCert: certs/ca.pem below config: in Pulumi.dev.yaml; or: pulumi config set sslRootCert certs/ca.pem --stack dev"
    ]
    assert endpoint(sslMode=mode, sslRootCert="ca.pem").ssl_root_cert == "ca.pem"


def test_require_goes_with_and_without_a_root_certificate() -> None:
    assert endpoint(sslMode="require").ssl_root_cert is None
    assert endpoint(sslMode="require", sslRootCert="ca.pem").ssl_root_cert == "ca.pem"


def test_certificates_that_nothing_is_done_with_are_a_fault() -> None:
    assert faults(sslMode="disable", sslRootCert="ca.pem", **CERTIFICATE) == [
        "sslMode: it is disable, which makes no use of sslRootCert and sslCert and sslKey"
        " | write golabs-infra:sslMode: verify-full below config: in Pulumi.dev.yaml; or: pulumi config set sslMode verify-full --stack dev (or require, without a root certificate)"
    ]


def test_the_default_of_this_machine_itself_is_named_where_it_makes_no_use_of_certificates() -> None:
    (fault,) = faults(host="localhost", sslRootCert="ca.pem")
    assert fault.startswith("sslMode: it is disable, as it is by default on this machine itself, which makes no use of")
    assert endpoint(host="localhost", sslMode="verify-full", sslRootCert="ca.pem").ssl_mode == "verify-full"


def test_an_admin_with_a_client_certificate_needs_no_password() -> None:
    assert endpoint(adminPassword=None, **CERTIFICATE).admin_password == SecretStr("")
    assert endpoint(**CERTIFICATE).admin_password == SECRET


@pytest.mark.parametrize("given", [{}, {"sslRootCert": "ca.pem"}])
def test_an_admin_without_a_client_certificate_needs_one(given: dict[str, str]) -> None:
    assert faults(adminPassword=None, **given) == [
        "adminPassword: the admin's password is missing | golabs set-password dev --admin"
    ]


def test_half_a_client_certificate_is_no_reason_to_go_without_a_password() -> None:
    assert [fault.partition(":")[0] for fault in faults(adminPassword=None, sslCert="a.pem")] == [
        "adminPassword",
        "sslCert",
    ]


def test_an_empty_password_beside_a_client_certificate_is_a_fault_all_the_same() -> None:
    assert faults(adminPassword=SecretStr(""), **CERTIFICATE) == [
        "adminPassword: the value is empty | golabs set-password dev --admin"
    ]
