"""A shorter life on every version and with both kinds of admin, by plain `pulumi` commands. Nothing is mocked."""

from __future__ import annotations

import psycopg
import pytest

from golabs_infra.endpoint import Endpoint

from ..engine.checkout import Checkout
from ..engine.database import can_work, databases, execute, login, migrate, passwords, users, verifiers
from .cells import Cell, Settle
from .hand_made import DEV_DATABASE, PASSWORDS, make_by_hand

BREAKS = (
    'REVOKE INSERT ON billing.invoice FROM "billing_app_tst_user"',
    'REVOKE CONNECT ON DATABASE "go-labs-tst" FROM "catalog_app_tst_user"',
    'ALTER ROLE "catalog_app_tst_user" CREATEDB',
    'ALTER ROLE "catalog_migration_tst_user" SET search_path = public',
)


def refusal(checkout: Checkout, stack: str) -> str:
    """What plain `pulumi up` says where it is refused; nothing is in the state then, and no file is written."""
    said = checkout.up(stack, fails=True).text
    assert not [urn for urn in checkout.resources(stack) if "postgresql" in urn and "provider" not in urn]
    assert checkout.output(stack) == {}
    return said


def prepared(checkout: Checkout, stack: str, admin: Endpoint, *services: str) -> None:
    """The stack with these services on the admin's server."""
    checkout.services(stack, *services)
    checkout.init(stack)
    checkout.point_at(stack, admin)


def test_tst_comes_up_migrates_is_mended_and_goes(cell: Cell, settle: Settle, checkout: Checkout) -> None:
    prepared(checkout, "tst", cell.admin, "billing", "catalog")
    settle("tst", lambda: refusal(checkout, "tst"))
    checkout.up("tst")
    records = checkout.connections("tst")
    for record in records.values():
        migrate(record)
        can_work(record)
        with login(record, "app") as app, login(record, "migration") as migration:
            for session in (app, migration):
                for statement in ("CREATE TABLE public.mine (id int)", "CREATE SCHEMA mine"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute(statement.encode())
    checkout.unchanged("tst", "--refresh")
    checkout.up("tst", "--expect-no-changes")

    execute(cell.server, *BREAKS, database="go-labs-tst")
    checkout.preview("tst", "--refresh", "--expect-no-changes", fails=True)
    checkout.up("tst", "--refresh")
    checkout.unchanged("tst", "--refresh")
    for record in records.values():
        can_work(record)

    checkout.services("tst", {"name": "billing", "retired": True})  # and catalog goes, with its tables
    checkout.up("tst")
    checkout.unchanged("tst", "--refresh")
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        login(records["billing"], "app")
    assert users(cell.server) == {"billing_app_tst_user", "billing_migration_tst_user"}
    checkout.services("tst", "billing")
    checkout.up("tst")
    session = login(records["billing"], "app")
    session.execute("BEGIN; INSERT INTO invoice (total) VALUES (3)")
    checkout.destroy("tst")
    session.close()
    assert databases(cell.server) == users(cell.server) == set()
    assert checkout.resources("tst") == {}


def test_dev_adopts_what_the_same_admin_has_made_by_hand_and_drops_nothing(
    cell: Cell, settle: Settle, checkout: Checkout
) -> None:
    make_by_hand(cell.admin)
    prepared(checkout, "dev", cell.admin, "billing")
    secure = {kind: checkout.secure("dev", text) for kind, text in PASSWORDS["billing"].items()}
    checkout.set_keys("dev", passwords={"billing": secure})
    settle("dev", lambda: refusal(checkout, "dev"))
    checkout.up("dev")
    records = checkout.connections("dev")
    assert passwords(records) == {f"billing_{kind}_dev_user": text for kind, text in PASSWORDS["billing"].items()}
    with login(records["billing"], "app") as app:
        app.execute("INSERT INTO invoice (note) VALUES ('c')")
        assert app.execute("SELECT note FROM invoice ORDER BY id").fetchall() == [("a",), ("b",), ("c",)]
        for statement in ("TRUNCATE invoice", "CREATE TABLE public.mine (id int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())
    checkout.unchanged("dev", "--refresh")
    before = verifiers(cell.server)
    checkout.destroy("dev")
    assert checkout.resources("dev") == {}
    assert databases(cell.server) == {DEV_DATABASE}
    assert verifiers(cell.server) == before
    login(records["billing"], "app").close()


def test_prd_is_refused_without_its_name_and_nothing_gets_it_down(
    cell: Cell, settle: Settle, checkout: Checkout
) -> None:
    prepared(checkout, "prd", cell.admin, "billing")
    settle("prd", lambda: checkout.confirmed_up("prd", fails=True).text)
    assert "GOLABS_CONFIRM=go-labs-prd" in checkout.up("prd", fails=True).text
    assert users(cell.server) == set()
    checkout.confirmed_up("prd")
    record = checkout.connections("prd")["billing"]
    migrate(record)
    checkout.unchanged("prd", "--refresh")
    assert "protect" in checkout.destroy("prd", fails=True).text
    can_work(record)
