"""`golabs retire` on stacks of the real engine: in place, nothing replaced; plain pulumi finds nothing to change after it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from golabs_infra.connecting import connect_admin
from golabs_infra.connections import Record
from golabs_infra.endpoint import Endpoint

from ..live.catalog import snapshot
from .checkout import Checkout, Ran
from .database import can_work, execute, login, migrate, passwords, rows, verifiers

SERVICES = ("billing", "catalog")
CONFIRMED = {"GOLABS_CONFIRM": "go-labs-prd"}

PRIVILEGES = """
    WITH found (acl, owner) AS (
        SELECT datacl, datdba FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT nspacl, nspowner FROM pg_namespace
        UNION ALL SELECT relacl, relowner FROM pg_class
        UNION ALL SELECT attacl, 0::oid FROM pg_attribute
        UNION ALL SELECT defaclacl, defaclrole FROM pg_default_acl
    )
    SELECT r.rolname, a.privilege_type FROM found f, aclexplode(f.acl) a, pg_roles r
    WHERE a.grantee = r.oid AND a.grantee <> f.owner AND r.rolname LIKE 'billing%'
"""
LOGINS = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'billing%' AND rolcanlogin"
RESOURCES = ("Role", "Database", "Schema", "Grant", "DefaultPrivileges", "RandomPassword", "Extension")


@pytest.mark.parametrize("stack", ["dev", "prd"])
def test_a_service_is_retired_in_place_and_taken_back(checkout: Checkout, server: Endpoint, stack: str) -> None:
    variables = CONFIRMED if stack == "prd" else {}
    database, file = f"go-labs-{stack}", checkout.project.stack_file(stack)
    checkout.services(stack, *SERVICES)
    checkout.init(stack)
    checkout.configure(stack, server)
    checkout.up(stack, variables=variables)
    records = checkout.connections(stack)
    for record in records.values():
        migrate(record)
    checkout.up(stack, variables=variables)
    checkout.unchanged(stack, "--refresh")
    before, catalogs, stored = file.read_bytes(), snapshot(server, database), verifiers(server)
    content, identities = _content(server, database), _identities(checkout, stack)

    if stack == "prd":
        refused = checkout.golabs("retire", stack, "billing", "--yes", fails=True)
        assert "GOLABS_CONFIRM=go-labs-prd golabs retire prd billing" in refused.text, refused
        refused = checkout.golabs("retire", stack, "billing", typed="go-labs-dev\n", fails=True)
        shown = r"billing, as the server is now\n(    .*\n)*    ~ user billing_app_prd_user: .*login true -> false"
        assert re.search(shown, refused.text), refused
        assert "not confirmed; nothing was changed" in refused.text, refused
    else:
        refused = checkout.golabs("retire", stack, "billing", typed="no\n", fails=True)
        assert "not confirmed; nothing was changed" in refused.text, refused
    assert (file.read_bytes(), snapshot(server, database)) == (before, catalogs)

    with login(records["billing"], "app"):
        refused = checkout.golabs("retire", stack, "billing", "--yes", fails=True, variables=variables)
    assert f"the service's users are connected: billing_app_{stack}_user (1)" in refused.text, refused
    assert (file.read_bytes(), snapshot(server, database)) == (before, catalogs)

    done = checkout.golabs("retire", stack, "billing", "--yes", "--json", variables=variables)
    _only_in_place(done)
    assert (done.json["engine"], done.json["retired"]) == ("pulumi", True)
    assert rows(server, LOGINS) == []
    assert rows(server, PRIVILEGES, database) == []
    for kind in ("migration", "app"):
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            login(records["billing"], kind)
    assert _content(server, database) == content
    assert verifiers(server) == stored
    assert _identities(checkout, stack) == identities
    can_work(records["catalog"])
    checkout.unchanged(stack, "--refresh")

    done = checkout.golabs("retire", stack, "billing", "--undo", "--yes", "--json", variables=variables)
    _only_in_place(done)
    assert file.read_bytes() == before
    assert passwords(checkout.connections(stack)) == passwords(records)
    assert (snapshot(server, database), verifiers(server)) == (catalogs, stored)
    assert _content(server, database) == content
    for record in records.values():
        can_work(record)
    migrate(records["billing"], "CREATE TABLE later (id int)")
    with login(records["billing"], "app") as session:
        session.execute("INSERT INTO later VALUES (1)")
    checkout.unchanged(stack, "--refresh")


def test_force_ends_the_sessions_that_stand_in_the_way(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.configure("dev", server)
    checkout.up("dev")
    record: Record = checkout.connections("dev")["billing"]
    migrate(record)
    with login(record, "migration") as session:
        session.execute("BEGIN; LOCK TABLE invoice")
        done = checkout.golabs("retire", "dev", "billing", "--yes", "--force", "--json")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert done.json["sessions"] == {"ended": 1, "left": []}
    assert rows(server, PRIVILEGES, "go-labs-dev") == []


def test_what_fails_leaves_the_file_as_it_was_or_says_how_to_go_on_and_back(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.configure("dev", server)
    checkout.up("dev")
    records, file = checkout.connections("dev"), checkout.project.stack_file("dev")
    for record in records.values():
        migrate(record)
    whole, catalogs = file.read_bytes(), snapshot(server, "go-labs-dev")

    # refused by the program before anything was begun
    checkout.services("dev", "billing", {"name": "catalog", "extensions": ["no_such_extension"]})
    before = file.read_bytes()
    refused = checkout.golabs("retire", "dev", "billing", "--yes", fails=True)
    assert "the server has no extension 'no_such_extension'" in refused.text, refused
    assert "to go back" not in refused.text, refused
    assert (file.read_bytes(), snapshot(server, "go-labs-dev")) == (before, catalogs)

    # refused by the server half-way
    file.write_bytes(whole)
    execute(
        server,
        "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''frozen''; END'",
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('REVOKE', 'GRANT') EXECUTE FUNCTION public.refuse()",
        database="go-labs-dev",
    )
    refused = checkout.golabs("retire", "dev", "billing", "--yes", fails=True)
    assert "frozen" in refused.text, refused
    way = "Pulumi.dev.yaml has the change; to go on: golabs up dev; to go back: golabs retire dev billing --undo"
    assert way in refused.text, refused
    assert file.read_bytes() != whole
    execute(server, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse()", database="go-labs-dev")
    checkout.golabs("retire", "dev", "billing", "--undo", "--yes")
    assert (file.read_bytes(), snapshot(server, "go-labs-dev")) == (whole, catalogs)
    for record in records.values():
        can_work(record)
    checkout.unchanged("dev", "--refresh")


def _only_in_place(done: Ran) -> None:
    """Nothing was deleted or replaced; what has to go, as a privilege does, goes by an update."""
    symbols = {(change["symbol"], change["text"]) for change in done.json["changes"]}
    assert symbols, done
    assert {symbol for symbol, _ in symbols} == {"~"}, done


def _content(server: Endpoint, database: str) -> list[tuple[Any, ...]]:
    return rows(server, "SELECT t::text FROM billing.invoice t UNION ALL SELECT e::text FROM billing.event e", database)


def _identities(checkout: Checkout, stack: str) -> dict[str, str]:
    """What the engine knows the resources of the server by: a replaced one would have been made anew."""
    found = checkout.resources(stack)
    kept = {urn: entry for urn, entry in found.items() if entry["type"].rpartition(":")[2] in RESOURCES}
    return {urn: str(entry.get("created")) for urn, entry in kept.items()}


def test_what_another_engine_has_done_is_seen_on_the_server_and_not_believed_of_the_state(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.up("dev")
    record = checkout.connections("dev")["billing"]
    migrate(record)
    for first, second in (([], ["--engine", "direct"]), (["--engine", "direct"], [])):
        checkout.golabs("retire", "dev", "billing", "--yes", *first)
        assert rows(server, LOGINS) == []
        checkout.golabs("retire", "dev", "billing", "--undo", "--yes", *second)
        can_work(record)
        told = checkout.golabs("retire", "dev", "billing", "--yes", *first)
        assert (rows(server, LOGINS), rows(server, PRIVILEGES, "go-labs-dev")) == ([], []), told
        checkout.golabs("retire", "dev", "billing", "--undo", "--yes", *second)
        can_work(record)
    checkout.golabs("retire", "dev", "billing", "--yes")
    execute(server, "ALTER ROLE billing_app_dev_user LOGIN")
    checkout.golabs("retire", "dev", "billing", "--yes")
    assert rows(server, LOGINS) == []
    checkout.unchanged("dev", "--refresh")


@pytest.mark.parametrize(
    "held", ["GRANT SELECT ON billing.invoice TO PUBLIC", "ALTER ROLE billing_app_dev_user CONNECTION LIMIT 3"]
)
def test_what_another_session_holds_is_not_waited_for_without_end(
    held: str, checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.up("dev")
    record, file = checkout.connections("dev")["billing"], checkout.project.stack_file("dev")
    migrate(record)
    before = file.read_bytes()
    impatient = {"PGOPTIONS": "-c lock_timeout=2s"}
    with connect_admin(server, "go-labs-dev") as other, other.transaction(force_rollback=True):
        other.execute(held.encode())
        refused = checkout.golabs("retire", "dev", "billing", "--yes", fails=True, variables=impatient)
    assert "canceling statement due to lock timeout" in refused.text, refused
    assert "another session has held for too long what this waited for" in refused.text, refused
    way = "Pulumi.dev.yaml has the change; to go on: golabs up dev; to go back: golabs retire dev billing --undo"
    assert way in refused.text, refused
    checkout.golabs("retire", "dev", "billing", "--yes")
    assert (rows(server, LOGINS), rows(server, PRIVILEGES, "go-labs-dev")) == ([], [])
    checkout.golabs("retire", "dev", "billing", "--undo", "--yes")
    assert file.read_bytes() == before
    can_work(record)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_the_file_and_says_how_to_go_on_and_back(
    number: signal.Signals, checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.up("dev")
    record, file = checkout.connections("dev")["billing"], checkout.project.stack_file("dev")
    migrate(record)
    before = file.read_bytes()
    words = ("retire", "dev", "billing", "--yes")
    with connect_admin(server, "go-labs-dev") as other, other.transaction(force_rollback=True):
        other.execute("GRANT SELECT ON billing.invoice TO PUBLIC")  # so that the engine is sure to be at work
        running = subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", *words],
            cwd=checkout.root,
            env={**checkout.environ, **checkout.golabs_variables(words)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'REVOKE%'"
        deadline = time.monotonic() + 60
        while not rows(server, waiting):
            assert time.monotonic() < deadline
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        running.send_signal(number)
        time.sleep(1)
    said, _ = running.communicate(timeout=120)
    assert running.returncode == -number, said
    assert "pulumi up was interrupted and has ended in order" in said
    way = "Pulumi.dev.yaml has the change; to go on: golabs up dev; to go back: golabs retire dev billing --undo"
    assert way in said
    assert b"retired: true" in file.read_bytes()
    checkout.golabs("retire", "dev", "billing", "--undo", "--yes")
    assert file.read_bytes() == before
    can_work(record)


def test_what_is_open_to_everybody_is_closed(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.up("dev")
    migrate(checkout.connections("dev")["billing"])
    execute(
        server,
        "GRANT USAGE ON SCHEMA billing TO PUBLIC",
        "GRANT SELECT ON billing.invoice TO PUBLIC",
        database="go-labs-dev",
    )
    refused = checkout.golabs("retire", "dev", "billing", "--yes", fails=True)
    assert "PUBLIC: everybody who may connect has SELECT, USAGE in the schema billing" in refused.text, refused
    checkout.golabs("retire", "dev", "billing", "--yes", "--force")
    everybody = """
        SELECT 1 FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'billing' AND a.grantee = 0
        UNION ALL
        SELECT 1 FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.relnamespace = 'billing'::regnamespace AND a.grantee = 0
    """
    assert rows(server, everybody, "go-labs-dev") == []
    checkout.unchanged("dev", "--refresh")
