"""The real engine against a server with TLS: its provider speaks by another library than the program that looks first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live.tools import database_exists, role_names
from ..tls import DAY, HOSTS, Authority, TlsServer, put, put_certificates
from .checkout import Checkout
from .database import can_work, databases, login, migrate, users

SEEN = "SELECT version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def configure(checkout: Checkout, tls: TlsServer, admin: Endpoint) -> None:
    """Points tst at the server, with a client certificate of the admin in the project's folder."""
    certificates = put_certificates(checkout.root / "certs", tls.authority, admin.admin_user)
    checkout.services("tst", "billing", "catalog")
    checkout.point_at("tst", admin)
    if not admin.admin_password.get_secret_value():
        checkout.drop_keys("tst", "adminPassword")
    checkout.set_keys("tst", **certificates)
    checkout.init("tst")


@pytest.mark.parametrize("name", ["deployer", "sealed"])
def test_an_environment_lives_and_ends_under_verify_full_with_a_client_certificate(
    checkout: Checkout, tls: TlsServer, tls_admin: Endpoint, name: str
) -> None:
    admin = tls_admin if name == "deployer" else tls.admin(name, password=False)  # who logs in by certificate alone
    configure(checkout, tls, admin)
    checkout.golabs("up", "tst", "--engine", "pulumi")
    checkout.up("tst", "--expect-no-changes")
    checkout.unchanged("tst", "--refresh")
    for record in checkout.connections("tst").values():
        assert (record["sslmode"], record["sslrootcert"]) == ("verify-full", str(checkout.root / "certs" / "ca.pem"))
        migrate(record)
        can_work(record)
        with login(record, "app") as session:
            assert session.execute(SEEN).fetchone() == ("TLSv1.3", None)
    checkout.unchanged("tst", "--refresh")
    checkout.golabs("verify", "tst")
    assert checkout.golabs("up", "tst", "--engine", "direct", "--json").json["changes"] == []
    checkout.destroy("tst")
    assert databases(tls.superuser) == set()
    assert users(tls.superuser) == set()


def test_whoever_has_the_project_in_another_folder_finds_nothing_to_change_and_may_end_it(
    checkout: Checkout, tls: TlsServer, tls_admin: Endpoint
) -> None:
    configure(checkout, tls, tls_admin)
    checkout.up("tst")
    elsewhere = replace(checkout, project=Project(checkout.root.parent / "elsewhere"))
    checkout.root.rename(elsewhere.root)
    elsewhere.unchanged("tst", "--refresh")
    below = elsewhere.root / "tests"
    below.mkdir(exist_ok=True)
    replace(elsewhere, project=Project(below)).run(
        [str(checkout.toolchain.cli), "preview", "--refresh", "--expect-no-changes", "--stack", "tst"],
        variables=elsewhere.variables("tst"),
    )
    elsewhere.destroy("tst")
    assert databases(tls.superuser) == set()


def test_what_does_not_prove_itself_is_told_before_the_engine_begins(
    checkout: Checkout, tls: TlsServer, tls_admin: Endpoint
) -> None:
    configure(checkout, tls, tls_admin)
    certs = checkout.root / "certs"

    def refused(*parts: str) -> None:
        for ran in (checkout.up("tst", fails=True), checkout.golabs("up", "tst", "--engine", "pulumi", fails=True)):
            for part in (*parts, "mend: "):
                assert part in ran.text, f"it does not tell: {part}\n{ran}"
            assert role_names(tls.superuser) == ["deployer"]
            assert not database_exists(tls.superuser)

    (certs / "admin.key").chmod(0o644)
    refused("golabs-infra:sslKey: ", f"chmod 600 {certs / 'admin.key'}")
    (certs / "admin.key").chmod(0o600)
    put(certs, "ca.pem", Authority("another").root)
    refused("does not prove the server's certificate", "golabs-infra:sslRootCert")
    put(certs, "ca.pem", tls.authority.root)
    stranger = Authority("another").issue("deployer")
    put(certs, "stranger.pem", stranger.certificate)
    put(certs, "stranger.key", stranger.key)
    checkout.set_keys("tst", sslCert="certs/stranger.pem", sslKey="certs/stranger.key")
    refused("the server does not know who has signed", "ssl_ca_file")
    checkout.drop_keys("tst", "sslCert", "sslKey")
    refused("the server wants a client certificate of deployer", "golabs-infra:sslCert")
    checkout.drop_keys("tst", "sslRootCert")
    refused("golabs-infra:sslRootCert: sslMode verify-full needs the certificate", "pulumi config set sslRootCert")
    checkout.set_keys("tst", sslRootCert="certs/nowhere.pem")
    refused(f"golabs-infra:sslRootCert: {certs / 'nowhere.pem'}: there is no such file")


def test_the_servers_own_certificate_is_judged_as_the_mode_says(
    checkout: Checkout, tls: TlsServer, tls_admin: Endpoint
) -> None:
    configure(checkout, tls, tls_admin)
    try:
        tls.show(tls.authority.issue("the server", *HOSTS, ends=-DAY))
        assert "the server's certificate has expired" in checkout.up("tst", fails=True).text
        tls.show(tls.authority.issue("the server", "db.example.org"))
        assert 'does not match host name "127.0.0.1"' in checkout.up("tst", fails=True).text
        assert role_names(tls.superuser) == ["deployer"]
        checkout.set_keys("tst", sslMode="verify-ca")
        checkout.up("tst")
        checkout.unchanged("tst", "--refresh")
        checkout.destroy("tst")
    finally:
        tls.show_its_own()
