"""What the tests of plans begin with: an environment as it should be, and live catalogs that differ in one thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest

from golabs_infra.inspection import Live, LiveRole
from golabs_infra.model import DefaultPrivileges, Desired, Grant

from .catalogs import make_desired

MIGRATION = "billing_migration_tst_user"
APP = "billing_app_tst_user"
ORDER_MIGRATION = "order_migration_tst_user"
ORDER_APP = "order_app_tst_user"
DML = ("DELETE", "INSERT", "SELECT", "UPDATE")
LATER = DefaultPrivileges(MIGRATION, "billing", "table", APP, DML)


@pytest.fixture(name="desired")
def two_services() -> Desired:
    """Two services in tst."""
    return make_desired("tst", services=["billing", "order"])


def verifiers_of(desired: Desired) -> dict[str, str]:
    """A verifier for every user."""
    return {role.name: f"SCRAM-SHA-256$of {role.name}" for role in desired.roles}


def with_grants(live: Live, *grants: Grant, without: Iterable[Grant] = ()) -> Live:
    """What is live, with other grants on top of those that are there, and some taken away."""
    taken = set(without)
    assert taken <= live.grants
    return replace(live, grants=(live.grants - taken) | set(grants))


def with_role(live: Live, name: str, attributes: Mapping[str, object], *, expires: bool = False) -> Live:
    """What is live, with one role that is not as it should be."""
    current = live.cluster.roles[name]
    other = LiveRole(replace(current.role, **attributes), expires, True)  # type: ignore[arg-type]
    return replace(live, cluster=replace(live.cluster, roles={**live.cluster.roles, name: other}))


def without_superuser(live: Live, *members: str) -> Live:
    """The same, for an admin who is no superuser and a member of some of the users only."""
    roles = {name: replace(role, admin_is_member=name in members) for name, role in live.cluster.roles.items()}
    return replace(live, cluster=replace(live.cluster, superuser=False, roles=roles))
