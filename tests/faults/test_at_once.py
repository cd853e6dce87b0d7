"""Many runs of the direct engine at once, on one stack and on several of one server: each waits for its turn, and all succeed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import tools
from ..support import REPOSITORY, direct_engine, write_stack
from .ledger import Faults

STACKS = ["tst", "dev"]
CASES = [(2, STACKS[:1]), (10, STACKS), (2, STACKS), (10, STACKS[:1])]
"""How many runs, on which stacks; the first two are in every run."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of the cases with `--faults`."""
    cases = CASES if metafunc.config.getoption("--faults") else CASES[:2]
    names = [f"{number} on {len(stacks)}" for number, stacks in cases]
    metafunc.parametrize(("number", "stacks"), cases, ids=names)


def test_many_ups_at_once_all_succeed(
    number: int, stacks: list[str], server: Endpoint, project: Project, faults: Faults
) -> None:
    for stack in stacks:
        write_stack(project, stack, server, services=list(tools.SERVICES))
    began = time.monotonic()
    runs = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "golabs_infra",
                "--project",
                str(project.root),
                "up",
                stacks[at % len(stacks)],
                "--engine",
                "direct",
            ],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for at in range(number)
    ]
    ended = [(run.communicate(timeout=120)[0], run.returncode) for run in runs]
    seconds = time.monotonic() - began
    assert [code for _, code in ended] == [0] * number, ended
    for stack in stacks:
        assert tools.can_log_in(project, environment=stack)
        assert direct_engine(project, stack).up().changes == ()
    for _ in ended:
        faults.record(f"{number} `up` at once on {len(stacks)} stack(s)", "direct", "exit 0: all is there", seconds)
