"""An environment that the old scripts built is taken over: configuration, users with their passwords, and every row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from golabs_infra import cli
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.stackfile import StackFile

from ..legacy_scripts import OLD_PASSWORDS, LegacyScripts
from . import tools

PASSPHRASE = "a passphrase of the old team's own"


@pytest.fixture(autouse=True)
def _passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)


def golabs(project: Project, *arguments: str) -> int:
    """Runs the command; gives its exit code."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(project.root), *arguments])
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_what_the_old_scripts_built_is_adopted_with_its_rows_and_passwords(
    environment: str,
    server: Endpoint,
    project: Project,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = LegacyScripts.copy(tmp_path / "old", server, environment)
    old.provision()
    old.migrate()
    rows = old.rows()
    assert len(rows) > 10

    assert golabs(project, "import-legacy", environment, str(old.database_folder), "--engine", "direct") == 0
    shown = capsys.readouterr()
    assert "engine: direct" in shown.out
    assert f"golabs up {environment}" in shown.out
    assert "billing_app" in shown.out
    assert old.rows() == rows, "a preview changes nothing"
    for word in old.secret_words:
        assert word not in shown.out + shown.err
        assert word not in project.stack_file(environment).read_text(encoding="utf-8")

    monkeypatch.setenv("GOLABS_CONFIRM", f"go-labs-{environment}")
    assert golabs(project, "up", environment, "--engine", "direct") == 0
    assert old.rows() == rows
    old.check_logins()
    assert tools.can_log_in(project, OLD_PASSWORDS, environment)
    assert tools.secret_words(project, environment) == {
        password for users in OLD_PASSWORDS.values() for password in users.values()
    }
    with tools.login(project, "billing", "app", environment) as session:
        privileges = session.execute(
            "SELECT has_table_privilege('customer', 'TRUNCATE'), has_table_privilege('customer', 'INSERT'),"
            " has_database_privilege(current_database(), 'TEMPORARY')"
        ).fetchone()
    assert privileges == (False, True, False), "what was wider than ours is taken away"

    capsys.readouterr()
    assert golabs(project, "up", environment, "--engine", "direct", "--json") == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


def test_a_second_import_leaves_the_file_as_it_is(
    server: Endpoint, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = LegacyScripts.copy(tmp_path / "old", server, "dev")
    old.provision()
    arguments = ("import-legacy", "dev", str(old.root), "--engine", "direct", "--json")
    assert golabs(project, *arguments) == 0
    first = json.loads(capsys.readouterr().out)
    before = project.stack_file("dev").read_bytes()
    assert (first["written"], first["engine"]) == (True, "direct")
    assert first["changes"] != []
    assert golabs(project, *arguments) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["written"], again["changes"]) == (False, first["changes"])
    assert project.stack_file("dev").read_bytes() == before


def test_the_file_holds_every_password_encrypted_under_the_stacks_passphrase(
    server: Endpoint, project: Project, tmp_path: Path
) -> None:
    old = LegacyScripts.copy(tmp_path / "old", server, "dev")
    assert golabs(project, "import-legacy", "dev", str(old.database_folder), "--no-preview") == 0
    document = yaml.safe_load(project.stack_file("dev").read_text(encoding="utf-8"))
    assert set(document) == {"config", "encryptionsalt"}
    assert set(document["config"]["golabs-infra:passwords"]["billing"]["app"]) == {"secure"}
    values = StackFile.read(project, "dev").decrypted({"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}).values
    passwords = values["passwords"]
    assert isinstance(passwords, dict)
    assert {
        service: {kind: password.get_secret_value() for kind, password in users.items()}
        for service, users in passwords.items()
    } == OLD_PASSWORDS


def test_a_preview_that_fails_says_that_the_file_is_written(
    server: Endpoint, project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = LegacyScripts.copy(tmp_path / "old", server, "dev")
    old.provision()
    users = {**OLD_PASSWORDS["catalog"], "app": "not-the-one-that-it-has"}
    old.write_passwords({**OLD_PASSWORDS, "catalog": users})
    assert golabs(project, "import-legacy", "dev", str(old.database_folder), "--engine", "direct") == 1
    error = capsys.readouterr().err
    assert "Pulumi.dev.yaml is written, but the preview of adopting dev failed" in error
    assert "catalog_app_dev_user" in error
    assert "golabs preview dev --engine direct" in error
    assert "not-the-one-that-it-has" not in error
    assert project.stack_file("dev").is_file()


def test_the_old_scripts_ask_and_keep_what_is_there(server: Endpoint, tmp_path: Path) -> None:
    prd = LegacyScripts.copy(tmp_path / "prd", server, "prd")
    refused = prd.attempt("yes")
    assert refused.returncode == 1
    assert "not confirmed" in refused.stderr
    prd.provision()
    prd.migrate()
    rows = prd.rows()
    assert "exists, left as it is" in prd.provision()
    assert prd.rows() == rows
    tst = LegacyScripts.copy(tmp_path / "tst", server, "tst")
    tst.provision()
    tst.migrate()
    assert tst.attempt("no").returncode == 1
    assert "dropping go-labs-tst" in tst.provision("yes")
    tst.migrate()
    output = tst.root / "infrastructure" / "output" / "tst"
    assert (output / "billing-connections.yaml").is_file()
