"""Environments that the old scripts built are moved to the real engine: rows and passwords stay, destroy keeps to its policy."""

from __future__ import annotations

from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint

from ..legacy_scripts import OLD_PASSWORDS, LegacyScripts
from ..live.catalog import snapshot
from .checkout import Checkout
from .database import can_work, login, migrate, passwords, verifiers


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_what_the_old_scripts_built_is_taken_over_and_destroy_does_what_the_policy_says(
    environment: str, checkout: Checkout, server: Endpoint, tmp_path: Path
) -> None:
    old = LegacyScripts.copy(tmp_path / "old", server, environment)
    old.provision()
    old.migrate()
    rows, stored = old.rows(), verifiers(server)

    imported = checkout.golabs("import-legacy", environment, str(old.database_folder))
    assert "import" in imported.text or "= Role billing-app" in imported.text, imported
    assert "order" in imported.text, "the stack's file has a service that the old scripts don't know, which is said"
    for word in old.secret_words:
        assert word not in imported.text
        assert word not in checkout.project.stack_file(environment).read_text()
    assert (old.rows(), verifiers(server)) == (rows, stored)

    # the commands that import-legacy leaves to do
    checkout.confirmed_up(environment)
    assert old.rows() == rows
    old.check_logins()
    checkout.unchanged(environment, "--refresh")
    checkout.confirmed_up(environment, "--expect-no-changes")
    records = checkout.connections(environment)
    assert passwords({name: records[name] for name in OLD_PASSWORDS}) == {
        f"{service}_{kind}_{environment}_user": password
        for service, users in OLD_PASSWORDS.items()
        for kind, password in users.items()
    }
    with login(records["billing"], "app") as session:
        session.execute("INSERT INTO customer (name) VALUES ('after the move')")
        privileges = session.execute(
            "SELECT has_table_privilege('customer', 'TRUNCATE'), has_table_privilege('invoice', 'UPDATE'),"
            " has_database_privilege(current_database(), 'TEMPORARY')"
        ).fetchone()
        assert privileges == (False, True, False), "what was wider than ours is taken away"
    with login(records["billing"], "migration") as session:
        session.execute("ALTER TABLE customer ADD COLUMN since date")
    migrate(records["order"])
    can_work(records["order"])

    # destroy
    whole, rows, stored = snapshot(server, old.database), old.rows(), verifiers(server)
    guarded = environment != "dev"
    destroyed = checkout.destroy(environment, fails=guarded)
    assert ("because it is protected" in destroyed.text) == guarded
    assert (snapshot(server, old.database), old.rows(), verifiers(server)) == (whole, rows, stored)
    assert bool(checkout.resources(environment)) == guarded
    old.check_logins()
    refused = checkout.golabs("destroy", environment, "--yes", fails=guarded)
    assert ("guarded: destroy is refused, and nothing was touched" in refused.text) == guarded
    refused = checkout.golabs("reset", environment, "--yes", fails=True)
    assert "not disposable: reset is refused, and nothing was touched" in refused.text
    assert (snapshot(server, old.database), old.rows(), verifiers(server)) == (whole, rows, stored)
