"""Secrets in a stack's file: written encrypted, under the stack's own salt or a new one, and read back."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.errors import ConfigError, GolabsError, PolicyError, SecretsError
from golabs_infra.passphrase import create
from golabs_infra.policy import TST_PASSPHRASE
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument
from golabs_infra.stackfile import StackFile, parse

from .stack_texts import document

pytestmark = pytest.mark.usefixtures("quick_keys")


def test_a_secret_is_written_encrypted_and_read_back(project: Project) -> None:
    environ = {"PULUMI_CONFIG_PASSPHRASE": "of our own"}
    found = StackDocument.open(project, "dev")
    crypter = found.unlock(environ)
    found.set_secret(("adminPassword",), SecretStr("admin-secret"), crypter)
    found.set_secret(("passwords", "billing", "app"), SecretStr("app-secret"), crypter)
    found.set_secret(("passwords", "billing", "migration"), SecretStr("first"), crypter)
    found.set_secret(("passwords", "billing", "migration"), SecretStr("second"), crypter)
    found.write()
    text = project.stack_file("dev").read_text(encoding="utf-8")
    assert "secret" not in text.replace("  secure:", "")
    again = StackDocument.open(project, "dev")
    assert again.unlock(environ).decrypt(again.get("adminPassword")["secure"]) == "admin-secret"  # type: ignore[index]
    values = StackFile.read(project, "dev").decrypted(environ).values
    shown = {key: str(value) for key, value in values.items()}
    assert "app-secret" not in str(shown)
    passwords = values["passwords"]
    assert isinstance(passwords, dict)
    assert {kind: value.get_secret_value() for kind, value in passwords["billing"].items()} == {
        "app": "app-secret",
        "migration": "second",
    }


def test_many_secrets_at_once_are_the_same_as_one_after_the_other() -> None:
    crypter, _ = create("of our own")
    secrets: dict[tuple[str, ...], SecretStr] = {
        ("passwords", name, kind): SecretStr(name) for name in ("a", "b") for kind in ("migration", "app")
    }
    at_once, one_by_one = document("config:\n"), document("config:\n")
    at_once.set_secrets({("adminPassword",): SecretStr("x"), **secrets}, crypter)
    one_by_one.set_secret(("adminPassword",), SecretStr("x"), crypter)
    for path, value in secrets.items():
        one_by_one.set_secret(path, value, crypter)
    assert [line.split("v1:")[0] for line in at_once.text().splitlines()] == [
        line.split("v1:")[0] for line in one_by_one.text().splitlines()
    ]


def test_secrets_that_are_there_are_replaced_where_they_stand_and_others_stay() -> None:
    crypter, salt = create("of our own")
    first, second, third = (crypter.encrypt(word) for word in ("first", "second", "third"))
    text = (
        f"config:\n  golabs-infra:adminPassword: {{secure: '{first}'}} # ours\n  other:key: {{secure: {second}}}\n"
        f"  golabs-infra:passwords:\n    billing: {{app: {{secure: {second}}}, migration: {{secure: {third}}}}}\n"
        f"encryptionsalt: {salt}\n"
    )
    found = document(text)
    secrets: dict[tuple[str, ...], SecretStr] = {
        ("adminPassword",): SecretStr("new admin"),
        ("passwords", "billing", "app"): SecretStr("new app"),
        ("passwords", "billing", "migration"): SecretStr("new migration"),
        ("passwords", "order", "app"): SecretStr("another service's"),
    }
    found.set_secrets(secrets, crypter)
    config = parse(found.text(), "x")["config"]
    assert isinstance(config, dict)
    assert config["other:key"] == {"secure": second}
    assert crypter.decrypt(config["golabs-infra:adminPassword"]["secure"]) == "new admin"
    passwords = config["golabs-infra:passwords"]
    assert crypter.decrypt(passwords["billing"]["app"]["secure"]) == "new app"
    assert crypter.decrypt(passwords["billing"]["migration"]["secure"]) == "new migration"
    assert crypter.decrypt(passwords["order"]["app"]["secure"]) == "another service's"
    assert "'} # ours\n" in found.text()


@pytest.mark.parametrize("whole", ["{secure: v1:x:y}", "'{\"billing\": {}}'"])
def test_nothing_is_written_below_what_is_one_text(whole: str) -> None:
    crypter, _ = create("of our own")
    found = document(f"config:\n  golabs-infra:passwords: {whole}\n")
    with pytest.raises(ConfigError, match=r"golabs-infra:passwords: it is (one text|encrypted as a whole)"):
        found.set_secret(("passwords", "billing", "app"), SecretStr("x"), crypter)
    assert not found.changed


def test_the_first_secret_brings_a_salt_and_the_next_uses_it() -> None:
    found = document("config:\n  a:b: c\n# end\n")
    crypter = found.unlock({"PULUMI_CONFIG_PASSPHRASE": "of our own"})
    salt = parse(found.text(), "x")["encryptionsalt"]
    assert found.text() == f"config:\n  a:b: c\nencryptionsalt: {salt}\n# end\n"
    again = document(found.text())
    assert again.unlock({"PULUMI_CONFIG_PASSPHRASE": "of our own"}).decrypt(crypter.encrypt("x")) == "x"
    assert not again.changed


@pytest.mark.parametrize(
    ("text", "environ", "kind", "says"),
    [
        ("{salted}", {}, SecretsError, "no passphrase is given"),
        ("{salted}", {"PULUMI_CONFIG_PASSPHRASE": "wrong"}, SecretsError, "is not the one of this stack"),
        ("", {}, SecretsError, "there is no passphrase to encrypt with"),
        ("", {"PULUMI_CONFIG_PASSPHRASE": ""}, SecretsError, "there is no passphrase to encrypt with"),
        ("", {"PULUMI_CONFIG_PASSPHRASE_FILE": "/nowhere"}, SecretsError, "can't be read"),
        ("secretsprovider: awskms://x\n", {}, SecretsError, "held by awskms://x, which only the Pulumi CLI can ask"),
        ("encryptedkey: abc\n", {"PULUMI_CONFIG_PASSPHRASE": "x"}, SecretsError, "held by Pulumi Cloud"),
        ("config: {golabs-infra:a: {secure: AAA}}\n", {"PULUMI_CONFIG_PASSPHRASE": "x"}, SecretsError, "Pulumi Cloud"),
        ("", {"PULUMI_CONFIG_PASSPHRASE": TST_PASSPHRASE}, PolicyError, "which is published"),
    ],
)
def test_a_stack_that_can_t_be_unlocked_says_why(
    text: str, environ: dict[str, str], kind: type[GolabsError], says: str
) -> None:
    _, salt = create("of our own")
    found = document(text.replace("{salted}", f"encryptionsalt: {salt}\n"))
    with pytest.raises(kind) as caught:
        found.unlock(environ)
    assert says in str(caught.value)
    assert caught.value.mend
    assert not found.changed
