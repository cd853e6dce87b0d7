"""Follows a page as its reader does: from top to bottom in one shell, in a copy of the project.

Who has no Pulumi CLI passes over what needs it; a page that needs it whole says so in its first line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from golabs_infra.toolchain import Toolchain

from .blocks import Block, difference
from .pages import ON_A_SERVER, Page, followed, pages
from .shell import Shell


@dataclass(frozen=True)
class Reader:
    """Who follows a page: somebody with the Pulumi CLI, or somebody without, who passes over what needs it."""

    page: Page
    has_pulumi: bool

    def __str__(self) -> str:
        return f"{self.page.name} with Pulumi" if self.has_pulumi else self.page.name


def readers() -> Iterator[Reader]:
    """A page that needs the CLI in parts is followed by both."""
    for page in pages():
        if any(block.told("needs") for block in page.blocks) or (page.wants_pulumi and page.has_commands):
            yield Reader(page, has_pulumi=True)
        if page.has_commands and not page.wants_pulumi:
            yield Reader(page, has_pulumi=False)


def read(reader: Reader, found: Toolchain, folder: Path, request: pytest.FixtureRequest) -> None:
    """Runs every command of the page that the reader can run. Fails the test where one does not what the page says."""
    page = reader.page
    wanted = not ON_A_SERVER.isdisjoint(page.preparations)
    with followed(page, folder, request.getfixturevalue("server") if wanted else None, found) as shell:
        for block in page.blocks:
            if not block.commands or block.told("not run"):
                continue
            if not block.told("needs"):
                follow(shell, page, block)
            elif reader.has_pulumi:
                prepare(shell, "with_pulumi", page, block)
                follow(shell, page, block)
                prepare(shell, "without_pulumi", page, block)


def follow(shell: Shell, page: Page, block: Block) -> None:
    """Runs a block's commands; each but the last must succeed, and the last ends as the page says."""
    for told in block.directives.get("before", ()):
        prepare(shell, told, page, block)
    typed = prepare(shell, f"printf '%s\\n' {block.told('stdin')}", page, block) if block.told("stdin") else ""
    for command in block.commands:
        expected = int(block.told("exit") or 0) if command is block.commands[-1] else 0
        ended = shell.run(command.text, typed)
        where = f"{page.name}:{command.line}: {command.text}"
        assert ended.code == expected, (
            f"{where}\nexit code {ended.code}, not {expected}; it has printed:\n{ended.printed}"
        )
        found = difference(command.shown, ended.printed)
        assert found is None, f"{where}\n{found}\nit has printed:\n{ended.printed}"


def prepare(shell: Shell, command: str, page: Page, block: Block) -> str:
    """Runs what readers don't see; gives what it prints."""
    ended = shell.run(command)
    assert ended.code == 0, f"{page.name}:{block.line}: before: {command}\n{ended.printed}"
    return ended.printed
