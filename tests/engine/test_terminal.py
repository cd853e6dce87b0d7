"""The Pulumi engine at a terminal: a live table while the CLI works, and then lines as in a file."""

from __future__ import annotations

import re
import sys

from ..support import free_port
from ..terminal import watch
from .checkout import Checkout

HEADING = re.compile(r"^ *\d+ s +users +schemas +privileges +other$")


def test_a_run_of_the_pulumi_cli_has_a_live_table_by_service(checkout: Checkout) -> None:
    checkout.golabs("server", "start", "--port", str(free_port()))
    seen = watch(
        [sys.executable, "-m", "golabs_infra", "up", "tst"],
        folder=checkout.root,
        environ={
            name: value
            for name, value in checkout.environ.items()
            if name not in ("CI", "NO_COLOR", "LINES", "COLUMNS")
        },
        size=(40, 120),
    )
    assert seen.code == 0, seen.lines
    drawn = [picture for picture in seen.pictures if any(HEADING.match(line) for line in picture)]
    assert drawn
    assert any(re.match(r"^billing +[1-9]", line) for line in drawn[-1])
    assert any(re.match(r"^go-labs-tst +", line) for picture in drawn for line in picture)
    assert any("at work" in line for picture in seen.pictures for line in picture)  # while the engine starts
    assert not any(HEADING.match(line) for line in seen.lines)
    assert any(line.strip().startswith("+ Schema billing") for line in seen.lines)
    assert seen.lines[-1].endswith(" s")
    assert not seen.cursor_was_hidden
