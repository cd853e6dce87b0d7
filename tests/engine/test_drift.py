"""`golabs verify` and `golabs drift` on a stack that Pulumi manages: its own state sees less, and stays true."""

from __future__ import annotations

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.catalog import snapshot
from .checkout import Checkout
from .database import create_admin, execute, migrate

BREAKS = (
    "CREATE ROLE reporting",
    "GRANT SELECT ON billing.invoice TO reporting",
    "GRANT SELECT (note) ON billing.invoice TO order_app_tst_user",
    "GRANT USAGE ON SCHEMA billing TO order_app_tst_user",
    'ALTER ROLE order_app_tst_user IN DATABASE "go-labs-tst" SET search_path TO billing',
    "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing GRANT SELECT ON TABLES TO order_app_tst_user",
)


@pytest.mark.parametrize("admin", ["superuser", "limited"])
def test_a_repair_settles_what_pulumi_does_not_see_and_its_state_stays_true(
    admin: str, checkout: Checkout, server: Endpoint
) -> None:
    limited = admin == "limited"
    endpoint = create_admin(server, "go_admin", "CREATEDB CREATEROLE", ["pg_signal_backend"]) if limited else server
    checkout.services("tst", "billing", "order")
    checkout.init("tst")
    checkout.point_at("tst", endpoint)
    checkout.up("tst")
    for service in ("billing", "order"):
        migrate(checkout.connections("tst")[service])
    built = snapshot(server, "go-labs-tst")
    assert "proven twice" in checkout.golabs("verify", "tst").text

    for statement in BREAKS:
        execute(server, statement, database="go-labs-tst")
    checkout.unchanged("tst", "--refresh")
    found = checkout.golabs("drift", "tst", "--json", fails=True)
    assert {each["id"].partition("/")[0] for each in found.json["findings"]} == {
        "privilege",
        "setting",
        "default-privilege",
    }
    checkout.golabs("drift", "tst", "--repair")
    execute(server, "DROP ROLE reporting")
    assert snapshot(server, "go-labs-tst") == built
    assert "proven twice" in checkout.golabs("verify", "tst").text
    checkout.unchanged("tst", "--refresh")
    checkout.destroy("tst")


def test_verify_logs_in_with_what_the_state_exports(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "shipping", "stock")  # whose passwords the configuration does not have
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    for path in checkout.output("tst"):
        (checkout.project.output_folder("tst") / path).unlink()
    refused = checkout.golabs("verify", "tst", fails=True)
    assert "golabs export tst" in refused.text
    checkout.golabs("export", "tst")
    assert "proven twice" in checkout.golabs("verify", "tst").text
    checkout.destroy("tst")
