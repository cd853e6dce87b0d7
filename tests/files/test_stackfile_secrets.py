"""Secrets of a stack file: decrypted wherever they stand, or said why not, and never shown."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from golabs_infra import passphrase
from golabs_infra.engines import EngineChoice
from golabs_infra.errors import SecretsError
from golabs_infra.passphrase import PassphraseCrypter
from golabs_infra.policy import TST_PASSPHRASE
from golabs_infra.project import Project
from golabs_infra.runs import Run
from golabs_infra.stack_editing import StackDocument
from golabs_infra.stackfile import RawConfig, StackFile, raw_config_of_engine, stack_passphrase
from golabs_infra.storing import needs_cli

from ..support import REPOSITORY
from .stack_files import (
    CANARY,
    PHRASE,
    WITH_PHRASE,
    Sealed,
    clear,
    sealed_stack,  # noqa: F401 - the fixture `sealed`
    shared_folder,  # noqa: F401 - the fixture `folder`
    write,
)

TRACKED = {
    "billing": {"migration": "LqYtdlyq5M5CX2z7lmPh0HoU", "app": "xtdJm3BvFSZmw57Q9VJNr45X"},
    "catalog": {"migration": "yd23ushpEPa2rdw2X7uinX4W", "app": "pQtsPxAhoU4uGf8P7IgXSj4P"},
    "order": {"migration": "FreKJP3PbAt2BFXHIfvI6b8e", "app": "YyJm8IuGGK0LgLleqXZHgj5S"},
}
"""What the values of the tracked Pulumi.tst.yaml say; its passphrase is published, so they are no secrets."""


def test_every_value_of_the_tracked_tst_stack_is_read(
    tracked_stack: dict[str, dict[str, dict[str, dict[str, dict[str, str]]]]], tracked_crypter: PassphraseCrypter
) -> None:
    passwords = tracked_stack["config"]["golabs-infra:passwords"]
    read = {
        service: {kind: tracked_crypter.decrypt(value["secure"]) for kind, value in users.items()}
        for service, users in passwords.items()
    }
    assert read == TRACKED


def test_the_tracked_tst_stack_is_decrypted_without_being_told_a_passphrase(
    tracked_crypter: PassphraseCrypter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def unlock(phrase: str, salt: str) -> PassphraseCrypter:
        asked.append(phrase)
        return tracked_crypter

    monkeypatch.setattr(passphrase, "unlock", unlock)
    config = StackFile.read(Project(REPOSITORY), "tst").decrypted({})
    assert asked == [TST_PASSPHRASE]
    assert config.values["server"] == "embedded"
    assert clear(config.values["passwords"]) == {
        service: {kind: f"<{text}>" for kind, text in users.items()} for service, users in TRACKED.items()
    }


def test_secrets_are_decrypted_wherever_they_stand_and_plain_values_stay(project: Project, sealed: Sealed) -> None:
    text = f"""
{sealed.line}
config:
  golabs-infra:host: db.example.org
  golabs-infra:adminPassword: {sealed("admin pässword")}
  golabs-infra:passwords:
    billing: {{migration: {sealed("")}, app: plain}}
  golabs-infra:accepted:
    - note: {sealed("in a list")}
