"""Configurations for the tests of settings, and the faults that one ends in."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.errors import ConfigError

from ..support import make_settings

CANARY = "c4n4ry-in-the-mine"
STRONG = "Zk3-vQ9_xW7.rT2mLp"


def secret(text: str) -> SecretStr:
    """An encrypted value."""
    return SecretStr(text)


def on_host(**values: object) -> dict[str, object]:
    """A configuration that names a server of its own."""
    return {"server": None, "host": "db.example.org", "adminPassword": secret(STRONG), **values}


def error_of(environment: str = "tst", /, **values: object) -> ConfigError:
    """The error that a configuration ends in."""
    with pytest.raises(ConfigError) as caught:
        make_settings(environment, **values)
    return caught.value


def faults_of(environment: str = "tst", /, **values: object) -> list[str]:
    """Every fault of a configuration, as `where: what | mend`, without the namespace of its key."""
    faults = error_of(environment, **values).faults
    return [f"{fault.where.removeprefix('golabs-infra:')}: {fault.what} | {fault.mend}" for fault in faults]


def only_fault(environment: str = "tst", /, **values: object) -> str:
    """The one fault of a configuration."""
    (fault,) = faults_of(environment, **values)
    return fault


CONTRACT = [
    *("server", "host", "port", "adminUser", "adminPassword", "adminDatabase"),
    *("sslMode", "sslRootCert", "sslCert", "sslKey", "policy", "services", "passwords", "logins", "accepted"),
]
