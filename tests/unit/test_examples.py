"""The examples of `--help`: every command has some, and the command line takes each as it stands."""

from __future__ import annotations

import re
import shlex

import pytest
import typer.main

from golabs_infra import cli
from golabs_infra.cli_examples import EXAMPLES
from golabs_infra.cli_server import server_app

GROUP = typer.main.get_group(cli.app)
SERVER = typer.main.get_group(server_app)
COMMANDS = {"": GROUP, **GROUP.commands, **{f"server {name}": command for name, command in SERVER.commands.items()}}
LINES = [line for examples in EXAMPLES.values() for line, _ in examples]


def test_every_command_has_examples() -> None:
    assert set(EXAMPLES) == set(COMMANDS) - {"server"}


@pytest.mark.parametrize("command", EXAMPLES)
def test_they_are_of_their_own_command_and_its_help_shows_them(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(typer.Exit) as ended:
        COMMANDS[command].make_context(f"golabs {command}", ["--help"])
    assert ended.value.exit_code == 0
    shown = capsys.readouterr().out
    for line, does in EXAMPLES[command]:
        assert f"golabs {command}".strip() in line
        assert line in shown, shown
        assert does in shown


@pytest.mark.parametrize("line", LINES)
def test_each_is_taken_by_the_command_line(line: str) -> None:
    """Parsed as a shell and the command would, and not run."""
    part = line[line.index("golabs ") :].split(")", maxsplit=1)[0]
    name, *words = shlex.split(part)[1:]
    if name == "server":
        name, words = f"server {words[0]}", words[1:]
    if words == ["--help"]:
        assert name in COMMANDS
        return
    context = COMMANDS[name].make_context(name, words)
    assert (context.info_name, context.args) == (name, [])


@pytest.mark.parametrize("command", ["preview", "up"])
@pytest.mark.parametrize("option", [["--engine", "direct"], ["--yes"], ["-y"], ["--json"]])
def test_preview_takes_what_up_takes(command: str, option: list[str]) -> None:
    assert GROUP.commands[command].make_context(command, ["prd", *option]).params["environment"] == "prd"


def test_the_help_of_the_server_says_which_port_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(typer.Exit):
        SERVER.commands["start"].make_context("golabs server start", ["--help"])
    assert "[default: (54329)]" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"golabs-infra \d+\.\d+\.\d+ \(Python 3\.\d+\.\d+\)\n", capsys.readouterr().out)
