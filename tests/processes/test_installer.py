"""What `golabs setup` says of an installer of Pulumi's that fails: its last words, or how it ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from golabs_infra import installer
from golabs_infra.installer import install_missing
from golabs_infra.toolchain import Plugin, Toolchain


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("exit 3", "exit code 3"),
        ("echo '  '; echo >&2; exit 255", "exit code 255"),
        ("echo one; echo two >&2; echo three >&2; exit 1", "three"),
        ("echo one; echo two; exit 1", "two"),
        ("echo one; echo ' ' >&2; exit 1", "one"),
        ("kill -9 $$", "exit code -9"),
        ("echo all is well", None),
    ],
)
def test_a_plugin_that_is_not_installed_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, problem: str | None
) -> None:
    cli = tmp_path / "pulumi"
    cli.write_text(f"#!/bin/sh\n{script}\n")
    cli.chmod(0o755)
    monkeypatch.setattr(installer, "_unreachable", lambda: None)
    found = Toolchain(cli, cli, (Plugin("postgresql", "1.2.3", None, False),))
    (outcome,) = install_missing(found, {})
    assert (outcome.part, outcome.problem) == ("the plugin postgresql 1.2.3", problem)


def test_a_cli_that_can_not_be_started_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installer, "_unreachable", lambda: None)
    found = Toolchain(tmp_path / "none", tmp_path, (Plugin("postgresql", "1.2.3", None, False),))
    (outcome,) = install_missing(found, {})
    assert outcome.problem == "No such file or directory"
