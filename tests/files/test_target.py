"""The server that settings mean: certificates are found from the project's folder; the embedded server must run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from golabs_infra.errors import ConfigError, ServerError
from golabs_infra.project import Project
from golabs_infra.settings import Settings
from golabs_infra.target import resolve_endpoint

from ..support import make_settings
from ..tls import put

SECRET = SecretStr("x")
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\n"


def on_host(**values: object) -> Settings:
    """Settings with a host of their own."""
    return make_settings("dev", server=None, host="db", adminPassword=SECRET, **values)


def test_certificate_paths_are_from_the_projects_folder(project: Project, tmp_path: Path) -> None:
    key = put(tmp_path / "elsewhere", "c.key", KEY)
    put(project.root, "ca.pem", CERTIFICATE)
    put(project.root / "a", "c.pem", CERTIFICATE)
    settings = on_host(sslMode="verify-full", sslRootCert="ca.pem", sslCert="a/c.pem", sslKey=str(key))
    assert settings.endpoint is not None
    assert resolve_endpoint(settings, project) == replace(
        settings.endpoint,
        ssl_root_cert=str(project.root / "ca.pem"),
        ssl_cert=str(project.root / "a" / "c.pem"),
        ssl_key=str(key),
    )


def faults(settings: Settings, project: Project) -> list[tuple[str, str, str]]:
    """Where, what and mend of every fault, the project's folder left out."""
    with pytest.raises(ConfigError) as caught:
        resolve_endpoint(settings, project)
    root = f"{project.root}/"
    return [
        (fault.where.removeprefix("golabs-infra:"), fault.what.replace(root, ""), fault.mend.replace(root, ""))
        for fault in caught.value.faults
    ]


def test_files_that_are_not_there_are_told_together_by_their_keys(project: Project) -> None:
    settings = on_host(sslMode="verify-full", sslRootCert="ca.pem", sslCert="a/c.pem", sslKey="a")
    (project.root / "a").mkdir()
    mend = "put it there, or correct the path, which counts from the project's folder"
    assert faults(settings, project) == [
        ("sslCert", "a/c.pem: there is no such file", mend),
        ("sslKey", "a: it is not a file", "name the file itself"),
        ("sslRootCert", "ca.pem: there is no such file", mend),
    ]


@pytest.mark.parametrize(
    ("content", "mode", "what", "mend"),
    [
        (KEY, 0o640, "others may read or change it (permissions 0640)", "chmod 600 c.key"),
        (KEY, 0o604, "others may read or change it (permissions 0604)", "chmod 600 c.key"),
        (b"junk", 0o600, "it holds no private key in the PEM form", "name the key that belongs to sslCert"),
        (
            KEY.replace(b"PRIVATE", b"ENCRYPTED PRIVATE"),
            0o600,
            "the key is under a passphrase, which no engine can ask for",
            "(umask 077 && openssl pkey -in c.key -out c.key.open), and name that file",
        ),
    ],
)
def test_a_key_that_libpq_or_the_provider_would_refuse_is_told_with_the_mend(
    project: Project, content: bytes, mode: int, what: str, mend: str
) -> None:
    put(project.root, "c.pem", CERTIFICATE)
    key = put(project.root, "c.key", content, mode)
    if os.geteuid() == 0:
        os.chown(key, 65534, 65534)  # PostgreSQL permits more to the group where root owns the file
    settings = on_host(sslCert="c.pem", sslKey="c.key")
    assert faults(settings, project) == [("sslKey", f"c.key: {what}", mend)]


def test_what_is_no_certificate_is_told_with_the_mend(project: Project) -> None:
    put(project.root, "ca.der", b"\x30\x82\xff\xfe")
    settings = on_host(sslMode="verify-ca", sslRootCert="ca.der")
    assert faults(settings, project) == [
        (
            "sslRootCert",
            "ca.der: it holds no certificate in the PEM form",
            "name one; if it is in the DER form: openssl x509 -inform der -in ca.der -out ca.der.pem",
        )
    ]


def test_without_certificates_the_endpoint_is_the_configured_one(project: Project) -> None:
    settings = make_settings("dev", server=None, host="db", adminPassword=SECRET)
    assert resolve_endpoint(settings, project) == settings.endpoint


def test_an_embedded_server_that_does_not_run_is_told_with_the_command(project: Project) -> None:
    with pytest.raises(ServerError) as caught:
        resolve_endpoint(make_settings("tst"), project)
    assert str(caught.value) == (
        "tst: server: embedded: the embedded PostgreSQL does not run\n  mend: golabs server start"
    )
