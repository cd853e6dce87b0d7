"""Values that the tests of this ring share: settings, a server's answers and decisions, made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from golabs_infra.adoption import Decision, Origin, Password
from golabs_infra.endpoint import Endpoint
from golabs_infra.inspection import Cluster, LiveRole
from golabs_infra.model import Role
from golabs_infra.settings import Settings

from ..support import make_settings

ENVIRONMENTS = ("tst", "dev", "qua", "prd")
GUARDED = ("qua", "prd")
SERVICES = ("billing", "catalog", "order")
KINDS = ("migration", "app")

ADMIN_PASSWORD = "Canary1AdminPassword"
CONFIGURED_PASSWORD = "Canary2Configured-8q3V"
KEPT_PASSWORD = "Canary3Kept.7yX2mP4w"
CANARIES = ("Canary1", "Canary2", "Canary3", "Generated4")
"""How every password of these tests begins, those that the fake engine generates too."""

SYSTEM_IDENTIFIER = "7400000000000000001"

ENDPOINT = Endpoint(
    host="db.example.org",
    port=6432,
    admin_user="provisioner",
    admin_password=SecretStr(ADMIN_PASSWORD),
    admin_database="postgres",
    ssl_mode="verify-full",
    ssl_root_cert="/certs/ca.pem",
)


def some_settings(environment: str = "tst", /, **values: object) -> Settings:
    """Three services; the server plays no part where `declare` is called with an endpoint."""
    return make_settings(environment, **values)


def a_cluster(*users: str, **changes: Any) -> Cluster:
    """What a superuser sees of an empty server where these users exist already."""
    cluster = Cluster(
        version_number=180000,
        version="18.0",
        system_identifier=SYSTEM_IDENTIFIER,
        admin="provisioner",
        superuser=True,
        create_database=True,
        create_role=True,
        signal_backend=True,
        in_recovery=False,
        read_only=False,
        available_extensions=frozenset({"btree_gist", "pg_trgm", "plpgsql"}),
        database_exists=False,
        database_owner=None,
        owns_database=False,
        allows_connections=True,
        roles={user: LiveRole(Role(user, True, ()), False, False) for user in users},
    )
    return replace(cluster, **changes)


def a_decision(
    settings: Settings, passwords: Mapping[str, Password] | None = None, *, removed: Iterable[str] = ()
) -> Decision:
    """Every password generated, but for those given by user name."""
    chosen = {user: Password(Origin.GENERATED, None) for user in settings.users}
    assert not set(passwords or ()) - set(chosen), "a password of a user that the settings don't have"
    return Decision({**chosen, **(passwords or {})}, (), tuple(removed), False)


def configured(text: str = CONFIGURED_PASSWORD, **changes: Any) -> Password:
    """A password from the configuration."""
    return Password(Origin.CONFIGURED, SecretStr(text), **changes)


def kept(text: str = KEPT_PASSWORD, **changes: Any) -> Password:
    """A password that an earlier run left behind."""
    return Password(Origin.KEPT, SecretStr(text), **changes)