"""
    config = write(project, text).decrypted(WITH_PHRASE)
    assert clear(config.values) == {
        "host": "db.example.org",
        "adminPassword": "<admin pässword>",
        "passwords": {"billing": {"migration": "<>", "app": "plain"}},
        "accepted": [{"note": "<in a list>"}],
    }
    assert (config.environment, config.source) == ("dev", "Pulumi.dev.yaml")


def test_a_whole_key_that_is_secret_stays_the_json_that_it_holds(project: Project, sealed: Sealed) -> None:
    held = json.dumps({"billing": {"app": "x"}})
    config = write(project, f"{sealed.line}config:\n  golabs-infra:passwords: {sealed(held)}\n").decrypted(WITH_PHRASE)
    assert clear(config.values) == {"passwords": f"<{held}>"}


@pytest.mark.parametrize(
    "lookalike", ["{secure: 5}", "{secure: [x]}", "{secure: x, other: y}", "{secure: {secure: 1}}"]
)
def test_a_mapping_that_only_looks_like_a_secret_is_left_as_it_is(folder: Project, lookalike: str) -> None:
    config = write(folder, f"config:\n  golabs-infra:key: {lookalike}\n").decrypted({})
    assert isinstance(config.values["key"], dict)


def test_without_secrets_no_passphrase_is_asked_for(project: Project, sealed: Sealed) -> None:
    config = write(project, f"{sealed.line}config:\n  golabs-infra:host: db\n").decrypted({})
    assert config.values == {"host": "db"}


def test_secrets_of_other_namespaces_are_not_our_business(project: Project) -> None:
    config = write(project, "config:\n  aws:secretKey: {secure: v1:x:y}\n  golabs-infra:host: db\n").decrypted({})
    assert config.values == {"host": "db"}


def test_a_missing_passphrase_is_told_with_both_ways_to_give_it(project: Project, sealed: Sealed) -> None:
    stack = write(project, f"{sealed.line}config:\n  golabs-infra:adminPassword: {sealed('x')}\n")
    with pytest.raises(SecretsError) as caught:
        stack.decrypted({})
    assert str(caught.value) == (
        "Pulumi.dev.yaml: the stack has encrypted values and no passphrase is given\n"
        "  mend: export PULUMI_CONFIG_PASSPHRASE=... or PULUMI_CONFIG_PASSPHRASE_FILE=/path/to/file"
    )


@pytest.mark.parametrize("phrase", ["", f"{PHRASE} ", PHRASE.upper(), CANARY])
def test_a_wrong_passphrase_is_told_and_not_shown(project: Project, sealed: Sealed, phrase: str) -> None:
    stack = write(project, f"{sealed.line}config:\n  golabs-infra:adminPassword: {sealed('x')}\n")
    with pytest.raises(SecretsError) as caught:
        stack.decrypted({"PULUMI_CONFIG_PASSPHRASE": phrase})
    assert str(caught.value) == (
        "Pulumi.dev.yaml: the passphrase is not the one of this stack\n"
        "  mend: correct PULUMI_CONFIG_PASSPHRASE or the file that PULUMI_CONFIG_PASSPHRASE_FILE names"
    )


def test_a_damaged_salt_is_told_with_the_file(project: Project, sealed: Sealed) -> None:
    stack = write(project, f"encryptionsalt: v1:damaged\nconfig:\n  golabs-infra:adminPassword: {sealed('x')}\n")
    with pytest.raises(SecretsError) as caught:
        stack.decrypted(WITH_PHRASE)
    assert str(caught.value) == (
        "Pulumi.dev.yaml: encryptionsalt is malformed (v1:<salt>:<check value>)\n"
        "  mend: take the line back from version control"
    )


def test_a_damaged_value_is_told_with_its_path(project: Project, sealed: Sealed) -> None:
    other = Sealed()
    text = f"{sealed.line}config:\n  golabs-infra:passwords:\n    billing:\n      app: {other(CANARY)}\n"
    with pytest.raises(SecretsError) as caught:
        write(project, text).decrypted(WITH_PHRASE)
    assert str(caught.value) == (
        "Pulumi.dev.yaml: golabs-infra:passwords.billing.app: this value was encrypted under another passphrase or "
        "salt, or was changed since\n"
        "  mend: golabs set-password dev billing app"
    )


def test_a_damaged_value_in_a_list_is_told_with_its_index(project: Project, sealed: Sealed) -> None:
    text = f"{sealed.line}config:\n  golabs-infra:accepted: [{{note: a}}, {{note: {{secure: nonsense}}}}]\n"
    with pytest.raises(
        SecretsError, match=r"^Pulumi\.dev\.yaml: golabs-infra:accepted\[1\]\.note: this is not a value "
    ):
        write(project, text).decrypted(WITH_PHRASE)


@pytest.mark.parametrize(
    ("head", "holder"),
    [
        ("secretsprovider: awskms://alias/golabs\nencryptedkey: abc\n", "awskms://alias/golabs"),
        ("secretsprovider: hashivault://key\nencryptionsalt: v1:AAAA:v1:AAAA:AAAA\n", "hashivault://key"),
        ("", "Pulumi Cloud (the file has no encryptionsalt)"),
        ("encryptionsalt: ''\n", "Pulumi Cloud (the file has no encryptionsalt)"),
        ("secretsprovider: 12\nencryptionsalt: v1:AAAA:v1:AAAA:AAAA\n", "12"),
    ],
)
def test_other_secrets_providers_need_the_pulumi_engine(project: Project, head: str, holder: str) -> None:
    stack = write(project, f"{head}config:\n  golabs-infra:adminPassword: {{secure: v1:x:y}}\n")
    assert (stack.uses_passphrase, stack.holder) == (False, holder)
    assert needs_cli(Run(project, "dev", EngineChoice.DIRECT, WITH_PHRASE))
    with pytest.raises(SecretsError, match=re.escape(f"held by {holder}, which only the Pulumi CLI can ask")):
        StackDocument.open(project, "dev").unlock(WITH_PHRASE)
    with pytest.raises(SecretsError) as caught:
        stack.decrypted(WITH_PHRASE)
    assert str(caught.value) == (
        f"Pulumi.dev.yaml: the secrets of this stack are held by {holder}, which only the Pulumi CLI can ask\n"
        "  mend: install the Pulumi CLI (golabs setup), then: golabs up dev --engine pulumi"
    )


@pytest.mark.parametrize("named", [None, "passphrase", "default", "''", "~", ""])
def test_the_passphrase_provider_may_be_named_or_not(project: Project, sealed: Sealed, named: str | None) -> None:
    provider = "" if named is None else f"secretsprovider: {named}\n"
    stack = write(project, f"{provider}{sealed.line}config:\n  golabs-infra:adminPassword: {sealed('x')}\n")
    assert (stack.uses_passphrase, stack.holder) == (True, "")
    assert clear(stack.decrypted(WITH_PHRASE).values) == {"adminPassword": "<x>"}
    assert StackDocument.open(project, "dev").unlock(WITH_PHRASE).decrypt(sealed.crypter.encrypt("y")) == "y"
    assert not needs_cli(Run(project, "dev", EngineChoice.DIRECT, {}))


@pytest.mark.parametrize("head", ["", "secretsprovider: default\n", "encryptionsalt:\n"])
def test_a_stack_without_secrets_takes_a_first_passphrase(project: Project, head: str) -> None:
    stack = write(project, f"{head}config:\n  golabs-infra:host: db\n")
    assert (stack.uses_passphrase, stack.holder) == (False, "")
    document = StackDocument.open(project, "dev")
    crypter = document.unlock(WITH_PHRASE)
    document.set_secret(("adminPassword",), SecretStr("x"), crypter)
    document.write()
    assert clear(StackFile.read(project, "dev").decrypted(WITH_PHRASE).values) == {"adminPassword": "<x>", "host": "db"}


def test_an_imported_esc_environment_needs_the_pulumi_engine(project: Project) -> None:
    stack = write(project, "environment:\n  - golabs/dev\nconfig:\n  golabs-infra:host: db\n")
    with pytest.raises(SecretsError) as caught:
        stack.decrypted(WITH_PHRASE)
    assert str(caught.value) == (
        "Pulumi.dev.yaml: environment: the stack imports a Pulumi ESC environment, which only the Pulumi engine can read\n"
        "  mend: install the Pulumi CLI (golabs setup), or run with --engine pulumi: golabs up dev --engine pulumi"
    )


# ---- the passphrase


def test_the_passphrase_variable_comes_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_text("from file", encoding="utf-8")
    both = {"PULUMI_CONFIG_PASSPHRASE": "from variable", "PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "phrase")}
    assert stack_passphrase("dev", both) == "from variable"
    assert stack_passphrase("dev", {**both, "PULUMI_CONFIG_PASSPHRASE": ""}) == ""


@pytest.mark.parametrize("text", ["phrase", "phrase\n", "phrase\r\n", "\n phrase \n\n"])
def test_white_space_around_the_passphrase_in_its_file_is_no_part_of_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "phrase").write_bytes(text.encode())
    assert stack_passphrase("dev", {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "phrase")}) == "phrase"


@pytest.mark.usefixtures("quick_keys")
def test_a_passphrase_that_is_not_utf_8_is_the_same_from_file_and_variable(tmp_path: Path) -> None:
    (tmp_path / "phrase").write_bytes("pässwörd\n".encode("latin-1"))
    of_file = stack_passphrase("dev", {"PULUMI_CONFIG_PASSPHRASE_FILE": str(tmp_path / "phrase")})
    of_variable = os.fsdecode("pässwörd".encode("latin-1"))
    assert of_file == of_variable
    assert passphrase.unlock(of_variable, passphrase.create(of_variable)[1]) is not None


def test_a_passphrase_file_that_cant_be_read_is_told(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SecretsError) as caught:
            stack_passphrase("dev", {"PULUMI_CONFIG_PASSPHRASE_FILE": str(path)})
        assert str(caught.value) == (
            f"PULUMI_CONFIG_PASSPHRASE_FILE: the file can't be read: {reason}\n"
            "  mend: name a readable file that holds the passphrase alone"
        )


def test_only_tst_has_a_passphrase_without_being_told(tmp_path: Path) -> None:
    assert stack_passphrase("tst", {}) == TST_PASSPHRASE
    assert stack_passphrase("tst", {"PULUMI_CONFIG_PASSPHRASE": "own"}) == "own"
    assert [stack_passphrase(name, {}) for name in ("dev", "qua", "prd", "tst2")] == [None] * 4


@pytest.mark.usefixtures("quick_keys")
def test_the_published_passphrase_is_recognised_by_the_salt(project: Project) -> None:
    published, own = Sealed(TST_PASSPHRASE), Sealed()
    assert write(project, published.line).has_published_passphrase()
    assert not write(project, own.line).has_published_passphrase()
    assert not write(project, "encryptionsalt: v1:damaged\n").has_published_passphrase()
    assert not write(project, "config: {}\n").has_published_passphrase()
    assert write(project, f"{published.line}config: {{}}\n").decrypted({}).published_passphrase()


# ---- what the engine hands to the program


def test_the_engines_secrets_are_marked_and_its_plain_values_left(project: Project) -> None:
    given = {"host": "db", "port": "5432", "adminPassword": "x"}
    config = raw_config_of_engine("dev", given, frozenset({"adminPassword"}), project)
    assert clear(config.values) == {"host": "db", "port": "5432", "adminPassword": "<x>"}
    assert (config.environment, config.source) == ("dev", "Pulumi.dev.yaml")


def test_below_a_secret_key_what_stands_plain_in_the_file_is_still_told(project: Project) -> None:
    write(
        project,
        """
