"""Passwords for the tests of them: which the connection files have, and what the server stores."""

from __future__ import annotations

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from . import tools
from .tools import SERVICES

GIVEN = {
    "billing": {"migration": "Migrates-2026.billing", "app": "Kx7_wq.Rt-93"},
    "order": {"app": "0123456789abcdefX"},
}
LEGACY = "came with it, ünd stays %s'\"\\ @:/?#"
"""What no rule of ours permits, and what an adopted user may have all the same."""


def passwords(project: Project, environment: str = "tst") -> dict[str, str]:
    """Every user's password, as the connection files have it."""
    users = (user for service in SERVICES for user in tools.record(project, service, environment)["users"].values())
    return {user["username"]: user["password"] for user in users}


def verifiers(endpoint: Endpoint) -> dict[str, str]:
    """What the server stores for every user."""
    with connect_admin(endpoint) as connection:
        query = "SELECT rolname::text, rolpassword FROM pg_authid WHERE oid >= 16384"
        return dict(connection.execute(query).fetchall())
