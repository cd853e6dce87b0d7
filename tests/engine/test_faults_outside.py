"""Whatever is wrong outside, `golabs` on the real Pulumi engine ends in one message with the mend, in time, and loses nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint

from ..faults.disks import full_disk, grow
from ..faults.ledger import Faults
from ..faults.outside import FAULTS, Outside, Scene
from ..live.catalog import snapshot
from .checkout import Checkout
from .database import can_work, create_admin, login, migrate, passwords, users

BOUND_S = 45.0
SERVICES = ("billing", "catalog")
EVERY_RUN = ("DNS", "wrong password", "max_connections")
"""The faults that every run has; `--faults` has all of them."""
WITHOUT = ("another run is at work",)
"""What the engine's own lock is for."""


@pytest.fixture
def dev(checkout: Checkout, server: Endpoint) -> Scene:
    """dev with tables and rows, provisioned by an admin who is no superuser; a limit is to be changed."""
    admin = create_admin(server, "deployer", "CREATEROLE CREATEDB", ["pg_signal_backend"])
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", admin)
    checkout.up("dev")
    for record in checkout.connections("dev").values():
        migrate(record)
        can_work(record)
    checkout.services("dev", {"name": "billing", "connectionLimit": 7}, "catalog")
    return Scene(server, admin, "go-labs-dev", lambda endpoint: checkout.point_at("dev", endpoint))


def _a_folder_in_its_place(path: Path) -> None:
    path.mkdir(parents=True)


def _a_link_to_itself(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path.name)


@pytest.mark.parametrize("by", ["pulumi", "golabs"])
@pytest.mark.parametrize(
    ("put", "place"),
    [(_a_folder_in_its_place, ".golabs/pending/tst.json"), (_a_link_to_itself, "output/tst")],
    ids=["a file that can't be removed", "a folder that can't be read"],
)
def test_what_the_system_refuses_the_program_is_one_message_and_the_next_run_goes_on(
    checkout: Checkout, server: Endpoint, by: str, put: Callable[[Path], None], place: str
) -> None:
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    path = checkout.project.root / place
    put(path)
    failed = checkout.up("tst", fails=True) if by == "pulumi" else checkout.golabs("up", "tst", fails=True)
    assert f"{path}: " in failed.text, failed
    assert failed.text.count("mend: ") == 1, failed
    path.unlink() if path.is_symlink() else path.rmdir()
    checkout.up("tst")
    migrate(checkout.connections("tst")["billing"])


def test_each_fault_ends_in_one_message_and_nothing_is_lost(
    dev: Scene, checkout: Checkout, faults: Faults, pytestconfig: pytest.Config
) -> None:
    before, files = snapshot(dev.superuser, dev.database), checkout.connection_texts("dev")
    for fault in FAULTS:
        every = pytestconfig.getoption("--faults")
        if not (every or any(word in fault.name for word in EVERY_RUN)) or fault.name.startswith(WITHOUT):
            continue
        for command in ("up", "preview") if every else ("up",):
            if fault.readable and command == "preview":
                continue
            _assert_told(dev, checkout, faults, fault, command)
            assert snapshot(dev.superuser, dev.database) == before, fault.name
            assert checkout.connection_texts("dev") == files
    checkout.golabs("up", "dev")
    assert checkout.connection_texts("dev") == files
    checkout.unchanged("dev", "--refresh")
    for record in checkout.connections("dev").values():
        can_work(record)


def _assert_told(dev: Scene, checkout: Checkout, faults: Faults, fault: Outside, command: str) -> None:
    with fault.make(dev):
        began = time.monotonic()
        ran = checkout.golabs(command, "dev", fails=None)
        seconds = time.monotonic() - began
    assert ran.code == 1, (fault.name, str(ran))
    assert seconds < BOUND_S
    assert ran.text.count("error: ") == 1, ran
    assert "mend:" in ran.err, ran
    said = "no answer within" if "never answers" in fault.name else fault.says
    assert said in ran.err, ran
    faults.record(fault.name, "pulumi", "exit 1, one message, nothing changed", seconds)


