"""Stack files: YAML as Go reads it, secrets decrypted as Pulumi does, and every accident told in words."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from golabs_infra import passphrase
from golabs_infra.errors import ConfigError, SecretsError
from golabs_infra.passphrase import PassphraseCrypter
from golabs_infra.policy import TST_PASSPHRASE
from golabs_infra.project import Project
from golabs_infra.stackfile import RawConfig, StackFile, raw_config_of_engine, stack_passphrase

from ..support import REPOSITORY, make_project
from .test_passphrase import TRACKED

CANARY = "c4n4ry-in-the-mine"
PHRASE = "correct horse"
WITH_PHRASE = {"PULUMI_CONFIG_PASSPHRASE": PHRASE}


def write(project: Project, text: str, environment: str = "dev") -> StackFile:
    """Writes the stack's file with this text, and reads it."""
    project.stack_file(environment).write_text(text, encoding="utf-8")
    return StackFile.read(project, environment)


def values(project: Project, body: str) -> Mapping[str, object]:
    """The values of a stack file whose keys below `config:` are these lines."""
    indented = "\n".join(f"  {line}" for line in body.splitlines())
    return write(project, f"config:\n{indented}\n").values


def one(project: Project, text: str) -> object:
    """What a scalar, written like this, is."""
    return values(project, f"golabs-infra:key: {text}")["key"]


def refused(project: Project, text: str) -> ConfigError:
    """The error that a stack file with this text ends in."""
    with pytest.raises(ConfigError) as caught:
        _ = write(project, text).values
    return caught.value


def clear(node: object) -> object:
    """A configuration with its secrets as `<text>`."""
    if isinstance(node, dict):
        return {key: clear(value) for key, value in node.items()}
    if isinstance(node, list):
        return [clear(value) for value in node]
    return f"<{node.get_secret_value()}>" if isinstance(node, SecretStr) else node


class Sealed:
    """A stack with a passphrase of its own."""

    def __init__(self, phrase: str = PHRASE) -> None:
        self.crypter, self.salt = passphrase.create(phrase)

    def __call__(self, text: str) -> str:
        return f"{{secure: {self.crypter.encrypt(text)}}}"

    @property
    def line(self) -> str:
        """The salt's line of the file."""
        return f"encryptionsalt: {self.salt}\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project for all tests that write nothing but the stack's file."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def sealed(quick_keys: None) -> Sealed:
    """A stack whose passphrase is PHRASE."""
    return Sealed()


# ---- YAML as Go reads it


@pytest.mark.parametrize(
    "text",
    [
        *("no", "No", "NO", "yes", "on", "off", "y", "n"),
        *("name", "notifications", "truth", "falsehood", "true-ish", "nullable", "nil"),
        *("30s", "60s", "5min", "1h", "12:30", "12:30:45", "2027-01-31", "2027-01-31T10:00:00Z"),
        *("127.0.0.1", "10.0.0.1", "1.2.3", "::1", "5432abc", "0xzz", "1e", "+", "=", "."),
        *("verify-full", "db.example.org", "v1:abc", "a b", "a#b", "$HOME"),
    ],
)
def test_a_word_stays_a_string(folder: Project, text: str) -> None:
    assert one(folder, text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("5432", 5432),
        ("-1", -1),
        ("+7", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 15),
        ("0", 0),
        ("08", 8.0),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5432.0", 5432.0),
        ("1e3", 1000.0),
        ("TRUE", True),
        ("false", False),
        ("null", None),
        ("Null", None),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("'5432'", "5432"),
        ('"true"', "true"),
        ("!!str 5432", "5432"),
        ("[a, 1, null]", ["a", 1, None]),
        ("{a: 1}", {"a": 1}),
        ("|\n    two\n    lines", "two\nlines\n"),
    ],
)
def test_scalars_have_the_types_that_go_gives_them(folder: Project, text: str, value: object) -> None:
    read = one(folder, text)
    assert read == value
    assert type(read) is type(value)


