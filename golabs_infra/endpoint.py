"""Where a PostgreSQL server answers and as whom the admin logs in. A value; it opens no connection."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal

from pydantic import SecretStr

EMBEDDED_PORT = 54329
"""Where the embedded server listens, unless it was started elsewhere."""

SslMode = Literal["disable", "require", "verify-ca", "verify-full"]
"""The modes that libpq, the Pulumi provider and the JDBC driver all know."""


@dataclass(frozen=True)
class Endpoint:
    """A server and its admin. Certificate paths are as configured: absolute, or relative to the project.

    The password is empty where the admin logs in by certificate alone.
    """

    host: str
    port: int
    admin_user: str
    admin_password: SecretStr
    admin_database: str
    ssl_mode: SslMode
    ssl_root_cert: str | None = None
    ssl_cert: str | None = None
    ssl_key: str | None = None
    environment: str = field(default="ENV", compare=False)
    """Whose configuration says all this: the commands that mend it name it."""

    @property
    def address(self) -> str:
        """`host:port` for messages, with brackets around IPv6."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host can only be this machine: localhost, 127.0.0.0/8, ::1, or a socket folder."""
    if host.lower().removesuffix(".") == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