def test_a_full_disk_of_the_state_or_of_the_connection_files_loses_no_password(
    checkout: Checkout, server: Endpoint, faults: Faults, pytestconfig: pytest.Config
) -> None:
    checkout.services("dev", *SERVICES)
    checkout.init("dev")
    checkout.point_at("dev", server)
    output = checkout.project.output_folder("dev")
    places = [(output, "4k", "output/dev"), (checkout.backend, "64k", "the state's folder")]
    for folder, size, kind in (
        places if pytestconfig.getoption("--faults") else places[:1]
    ):  # the engine tries for a minute
        began = time.monotonic()
        with full_disk(folder, size):
            if folder == checkout.backend:
                (folder / "filler").write_bytes(b"x" * 40_000)
                checkout.pulumi("stack", "init", stack="dev", fails=None)
            ran = checkout.golabs("up", "dev", fails=True)
            seconds = time.monotonic() - began
            assert ran.code == 1
            assert re.search(r"o space (is )?left", ran.text), str(ran)
            assert ran.text.count("error: ") == 1, str(ran)
            assert "mend: " in ran.text, str(ran)
            grow(folder, "16m")
            if folder == checkout.backend:
                (folder / "filler").unlink()
                checkout.pulumi("cancel", "--yes", stack="dev", fails=None)
                known = passwords(checkout.connections("dev"))
                ran = checkout.golabs("up", "dev", fails=None)
                if ran.code:  # the engine itself writes half a file where the disk is full
                    assert "the stack's state in its backend is not whole" in ran.err, str(ran)
                    assert "dev.json.bak" in ran.err
                    state = folder / ".pulumi" / "stacks" / "golabs-infra" / "dev.json"
                    backup = state.with_name("dev.json.bak")
                    if backup.exists():
                        shutil.copy2(backup, state)
                    if checkout.golabs("preview", "dev", fails=None).code:
                        state.unlink()
                        backup.unlink(missing_ok=True)
            checkout.golabs("up", "dev")
            for record in checkout.connections("dev").values():
                login(record, "app").close()
            if folder == checkout.backend:
                assert passwords(checkout.connections("dev")) == known
            else:
                kept = checkout.connection_texts("dev")
        if folder == output:
            output.mkdir(exist_ok=True)
            for name, text in kept.items():
                (output / name).write_text(text)
        faults.record(
            f"no space left in {kind}: `up`", "pulumi", "exit 1, one message; the next `up` converged", seconds
        )


@pytest.mark.parametrize("number", [2, 10])
def test_of_many_ups_at_once_each_works_or_says_that_another_is_at_work(
    number: int, checkout: Checkout, server: Endpoint, faults: Faults
) -> None:
    checkout.services("tst", *SERVICES)
    checkout.point_at("tst", server)
    checkout.init("tst")
    began = time.monotonic()
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", "up", "tst"],
            cwd=checkout.root,
            env=dict(checkout.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(number)
    ]
    ended = [(run.communicate(timeout=300)[0], run.returncode) for run in runs]
    seconds = time.monotonic() - began
    assert [code for _, code in ended].count(0) >= 1, ended
    for text, code in ended:
        assert "Traceback" not in text
        if code:
            assert code == 1
            assert text.count("error: ") == 1, text
            assert "another run is at work on the stack" in text or "a run that is dead" in text, text
        faults.record(
            f"{number} `up` at once",
            "pulumi",
            "exit 1: another run is at work on the stack" if code else "exit 0: all is there",
            seconds,
        )
    checkout.golabs("up", "tst")
    checkout.unchanged("tst", "--refresh")
    assert users(server) == {f"{service}_{kind}_tst_user" for service in SERVICES for kind in ("migration", "app")}
    for record in checkout.connections("tst").values():
        migrate(record)
        can_work(record)
