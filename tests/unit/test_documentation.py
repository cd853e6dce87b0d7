"""The README names every command, option and configuration key that there is, and none that there isn't."""

from __future__ import annotations

import re

import pytest
import typer.main
from pydantic.fields import FieldInfo

from golabs_infra import cli, cli_server
from golabs_infra.config_keys import KEYS, AcceptedFinding, ServiceSettings
from tests.support import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CHANGELOG = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")


def _commands(app: typer.Typer) -> list[str]:
    group = typer.main.get_group(app)
    return sorted(group.commands)


def _fields(fields: dict[str, FieldInfo]) -> list[str]:
    return sorted(str(field.alias) for field in fields.values())


@pytest.mark.parametrize("command", [name for name in _commands(cli.app) if name != "server"])
def test_every_command_is_in_the_table(command: str) -> None:
    assert re.search(rf"^\| `golabs {command}\b", README, re.MULTILINE), command


@pytest.mark.parametrize("command", _commands(cli_server.server_app))
def test_every_server_command_is_in_the_table(command: str) -> None:
    (row,) = re.findall(r"^\| `golabs server .*$", README, re.MULTILINE)
    assert f"`{command}" in row or f"server {command}`" in row


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    named = set(re.findall(r"golabs ([a-z][a-z-]+)", README)) - {"around"}
    assert named <= set(_commands(cli.app)), named - set(_commands(cli.app))


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_is_in_the_configuration_table(key: str) -> None:
    rows = re.findall(
        r"^\| (`[a-z].*?) \|", README.split("## Configuration")[1].split("## Environments")[0], re.MULTILINE
    )
    assert any(f"`{key}`" in row for row in rows), key


@pytest.mark.parametrize("key", _fields(ServiceSettings.model_fields) + _fields(AcceptedFinding.model_fields))
def test_every_key_of_a_service_and_of_a_finding_is_described(key: str) -> None:
    section = README.split("## Configuration")[1].split("## Environments")[0]
    assert re.search(rf"(^ +-? ?{key}: |`{key}`)", section, re.MULTILINE), key


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
    ]


def test_every_figure_of_the_readme_was_measured() -> None:
    measured = (REPOSITORY / "benchmarks" / "results" / "table.md").read_text(encoding="utf-8")
    rows = [line for line in README.split("## Speed")[1].splitlines() if line.startswith("| ")]
    assert len(rows) > 20
    assert [row for row in rows if row not in measured.splitlines() and row != "|  |"] == []


def test_every_figure_of_the_proofs_was_measured() -> None:
    measured = (REPOSITORY / "benchmarks" / "results" / "proofs.md").read_text(encoding="utf-8").splitlines()
    section = README.split("### Proving the isolation")[1].split("### Test databases")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) >= 4
    assert [row for row in rows if row not in measured] == []


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
