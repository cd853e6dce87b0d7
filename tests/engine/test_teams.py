"""A team that keeps its state in PostgreSQL (`pulumi login postgres://...`): two checkouts, one stack, one lock."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.toolchain import Toolchain

from ..live.tools import contested_user
from .checkout import Checkout, make_checkout
from .database import can_work, execute, login, migrate, passwords, rows, users
from .killing import follow, heard, kill, started_golabs

STATE_PASSWORD = "st4te-Canary.Kq7mZ2vX9"
SERVICES = ("billing", "catalog")


@pytest.fixture
def backend(server: Endpoint) -> str:
    """The URL of a database of its own, whose owner can do nothing else."""
    execute(
        server,
        f"CREATE ROLE pulumi_state LOGIN PASSWORD '{STATE_PASSWORD}'",
        "CREATE DATABASE pulumi_state OWNER pulumi_state",
    )
    return f"postgres://pulumi_state:{quote(STATE_PASSWORD)}@{server.host}:{server.port}/pulumi_state?sslmode=disable"


@pytest.fixture
def team(tmp_path: Path, toolchain: Toolchain, server: Endpoint, backend: str) -> tuple[Checkout, Checkout]:
    """Two people's checkouts of one repository; the second has what the first has committed, and nothing else."""
    ann, bob = (_member(tmp_path / name, toolchain, backend) for name in ("ann", "bob"))
    ann.services("dev", *SERVICES)
    ann.point_at("dev", server)
    _commit(ann, bob)
    return ann, bob


def _member(folder: Path, toolchain: Toolchain, backend: str) -> Checkout:
    folder.mkdir()
    checkout = make_checkout(folder, toolchain)
    return replace(checkout, own={**checkout.own, "PULUMI_BACKEND_URL": backend})


def _commit(one: Checkout, other: Checkout) -> None:
    """What git would bring from one to the other."""
    shutil.copy2(one.project.stack_file("dev"), other.project.stack_file("dev"))


def test_what_one_has_brought_up_the_other_finds_as_it_is_and_goes_on_with(
    team: tuple[Checkout, Checkout], server: Endpoint
) -> None:
    ann, bob = team
    first = ann.golabs("up", "dev")
    assert STATE_PASSWORD not in first.text
    tables = rows(server, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "pulumi_state")
    assert ("pulumi_state",) in tables
    for record in ann.connections("dev").values():
        migrate(record)
    _commit(ann, bob)  # `golabs up` has written the stack's salt

    assert bob.golabs("preview", "dev").text.count("  + ") == 0
    bob.unchanged("dev", "--refresh")
    bob.golabs("export", "dev")
    assert passwords(bob.connections("dev")) == passwords(ann.connections("dev"))
    assert "proven twice" in bob.golabs("verify", "dev").out

    bob.services("dev", *SERVICES, "order")
    bob.golabs("up", "dev")
    bob.golabs("rotate", "dev", "billing")
    _commit(bob, ann)
    ann.unchanged("dev", "--refresh")
    ann.golabs("export", "dev")
    for record in ann.connections("dev").values():
        login(record, "app").close()
    can_work(ann.connections("dev")["billing"])
    assert passwords(bob.connections("dev")) == passwords(ann.connections("dev"))

    ann.golabs("destroy", "dev")
    assert len(users(server)) == 6, "a keep stack drops nothing"


def test_pulumis_own_login_is_enough(team: tuple[Checkout, Checkout], backend: str, server: Endpoint) -> None:
    ann, _ = team
    own = {name: value for name, value in ann.own.items() if name != "PULUMI_BACKEND_URL"}
    logged_in = replace(ann, own=own)
    logged_in.pulumi("login", backend)
    logged_in.golabs("up", "dev")
    assert rows(server, "SELECT count(*) > 0 FROM pulumi_state", "pulumi_state") == [(True,)]


def test_while_one_works_the_other_is_told_who_does_and_a_dead_ones_lock_is_taken_away(
    team: tuple[Checkout, Checkout], server: Endpoint
) -> None:
    ann, bob = team
    ann.golabs("preview", "dev")  # makes the stack
    _commit(ann, bob)
    with contested_user(server, "catalog_app_dev_user"):  # so that ann's run does not come to its end
        process = started_golabs(ann, "up", "dev")
        heard(process, r"\+ Role ")
        refused = bob.golabs("up", "dev", fails=True)
        assert "another run is at work on the stack" in refused.err, refused
        assert re.search(r"process \d+, since \d{4}-\d\d-\d\dT[\d:]+", refused.err), refused
        assert STATE_PASSWORD not in refused.text
        assert kill(process)
    refused = bob.golabs("up", "dev", fails=True)
    assert "a run that is dead" in refused.err, refused
    assert follow(bob, refused, "dev").code == 0
    bob.golabs("up", "dev")
    bob.unchanged("dev", "--refresh")
    assert users(server) == {f"{service}_{kind}_dev_user" for service in SERVICES for kind in ("migration", "app")}


def test_ten_ups_of_two_people_at_once_leave_a_state_that_is_right(
    team: tuple[Checkout, Checkout], server: Endpoint
) -> None:
    ann, bob = team
    ann.golabs("preview", "dev")  # makes the stack
    _commit(ann, bob)
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", "up", "dev"],
            cwd=member.root,
            env={**member.environ, **member.own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for member in (ann, bob) * 5
    ]
    ended = [(run.communicate(timeout=300)[0], run.returncode) for run in runs]
    assert [code for _, code in ended].count(0) >= 1, ended
    for text, code in ended:
        assert code == 0 or "another run is at work on the stack" in text or "a run that is dead" in text, text
        assert "Traceback" not in text
    bob.golabs("up", "dev")
    ann.unchanged("dev", "--refresh")
    assert len(users(server)) == 4


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (("pulumi_state:", "nobody:"), "password authentication failed"),
        ((STATE_PASSWORD, "wrong-one"), "password authentication failed"),
        (("/pulumi_state?", "/nowhere?"), "does not exist"),
    ],
    ids=["user", "password", "database"],
)
def test_a_backend_that_lets_nobody_in_is_one_message_without_its_password(
    changed: tuple[str, str], says: str, team: tuple[Checkout, Checkout]
) -> None:
    ann, _ = team
    wrong = ann.own["PULUMI_BACKEND_URL"].replace(*changed)
    refused = replace(ann, own={**ann.own, "PULUMI_BACKEND_URL": wrong}).golabs("up", "dev", fails=True)
    assert refused.code == 1
    assert refused.err.count("error: ") == 1, refused
    assert "mend: " in refused.err, refused
    assert says in refused.err
    assert STATE_PASSWORD not in refused.text, refused
    assert "wrong-one" not in refused.text
