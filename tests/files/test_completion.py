"""Shell completion: what a shell asks `golabs` for, it gets from the checkout's files, and never a fault."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from golabs_infra import cli

from ..support import make_project


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two stacks, of which one is no YAML."""
    root = make_project(tmp_path / "checkout").root
    services = "  golabs-infra:services: [billing, {name: catalog, retired: true}, order]\n"
    (root / "Pulumi.tst.yaml").write_text(f"config:\n  golabs-infra:server: embedded\n{services}")
    (root / "Pulumi.dev.yaml").write_text("config: [")
    monkeypatch.chdir(root)
    return root


def completed(line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What bash would offer after a line."""
    monkeypatch.setenv("_GOLABS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
    with pytest.raises(SystemExit):
        cli.app(args=[], prog_name="golabs", standalone_mode=False)
    shown = capsys.readouterr()
    assert shown.err == ""
    return shown.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("golabs ver", ["verify"]),
        ("golabs up ", ["dev", "tst"]),
        ("golabs up t", ["tst"]),
        ("golabs up x", []),
        ("golabs rotate tst ", ["billing", "catalog", "order"]),
        ("golabs retire tst or", ["order"]),
        ("golabs retire dev ", []),
        ("golabs retire qua ", []),
        ("golabs up tst --engine d", ["direct"]),
        ("golabs export tst --format pg", ["pgpass", "pgservice"]),
        ("golabs sql tst --service c", ["catalog"]),
        ("golabs set-password tst ", ["billing", "catalog", "order"]),
        ("golabs set-password tst billing ", ["app", "migration"]),
        ("golabs server st", ["start", "status", "stop"]),
    ],
)
def test_a_shell_is_offered_what_fits(
    line: str,
    offered: list[str],
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sorted(completed(line, capsys, monkeypatch)) == offered


def test_another_checkout_is_meant_where_it_is_named(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chdir(tmp_path)
    assert completed("golabs up ", capsys, monkeypatch) == []
    assert completed(f"golabs --project {checkout} up ", capsys, monkeypatch) == ["dev", "tst"]
