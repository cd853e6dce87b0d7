"""`golabs destroy` of a stack that is kept, after what its state did not learn of: the connection files it leaves work."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from golabs_infra.connections import candidates
from golabs_infra.endpoint import Endpoint

from ..support import free_port
from .checkout import Checkout
from .database import works

KINDS = ("migration", "app")


@contextmanager
def locked(checkout: Checkout) -> Iterator[None]:
    """Another run, of a live process, has the lock on dev: the state can be read, and no update begins."""
    folder = checkout.backend / ".pulumi" / "locks" / "organization" / "golabs-infra" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "11111111-2222-4333-8444-555555555555.json"
    holder = {"pid": os.getpid(), "username": getpass.getuser(), "hostname": socket.gethostname()}
    file.write_text(json.dumps({**holder, "timestamp": "2026-01-01T00:00:00Z"}))
    yield
    file.unlink()


@pytest.fixture
def dev(checkout: Checkout, server: Endpoint) -> Checkout:
    """dev, brought up."""
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.golabs("up", "dev")
    return checkout


ROTATIONS: dict[str, list[list[str]]] = {
    "at once": [[]],
    "overlap": [["--overlap"]],
    "overlap and its end": [["--overlap"], ["--finish"]],
}


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_after_a_rotation_that_the_state_did_not_learn_of_the_files_still_work(dev: Checkout, rotation: str) -> None:
    with locked(dev):
        for words in ROTATIONS[rotation]:
            failed = dev.golabs("rotate", "dev", "billing", *words, fails=True)
            assert "the stack's state did not learn of them" in failed.text, failed
    rotated = dev.connections("dev")["billing"]
    assert all(works(rotated, kind) for kind in KINDS)
    dev.golabs("export", "dev")  # which asks no server
    exported = candidates(dev.connections("dev").values())
    assert all(set(passwords) <= set(exported[user]) for user, passwords in candidates([rotated]).items())
    dev.golabs("destroy", "dev")
    assert dev.resources("dev") == {}
    assert dev.connections("dev")["billing"] == rotated


def test_a_file_of_yesterday_gets_what_the_state_has_learnt_since(dev: Checkout) -> None:
    """As in another checkout than the one that has rotated."""
    (path,) = dev.project.output_folder("dev").glob("*-connections.yaml")
    yesterday = path.read_bytes()
    dev.golabs("rotate", "dev", "billing")
    today = dev.connections("dev")["billing"]
    path.write_bytes(yesterday)
    dev.golabs("destroy", "dev")
    assert dev.connections("dev")["billing"] == today


def test_where_the_server_cant_be_asked_every_password_is_kept(dev: Checkout) -> None:
    with locked(dev):
        dev.golabs("rotate", "dev", "billing", fails=True)
    rotated = dev.connections("dev")["billing"]
    dev.set_keys("dev", port=free_port())
    dev.golabs("destroy", "dev")
    assert dev.resources("dev") == {}
    kept = dev.connections("dev")["billing"]
    assert all(works(kept, kind) for kind in KINDS), "what clients use stays what they use"
    for kind in KINDS:
        assert len(kept["users"][kind]["others"]) == 1, "the state's, which may be good as well"
    assert {**kept, "users": {}} == {**rotated, "users": {}}
