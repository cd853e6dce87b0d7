"""Commands that a message offers: they can be run by who reads it, with the engine that was asked for, or without the CLI."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from golabs_infra import cli
from golabs_infra.project import Project

from ..support import write_stack


def error_of(capsys: pytest.CaptureFixture[str], project: Project, *words: str) -> str:
    """What a command that fails says, on both streams."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(project.root), *words])
    assert ended.value.code == 1
    shown = capsys.readouterr()
    return shown.out + shown.err


@pytest.fixture(autouse=True)
def _no_cli(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PULUMI_HOME", "/nonexistent")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "a passphrase")


@pytest.mark.parametrize("words", [["--engine", "direct"], ["--engine=direct"]])
def test_a_mend_keeps_the_engine_that_was_asked_for(
    capsys: pytest.CaptureFixture[str], project: Project, words: list[str]
) -> None:
    write_stack(project, "dev", server="embedded", services=["billing"])
    told = error_of(capsys, project, "export", "dev", *words)
    assert "golabs server start" in told, "which takes no engine"
    assert "--engine" not in told.partition("golabs server start")[2].split("\n")[0]
    keys = {
        "host": "db.example.org",
        "sslCert": "admin.pem",
        "sslKey": "admin.key",
    }  # no password, which no file is to hold
    config = {f"golabs-infra:{key}": value for key, value in keys.items()} | {"golabs-infra:services": ["billing"]}
    project.stack_file("prd").write_text(yaml.safe_dump({"config": config}), encoding="utf-8")
    told = error_of(capsys, project, "up", "prd", "--yes", *words)
    assert "mend: GOLABS_CONFIRM=go-labs-prd golabs up prd --engine direct\n" in told


def test_an_import_that_no_engine_can_preview_tells_both_ways_on(
    capsys: pytest.CaptureFixture[str], project: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "environments.conf").write_text("DB_HOST=localhost\nSERVICES=billing\n", encoding="utf-8")
    (folder / ".env.dev").write_text("DB_ADMIN_PASSWORD=of-old\n", encoding="utf-8")
    told = [error_of(capsys, project, "import-legacy", "dev", str(folder)) for _ in range(2)]
    mend = (
        "mend: golabs setup, then: golabs preview dev; or, without the state and the previews of Pulumi: "
        "golabs preview dev --engine direct\n"
    )
    assert "Pulumi.dev.yaml is written, but the preview of adopting dev failed" in told[0]
    assert "Pulumi.dev.yaml says all of it already, but the preview of adopting dev failed" in told[1]
    assert [mend in each for each in told] == [True, True]


def test_the_first_faults_can_be_mended_without_the_cli(capsys: pytest.CaptureFixture[str], project: Project) -> None:
    told = error_of(capsys, project, "up", "dev", "--engine", "direct")
    assert "write Pulumi.dev.yaml with golabs-infra:policy, host and services below config:" in told
    project.stack_file("dev").write_text("config:\n  golabs-infra:services: [billing]\n", encoding="utf-8")
    told = error_of(capsys, project, "up", "dev", "--engine", "direct")
    assert (
        "mend: write golabs-infra:host: db.example.org below config: in Pulumi.dev.yaml; or: pulumi config set" in told
    )
