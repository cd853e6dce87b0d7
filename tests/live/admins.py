"""An admin who is no superuser, as managed servers give one, on PostgreSQL 18 and 16."""

from __future__ import annotations

from typing import Any

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from . import tools
from .catalog import memberships
from .tools import engine

OTHERS = ("catalog", "order")


on_the_newest = pytest.mark.parametrize("each_server", [18], indirect=True)
"""For what no version does in another way."""


@pytest.fixture(name="admin")
def plain_admin(each_server: Endpoint) -> Endpoint:
    """The endpoint of an admin with CREATEROLE, CREATEDB and pg_signal_backend, on an emptied server."""
    return tools.with_admin(each_server)


@pytest.fixture(name="deployed")
def deployed_by_plain_admin(admin: Endpoint, project: Project) -> Endpoint:
    """The same, where the admin has provisioned tst and its services have migrated."""
    engine(project, admin).up()
    tools.migrate(project)
    return admin


def own_memberships(endpoint: Endpoint) -> list[tuple[Any, ...]]:
    """What the admin is a member of, but for what CREATE ROLE itself leaves: ADMIN, and neither INHERIT nor SET."""
    return [found for found in memberships(endpoint, endpoint.admin_user) if found[2:] != (True, False, False)]
