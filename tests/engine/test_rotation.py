"""`golabs rotate` on stacks of the real engine: in place, also where all is protected; plain pulumi has nothing to do after it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.catalog import snapshot
from .checkout import Checkout
from .database import can_work, create_admin, migrate, rows, works

SERVICES = ("billing", "catalog")
KINDS = ("migration", "app")
LOGINS = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'billing%' AND rolcanlogin ORDER BY rolname"


def bring_up(checkout: Checkout, server: Endpoint, stack: str) -> dict[str, str]:
    """A stack with two migrated services; gives what confirms its runs."""
    variables = {"GOLABS_CONFIRM": f"go-labs-{stack}"} if stack in ("qua", "prd") else {}
    checkout.services(stack, *SERVICES)
    checkout.init(stack)
    checkout.point_at(stack, server)
    checkout.golabs("up", stack, variables=variables)
    for record in checkout.connections(stack).values():
        migrate(record)
    checkout.up(stack, variables=variables)  # grants on what the migrations have made
    return variables


def identities(checkout: Checkout, stack: str) -> dict[str, str]:
    """The resources that the state has, each with its id."""
    return {urn: each.get("id", "") for urn, each in checkout.resources(stack).items()}


@pytest.mark.parametrize("stack", ["dev", "prd"])
def test_new_passwords_at_once_are_an_update_in_place(checkout: Checkout, server: Endpoint, stack: str) -> None:
    variables = bring_up(checkout, server, stack)
    old, kept = checkout.connections(stack), identities(checkout, stack)
    catalogs = snapshot(server, f"go-labs-{stack}")
    if variables:
        file = checkout.project.stack_file(stack).read_bytes()
        refused = checkout.golabs("rotate", stack, "billing", typed="go-labs-dev\n", fails=True)
        assert "not confirmed; nothing was changed" in refused.text, refused
        assert checkout.project.stack_file(stack).read_bytes() == file
        assert checkout.connections(stack) == old
    done = checkout.golabs("rotate", stack, "billing", "--json", variables=variables)
    # What is deleted is a generated password in the state alone, where that may be.
    taken = {change["text"].split()[0] for change in done.json["changes"] if change["symbol"] != "~"}
    assert taken == (set() if variables else {"RandomPassword"}), done
    new = checkout.connections(stack)
    assert new["catalog"] == old["catalog"]
    for kind in KINDS:
        password = new["billing"]["users"][kind]["password"]
        assert (works(new["billing"], kind), works(old["billing"], kind)) == (True, False)
        assert password not in done.text
        told = ["config", "get", "--path", f"golabs-infra:passwords.billing.{kind}"]
        assert checkout.pulumi(*told, stack=stack).out.strip() == password
    # A generated password stays in a guarded stack, where nothing may be deleted; its user has another one now.
    now = identities(checkout, stack)
    assert {urn for urn in kept if urn not in now} == (
        set() if variables else {urn for urn in kept if "RandomPassword" in urn and "billing" in urn}
    )
    assert all(now[urn] == kept[urn] for urn in now)
    assert snapshot(server, f"go-labs-{stack}") == catalogs
    can_work(new["billing"])
    checkout.unchanged(stack, "--refresh")
    checkout.golabs("verify", stack)
    checkout.golabs("rotate", stack, "--all", "--user", "app", variables=variables)
    last = checkout.connections(stack)
    for service in SERVICES:
        can_work(last[service])
        assert not works(new[service], "app")
        assert last[service]["users"]["migration"] == new[service]["users"]["migration"]
    checkout.unchanged(stack, "--refresh")


@pytest.mark.parametrize(("stack", "limited"), [("dev", True), ("prd", False)])
def test_an_overlap_ends_with_nothing_to_change_and_goes_back_the_next_time(
    checkout: Checkout, server: Endpoint, stack: str, limited: bool
) -> None:
    variables = bring_up(
        checkout,
        create_admin(server, "go_admin", "CREATEDB CREATEROLE", ["pg_signal_backend"]) if limited else server,
        stack,
    )
    old, kept = checkout.connections(stack)["billing"], identities(checkout, stack)
    begun = checkout.golabs("rotate", stack, "billing", "--overlap", variables=variables)
    assert f"golabs rotate {stack} billing --finish" in begun.text, begun
    both = checkout.connections(stack)["billing"]
    for kind in KINDS:
        assert both["users"][kind]["username"] == f"billing_{kind}_{stack}_twin"
        assert [works(record, kind) for record in (old, both)] == [True, True]
    can_work(both)
    migrate(both, "CREATE TABLE made_by_the_twin (id serial)")
    owned = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'made_by_the_twin'"
    assert rows(server, owned, f"go-labs-{stack}") == [(f"billing_migration_{stack}_user",)]
    checkout.up(stack, variables=variables)  # the grant on that table
    checkout.unchanged(stack, "--refresh")
    checkout.golabs("verify", stack)
    checkout.golabs("drift", stack)
    outputs = json.loads(checkout.pulumi("stack", "output", "--json", "--show-secrets", stack=stack).out)
    assert outputs["connections"]["billing"] == both
    now = identities(checkout, stack)
    assert all(now[urn] == kept[urn] for urn in kept if "RandomPassword" not in urn)

    checkout.golabs("rotate", stack, "billing", "--finish", variables=variables)
    after = checkout.connections(stack)["billing"]
    for kind in KINDS:
        assert "others" not in after["users"][kind]
        assert [works(record, kind) for record in (old, after)] == [False, True]
    assert [name for (name,) in rows(server, LOGINS)] == [f"billing_{kind}_{stack}_twin" for kind in sorted(KINDS)]
    can_work(after)
    checkout.unchanged(stack, "--refresh")
    checkout.golabs("verify", stack)

    checkout.golabs("rotate", stack, "billing", "--overlap", variables=variables)
    checkout.golabs("rotate", stack, "billing", "--finish", variables=variables)
    last = checkout.connections(stack)["billing"]
    for kind in KINDS:
        assert last["users"][kind]["username"] == f"billing_{kind}_{stack}_user"
        assert [works(record, kind) for record in (old, after, last)] == [False, False, True]
    can_work(last)
    checkout.unchanged(stack, "--refresh")
    if variables:
        refused = checkout.destroy(stack, fails=True)
        assert "protected" in refused.text, refused
        can_work(last)
        checkout.unchanged(stack, "--refresh")
    else:
        checkout.destroy(stack)
        left = rows(server, "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'billing%'")
        assert left != []


def test_a_rotation_that_is_killed_while_the_engine_works_is_gone_on_with_by_an_up(
    checkout: Checkout, server: Endpoint
) -> None:
    bring_up(checkout, server, "dev")
    old = checkout.connections("dev")["billing"]
    process = subprocess.Popen(
        [sys.executable, "-m", "golabs_infra", "rotate", "dev", "billing"],
        cwd=checkout.root,
        env={**checkout.environ, **checkout.own},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while (
        checkout.connections("dev")["billing"] == old
        or "others" in checkout.connections("dev")["billing"]["users"]["app"]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = checkout.connections("dev")["billing"]
    assert all(works(killed, kind) for kind in KINDS)
    while (again := checkout.golabs("up", "dev", fails=None)).code:  # the CLI, which nobody has killed, has its own end
        assert time.monotonic() < deadline, again
        if "is dead" in again.text or "a run that is dead" in again.text:
            checkout.pulumi("cancel", "--yes", stack="dev")
    assert checkout.connections("dev")["billing"] == killed
    checkout.unchanged("dev", "--refresh")
    assert all(works(killed, kind) for kind in KINDS)
