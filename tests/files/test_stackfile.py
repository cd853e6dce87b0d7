"""Stack files: YAML as Go reads it, and which of its values are ours."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from golabs_infra.errors import ConfigError
from golabs_infra.project import Project
from golabs_infra.stackfile import StackFile

from ..support import REPOSITORY
from .stack_files import (
    CANARY,
    WITH_PHRASE,
    Sealed,
    clear,
    one,
    refused,
    sealed_stack,  # noqa: F401 - the fixture `sealed`
    shared_folder,  # noqa: F401 - the fixture `folder`
    values,
    write,
)

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
        "      mend: write Pulumi.tts.yaml with golabs-infra:policy, host and services below config:, as the others have "
        "them; with the Pulumi CLI, first: pulumi stack init tts"
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
