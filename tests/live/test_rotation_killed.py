"""`golabs rotate`, killed at every point of its work: what the connection file has still works, and an up settles the rest."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import direct_engine
from .killed import ITERATIONS, Killer
from .rotations import KINDS, PHRASE, Stack, provision

POINTS = {"": 16, "--overlap": 16, "--finish": 10}
"""How many there are at least, by the option."""


@pytest.fixture(params=["without secrets", "with secrets"])
def stack(
    request: pytest.FixtureRequest,
    server: Endpoint,
    project: Project,
    capsys: pytest.CaptureFixture[str],
    passphrase_given: None,
) -> Stack:
    return provision(project, server, "dev", capsys, secrets=request.param == "with secrets")


def prepare(stack: Stack, option: str) -> None:
    """What an option needs to have something to do."""
    under_way = any(len(logins) > 1 for logins in (stack.logins or {}).get("billing", {}).values())
    if option == "--finish" and not under_way:
        stack.done("rotate", "billing", "--overlap")
    elif option != "--finish" and under_way:
        stack.done("rotate", "billing", "--finish", "--force")


def assert_settled(stack: Stack, killed: str) -> None:
    """What a killed run has left works; after an up, that is what the file has first, and nothing is left to do."""
    for kind in KINDS:
        assert any(stack.works(login) for login in stack.all_logins("billing", kind)), killed
    direct_engine(stack.project, stack.environment).up()
    for kind in KINDS:
        assert stack.works(stack.login("billing", kind)), killed
    assert direct_engine(stack.project, stack.environment).up().changes == (), killed


def kill_everywhere(killer: Killer, stack: Stack, option: str, check: Callable[[Stack, str], None]) -> list[str]:
    """Kills the command at each point from its first write on; gives what was killed."""
    arguments = ["rotate", stack.environment, "billing", *filter(None, [option]), "--engine", "direct"]
    prepare(stack, option)
    whole = killer.run(*arguments)
    assert whole.code == 0, whole.printed
    first = next(number for number, label in enumerate(whole.points) if "place" in label)
    killed: list[str] = []
    for number in range(first, len(whole.points)):
        prepare(stack, option)
        run = killer.run(*arguments, kill_at=number)
        if run.code is None:  # the last points of a run may be cut short by what an earlier one has done
            killed.append(run.points[-1])
            check(stack, run.points[-1])
    return killed


@pytest.mark.parametrize("option", POINTS)
def test_whatever_is_killed_a_login_of_the_connection_file_works(
    stack: Stack, option: str, pytestconfig: pytest.Config
) -> None:
    with Killer(stack.project, {**PHRASE, ITERATIONS: "1000"}) as killer:
        killed = kill_everywhere(killer, stack, option, assert_settled)
    if pytestconfig.get_verbosity() > 0:
        with stack.capture.disabled():
            sys.stdout.write("\n".join([f"killed: rotate billing {option}", *killed, ""]))
    assert len(killed) >= POINTS[option]
    prepare(stack, "")
    assert stack.is_proven()
