"""The life of tst: up, no changes, migrations, broken by hand, seen, mended; services come, change and go; destroy."""

from __future__ import annotations

from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import random_salt, scram_verifier

from .checkout import Checkout
from .database import can_work, databases, execute, login, migrate, passwords, rows, users, verifiers

TWO = ("billing", "catalog")


def test_what_is_broken_by_hand_is_seen_and_mended_and_migrations_are_no_difference(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("tst", *TWO)
    checkout.init("tst")
    checkout.configure("tst", server)
    checkout.up("tst")
    checkout.up("tst", "--expect-no-changes")
    records = checkout.connections("tst")
    for record in records.values():
        migrate(record)
        can_work(record)
    checkout.unchanged("tst", "--refresh")

    before = verifiers(server)
    other = scram_verifier("Changed_by_hand_1", random_salt())
    breaks = {
        "a revoked grant": 'REVOKE INSERT ON invoice FROM "billing_app_tst_user"',
        "a further grant": 'GRANT TRUNCATE ON invoice TO "catalog_app_tst_user"',
        "a closed schema": 'REVOKE USAGE ON SCHEMA catalog FROM "catalog_app_tst_user"',
        "lost default privileges": 'ALTER DEFAULT PRIVILEGES FOR ROLE "billing_migration_tst_user" IN SCHEMA billing '
        'REVOKE ALL ON TABLES FROM "billing_app_tst_user"',
        "a lost database privilege": 'REVOKE CONNECT ON DATABASE "go-labs-tst" FROM "catalog_app_tst_user"',
        "another password": f"ALTER ROLE \"billing_app_tst_user\" PASSWORD '{other}'",
        "a further attribute": 'ALTER ROLE "catalog_app_tst_user" CREATEDB',
        "another search_path": 'ALTER ROLE "catalog_migration_tst_user" SET search_path = public',
    }
    for statement in breaks.values():
        schema = "catalog" if "catalog" in statement else "billing"
        execute(server, f"SET search_path = {schema}", statement, database="go-labs-tst")
    seen = checkout.preview("tst", "--refresh", "--expect-no-changes", fails=True)
    for resource in (
        "billing-app-table",
        "catalog-app-table",
        "catalog-app-schema",
        "billing-app-later-table",
        "catalog-app-database",
        "Role billing-app",
        "Role catalog-app",
        "Role catalog-migration",
    ):
        assert resource in seen.text, f"the break of {resource} was not seen:\n{seen}"
    checkout.up("tst", "--refresh")
    checkout.unchanged("tst", "--refresh")
    assert verifiers(server) == before, "the passwords are the old ones again"
    for record in records.values():
        can_work(record)
        migrate(record, "CREATE TABLE later (id int); INSERT INTO later VALUES (1)")
        with login(record, "app") as session:
            session.execute("INSERT INTO later VALUES (2)")
    granted = rows(
        server, "SELECT has_table_privilege('catalog_app_tst_user', 'catalog.invoice', 'TRUNCATE')", "go-labs-tst"
    )
    assert granted == [(False,)]


def test_services_come_change_retire_and_go_in_tst(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", *TWO)
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    first = checkout.connections("tst")
    for record in first.values():
        migrate(record)

    # one line more, an option on another, and an extension
    changed = {"name": "catalog", "connectionLimit": 7, "statementTimeout": "30s", "extensions": ["vector"]}
    checkout.services("tst", "billing", changed, "order")
    checkout.up("tst")
    records = checkout.connections("tst")
    assert sorted(records) == ["billing", "catalog", "order"]
    assert passwords(first).items() <= passwords(records).items(), "the others keep their passwords"
    migrate(records["order"])
    can_work(records["order"])
    with login(records["catalog"], "app") as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("30s",)
    migrate(records["catalog"], "CREATE TABLE place (at vector(3))")
    assert _limit(server, "catalog_app_tst_user") == 7

    # the option is gone again, one service is retired
    checkout.services(
        "tst", {"name": "billing", "retired": True}, {"name": "catalog", "extensions": ["vector"]}, "order"
    )
    checkout.up("tst")
    assert _limit(server, "catalog_app_tst_user") == -1
    with login(records["catalog"], "app") as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert _logins(server, "billing") == [False, False]
    assert rows(server, "SELECT count(*) FROM billing.invoice", "go-labs-tst") == [(2,)], "its data is kept"
    checkout.unchanged("tst", "--refresh")  # with an extension and a retired service

    # it comes back with its passwords; another one goes, with its tables; the extension goes with it
    checkout.services("tst", "billing", "order")
    gone = checkout.up("tst")
    can_work(checkout.connections("tst")["billing"])
    assert passwords(checkout.connections("tst")).items() <= passwords(records).items()
    assert sorted(path.name for path in checkout.project.output_folder("tst").iterdir()) == [
        "billing-connections.yaml",
        "billing.sql",
        "database.sql",
        "order-connections.yaml",
        "order.sql",
    ], gone
    assert not {user for user in users(server) if user.startswith("catalog")}
    assert rows(server, "SELECT 1 FROM pg_namespace WHERE nspname IN ('catalog', 'extensions')", "go-labs-tst") == []
    can_work(records["order"])
    checkout.unchanged("tst", "--refresh")


def test_destroy_takes_tables_and_open_sessions_along_and_up_begins_anew(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    record = checkout.connections("tst")["billing"]
    migrate(record)
    session = login(record, "app")
    session.execute("BEGIN; INSERT INTO invoice (total) VALUES (3)")
    checkout.destroy("tst")
    session.close()
    assert databases(server) == set()
    assert users(server) == set()
    assert checkout.resources("tst") == {}
    checkout.up("tst")
    migrate(checkout.connections("tst")["billing"])
    can_work(checkout.connections("tst")["billing"])


def _limit(server: Endpoint, user: str) -> int:
    ((limit,),) = rows(server, f"SELECT rolconnlimit FROM pg_roles WHERE rolname = '{user}'")
    assert isinstance(limit, int)
    return limit


def _logins(server: Endpoint, service: str) -> list[bool]:
    query = rf"SELECT rolcanlogin FROM pg_roles WHERE rolname LIKE '{service}\_%'"
    return [can for (can,) in rows(server, query)]
