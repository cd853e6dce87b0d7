"""Both engines leave the same catalogs and take over from each other, with an admin that is superuser and one that is not."""

from __future__ import annotations

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.catalog import snapshot
from ..support import wipe
from .checkout import Checkout
from .database import can_work, create_admin, databases, migrate, users, verifiers

LIMITED = "CREATEDB CREATEROLE"


@pytest.mark.parametrize("admin", ["superuser", "limited"])
def test_both_engines_leave_the_same_catalogs_and_take_over_from_each_other(
    admin: str, checkout: Checkout, server: Endpoint
) -> None:
    endpoint = server if admin == "superuser" else create_admin(server, "go_admin", LIMITED, ["pg_signal_backend"])
    checkout.services(
        "tst",
        {"name": "billing", "connectionLimit": 5, "statementTimeout": "30s", "idleInTransactionTimeout": "2min"},
        # only a superuser may create this one
        {"name": "catalog", "extensions": ["vector"] if admin == "superuser" else []},
        {"name": "order", "retired": True},
    )
    checkout.init("tst")
    checkout.point_at("tst", endpoint)

    # made by the direct engine, taken over by pulumi
    checkout.golabs("up", "tst", "--engine", "direct")
    direct, files, stored = snapshot(server, "go-labs-tst"), checkout.output("tst"), verifiers(server)
    checkout.up("tst")
    assert snapshot(server, "go-labs-tst") == direct, "a takeover changes nothing"
    assert checkout.output("tst") == files
    if admin == "limited":
        assert len(stored) == len(verifiers(server))
    unchanged = checkout.golabs("up", "tst", "--engine", "direct", "--json")
    assert unchanged.json["changes"] == [], "the direct engine has nothing to change after pulumi"
    checkout.unchanged("tst", "--refresh")
    migrate(checkout.connections("tst")["billing"])
    can_work(checkout.connections("tst")["billing"])
    checkout.destroy("tst")
    assert databases(server) == users(server) == set()
    _remove_files(checkout)

    # made by pulumi, taken over by the direct engine
    checkout.up("tst")
    assert snapshot(server, "go-labs-tst") == direct, "from nothing, both engines leave the same"
    migrate(checkout.connections("tst")["billing"])
    before = snapshot(server, "go-labs-tst")
    unchanged = checkout.golabs("up", "tst", "--engine", "direct", "--json")
    assert unchanged.json["changes"] == []
    assert snapshot(server, "go-labs-tst") == before
    wipe(server)


def _remove_files(checkout: Checkout) -> None:
    for path in checkout.project.output_folder("tst").glob("*"):
        path.unlink()
