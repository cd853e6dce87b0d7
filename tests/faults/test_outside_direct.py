"""Whatever is wrong outside, each command of the direct engine ends in one message with the mend, in time, and loses nothing."""

from __future__ import annotations

import time

import pytest

from golabs_infra import applying, connecting
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import proofs, tools
from ..live.catalog import snapshot
from ..live.tools import with_admin
from ..support import direct_engine, write_stack
from .disks import full_disk, grow
from .ledger import Faults
from .outside import FAULTS, Outside, Scene

BOUND_S = 15.0
VERIFIERS = r"SELECT coalesce(jsonb_object_agg(rolname, rolpassword), '{}') FROM pg_authid WHERE rolname LIKE '%\_user'"
LOOKING = ("preview", "verify", "doctor")
COMMANDS: dict[str, tuple[str, ...]] = {
    "up": ("--engine", "direct"),
    "preview": ("--engine", "direct"),
    "destroy": ("--engine", "direct", "--yes"),
    "reset": ("--yes",),
    "rotate": ("billing", "--engine", "direct"),
    "verify": (),
    "drift": ("--repair",),
    "doctor": ("--engine", "direct"),
}
SERVICES = [{"name": "billing", "connectionLimit": 7}, "catalog", "order"]
"""With a limit more than was provisioned, so that `up` has something to do."""


def first_line(printed: str) -> str:
    """What a user reads first of an error, without what differs from run to run."""
    (line,) = (line for line in printed.splitlines() if line.startswith("error: "))
    return line.removeprefix("error: ")


def project_files(project: Project) -> dict[str, bytes]:
    """Every file that must not have changed: all but locks and what is remembered of proofs."""
    kept = tools.files(project)
    return {name: text for name, text in kept.items() if "rotations" not in name and "proofs" not in name}


@pytest.fixture
def stack(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> proofs.Stack:
    """tst, provisioned and migrated by an admin who is no superuser."""
    admin = with_admin(server)
    made = proofs.Stack(project, server, admin, "tst", capsys)
    made.write()
    made.up()
    tools.migrate(project)
    made.write(services=SERVICES)
    return made


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_command_ends_in_one_message_and_nothing_is_lost(
    fault: Outside, stack: proofs.Stack, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    monkeypatch.setattr(connecting, "CONNECT_TIMEOUT_S", 2)

    def point(endpoint: Endpoint) -> None:
        write_stack(stack.project, "tst", endpoint, services=SERVICES)

    before, files = snapshot(stack.server, stack.database), project_files(stack.project)
    scene = Scene(stack.server, stack.admin, stack.database, point)
    for command, words in COMMANDS.items():
        if command in fault.without:
            continue
        with fault.make(scene):
            began = time.monotonic()
            code, out, err = stack.golabs(command, *words)
            seconds = time.monotonic() - began
        assert seconds < BOUND_S
        if fault.readable and command in LOOKING and code in (0, 2):
            continue
        assert code == 1, (command, out, err)
        assert err.count("error: ") == 1, (command, err)
        assert "mend:" in err, (command, err)
        assert fault.says in err, (command, err)
        assert len(err) < 2000, (command, err)
        faults.record(fault.name, "direct", "exit 1, one message, nothing changed", seconds)
        assert project_files(stack.project) == files, command
    assert snapshot(stack.server, stack.database) == before
    stack.up()
    assert direct_engine(stack.project, "tst").up().changes == ()
    assert tools.can_log_in(stack.project)


# ---- a server that is a replica


def test_a_replica_is_looked_at_and_never_changed(
    standby: tuple[Endpoint, Project], capsys: pytest.CaptureFixture[str], faults: Faults
) -> None:
    endpoint, project = standby
    stack = proofs.Stack(project, endpoint, endpoint, "tst", capsys)
    stack.write(services=SERVICES)
    files = project_files(project)
    for command, words in COMMANDS.items():
        began = time.monotonic()
        code, out, err = stack.golabs(command, *words)
        seconds = time.monotonic() - began
        assert seconds < BOUND_S
        if code == 1:
            assert "standby" in err or "replica" in err, (command, err)
            assert "mend:" in err, (command, err)
            faults.record("the server is a replica", "direct", "exit 1, one message, nothing changed", seconds)
        else:
            assert command in LOOKING, (command, code, out, err)
            assert code in (0, 2)
        assert project_files(project) == files, command


# ---- full disks


@pytest.mark.parametrize(
    ("where", "size"),
    [("output/dev", "4k"), ("output/dev", "12k"), (".golabs/pending", "4k"), (".golabs", "4k")],
)
def test_a_full_disk_loses_no_password(
    where: str, size: str, server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str], faults: Faults
) -> None:
    stack = proofs.Stack(project, server, server, "dev", capsys)
    stack.write()
    began = time.monotonic()
    with full_disk(project.root / where, size):
        if where == ".golabs/pending":
            (project.root / where / "filler").write_bytes(b"x" * 4096)
        code, out, err = stack.golabs("up", "--engine", "direct")
        seconds = time.monotonic() - began
        assert code == 1, (out, err)
        assert "No space left on device" in err, err
        assert "mend:" in err
        assert err.count("error: ") == 1
        verifiers = tools.answer(server, VERIFIERS)
        grow(project.root / where, "1m")
        assert stack.golabs("up", "--engine", "direct")[0] == 0
        assert tools.can_log_in(project, environment="dev")
        assert verifiers.items() <= tools.answer(server, VERIFIERS).items(), "no password that was set is set anew"
    faults.record(f"no space left in {where}: `up`", "direct", "exit 1, one message; the next `up` converged", seconds)
