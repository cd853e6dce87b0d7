"""`golabs import-legacy`: what it writes into the stack's file, what it refuses, and that it leaks nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golabs_infra import cli
from golabs_infra.errors import ConfigError
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument
from golabs_infra.stackfile import StackFile

CONF = "DB_HOST=localhost\nDB_PORT=5433\nDB_ADMIN_USER=provisioner\nSERVICES='billing catalog'\n"
ADMIN = "Admin-2019-hunter2"
OLD = {"billing": "Old-Billing-hunter2", "catalog": "Old&Catalog hunter2"}
OWN = f"DB_ADMIN_PASSWORD='{ADMIN}'\n" + "".join(
    f"{service.upper()}_{kind}_PASSWORD='{password}'\n"
    for service, password in OLD.items()
    for kind in ("MIGRATION", "APP")
)
PASSPHRASE = "the team's own passphrase"


@pytest.fixture(autouse=True)
def _passphrase(quick_keys: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", PASSPHRASE)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)


class Import:
    """A project and an old layout, and the command on them."""

    def __init__(self, project: Project, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.project = project
        self.folder = folder
        self._capsys = capsys
        self.text = ""
        self.out = ""
        self.write()

    def write(self, conf: str = CONF, own: str = OWN, environment: str = "dev") -> None:
        """The old files."""
        config = self.folder / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "environments.conf").write_text(conf, encoding="utf-8")
        (config / f".env.{environment}").write_text(own, encoding="utf-8")
        (config / f".env.{environment}").chmod(0o600)

    def run(self, *options: str, environment: str = "dev", folder: Path | None = None) -> int:
        """Runs it without a preview; gives the exit code."""
        arguments = ["--project", str(self.project.root), "import-legacy", environment, str(folder or self.folder)]
        with pytest.raises(SystemExit) as ended:
            cli.main([*arguments, "--no-preview", *options])
        shown = self._capsys.readouterr()
        self.out, self.text = shown.out, shown.out + shown.err
        assert "hunter2" not in self.text
        assert "Traceback" not in self.text
        file = self.project.stack_file(environment)
        assert not file.exists() or "hunter2" not in file.read_text(encoding="utf-8")
        code = ended.value.code
        assert isinstance(code, int)
        return code

    @property
    def stack(self) -> str:
        """The stack's file."""
        return self.project.stack_file("dev").read_text(encoding="utf-8")

    @stack.setter
    def stack(self, text: str) -> None:
        self.project.stack_file("dev").write_text(text, encoding="utf-8")

    def passwords(self) -> dict[str, dict[str, str]]:
        """The passwords as the engines will read them."""
        values = StackFile.read(self.project, "dev").decrypted({"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}).values
        passwords = values["passwords"]
        assert isinstance(passwords, dict)
        return {
            name: {kind: text.get_secret_value() for kind, text in users.items()} for name, users in passwords.items()
        }


@pytest.fixture
def old(project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Import:
    """An empty project, and an old layout for dev."""
    return Import(project, tmp_path / "database", capsys)


def test_a_new_file_has_every_value_and_the_passwords_encrypted(old: Import) -> None:
    assert old.run() == 0, old.text
    assert "golabs-infra:host: localhost\n" in old.stack
    assert "golabs-infra:port: 5433\n" in old.stack
    assert "golabs-infra:adminUser: provisioner\n" in old.stack
    assert "encryptionsalt: v1:" in old.stack
    assert old.passwords() == {name: {"migration": text, "app": text} for name, text in OLD.items()}
    assert "passwords.billing.app" in old.text
    assert ".env.dev:3 (BILLING_APP_PASSWORD)" in old.text


def test_the_file_keeps_its_comments_and_other_services(old: Import) -> None:
    old.stack = "# of ours\nconfig:\n  # the services\n  golabs-infra:services:\n    - order   # ours\n    - billing\n"
    assert old.run() == 0, old.text
    assert old.stack.startswith(
        "# of ours\nconfig:\n  # the services\n  golabs-infra:services:\n    - order   # ours\n"
    )
    assert "    - billing\n    - catalog\n" in old.stack
    assert "'order' is only in Pulumi.dev.yaml: it is kept, and up would create it" in old.text


def test_the_same_input_changes_nothing(old: Import) -> None:
    assert old.run() == 0
    before = old.stack
    assert old.run("--json") == 0
    assert old.stack == before
    assert json.loads(old.out)["written"] is False
    assert old.run("--overwrite") == 0
    assert old.stack == before


def test_what_differs_is_refused_all_at_once_and_taken_with_overwrite(old: Import) -> None:
    assert old.run() == 0
    before = old.stack
    old.write(CONF.replace("localhost", "127.0.0.1").replace("5433", "5434"), OWN.replace("Old-B", "New-B"))
    assert old.run() == 1
    assert old.stack == before
    assert "golabs-infra:host: it is 'localhost' here and '127.0.0.1' in environments.conf:1 (DB_HOST)" in old.text
    assert "golabs-infra:port: it is 5433 here and '5434'" in old.text
    assert "golabs-infra:passwords.billing.app: it is not the one that .env.dev:3" in old.text
    assert "--overwrite" in old.text
    assert old.run("--overwrite") == 0
    assert "golabs-infra:host: 127.0.0.1\n" in old.stack
    assert old.passwords()["billing"] == {"migration": "New-Billing-hunter2", "app": "New-Billing-hunter2"}
    assert "host: replaced: 'localhost' -> '127.0.0.1'" in old.text
    assert "passwords.billing.app: replaced; up will set this password for billing_app_dev_user" in old.text
    assert "catalog.app: replaced" not in old.text


def test_a_replaced_admin_password_or_url_is_told_and_not_shown(old: Import) -> None:
    old.stack = "config:\n  golabs-infra:host: postgres://a:hidden@b/c\n  golabs-infra:adminPassword: x-hidden\n"
    assert old.run() == 1
    assert "golabs-infra:host: it is something else here and 'localhost'" in old.text
    assert "hidden" not in old.text
    assert old.run("--overwrite", "--json") == 0
    assert "hidden" not in old.text + old.stack
    notes = json.loads(old.out)["notes"]
    assert {"adminPassword: replaced", "host: replaced: something else -> 'localhost'"} <= set(notes)


def test_a_fault_points_to_the_old_line_and_asks_for_no_new_passwords(old: Import) -> None:
    old.write(CONF.replace("5433", "99999"), OWN.replace("Old-Billing-hunter2", "short"))
    assert old.run() == 1
    assert "environments.conf:2 (DB_PORT): 99999 is more than 65535\n      mend: correct it there" in old.text
    assert "passwords.billing" not in old.text.split("fault")[-1]
    assert not old.project.stack_file("dev").exists()


def test_the_embedded_server_does_not_go_with_a_host(old: Import) -> None:
    old.stack = "config:\n  golabs-infra:server: embedded\n  golabs-infra:services: [billing]\n"
    before = old.stack
    assert old.run() == 1
    assert "golabs-infra:server: it is 'embedded' here, and environments.conf:1 (DB_HOST) names a host" in old.text
    assert old.stack == before
    assert old.run("--overwrite") == 0
    assert "server" not in old.stack
    assert "golabs-infra:services: [billing, catalog]" in old.stack


def test_a_file_that_says_no_more_than_embedded_is_taken_over(old: Import) -> None:
    old.stack = "config:\n  golabs-infra:server: embedded # of a trial\n"
    assert old.run("--overwrite") == 0
    assert "embedded" not in old.stack
    assert old.stack.startswith("config:\n  golabs-infra:adminUser: provisioner\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "config:\n  golabs-infra:a:\n  - x # 1\n  - y # 2\n# end\n",
            "config:\n  golabs-infra:a:\n  - x # 1\n  - y # 2\n  - z\n# end\n",
        ),
        ("config: {'golabs-infra:a': [x, y]} # c\n", "config: {'golabs-infra:a': [x, y, z]} # c\n"),
        ("config:\r\n  golabs-infra:a:\r\n    - x\r\n", "config:\r\n  golabs-infra:a:\r\n    - x\r\n    - z\r\n"),
        (
            "config:\n  golabs-infra:a:\n    - name: x\n      b: 1 # c",
            "config:\n  golabs-infra:a:\n    - name: x\n      b: 1 # c\n    - z",
        ),
    ],
)
def test_an_item_is_added_behind_the_others(before: str, after: str) -> None:
    document = StackDocument(Path("Pulumi.dev.yaml"), "dev", before)
    document.append("a", "z")
    assert document.text() == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "config:\n  # of a\n  golabs-infra:a: 1 # c\n  golabs-infra:b: 2\n",
            "config:\n  # of a\n  golabs-infra:b: 2\n",
        ),
        ("config:\n  golabs-infra:b: 2\n  golabs-infra:a:\n    c: 1\n# end\n", "config:\n  golabs-infra:b: 2\n# end\n"),
        ("config:\r\n  golabs-infra:a: 1\r\n  golabs-infra:b: 2\r\n", "config:\r\n  golabs-infra:b: 2\r\n"),
    ],
)
def test_a_key_is_taken_out_with_its_line(before: str, after: str) -> None:
    document = StackDocument(Path("Pulumi.dev.yaml"), "dev", before)
    document.remove("a")
    assert document.text() == after


