"""TLS with a real server: what the modes of sslMode prove, who shows a client certificate, and who logs in with it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from golabs_infra import doctor
from golabs_infra.connecting import LoginAnswer, connect_user, try_login
from golabs_infra.endpoint import Endpoint
from golabs_infra.engines import EngineChoice
from golabs_infra.project import Project
from golabs_infra.runs import Run

from ..support import write_stack
from ..tls import Authority, TlsServer, put, put_certificates
from . import tools
from .tools import engine

SEEN = "SELECT version, client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


def test_an_environment_is_provisioned_over_tls_and_its_services_log_in_over_it(
    tls_admin: Endpoint, project: Project, tls_keys: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine(project, tls_admin, **tls_keys).up()
    assert engine(project, tls_admin, **tls_keys).up().changes == ()
    monkeypatch.chdir(tmp_path)  # a service starts anywhere
    assert tools.can_log_in(project)
    with tools.login(project, "billing", "app") as session:
        assert session.execute(SEEN).fetchone() == ("TLSv1.3", None)
    record = tools.record(project, "billing")
    assert (record["sslmode"], record["sslrootcert"]) == ("verify-full", str(project.root / "certs" / "ca.pem"))


@pytest.mark.parametrize("mode", ["require", "verify-ca"])
def test_the_other_modes_are_encrypted_too(
    tls_admin: Endpoint, project: Project, tls_keys: dict[str, Any], mode: Any
) -> None:
    if mode == "require":
        del tls_keys["sslRootCert"]
    engine(project, replace(tls_admin, ssl_mode=mode), services=["billing"], **tls_keys).up()
    assert tools.record(project, "billing")["sslmode"] == mode
    with tools.login(project, "billing", "migration") as session:
        assert session.execute(SEEN).fetchone() == ("TLSv1.3", None)


def test_a_services_url_fails_under_another_authority_and_without_one(
    tls_admin: Endpoint, project: Project, tls_keys: dict[str, Any]
) -> None:
    engine(project, tls_admin, services=["billing"], **tls_keys).up()
    url = tools.url(project, "billing", "app")
    put(project.root / "certs", "ca.pem", Authority("another").root)
    with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
        psycopg.connect(url)
    (project.root / "certs" / "ca.pem").unlink()
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)


def test_only_the_admin_shows_a_certificate(
    tls: TlsServer,
    tls_admin: Endpoint,
    project: Project,
    tls_keys: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    run = engine(project, tls_admin, services=["billing"], **tls_keys)
    run.up()
    pair = tls.authority.issue("deployer")
    put(tmp_path / ".postgresql", "postgresql.crt", pair.certificate)
    put(tmp_path / ".postgresql", "postgresql.key", pair.key)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PGSSLCERT", str(project.root / "certs" / "admin.pem"))
    monkeypatch.setenv("PGSSLKEY", str(project.root / "certs" / "admin.key"))
    endpoint = run.endpoint
    assert tools.answer(endpoint, "SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "/CN=deployer"
    user = tools.record(project, "billing")["users"]["app"]
    login = (endpoint, tools.DATABASE, user["username"], type(endpoint.admin_password)(user["password"]))
    assert try_login(*login) is LoginAnswer.ACCEPTED
    session = connect_user(*login)
    assert isinstance(session, psycopg.Connection)
    with session:
        assert session.execute(SEEN).fetchone() == ("TLSv1.3", None)


def test_an_admin_may_log_in_by_certificate_alone(
    tls: TlsServer, tls_admin: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of somebody else")
    sealed = tls.admin("sealed", password=False)
    given: dict[str, Any] = put_certificates(project.root / "certs", tls.authority, "sealed")
    engine(project, sealed, adminPassword=None, **given).up()
    assert engine(project, sealed, adminPassword=None, **given).up().changes == ()
    assert tools.can_log_in(project)


def test_a_server_below_an_authority_of_its_own_is_proven_by_either_host(
    tls_admin: Endpoint, project: Project, tls_keys: dict[str, Any]
) -> None:
    engine(project, replace(tls_admin, host="localhost"), services=["billing"], **tls_keys).up()
    assert tools.can_log_in(project, ["billing"])


@pytest.mark.parametrize(
    ("mode", "told"), [("verify-full", "encrypted by TLSv1.3 (verify-full)"), ("disable", "not encrypted")]
)
def test_doctor_says_whether_the_connection_is_encrypted(
    tls: TlsServer, tls_admin: Endpoint, project: Project, tls_keys: dict[str, Any], mode: Any, told: str
) -> None:
    endpoint = replace(tls_admin if mode != "disable" else tls.superuser, ssl_mode=mode)
    write_stack(project, "dev", endpoint, services=["billing"], **(tls_keys if mode != "disable" else {}))
    checks = doctor.examine(Run(project, "dev", EngineChoice.DIRECT, os.environ))
    (server,) = [check for check in checks if check.name == "server"]
    assert server.detail.endswith(f"; {told}"), server