def test_anchors_and_merges_are_followed(project: Project) -> None:
    text = """
limits: &limits {connectionLimit: 5, statementTimeout: 30s}
config:
  golabs-infra:services:
    - <<: *limits
      name: billing
      connectionLimit: 9
"""
    assert write(project, text).values == {
        "services": [{"connectionLimit": 9, "statementTimeout": "30s", "name": "billing"}]
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_from_windows_is_read(folder: Project, newline: str, mark: str) -> None:
    text = f"{mark}config:{newline}  golabs-infra:host: db{newline}"
    folder.stack_file("dev").write_bytes(text.encode())
    assert StackFile.read(folder, "dev").values == {"host": "db"}


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "---\n", "config:\n", "config: {}\n", "encryptionsalt: v1:x\n"]
)
def test_a_file_without_configuration_has_no_values(folder: Project, text: str) -> None:
    assert write(folder, text).values == {}


def test_a_key_given_twice_is_told_with_its_line(project: Project) -> None:
    error = refused(project, "config:\n  golabs-infra:host: a\n  golabs-infra:port: 1\n  golabs-infra:host: b\n")
    assert str(error) == (
        "Pulumi.dev.yaml: 1 fault\n"
        "  - line 4, column 3: the key 'golabs-infra:host' is given twice\n"
        "      mend: correct the YAML there"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("config:\n  a: [1, 2\n", "line 3, column 1: expected ',' or ']', but got '<stream end>'"),
        ("config:\n  a: b: c\n", "line 2, column 7: mapping values are not allowed here"),
        ("config:\n\ta: 1\n", "line 2, column 1: found character '\\t' that cannot start any token"),
        ("config:\n  a: 'open\n", "line 3, column 1: found unexpected end of stream"),
        ("config:\n  ? [a]\n  : b\n", "line 2, column 5: a key must be a plain word"),
        ("config: 1\n--- 2\n", "line 2, column 1: but found another document"),
        ("config:\n  a: b\n c: d\n", "line 3, column 2: expected <block end>, but found '<block mapping start>'"),
        ("config: \0\n", "YAML: it is not YAML that can be read"),
        ("config: !!int x\n", "YAML: it is not YAML that can be read"),
        ("config: !!bool x\n", "YAML: it is not YAML that can be read"),
        ("config: !!timestamp x\n", "YAML: it is not YAML that can be read"),
        ("config: !!map [1]\n", "YAML: it is not YAML that can be read"),
        ("[" * 500, "YAML: it is not YAML that can be read"),
    ],
)
def test_broken_yaml_is_told_with_its_place(folder: Project, text: str, fault: str) -> None:
    error = refused(folder, text)
    told = error.faults[0]
    assert error.where == "Pulumi.dev.yaml"
    assert f"{told.where}: {told.what}".startswith(fault)
    assert told.mend == "correct the YAML there"


@pytest.mark.parametrize(
    ("value", "sign"),
    [(f"*{CANARY}", "*"), (f"!{CANARY}", "!"), (f"!{CANARY} x", "!"), (f"!{CANARY}!x y", "!"), (f"!<{CANARY}> x", "!")],
)
def test_a_password_that_yaml_takes_for_something_else_is_told_and_not_shown(
    folder: Project, value: str, sign: str
) -> None:
    error = refused(folder, f"config:\n  golabs-infra:adminPassword: {value}\n")
    assert str(error) == (
        "Pulumi.dev.yaml: 1 fault\n"
        f"  - line 2, column 31: a value begins with {sign}, which means something else in YAML\n"
        "      mend: put the value in quotes"
    )


@pytest.mark.parametrize(
    "value",
    [
        f"@{CANARY}",
        f"`{CANARY}",
        f"%{CANARY}",
        f'"{CANARY}\\q"',
        f"'{CANARY}",
        f"{{{CANARY}",
        f"[{CANARY}",
        f"|{CANARY}",
    ],
)
def test_no_yaml_error_shows_the_value(folder: Project, value: str) -> None:
    error = refused(folder, f"config:\n  golabs-infra:adminPassword: {value}\n")
    assert CANARY not in str(error) + repr(error)
    assert error.__cause__ is None
    assert error.__suppress_context__