@pytest.mark.parametrize("text", ["config: {golabs-infra:a: 1, golabs-infra:b: 2}\n", "config:\n  golabs-infra:a: 1\n"])
def test_a_key_that_has_no_line_of_its_own_is_left(text: str) -> None:
    document = StackDocument(Path("Pulumi.dev.yaml"), "dev", text)
    with pytest.raises(ConfigError, match="pulumi config rm golabs-infra:a --stack dev"):
        document.remove("a")
    assert document.text() == text


def test_a_wrong_passphrase_is_refused(old: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    assert old.run() == 0
    before = old.stack
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    assert old.run("--overwrite") == 1
    assert "the passphrase is not the one of this stack" in old.text
    assert old.stack == before


def test_a_missing_passphrase_names_the_variable(old: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE")
    assert old.run() == 1
    assert "export PULUMI_CONFIG_PASSPHRASE=" in old.text
    assert not old.project.stack_file("dev").exists()


def test_the_published_passphrase_is_refused(old: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "golabs-tst")
    assert old.run() == 1
    assert "published" in old.text
    assert not old.project.stack_file("dev").exists()


def test_another_secrets_provider_is_refused(old: Import) -> None:
    old.stack = "secretsprovider: awskms://alias/x\nencryptedkey: abc\nconfig:\n  golabs-infra:services: [billing]\n"
    before = old.stack
    assert old.run() == 1
    assert "awskms://alias/x" in old.text
    assert "mend: golabs set-password dev SERVICE USER" in old.text
    assert old.stack == before


def test_missing_files_are_named_with_those_that_are_there(old: Import, tmp_path: Path) -> None:
    assert old.run(environment="qua") == 1
    assert ".env.qua: it is not there (there are: .env.dev)" in old.text
    (old.folder / "config" / "environments.conf").unlink()
    assert old.run() == 1
    assert "environments.conf: it is not there" in old.text
    assert old.run(folder=tmp_path / "nowhere") == 64
    assert old.run(environment="Dev!") == 64
    assert not old.project.stack_file("dev").exists()


def test_an_environment_without_a_policy_is_refused_before_anything_is_written(old: Import) -> None:
    old.write(environment="lab")
    assert old.run(environment="lab") == 1
    assert "says no policy" in old.text
    assert "nothing was written" in old.text
    assert not old.project.stack_file("lab").exists()


def test_another_database_is_refused(old: Import) -> None:
    old.write(f"{CONF}DB_NAME=golabs\n")
    assert old.run() == 1
    assert "here dev's is always 'go-labs-dev'" in old.text
    assert not old.project.stack_file("dev").exists()


@pytest.mark.parametrize(
    ("missing", "mend"),
    [
        (
            "DB_HOST=localhost\n",
            "write golabs-infra:host: db.example.org below config: in Pulumi.dev.yaml; or: pulumi config set host",
        ),
        (f"DB_ADMIN_PASSWORD='{ADMIN}'\n", "golabs set-password dev --admin"),
    ],
)
def test_what_is_not_enough_is_refused_with_the_faults(old: Import, missing: str, mend: str) -> None:
    old.write(CONF.replace(missing, ""), OWN.replace(missing, ""))
    assert old.run() == 1
    assert "as it would be (nothing was written)" in old.text
    assert mend in old.text
    assert not old.project.stack_file("dev").exists()


def test_what_is_missing_or_not_understood_is_told(old: Import) -> None:
    own = OWN.replace(
        "CATALOG_APP_PASSWORD='Old&Catalog hunter2'", "CATALOG_APP_PASSWORD=$(pass hunter2)\nTOKEN=hunter2"
    )
    old.write(f"{CONF}PRD_DB_HOST=db.prd\n", own)
    assert old.run() == 0
    assert "not understood: .env.dev:5: CATALOG_APP_PASSWORD: it is what a command prints" in old.text
    assert "not understood: .env.dev:6: TOKEN: no key that is known here" in old.text
    assert "golabs set-password dev catalog app" in old.text
    assert "lines for other environments: 1" in old.text
    assert "app" not in old.passwords()["catalog"]


def test_a_file_of_passwords_that_others_can_read_is_told(old: Import) -> None:
    assert old.run() == 0
    assert "chmod" not in old.text
    (old.folder / "config" / ".env.dev").chmod(0o640)
    assert old.run() == 0
    assert f"chmod 600 {old.folder}/config/.env.dev" in old.text


@pytest.mark.parametrize("below", ["", "config", ".."])
def test_the_folder_may_be_the_config_or_one_above(old: Import, below: str, tmp_path: Path) -> None:
    templates = old.folder / "templates"
    templates.mkdir()
    (templates / "create-shipping-users.sql.template").touch()
    assert old.run("--json", folder=(old.folder / below).resolve()) == 0
    assert "- shipping" in old.stack


def test_a_whole_checkout_of_the_old_scripts_is_searched(old: Import, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "infrastructure" / "dependencies").mkdir(parents=True)
    old.folder.rename(tmp_path / "checkout" / "infrastructure" / "dependencies" / "database")
    assert old.run(folder=tmp_path / "checkout") == 0


def test_bytes_that_are_no_text_are_refused(old: Import) -> None:
    (old.folder / "config" / ".env.dev").write_bytes(OWN.encode() + "BILLING=hunter2é\n".encode("latin-1"))
    assert old.run() == 1
    assert "line 6: it is not UTF-8 (byte " in old.text
    assert "mend: save it as UTF-8 (a password with such letters may have other bytes" in old.text
    assert "iconv" not in old.text


@pytest.mark.parametrize("file", ["environments.conf", ".env.dev"])
def test_one_of_the_files_stands_for_its_folder(old: Import, file: str) -> None:
    assert old.run(folder=old.folder / "config" / file) == 0


def test_a_plain_password_in_the_file_is_encrypted(old: Import) -> None:
    old.stack = f"config:\n  golabs-infra:adminPassword: {ADMIN}\n"
    assert old.run() == 0
    assert "golabs-infra:adminPassword:\n    secure: v1:" in old.stack
