"""dev as somebody's script has made it: one service with rows, passwords that its clients use, and privileges not ours."""

from __future__ import annotations

from typing import Any

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import tools

DEV_DATABASE = "go-labs-dev"
PASSWORDS = {"billing": {"migration": "Old-Migration_2019.password", "app": "Old-App_2019.password"}}
_MIGRATION, _APP = "billing_migration_dev_user", "billing_app_dev_user"


def make_by_hand(maker: Endpoint, owner: str | None = None) -> None:
    """By an admin that has CREATEDB and CREATEROLE at least; `owner` is another one that the database is made for."""
    tools.as_superuser(
        maker,
        f"CREATE ROLE {_MIGRATION} LOGIN PASSWORD '{PASSWORDS['billing']['migration']}'",
        f"CREATE ROLE {_APP} LOGIN PASSWORD '{PASSWORDS['billing']['app']}'",
        f'CREATE DATABASE "{DEV_DATABASE}"' + (f" OWNER {owner}" if owner else ""),
    )
    tools.as_superuser(
        maker,
        f"GRANT {_MIGRATION} TO CURRENT_USER",  # who is no superuser could not give the schema away otherwise
        f"CREATE SCHEMA billing AUTHORIZATION {_MIGRATION}",
        f"SET ROLE {_MIGRATION}",
        "CREATE TABLE billing.invoice (id bigserial PRIMARY KEY, note text)",
        "INSERT INTO billing.invoice (note) VALUES ('a'), ('b')",
        f"GRANT USAGE ON SCHEMA billing TO {_APP}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA billing TO {_APP}",
        "RESET ROLE",
        f"REVOKE {_MIGRATION} FROM CURRENT_USER",
        database=DEV_DATABASE,
    )


def rows(project: Project) -> list[Any]:
    """What the table holds, as the app user sees it with the URL of its connection file."""
    with tools.login(project, "billing", "app", "dev") as session:
        return session.execute("SELECT note FROM invoice ORDER BY id").fetchall()
