"""`eval "$(golabs env ENV)" && ...` in a shell: whatever keeps golabs from its end, what comes after it is not run."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from golabs_infra.project import Project
from golabs_infra.toolchain import PROVIDERS, find_toolchain

from ..support import make_project, write_stack

GOLABS = f"{shlex.quote(sys.executable)} -m golabs_infra"
PASSES = "#!/bin/sh\n"
INTERRUPTS = "#!/bin/sh\nkill -INT $PPID; sleep 1; exit 255\n"
UNFORESEEN = """
import sys
from golabs_infra import cli
cli._pulumi = None
cli.main(sys.argv[1:])
"""


def toolchain(home: Path, cli: str) -> dict[str, str]:
    """The environment of a user whose Pulumi CLI is this script."""
    installed = [
        f"resource-{each.name}-v{each.version}/pulumi-resource-{each.name}" for each in find_toolchain({}).plugins
    ]
    assert len(installed) == len(PROVIDERS)
    names = ["bin/pulumi", "bin/pulumi-language-python", *(f"plugins/{name}" for name in installed)]
    for path in (home / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(cli)
        path.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PULUMI_")}
    return {**kept, "PATH": os.defpath, "PULUMI_HOME": str(home)}


def goes_on(command: str, environ: dict[str, str]) -> tuple[bool, str]:
    """Whether a shell goes on after evaluating what a command prints, and what was said of it."""
    line = f'eval "$({command})" && echo "went on in $PULUMI_BACKEND_URL"'
    done = subprocess.run(["sh", "-c", line], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == done.stdout.startswith("went on in "), (done.stdout, done.stderr)
    return done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def stack(project: Project) -> Project:
    write_stack(project, "tst", services=["billing"])
    return project


def test_where_it_comes_to_its_end_the_shell_goes_on_with_what_it_exports(stack: Project, tmp_path: Path) -> None:
    environ = toolchain(tmp_path / "home", PASSES)
    went_on, said = goes_on(f"{GOLABS} --project {stack.root} env tst", environ)
    assert went_on, said
    assert f"went on in file://{stack.state_folder}" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--project {here} env TST", "environment"),
        ("--project {here} env", "Missing argument 'ENV'"),
        ("--project {here} env tst --bogus", "No such option"),
        ("--project={here} env qua", "there is no stack of this name"),
        ("--bogus {here} env tst", "No such option"),
        ("--project {elsewhere} env tst", "Pulumi.yaml"),
    ],
)
def test_what_is_wrong_before_it_begins_stops_the_shell(stack: Project, tmp_path: Path, words: str, told: str) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    environ = toolchain(tmp_path / "home", PASSES)
    went_on, said = goes_on(f"{GOLABS} {words.format(here=stack.root, elsewhere=elsewhere)}", environ)
    assert told in said
    assert not went_on, said


def test_a_state_folder_that_can_not_be_made_stops_the_shell(stack: Project, tmp_path: Path) -> None:
    stack.state_folder.parent.write_text("in the way")
    went_on, said = goes_on(f"{GOLABS} --project {stack.root} env tst", toolchain(tmp_path / "home", PASSES))
    assert "Not a directory" in said or "File exists" in said
    assert not went_on, said


def test_a_signal_stops_the_shell(stack: Project, tmp_path: Path) -> None:
    went_on, said = goes_on(f"{GOLABS} --project {stack.root} env tst", toolchain(tmp_path / "home", INTERRUPTS))
    assert "interrupted" in said
    assert not went_on, said


def test_what_nobody_has_foreseen_stops_the_shell(stack: Project, tmp_path: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(UNFORESEEN)} --project {stack.root} env tst"
    went_on, said = goes_on(command, toolchain(tmp_path / "home", PASSES))
    assert "this is a defect of golabs" in said
    assert not went_on, said


@pytest.mark.parametrize("words", ["up env", "--project env up TST", "verify TST --json"])
def test_other_commands_that_fail_print_nothing_for_a_shell(tmp_path: Path, words: str) -> None:
    folder = make_project(tmp_path / "env").root.parent
    done = subprocess.run(
        [sys.executable, "-m", "golabs_infra", *words.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert done.stdout == ""
