"""Every command of the documentation is run, page by page, and prints what the page shows.

Here by somebody without the Pulumi CLI; what needs it is followed in the engine ring. What can't be run at all says so in the
page, with the reason.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from golabs_infra.toolchain import find_toolchain

from .following import Reader, read, readers
from .pages import pages

NOT_RUN_AT_MOST = 6


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", [reader for reader in readers() if not reader.has_pulumi], ids=str)
def test_its_commands_do_what_it_says(reader: Reader, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    read(reader, find_toolchain(os.environ), tmp_path, request)


def test_few_commands_are_not_run_and_each_says_why() -> None:
    reasons = [
        f"{page.name}:{block.line}: {why}"
        for page in pages()
        for block in page.blocks
        if (why := block.told("not run"))
    ]
    assert len(reasons) <= NOT_RUN_AT_MOST, reasons
