"""How the CLI is run: its events as they come, everything else kept, and nothing that cuts its run short."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from golabs_infra.errors import EngineError
from golabs_infra.project import Project
from golabs_infra.pulumi_command import PulumiCommand
from golabs_infra.stacks import PulumiEngine
from golabs_infra.toolchain import Toolchain

from ..support import write_stack

Cli = Callable[[str], PulumiCommand]


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """A CLI that does what a shell script says."""

    def make(script: str) -> PulumiCommand:
        path = tmp_path / "pulumi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return PulumiCommand(path, tmp_path, {"PATH": "/usr/bin:/bin", "OF_USERS": "own"})

    return make


def test_a_command_ends_with_its_code_and_both_outputs_and_is_never_asked(cli: Cli, tmp_path: Path) -> None:
    ended = cli('pwd; echo "$@ $OF_USERS"; echo "error: no" >&2; read answer || exit 3').run(["config"])
    assert (ended.code, ended.err, ended.interrupted) == (3, "error: no\n", False)
    assert ended.out == f"{tmp_path}\nconfig --non-interactive own\n"


def test_what_is_given_is_on_its_standard_input_and_not_among_its_words(cli: Cli) -> None:
    ended = cli('echo "$@"; cat').run(["config", "set"], given="a secret\n")
    assert (ended.code, ended.out) == (0, "config set --non-interactive\na secret\n")


def test_one_that_ends_before_it_has_read_what_is_given_says_why(cli: Cli) -> None:
    ended = cli('exec <&-; echo "error: no stack" >&2; exit 255').run(["config", "set"], given="x" * 1_000_000)
    assert (ended.code, ended.err) == (255, "error: no stack\n")


def test_events_are_handed_on_as_they_come_and_other_lines_are_kept(cli: Cli) -> None:
    seen: list[tuple[Mapping[str, Any], float]] = []
    command = cli("""echo '{"sequence": 0}'; sleep 0.3; echo 'a word'; echo '{"sequence": 1}'; echo '[1]'""")
    ended = command.stream(["up"], lambda event: seen.append((event, time.monotonic())))
    assert [event for event, _ in seen] == [{"sequence": 0}, {"sequence": 1}]
    assert seen[1][1] - seen[0][1] > 0.2
    assert (ended.code, ended.out) == (0, "a word\n[1]\n")


def test_a_listener_that_fails_does_not_cut_the_engines_run_short(cli: Cli, tmp_path: Path) -> None:
    def broken(event: Mapping[str, Any]) -> None:
        raise BrokenPipeError

    line = '{"sequence": 0}'
    command = cli(f"for i in $(seq 9999); do echo '{line}'; done; touch ended")
    with pytest.raises(BrokenPipeError):
        command.stream(["up"], broken)
    assert (tmp_path / "ended").exists()


def test_a_talkative_cli_is_read_to_its_end(cli: Cli) -> None:
    ended = cli("seq 99999; seq 99999 >&2").run(["about"])
    assert (len(ended.out.splitlines()), len(ended.err.splitlines())) == (99999, 99999)


@pytest.mark.parametrize(("code", "said", "lacks"), [(6, "no stack named 'tst' found", True), (255, "locked", False)])
def test_a_stack_that_is_not_there_is_told_from_other_failures(cli: Cli, code: int, said: str, lacks: bool) -> None:
    ended = cli(f'echo "error: {said}" >&2; exit {code}').run(["stack"])
    assert (ended.code, ended.lacks_stack) == (code, lacks)


@pytest.mark.parametrize(
    ("own", "bound", "given"),
    [
        ({}, None, "unset"),
        ({}, 60, "-c lock_timeout=60s"),
        ({"PGOPTIONS": "-c lock_timeout=5s"}, 60, "-c lock_timeout=60s -c lock_timeout=5s"),
        ({"PGOPTIONS": "-c lock_timeout=5s"}, None, "-c lock_timeout=5s"),
    ],
)
def test_the_provider_s_waiting_is_bounded_and_the_user_s_own_bound_comes_last(
    own: dict[str, str], bound: int | None, given: str, cli: Cli, project: Project
) -> None:
    write_stack(project, "dev")
    path = cli('echo "error: $1 ${PGOPTIONS-unset}" >&2; exit 1').cli
    engine = PulumiEngine(project, "dev", Toolchain(path, path, ()), {"PATH": "/usr/bin:/bin", **own})
    with pytest.raises(EngineError) as caught:
        engine.up(lambda item: None, lock_timeout_s=bound)
    assert caught.value.what == f"pulumi up failed: up {given}"
