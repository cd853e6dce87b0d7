"""Runs that are killed or fail half-way: what they leave behind is told, and the next run converges."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.killed import Killer
from .checkout import Checkout
from .database import can_work, create_admin, databases, execute, login, migrate, passwords, users
from .killing import follow, heard, killed_golabs, killed_up, started_golabs


@pytest.mark.parametrize(
    "moment",
    [r"Role \S+ created", r"Database \S+ created", r"DefaultPrivileges \S+ creating"],
    ids=["users", "database", "privileges"],
)
def test_a_first_up_that_is_killed_is_cancelled_and_converges(
    moment: str, checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.point_at("dev", server)
    killed_up(checkout, moment)
    assert not checkout.project.output_folder("dev").exists(), "no connection file after half a run"
    checkout.pulumi("cancel", "--yes", stack="dev")
    checkout.up("dev")
    for record in checkout.connections("dev").values():
        migrate(record)
        can_work(record)
    checkout.unchanged("dev", "--refresh")


def test_the_lock_of_a_dead_run_and_of_a_live_one_are_told_apart(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    killed_up(checkout, r"Role \S+ creating", "tst")
    refused = checkout.golabs("up", "tst", fails=True)
    assert "a run that is dead" in refused.text, refused
    assert "pulumi cancel --yes --stack tst" in refused.text

    with _locked_by(checkout, os.getpid()):
        live = checkout.golabs("up", "tst", fails=True)
    assert "another run is at work on the stack" in live.text, live
    assert f"process {os.getpid()}" in live.text
    assert "a run that is dead" not in live.text

    assert follow(checkout, refused, "tst").code == 0
    checkout.golabs("up", "tst")
    login(checkout.connections("tst")["billing"], "app").close()


@pytest.mark.parametrize(
    ("moment", "before", "services"),
    [
        (r"\+ Role ", [], ["billing", "catalog"]),
        (r"\+ Schema ", [], ["billing", "catalog"]),
        (r"\+ Role order", ["billing", "catalog"], ["billing", "catalog", "order"]),
        (r"- Schema ", ["billing", "catalog", "order"], ["billing"]),
    ],
    ids=["users", "schemas", "a service more", "services less"],
)
def test_a_killed_golabs_up_of_a_disposable_stack_leaves_the_state_before_it_and_converges(
    moment: str, before: list[str], services: list[str], checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("tst", *(before or services))
    checkout.point_at("tst", server)
    if before:
        checkout.golabs("up", "tst")
        checkout.services("tst", *services)
    else:
        checkout.init("tst")
    state, files, known = checkout.resources("tst"), checkout.connection_texts("tst"), checkout.connections("tst")

    killed_golabs(checkout, "up", moment)
    assert checkout.resources("tst") == state, "it is written at the end of a run"
    left = {name: text for name, text in checkout.connection_texts("tst").items() if not name.startswith(".")}
    for service, record in checkout.connections("tst").items():  # whole: of the run before, or as good
        if files.get(f"{service}-connections.yaml") != left[f"{service}-connections.yaml"]:
            login(record, "migration").close()
            login(record, "app").close()

    refused = checkout.golabs("up", "tst", fails=True)
    assert "a run that is dead" in refused.text, refused
    assert follow(checkout, refused, "tst").code == 0
    checkout.golabs("up", "tst")
    records = checkout.connections("tst")
    assert set(records) == set(services)
    assert users(server) == {f"{service}_{kind}_tst_user" for service in services for kind in ("migration", "app")}
    assert all(records[service] == known[service] for service in known.keys() & records.keys()), "passwords stay"
    assert {path.name for path in checkout.project.output_folder("tst").iterdir()} == {
        "database.sql",
        *(f"{service}{ending}" for service in services for ending in ("-connections.yaml", ".sql")),
    }
    for record in records.values():
        migrate(record)
        can_work(record)
    checkout.unchanged("tst", "--refresh")


def test_a_killed_golabs_destroy_of_a_disposable_stack_is_finished_by_the_next(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("tst", "billing", "catalog", "order")
    checkout.point_at("tst", server)
    checkout.golabs("up", "tst")
    killed_golabs(checkout, "destroy", "- Database ", "--yes")
    assert databases(server) == set()
    refused = checkout.golabs("destroy", "tst", "--yes", fails=True)
    assert "a run that is dead" in refused.text, refused
    assert follow(checkout, refused, "tst").code == 0
    checkout.golabs("destroy", "tst", "--yes")
    assert databases(server) == users(server) == set()
    assert checkout.resources("tst") == {}


def test_a_killed_golabs_up_of_any_other_stack_has_what_it_made_in_the_state(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    killed_golabs(checkout, "up", r"\+ Database ", stack="dev")
    kinds = {resource["type"].rpartition(":")[2] for resource in checkout.resources("dev").values()}
    assert {"RandomPassword", "Role", "Database"} <= kinds
    checkout.pulumi("cancel", "--yes", stack="dev")
    checkout.golabs("up", "dev")
    login(checkout.connections("dev")["billing"], "app").close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_golabs_waits_for_the_engine_to_end_in_order_when_it_is_interrupted(
    number: signal.Signals, checkout: Checkout, server: Endpoint
) -> None:
    checkout.point_at("tst", server)
    process = started_golabs(checkout, "up", "tst")
    said = heard(process, "Role")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # as a service manager does
    assert process.stdout is not None
    said += process.stdout.read()
    process.stdout.close()
    assert process.wait() == -number, said
    assert "pulumi up was interrupted and has ended in order" in said
    assert "Traceback" not in said
    assert not checkout.project.output_folder("tst").exists()
    assert not list((checkout.project.state_folder / ".pulumi" / "locks").rglob("*.json")), "no lock is left"
    assert users(server), "it was interrupted after it had begun"
    kinds = [resource["type"].rpartition(":")[2] for resource in checkout.resources("tst").values()]
    assert kinds.count("Role") == len(users(server)), "what was done until then is in the state"
    checkout.up("tst")
    for record in checkout.connections("tst").values():
        login(record, "app").close()


def test_a_run_that_fails_half_way_writes_no_connection_file_and_changes_none(
    checkout: Checkout, server: Endpoint
) -> None:
    execute(server, 'CREATE DATABASE "go-labs-dev"')
    execute(
        server,
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not today''; END'",
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION refuse()",
        database="go-labs-dev",
    )
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    failed = checkout.up("dev", fails=True)
    assert "not today" in failed.text
    assert users(server) == {"billing_app_dev_user", "billing_migration_dev_user"}
    assert not checkout.project.output_folder("dev").exists()

    execute(server, "ALTER EVENT TRIGGER refuse DISABLE", database="go-labs-dev")
    checkout.up("dev")
    texts = checkout.connection_texts("dev")
    execute(server, "ALTER EVENT TRIGGER refuse ENABLE", database="go-labs-dev")
    checkout.services("dev", "billing", "order")
    failed = checkout.golabs("up", "dev", fails=True)
    assert "not today" in failed.err, failed
    assert checkout.connection_texts("dev") == texts

    execute(server, "DROP EVENT TRIGGER refuse", database="go-labs-dev")
    checkout.up("dev")
    for record in checkout.connections("dev").values():
        login(record, "migration").close()
    assert passwords(checkout.connections("dev")).keys() >= {"order_app_dev_user", "billing_app_dev_user"}


def test_an_admin_without_the_rights_is_told_which_and_nothing_is_made(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", create_admin(server, "weak", "CREATEDB"))
    refused = checkout.up("dev", fails=True)
    assert "it lacks CREATEROLE" in refused.text, refused
    assert 'ALTER ROLE "weak" CREATEROLE' in refused.text
    assert databases(server) == users(server) == set()
    assert not checkout.project.output_folder("dev").exists()


def test_a_password_that_a_killed_run_of_the_direct_engine_has_left_is_kept_by_pulumi(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    with Killer(checkout.project, {**checkout.own}) as killer:
        killer.kill_after("commit", "up", "dev", "--engine", "direct")
    assert checkout.connections("dev") == {}
    checkout.golabs("up", "dev")
    for kind in ("migration", "app"):
        login(checkout.connections("dev")["billing"], kind).close()
    assert not (checkout.project.private_folder / "pending" / "dev.json").exists()
    checkout.unchanged("dev", "--refresh")


@contextmanager
def _locked_by(checkout: Checkout, pid: int) -> Iterator[None]:
    """The stack's lock as it would be if a process of this machine held it."""
    (file,) = (checkout.project.state_folder / ".pulumi" / "locks").rglob("*.json")
    text = file.read_text()
    content = json.loads(text)
    assert content["hostname"] == socket.gethostname()
    file.write_text(json.dumps({**content, "pid": pid}))
    yield
    file.write_text(text)
