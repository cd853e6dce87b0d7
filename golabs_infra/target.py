"""Which server a stack's settings mean: the configured one, its certificate files found fit, or the embedded one if it runs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from .certificates import certificate_faults
from .endpoint import Endpoint
from .errors import ConfigError, ServerError
from .project import Project
from .settings import Settings

if TYPE_CHECKING:
    from .server import EmbeddedServer


def resolve_endpoint(settings: Settings, project: Project) -> Endpoint:
    """The endpoint, certificate paths made absolute.

    Raises ConfigError where a certificate's file is not fit to use, ServerError where the embedded server does not run.
    """
    if settings.endpoint is None:
        from .server import EmbeddedServer

        return embedded_endpoint(EmbeddedServer(project.server_home), settings.environment)
    configured = settings.endpoint

    def absolute(path: str | None) -> str | None:
        return None if path is None else str(project.root / path)

    endpoint = replace(
        configured,
        ssl_root_cert=absolute(configured.ssl_root_cert),
        ssl_cert=absolute(configured.ssl_cert),
        ssl_key=absolute(configured.ssl_key),
    )
    if faults := certificate_faults(endpoint):
        raise ConfigError(faults, where=settings.source)
    return endpoint


def embedded_endpoint(server: EmbeddedServer, environment: str) -> Endpoint:
    """How the admin reaches the embedded server."""
    status = server.status()
    if not status.running:
        raise ServerError(
            "the embedded PostgreSQL does not run",
            where=f"{environment}: server: embedded",
            mend="golabs server start",
        )
    return Endpoint(
        host=status.host,
        port=status.port,
        admin_user=status.admin_user,
        admin_password=SecretStr(server.admin_password()),
        admin_database="postgres",
        ssl_mode="disable",
        environment=environment,
    )
