"""`golabs reset` of a stack that Pulumi manages: a new, empty database, and a state that is as true as before."""

from __future__ import annotations

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.catalog import snapshot
from .checkout import Checkout
from .database import can_work, create_admin, execute, migrate, verifiers


@pytest.mark.parametrize("admin", ["superuser", "limited"])
def test_after_a_reset_pulumi_finds_nothing_to_change(admin: str, checkout: Checkout, server: Endpoint) -> None:
    limited = admin == "limited"
    endpoint = create_admin(server, "go_admin", "CREATEDB CREATEROLE", ["pg_signal_backend"]) if limited else server
    checkout.services(
        "tst",
        {"name": "billing", "connectionLimit": 5, "statementTimeout": "30s"},
        {"name": "catalog", "extensions": [] if limited else ["vector"]},
        {"name": "order", "retired": True},
    )
    checkout.init("tst")
    checkout.point_at("tst", endpoint)
    checkout.up("tst")
    built, stored, files = snapshot(server, "go-labs-tst"), verifiers(server), checkout.output("tst")
    scripts = {"database.sql", "billing.sql", "catalog.sql", "order.sql"}
    assert scripts < set(files), "plain pulumi up writes the SQL scripts too"
    billing = checkout.connections("tst")["billing"]
    migrate(billing)

    declined = checkout.golabs("reset", "tst", typed="no\n", fails=True)
    assert "not confirmed; nothing was changed" in declined.text
    can_work(billing)

    checkout.golabs("reset", "tst", "--yes")
    assert snapshot(server, "go-labs-tst") == built
    assert verifiers(server) == stored
    assert checkout.output("tst") == files
    checkout.unchanged("tst", "--refresh")
    migrate(billing)
    can_work(billing)
    checkout.unchanged("tst", "--refresh")

    checkout.destroy("tst")
    assert checkout.resources("tst") == {}


def test_a_reset_makes_a_lost_database_again_under_pulumis_state(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    execute(server, 'DROP DATABASE "go-labs-tst" WITH (FORCE)')
    checkout.golabs("reset", "tst", "--yes")
    checkout.unchanged("tst", "--refresh")
    refused = checkout.golabs("reset", "prd", "--yes", fails=True)
    assert "prd is guarded, not disposable: reset is refused, and nothing was touched" in refused.text
    checkout.destroy("tst")
