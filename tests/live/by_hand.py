"""Databases and users that somebody has made by hand before golabs came."""

from __future__ import annotations

from typing import Any

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from . import tools
from .tools import engine

DATABASE = "go-labs-dev"
MIGRATION, APP = "billing_migration_dev_user", "billing_app_dev_user"
USERS = {MIGRATION: "migration", APP: "app"}
PASSWORDS = {"billing": {"migration": "Old-Migration_2019.password", "app": "Old-App_2019.password"}}


def make_by_hand(server: Endpoint, database: str = DATABASE) -> None:
    """billing as somebody's script has made it: with data, and with privileges that are not quite ours."""
    migration, app = (name.replace("dev", database.removeprefix("go-labs-")) for name in (MIGRATION, APP))
    tools.as_superuser(
        server,
        f"CREATE ROLE {migration} LOGIN PASSWORD '{PASSWORDS['billing']['migration']}'",
        f"CREATE ROLE {app} LOGIN PASSWORD '{PASSWORDS['billing']['app']}'",
        f'CREATE DATABASE "{database}"',
    )
    tools.as_superuser(
        server,
        f"CREATE SCHEMA billing AUTHORIZATION {migration}",
        f"SET ROLE {migration}",
        "CREATE TABLE billing.invoice (id bigserial PRIMARY KEY, note text)",
        "INSERT INTO billing.invoice (note) VALUES ('a'), ('b')",
        f"GRANT USAGE ON SCHEMA billing TO {app}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA billing TO {app}",
        database=database,
    )


def up(project: Project, server: Endpoint, environment: str = "dev", **values: object) -> tuple[object, ...]:
    """The changes of a run on billing, with the passwords that its users have."""
    given: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS, **values}
    return engine(project, server, environment, **given).up().changes