def test_a_password_that_yaml_takes_for_an_anchor_twice_is_told_and_not_shown(project: Project) -> None:
    error = refused(project, f"config:\n  golabs-infra:a: &{CANARY} x\n  golabs-infra:b: &{CANARY} y\n")
    assert error.faults[0].what == "a value begins with &, which means something else in YAML"
    assert CANARY not in str(error)


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n", "42\n", "true\n"])
def test_a_file_that_is_no_mapping_is_told(folder: Project, text: str) -> None:
    assert str(refused(folder, text)) == (
        "Pulumi.dev.yaml: 1 fault\n  - YAML: the file is not a mapping of keys\n      mend: start it with 'config:'"
    )


@pytest.mark.parametrize("text", ["config: [a]\n", "config: text\n"])
def test_a_config_that_is_no_mapping_is_told(project: Project, text: str) -> None:
    assert str(refused(project, text)) == (
        "Pulumi.dev.yaml: 1 fault\n  - config: it is not a mapping of keys\n      mend: indent the keys below 'config:'"
    )


def test_a_file_that_is_not_utf_8_is_told_with_the_byte(project: Project) -> None:
    project.stack_file("dev").write_bytes("config: {a: é}".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        StackFile.read(project, "dev")
    assert str(caught.value) == (
        "Pulumi.dev.yaml: 1 fault\n  - encoding: byte 12 is not UTF-8\n      mend: save the file as UTF-8"
    )


def test_a_file_that_may_not_be_read_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    project.stack_file("dev").touch()
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match="file: it can't be read: Permission denied"):
        StackFile.read(project, "dev")


@pytest.mark.parametrize("deeper", ["[{}]", "{{<<: [{}]}}"])
def test_aliases_of_aliases_are_refused_before_they_are_written_out(project: Project, deeper: str) -> None:
    lines = ["a0: &a0 {x: y}"]
    for level in range(1, 30):
        lines.append(f"a{level}: &a{level} " + deeper.format(",".join([f"*a{level - 1}"] * 10)))
    begun = time.monotonic()
    error = refused(project, "\n".join(lines) + "\n")
    assert error.faults[0].what == "it contains itself, or is too much, once its aliases are written out"
    assert time.monotonic() - begun < 1


def test_an_alias_inside_of_what_it_names_is_refused(project: Project) -> None:
    error = refused(project, "config:\n  golabs-infra:services: &all [*all]\n")
    assert error.faults[0].where == "line 2, column 26"
    assert error.faults[0].what == "it contains itself, or is too much, once its aliases are written out"


def test_aliases_in_a_number_that_people_use_are_taken(project: Project) -> None:
    services = "\n".join(f"- {{<<: *limits, name: s{number}}}" for number in range(300))
    read = values(project, f"golabs-infra:limits: &limits {{connectionLimit: 5}}\ngolabs-infra:services:\n{services}")
    listed = read["services"]
    assert isinstance(listed, list)
    assert listed[299] == {"connectionLimit": 5, "name": "s299"}


# ---- which file, which keys


def test_a_missing_file_names_the_stacks_that_there_are(project: Project) -> None:
    for environment in ("tst", "prd"):
        project.stack_file(environment).touch()
    with pytest.raises(ConfigError) as caught:
        StackFile.read(project, "tts")
    assert str(caught.value) == (
        "Pulumi.tts.yaml: 1 fault\n"
        "  - tts: there is no stack of this name: Pulumi.tts.yaml does not exist (there are: prd, tst)\n"
        "      mend: pulumi stack init tts, then set services and host in Pulumi.tts.yaml"
    )


def test_a_missing_file_in_a_project_without_stacks_names_none(project: Project) -> None:
    with pytest.raises(ConfigError) as caught:
        StackFile.read(project, "tst")
    assert caught.value.faults[0].what == "there is no stack of this name: Pulumi.tst.yaml does not exist"


