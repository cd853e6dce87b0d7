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
from .pages import PREPARATIONS, Page, pages

NOT_RUN_AT_MOST = 1


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", [reader for reader in readers() if not reader.has_pulumi], ids=str)
def test_its_commands_do_what_it_says(reader: Reader, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    read(reader, find_toolchain(os.environ), tmp_path, request)


@pytest.mark.parametrize("page", [page for page in pages() if page.preparations], ids=lambda page: page.name)
def test_what_is_done_unseen_is_what_only_its_reader_has_and_it_says_so(page: Page) -> None:
    assert page.preparations <= PREPARATIONS.keys()
    text = " ".join(page.path.read_text(encoding="utf-8").split())
    lacking = {words for name in page.preparations for words in PREPARATIONS[name] if words not in text}
    assert lacking == set()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_only_what_is_asked_for_is_typed_unseen(page: Page) -> None:
    typed = [block for block in page.blocks if block.told("stdin")]
    for block in typed:
        asking = [each.text for each in block.commands if "golabs set-password" in each.text and "|" not in each.text]
        assert len(asking) == 1, f"{page.name}:{block.line}"
    assert not typed or "is asked for" in page.path.read_text(encoding="utf-8"), page.name


def test_few_commands_are_not_run_and_each_says_why() -> None:
    reasons = [
        f"{page.name}:{block.line}: {why}"
        for page in pages()
        for block in page.blocks
        if (why := block.told("not run"))
    ]
    assert len(reasons) <= NOT_RUN_AT_MOST, reasons
