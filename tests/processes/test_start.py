"""A start of `golabs`: what it loads, and streams that nobody has opened."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAME = "golabs_infra"


def test_what_starts_fast_loads_nothing_of_pulumi() -> None:
    script = (
        "import sys, golabs_infra.direct, golabs_infra.cli; "
        "print([name for name in sys.modules if name.split('.')[0].startswith(('pulumi', 'grpc'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


EVERYTHING = """
import os
from golabs_infra.console import Screen
screen = Screen()
with open(os.devnull) as file:
    assert file.fileno() > 2  # else what a child process says would be written to it
screen.line("a"), screen.table(["a"], [["b"]]), screen.raw("a"), screen.error("a"), screen.progress("a", 20, 20)
screen.ask("a")
"""


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"), [(["-c", EVERYTHING], 0), (["-m", NAME, "--help"], 0), (["-m", NAME, "no-such-command"], 64)]
)
def test_a_closed_stream_is_no_error(closed: str, arguments: list[str], code: int) -> None:
    run = ["sh", "-c", f'"$@" {closed}', "sh", sys.executable, *arguments]
    done = subprocess.run(run, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_that_can_not_write_a_character_writes_it_out(encoding: str) -> None:
    script = "from golabs_infra.console import Screen; Screen().line('caf\u00e9 \u2026'), Screen().table(['\u2026'], [['\u2713']])"
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=False, check=False)
    assert done.returncode == 0, done.stderr
    shown = "caf\\xe9" if encoding == "ascii" else "caf\u00e9"
    assert done.stdout.decode(encoding).split() == [shown, "\\u2026", "\\u2026", "\\u2713"]
