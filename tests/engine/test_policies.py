"""What each policy permits, under plain pulumi commands and under `golabs`: dev keeps, qua and prd are guarded."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.catalog import snapshot
from ..support import wipe
from .checkout import TIMEOUT_S, Checkout
from .database import can_work, databases, login, migrate, passwords, rows, users, verifiers

PRD = ("billing", {"name": "catalog", "extensions": ["vector"]})

Untouched = Callable[[], None]


def test_dev_forgets_and_drops_nothing_and_is_adopted_again_with_its_old_passwords(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.configure("dev", server)
    checkout.up("dev")
    first = checkout.connections("dev")
    for record in first.values():
        migrate(record)

    # a service taken out is forgotten, left in place, and said so
    checkout.services("dev", "billing")
    told = checkout.up("dev")
    assert "'catalog' is not in the configuration any more: it is forgotten" in told.text, told
    can_work(first["catalog"])
    assert not [urn for urn in checkout.resources("dev") if "catalog" in urn]
    assert sorted(checkout.connections("dev")) == ["billing", "catalog"], "nobody else knows catalog's passwords"

    # and taken in again with the passwords of its connection file
    checkout.services("dev", "billing", "catalog")
    checkout.up("dev")
    assert passwords(checkout.connections("dev")) == passwords(first)
    can_work(first["catalog"])

    # destroy forgets everything and drops nothing
    before, catalog = verifiers(server), snapshot(server, "go-labs-dev")
    checkout.destroy("dev")
    assert checkout.resources("dev") == {}
    assert snapshot(server, "go-labs-dev") == catalog
    for record in first.values():
        can_work(record)

    # what is there is adopted: same passwords, same rows, then nothing to change
    checkout.up("dev")
    assert passwords(checkout.connections("dev")) == passwords(first)
    for record in first.values():
        can_work(record)
    assert rows(server, "SELECT count(*) FROM billing.line", "go-labs-dev") == [(0,)]
    checkout.unchanged("dev", "--refresh")
    assert before.keys() == verifiers(server).keys()


@pytest.fixture
def guarded(checkout: Checkout, server: Endpoint) -> Checkout:
    """A checkout whose prd has two services and points at the server; nothing is brought up."""
    checkout.services("prd", *PRD)
    checkout.init("prd")
    checkout.configure("prd", server)
    return checkout


def test_prd_comes_up_only_when_confirmed_and_nothing_gets_it_down(
    guarded: Checkout, server: Endpoint, second_server: Endpoint
) -> None:
    checkout = guarded
    checkout.preview("prd")
    refused = checkout.up("prd", fails=True)
    assert "GOLABS_CONFIRM=go-labs-prd" in refused.text, refused
    checkout.up("prd", fails=True, variables={"GOLABS_CONFIRM": "go-labs-qua"})
    assert databases(server) == set()
    assert users(server) == set()

    checkout.confirmed_up("prd")
    records = checkout.connections("prd")
    for record in records.values():
        migrate(record)
    files = checkout.connection_texts("prd")
    untouched = _untouched(checkout, server)

    refused = checkout.destroy("prd", fails=True)
    assert "protect" in refused.text
    untouched()
    refused = checkout.golabs("destroy", "prd", "--yes", fails=True)
    assert "guarded: destroy is refused" in refused.text
    untouched()
    refused = checkout.golabs("up", "prd", "--yes", fails=True)
    assert "--yes does not confirm a guarded environment" in refused.text
    untouched()

    checkout.services("prd", "billing")
    for refused in (checkout.confirmed_up("prd", fails=True), checkout.preview("prd", fails=True)):
        assert "catalog is not in the configuration any more" in refused.text, refused
    untouched()
    checkout.services("prd", "billing", "catalog")
    refused = checkout.confirmed_up("prd", fails=True)
    assert "no service asks for the extension 'vector' any more" in refused.text, refused
    untouched()
    checkout.services("prd", *PRD)

    checkout.point_at("prd", second_server)
    refused = checkout.confirmed_up("prd", fails=True)
    assert "this is another server" in refused.text, refused
    assert "Nothing was changed" in refused.text
    untouched()
    assert databases(second_server) == set()

    # the same server under another name: refused too, with the way to have the stack follow
    checkout.point_at("prd", replace(server, host="localhost"))
    refused = checkout.confirmed_up("prd", fails=True)
    assert "unable to replace resource" in refused.text, refused
    found = re.search(r"pulumi (state unprotect --yes) '(\S+)' --stack prd", refused.text)
    assert found, refused
    untouched()
    assert checkout.connection_texts("prd") == files
    checkout.pulumi(*found[1].split(), found[2], stack="prd")
    checkout.confirmed_up("prd")
    assert checkout.connections("prd")["billing"]["host"] == "localhost"
    for record in checkout.connections("prd").values():
        can_work(record)
    assert passwords(checkout.connections("prd")) == passwords(records)
    checkout.confirmed_up("prd", "--expect-no-changes")


def test_golabs_up_prd_wants_the_name_typed_and_a_wrong_one_changes_nothing(
    guarded: Checkout, server: Endpoint
) -> None:
    said, code = _at_a_terminal(guarded, ["up", "prd"], "go-labs-prd, to go on:", "go-labs-dev")
    assert code == 1, said
    assert "not confirmed; nothing was changed" in said
    assert databases(server) == set()
    said, code = _at_a_terminal(guarded, ["up", "prd"], "go-labs-prd, to go on:", "go-labs-prd")
    assert code == 0, said
    assert databases(server) == {"go-labs-prd"}
    for record in guarded.connections("prd").values():
        login(record, "app").close()
    wipe(server)


def _untouched(checkout: Checkout, server: Endpoint) -> Untouched:
    """Asserts, when called, that server and state are as they are now."""

    def state() -> dict[str, Any]:
        # The engine's own provider, which only reads the state, is let go by a destroy that is refused.
        kept = {urn: entry for urn, entry in checkout.resources("prd").items() if "pulumi:providers:pulumi" not in urn}
        return {urn: resource.get("outputs") for urn, resource in kept.items()}

    catalog, stored, remembered = snapshot(server, "go-labs-prd"), verifiers(server), state()

    def check() -> None:
        assert snapshot(server, "go-labs-prd") == catalog
        assert verifiers(server) == stored
        assert state() == remembered

    return check


def _at_a_terminal(checkout: Checkout, words: list[str], question: str, answer: str) -> tuple[str, int]:
    """Runs golabs at a pseudo-terminal, types the answer when the question is there; gives what was shown, and the code."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "golabs_infra", *words],
        cwd=checkout.root,
        env={**checkout.environ, **checkout.golabs_variables(words), "TERM": "dumb", "COLUMNS": "200"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said, typed, deadline = "", False, time.monotonic() + TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            said += part.decode(errors="replace")
            if not typed and question in said:
                os.write(ours, f"{answer}\n".encode())
                typed = True
        assert typed, f"never asked:\n{said}"
        return said, process.wait(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
        os.close(ours)
