"""Standard output that takes nothing, and words that are not among the choices: one readable message, and our exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..support import REPOSITORY


def ran(*words: str, output: str = "") -> subprocess.CompletedProcess[str]:
    """A command whose standard output goes to a file."""
    with Path(output or "/dev/null").open("w") as opened:
        return subprocess.run(
            [sys.executable, "-m", "golabs_infra", *words],
            stdout=opened,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=REPOSITORY,
        )


@pytest.mark.parametrize("words", [["sql", "tst"], ["--version"], ["--help"]])
def test_a_full_disk_under_standard_output_is_a_failure_of_ours_and_python_adds_nothing(words: list[str]) -> None:
    ended = ran(*words, output="/dev/full")
    assert ended.returncode == 1
    assert "Exception ignored" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("words", [["up", "tst", "--engine", "xml"], ["export", "tst", "--format", "xml"]])
def test_a_word_that_is_no_choice_is_told_with_those_that_are(words: list[str]) -> None:
    ended = ran(*words)
    assert ended.returncode == 64
    assert "'xml' is not one of" in ended.stderr
    assert "Value error" not in ended.stderr
