"""The example pipeline is what GitHub calls a workflow, by the schema that is published for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPOSITORY

WORKFLOW = REPOSITORY / "examples" / "github-actions" / "databases.yml"


def check(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_workflow_is_valid() -> None:
    done = check(WORKFLOW)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"), [("runs-on:", "run-on:"), ("timeout-minutes: 15", "timeout-minutes: soon")]
)
def test_the_check_can_fail(tmp_path: Path, right: str, wrong: str) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOW.read_text().replace(right, wrong, 1))
    assert check(broken).returncode == 1