config:
  golabs-infra:passwords:
    billing: {migration: {secure: v1:x:y}, app: in plain}
    order: {migration: 12345678, app: null}
""",
    )
    given = {
        "passwords": {
            "billing": {"migration": "was secret", "app": "in plain"},
            "order": {"migration": 12345678, "app": None},
        }
    }
    config = raw_config_of_engine("dev", given, frozenset({"passwords"}), project)
    assert clear(config.values) == {
        "passwords": {
            "billing": {"migration": "<was secret>", "app": "in plain"},
            "order": {"migration": 12345678, "app": None},
        }
    }


def test_of_a_whole_key_that_is_secret_every_text_is(project: Project) -> None:
    write(project, "config:\n  golabs-infra:passwords: {secure: v1:x:y}\n  golabs-infra:accepted: {secure: v1:x:y}\n")
    given = {"passwords": {"billing": {"app": "x"}}, "accepted": [{"note": "y"}, "z"]}
    config = raw_config_of_engine("dev", given, frozenset(given), project)
    assert clear(config.values) == {"passwords": {"billing": {"app": "<x>"}}, "accepted": [{"note": "<y>"}, "<z>"]}


@pytest.mark.parametrize("text", [None, "config: [\n", "config: [a]\n", "- a\n"])
def test_without_a_readable_file_everything_below_a_secret_key_is_secret(project: Project, text: str | None) -> None:
    if text is not None:
        project.stack_file("dev").write_text(text, encoding="utf-8")
    given = {"passwords": {"billing": {"app": "x"}}, "host": "db"}
    config = raw_config_of_engine("dev", given, frozenset({"passwords"}), project)
    assert clear(config.values) == {"passwords": {"billing": {"app": "<x>"}}, "host": "db"}


@pytest.mark.usefixtures("quick_keys")
def test_under_the_engine_the_published_passphrase_is_recognised_by_the_files_salt(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", TST_PASSPHRASE)
    write(project, Sealed().line)
    assert not raw_config_of_engine("dev", {}, frozenset(), project).published_passphrase()
    write(project, Sealed(TST_PASSPHRASE).line)
    assert raw_config_of_engine("dev", {}, frozenset(), project).published_passphrase()


def test_under_the_engine_without_a_file_the_given_passphrase_tells(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = raw_config_of_engine("tst", {}, frozenset(), project)
    (tmp_path / "phrase").write_text(f"{TST_PASSPHRASE}\n", encoding="utf-8")
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_PASSPHRASE_FILE", raising=False)
    assert not config.published_passphrase()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE_FILE", str(tmp_path / "phrase"))
    assert config.published_passphrase()
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "own")
    assert not config.published_passphrase()


# ---- nothing is shown


def test_a_configuration_shows_no_value(project: Project) -> None:
    stack = write(project, f"config:\n  golabs-infra:adminPassword: {CANARY}\n")
    assert CANARY not in repr(stack)
    assert CANARY not in repr(stack.decrypted({}))
    assert CANARY not in repr(RawConfig("dev", {"adminPassword": CANARY}, "file", lambda: False))
