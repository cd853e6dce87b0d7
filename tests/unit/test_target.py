"""The server that settings mean: certificates are found from the project's folder; the embedded server must run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr

from golabs_infra.errors import ServerError
from golabs_infra.project import Project
from golabs_infra.target import resolve_endpoint

from ..support import make_settings

SECRET = SecretStr("x")


def test_certificate_paths_are_from_the_projects_folder(project: Project) -> None:
    settings = make_settings(
        "dev",
        server=None,
        host="db",
        adminPassword=SECRET,
        sslRootCert="ca.pem",
        sslCert="a/c.pem",
        sslKey="/etc/c.key",
    )
    assert settings.endpoint is not None
    assert resolve_endpoint(settings, project) == replace(
        settings.endpoint,
        ssl_root_cert=str(project.root / "ca.pem"),
        ssl_cert=str(project.root / "a" / "c.pem"),
        ssl_key="/etc/c.key",
    )


def test_without_certificates_the_endpoint_is_the_configured_one(project: Project) -> None:
    settings = make_settings("dev", server=None, host="db", adminPassword=SECRET)
    assert resolve_endpoint(settings, project) == settings.endpoint


def test_an_embedded_server_that_does_not_run_is_told_with_the_command(project: Project) -> None:
    with pytest.raises(ServerError) as caught:
        resolve_endpoint(make_settings("tst"), project)
    assert str(caught.value) == (
        "tst: server: embedded: the embedded PostgreSQL does not run\n  mend: golabs server start"
    )
