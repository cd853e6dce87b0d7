"""The README names every command, the pages none that there isn't; every figure in them was measured."""

from __future__ import annotations

import re

import pytest
import typer.main

from golabs_infra import cli, cli_server
from tests.support import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = {
    str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8")
    for path in [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
}
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def _commands(app: typer.Typer) -> list[str]:
    group = typer.main.get_group(app)
    return sorted(group.commands)


@pytest.mark.parametrize("command", [name for name in _commands(cli.app) if name != "server"])
def test_every_command_is_in_the_table(command: str) -> None:
    assert re.search(rf"^\| `golabs {command}\b", README, re.MULTILINE), command


@pytest.mark.parametrize("command", _commands(cli_server.server_app))
def test_every_server_command_is_in_the_table(command: str) -> None:
    (row,) = re.findall(r"^\| `golabs server .*$", README, re.MULTILINE)
    assert f"`{command}" in row or f"server {command}`" in row


def test_the_pages_name_no_command_that_does_not_exist() -> None:
    named = {
        word
        for text in PAGES.values()
        for word in re.findall(r"(?:[`$&(|] ?|^)golabs ([a-z][a-z-]+)", text, re.MULTILINE)
    }
    assert len(named) > 10
    assert named <= set(_commands(cli.app)), named - set(_commands(cli.app))


def test_the_sections_come_in_the_order_that_a_newcomer_needs() -> None:
    headings = re.findall(r"^## (.*)$", README, re.MULTILINE)
    assert headings == [
        "Two commands",
        "What you see",
        "The pulumi commands",
        "Configuration",
        "Environments",
        "Security model",
        "Troubleshooting",
        "Speed",
        "Documentation",
    ]


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= 220


@pytest.mark.parametrize(
    ("results", "from_section", "to_section"), [("table", "Provisioning", "Proving"), ("proofs", "Proving", "")]
)
def test_every_figure_was_measured(results: str, from_section: str, to_section: str) -> None:
    measured = (REPOSITORY / "benchmarks" / "results" / f"{results}.md").read_text(encoding="utf-8").splitlines()
    section = PAGES["docs/speed.md"].split(f"## {from_section}\n")[1]
    rows = [
        line
        for line in (section.split(f"## {to_section}\n")[0] if to_section else section).splitlines()
        if line.startswith("| ")
    ]
    assert len(rows) >= 4
    assert [row for row in rows if row not in measured and row != "|  |"] == []


def test_the_changelog_has_the_keep_a_changelog_form() -> None:
    assert CHANGELOG.startswith("# Changelog\n")
    assert re.findall(r"^## \[(.*?)\]", CHANGELOG, re.MULTILINE)[0] == "Unreleased"
    assert set(re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