def test_keys_of_other_namespaces_are_left_alone(project: Project) -> None:
    body = "golabs-infra:host: db\naws:region: eu-west-1\ngolabs-infra-web:host: other\npostgresql:password: x"
    assert values(project, body) == {"host": "db"}


@pytest.mark.parametrize("key", ["host", "5432", "golabs-infra.host"])
def test_a_key_without_namespace_is_told_with_the_one_that_it_lacks(project: Project, key: str) -> None:
    assert str(refused(project, f"config:\n  {key}: db\n")) == (
        "Pulumi.dev.yaml: 1 fault\n"
        f"  - config.{key}: the key has no namespace\n"
        f"      mend: write it as golabs-infra:{key}"
    )


def test_the_projects_configuration_is_the_stacks_where_the_stack_says_nothing(project: Project) -> None:
    project.project_file.write_text(
        """
name: golabs-infra
config:
  golabs-infra:adminUser: shared
  golabs-infra:host: {value: shared.example.org}
  golabs-infra:port: {type: integer, default: 5433}
  adminDatabase: bare
  golabs-infra:sslMode: {type: string}
  aws:region: eu-west-1
  5432: nonsense
""",
        encoding="utf-8",
    )
    assert values(project, "golabs-infra:host: own.example.org") == {
        "adminUser": "shared",
        "host": "own.example.org",
        "port": 5433,
        "adminDatabase": "bare",
        "sslMode": None,
        "5432": "nonsense",
    }


@pytest.mark.parametrize("entry", ["{}", "{{value: {}}}"])
def test_a_secret_of_the_projects_configuration_is_decrypted(project: Project, sealed: Sealed, entry: str) -> None:
    project.project_file.write_text(
        f"name: golabs-infra\nconfig:\n  golabs-infra:adminPassword: {entry.format(sealed('secret'))}\n",
        encoding="utf-8",
    )
    config = write(project, sealed.line).decrypted(WITH_PHRASE)
    assert clear(config.values) == {"adminPassword": "<secret>"}


def test_a_broken_project_file_is_told_by_its_name(project: Project) -> None:
    project.project_file.write_text("name: [\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^Pulumi\.yaml: 1 fault\n  - line 2, column 1: "):
        write(project, "config: {}\n")


@pytest.mark.parametrize("config", ["", "config: text\n", "config: []\n", "config:\n"])
def test_a_project_without_configuration_of_its_own_adds_none(project: Project, config: str) -> None:
    project.project_file.write_text(f"name: golabs-infra\n{config}", encoding="utf-8")
    assert values(project, "golabs-infra:host: db") == {"host": "db"}


# ---- secrets


def test_every_tracked_stack_file_of_the_repository_is_read() -> None:
    for environment in ("tst", "dev", "qua", "prd"):
        read = StackFile.read(Project(REPOSITORY), environment)
        assert read.values["services"] == ["billing", "catalog", "order"]
        assert read.uses_passphrase is (environment == "tst")


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
    ],
)
def test_other_secrets_providers_need_the_pulumi_engine(project: Project, head: str, holder: str) -> None:
    stack = write(project, f"{head}config:\n  golabs-infra:adminPassword: {{secure: v1:x:y}}\n")
    assert not stack.uses_passphrase
    with pytest.raises(SecretsError) as caught:
        stack.decrypted(WITH_PHRASE)
    assert str(caught.value) == (
        f"Pulumi.dev.yaml: the secrets of this stack are held by {holder}, which only the Pulumi engine can ask\n"
        "  mend: install the Pulumi CLI (golabs setup), then: golabs up dev --engine pulumi"
    )


@pytest.mark.parametrize("provider", ["", "secretsprovider: passphrase\n", "secretsprovider: ''\n"])
def test_the_passphrase_provider_may_be_named_or_not(project: Project, sealed: Sealed, provider: str) -> None:
    stack = write(project, f"{provider}{sealed.line}config:\n  golabs-infra:adminPassword: {sealed('x')}\n")
    assert stack.uses_passphrase
    assert clear(stack.decrypted(WITH_PHRASE).values) == {"adminPassword": "<x>"}


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
