"""What somebody made by hand is taken over with its rows and passwords, or not touched at all."""

from __future__ import annotations

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.catalog import row_versions
from .checkout import Checkout
from .database import can_work, execute, login, migrate, passwords, rows, verifiers

OLD = {"migration": "Old-Migration_2019.password", "app": "Old-App_2019.password"}


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_database_made_by_hand_is_adopted_with_its_passwords_or_not_touched(
    environment: str, checkout: Checkout, server: Endpoint
) -> None:
    _make_by_hand(server, environment)
    checkout.services(environment, "billing", "catalog")
    checkout.init(environment)
    checkout.configure(environment, server)
    before = row_versions(server, f"go-labs-{environment}"), verifiers(server)
    confirm = {"GOLABS_CONFIRM": f"go-labs-{environment}"}

    refused = checkout.up(environment, fails=True, variables=confirm)
    for user in (f"billing_app_{environment}_user", f"billing_migration_{environment}_user"):
        assert f"{user}: it exists already and its password is not known" in refused.text, refused
    assert f"golabs set-password {environment} billing app" in refused.text
    assert f"or set a new one: golabs rotate {environment} billing\n" in refused.text
    assert (row_versions(server, f"go-labs-{environment}"), verifiers(server)) == before

    checkout.pulumi(
        *("config", "set-all", "--path", "--secret", "golabs-infra:passwords.billing.app=not-the-one-it-has-1"),
        *("--secret", f"golabs-infra:passwords.billing.migration={OLD['migration']}"),
        stack=environment,
    )
    refused = checkout.preview(environment, fails=True)
    assert "the configured password is not the one that it has" in refused.text, refused
    assert "not-the-one-it-has-1" not in refused.text
    assert (row_versions(server, f"go-labs-{environment}"), verifiers(server)) == before

    key = "golabs-infra:passwords.billing.app"
    checkout.pulumi("config", "set", "--path", "--secret", key, OLD["app"], stack=environment)
    adopted = checkout.up(environment, variables=confirm)
    assert "import" in adopted.text
    records = checkout.connections(environment)
    assert passwords({"billing": records["billing"]}) == {
        f"billing_{kind}_{environment}_user": password for kind, password in OLD.items()
    }
    assert rows(server, "SELECT note FROM billing.invoice ORDER BY id", f"go-labs-{environment}") == [("a",), ("b",)]
    with login(records["billing"], "app") as session:
        session.execute("INSERT INTO invoice (note) VALUES ('c')")
        assert session.execute("SELECT count(*) FROM open_invoice").fetchone() == (3,)
    with login(records["billing"], "migration") as session:
        session.execute("CREATE TABLE more (id int)")
    privileges = rows(
        server,
        f"SELECT has_database_privilege('{checkout_user(environment)}', current_database(), 'TEMPORARY'),"
        f" has_schema_privilege('{checkout_user(environment)}', 'public', 'USAGE'),"
        f" has_table_privilege('{checkout_user(environment)}', 'billing.invoice', 'TRUNCATE'),"
        f" has_table_privilege('{checkout_user(environment)}', 'billing.more', 'SELECT')",
        f"go-labs-{environment}",
    )
    assert privileges == [(False, False, False, True)], "privileges have converged"
    migrate(records["catalog"])
    can_work(records["catalog"])
    checkout.unchanged(environment, "--refresh")
    checkout.up(environment, "--expect-no-changes", variables=confirm)


def checkout_user(environment: str) -> str:
    """The app user that was made by hand."""
    return f"billing_app_{environment}_user"


def _make_by_hand(server: Endpoint, environment: str) -> None:
    """One service as somebody's script once made it, with privileges that are not ours."""
    migration, app, database = (
        f'"billing_migration_{environment}_user"',
        f'"billing_app_{environment}_user"',
        f"go-labs-{environment}",
    )
    execute(
        server,
        f"CREATE ROLE {migration} LOGIN PASSWORD '{OLD['migration']}'",
        f"CREATE ROLE {app} LOGIN PASSWORD '{OLD['app']}'",
        f'CREATE DATABASE "{database}"',
    )
    execute(
        server,
        f"CREATE SCHEMA billing AUTHORIZATION {migration}",
        f"SET ROLE {migration}",
        "CREATE TABLE billing.invoice (id bigserial PRIMARY KEY, note text)",
        "INSERT INTO billing.invoice (note) VALUES ('a'), ('b')",
        "CREATE VIEW billing.open_invoice AS SELECT * FROM billing.invoice",
        f"GRANT USAGE ON SCHEMA billing TO {app}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA billing TO {app}",
        database=database,
    )


def test_every_command_that_removes_a_forms_files_says_so(checkout: Checkout, server: Endpoint) -> None:
    """A password that was adopted, and that JDBC's files can't hold; those that are there are of before it was."""
    odd = "${HOME}-of-2019.password"
    execute(server, f"CREATE ROLE billing_app_dev_user LOGIN PASSWORD '{odd}'")
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.set_keys("dev", passwords={"billing": {"app": checkout.secure("dev", odd)}})
    checkout.up("dev")
    stale = checkout.project.output_folder("dev") / "billing-app.properties"
    for command in ("up", "export", "destroy"):
        stale.write_text("password=old\n")
        ran = checkout.golabs(command, "dev")
        assert not stale.exists(), ran
        assert ran.text.count("the files of the form jdbc are removed, rather than left with old passwords: ") == 1, ran
    assert passwords(checkout.connections("dev"))["billing_app_dev_user"] == odd
