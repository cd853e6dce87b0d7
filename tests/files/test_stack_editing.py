"""Editing a stack's file: what was meant is there afterwards, and every other character is as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from golabs_infra.errors import ConfigError
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument
from golabs_infra.stackfile import parse

from ..support import REPOSITORY
from .stack_texts import document, edited, stack_texts

TRACKED = sorted(REPOSITORY.glob("Pulumi.*.yaml"))


@pytest.mark.parametrize("path", TRACKED, ids=[path.name for path in TRACKED])
def test_the_tracked_files_come_back_to_the_byte(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = document(text)
    assert found.text() == text
    assert not StackDocument(path, "dev", text).changed
    for service in ("billing", "catalog", "order"):
        assert edited(text, service) == text.replace(
            f"    - {service}\n", f"    - name: {service}\n      retired: true\n", 1
        )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "config:\n  golabs-infra:services:\n  - billing # the oldest\n  # next\n  - order\n",
            "config:\n  golabs-infra:services:\n  - name: billing # the oldest\n    retired: true\n  # next\n  - order\n",
        ),
        (
            "config:\r\n    golabs-infra:services:\r\n        -   'billing'\r\n",
            "config:\r\n    golabs-infra:services:\r\n        -   name: 'billing'\r\n            retired: true\r\n",
        ),
        (
            "config:\n  golabs-infra:services: [billing,  order]  # few",
            "config:\n  golabs-infra:services: [{name: billing, retired: true},  order]  # few",
        ),
        (
            'config: {"golabs-infra:services": [{name: billing, connectionLimit: 5,}]}\n',
            'config: {"golabs-infra:services": [{name: billing, connectionLimit: 5, retired: true,}]}\n',
        ),
        (
            "config:\n  golabs-infra:services:\n    - connectionLimit: 5\n\n      # its name\n      name: billing  # this\n"
            "\n# below\nencryptionsalt: v1:x\n",
            "config:\n  golabs-infra:services:\n    - connectionLimit: 5\n\n      # its name\n      name: billing  # this\n"
            "      retired: true\n\n# below\nencryptionsalt: v1:x\n",
        ),
        (
            "config:\n  golabs-infra:services:\n    - name: billing # only a name\n    - order",
            "config:\n  golabs-infra:services:\n    - retired: true\n      name: billing # only a name\n    - order",
        ),
        (
            "config:\n  golabs-infra:services:\n    - {name: billing}\n",
            "config:\n  golabs-infra:services:\n    - {retired: true, name: billing}\n",
        ),
        (
            "config:\n  golabs-infra:services:\n    - order\n    - name: billing\n      extensions:\n        - pg_trgm\n",
            "config:\n  golabs-infra:services:\n    - order\n    - name: billing\n      extensions:\n        - pg_trgm\n"
            "      retired: true\n",
        ),
    ],
    ids=["comment", "crlf", "flow", "flow mapping", "mapping", "only a name", "only a name, flow", "nested"],
)
def test_a_service_is_retired_and_taken_back_to_the_byte(before: str, after: str) -> None:
    assert edited(before) == after


def test_a_service_that_says_false_is_set_to_true() -> None:
    text = (
        "config:\n  golabs-infra:services:\n    - name: billing\n      retired: false # yet\n      connectionLimit: 5\n"
    )
    found = document(text)
    found.set_retired("billing", True)
    assert found.text() == text.replace("false", "true")
    found.set_retired("billing", False)
    assert found.text() == "config:\n  golabs-infra:services:\n    - name: billing\n      connectionLimit: 5\n"


def test_what_was_retired_by_hand_can_be_taken_back() -> None:
    first = (
        "config:\n  golabs-infra:services:\n    - retired: true # since May\n      # its name\n      name: billing\n"
    )
    assert edited(first, retired=False) == (
        "config:\n  golabs-infra:services:\n    - # its name\n      name: billing\n"
    )
    last = "config:\n  golabs-infra:services:\n    - name: billing\n      retired: true\n# the end"
    assert edited(last, retired=False) == "config:\n  golabs-infra:services:\n    - billing\n# the end"


def test_what_is_so_already_changes_nothing() -> None:
    for entry in ("billing", "{name: billing, retired: true}"):
        text = f"config:\n  golabs-infra:services: [{entry}]\n"
        found = document(text)
        found.set_retired("billing", "retired" in entry)
        assert not found.changed


@pytest.mark.parametrize(
    ("services", "where", "what"),
    [
        ("'[\"billing\"]'", "golabs-infra:services", "it is one text, not a list"),
        ("{secure: v1:x:y}", "golabs-infra:services", "it is one text, not a list"),
        ("[&a billing, *a]", "line 2", "this can't be changed safely: there is an anchor (&) or a tag (!)"),
        ("[&a {name: billing}]", "line 2", "this can't be changed safely: there is an anchor (&) or a tag (!)"),
        ("&a [billing]", "line 2", "this can't be changed safely: there is an anchor (&) or a tag (!)"),
    ],
)
def test_a_list_that_is_not_safe_to_change_is_told_with_the_way_by_hand(services: str, where: str, what: str) -> None:
    found = document(f"config:\n  golabs-infra:services: {services}\n")
    before = found.text()
    with pytest.raises(ConfigError) as caught:
        found.set_retired("billing", True)
    (fault,) = caught.value.faults
    assert (fault.where, fault.what) == (where, what)
    assert fault.mend == (
        "at services, write {name: billing, retired: true} for billing by hand, then: golabs up dev, which does not look "
        "at who still needs it"
    )
    assert found.text() == before


def test_an_alias_among_the_services_is_left_alone() -> None:
    text = "x: &it billing\nconfig:\n  golabs-infra:services:\n    - *it\n    - order\n"
    with pytest.raises(ConfigError, match="can't be changed safely"):
        document(text).set_retired("billing", True)
    assert "name: order" in edited(text, "order")


def test_the_services_of_another_file_are_not_looked_for_here() -> None:
    with pytest.raises(ConfigError, match="it is not a list of services in this file"):
        document("config: {}\n").set_retired("billing", True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "config:\n  golabs-infra:port: 1\n"),
        ("# nothing\n", "# nothing\nconfig:\n  golabs-infra:port: 1\n"),
        ("config:\n", "config:\n  golabs-infra:port: 1\n"),
        ("config: # ours\n", "config: # ours\n  golabs-infra:port: 1\n"),
        ("config: {}\n", "config:\n  golabs-infra:port: 1\n"),
        ("config:\n  a:b: c", "config:\n  a:b: c\n  golabs-infra:port: 1"),
        ("config:\n    a:b: c # d\n\n# e\nx: y\n", "config:\n    a:b: c # d\n    golabs-infra:port: 1\n\n# e\nx: y\n"),
        ("config: {a:b: c}\n", "config: {a:b: c, 'golabs-infra:port': 1}\n"),
        ("encryptionsalt: v1:x\n", "encryptionsalt: v1:x\nconfig:\n  golabs-infra:port: 1\n"),
        ("config:\n  golabs-infra:port: '5' # was 5\n", "config:\n  golabs-infra:port: 1 # was 5\n"),
        ("config:\n  golabs-infra:port:\n    secure: v1:x # old\n  a:b: c\n", None),
        (
            "config:\n  golabs-infra:port: # which\n    - 1\n  a:b: c\n",
            "config:\n  golabs-infra:port: 1 # which\n  a:b: c\n",
        ),
        ("config:\n  golabs-infra:port: |\n    text\n\n  a:b: c\n", "config:\n  golabs-infra:port: 1\n\n  a:b: c\n"),
        ("x: &x {a: b}\nconfig:\n  a:b: *x\n", "x: &x {a: b}\nconfig:\n  a:b: *x\n  golabs-infra:port: 1\n"),
        ("\ufeffconfig:\r\n  a:b: c\r\n", "\ufeffconfig:\r\n  a:b: c\r\n  golabs-infra:port: 1\r\n"),
    ],
)
def test_a_key_is_set_where_it_belongs(before: str, after: str | None) -> None:
    found = document(before)
    found.set("port", 1)
    assert found.get("port") == 1
    if after is not None:
        assert found.text() == after


def test_a_value_is_written_as_a_block_in_the_file_s_own_indentation() -> None:
    found = document("config:\n    golabs-infra:port: 1\n    a:b:\n    - c\n")
    found.set("services", ["billing", {"name": "order", "extensions": ["pg_trgm"]}])
    found.set("port", {"a": {"b": []}})
    assert found.text() == (
        "config:\n    golabs-infra:port:\n        a:\n            b: []\n    a:b:\n    - c\n    golabs-infra:services:\n"
        "    - billing\n    - name: order\n      extensions:\n      - pg_trgm\n"
    )


def test_a_file_that_does_not_exist_begins_with_an_empty_configuration(project: Project) -> None:
    found = StackDocument.open(project, "uat")
    assert found.text() == "config:\n"
    found.set("host", "db")
    found.write()
    file = project.stack_file("uat")
    assert file.read_text(encoding="utf-8") == "config:\n  golabs-infra:host: db\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_a_file_keeps_its_mode_and_a_link_its_target(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere.yaml"
    target.write_bytes(b"config:\r\n  a:b: c\r\n")
    target.chmod(0o600)
    project.stack_file("dev").symlink_to(target)
    found = StackDocument.open(project, "dev")
    found.set("host", "db")
    found.write()
    assert project.stack_file("dev").is_symlink()
    assert target.read_bytes() == b"config:\r\n  a:b: c\r\n  golabs-infra:host: db\r\n"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".golabs-*")) == []


def test_a_file_that_somebody_else_changed_meanwhile_is_left_alone(project: Project) -> None:
    file = project.stack_file("dev")
    file.write_text("config: {}\n", encoding="utf-8")
    found = StackDocument.open(project, "dev")
    found.set("host", "db")
    file.write_text("config: {a:b: c}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="changed while this ran"):
        found.write()
    assert file.read_text(encoding="utf-8") == "config: {a:b: c}\n"


def test_what_was_written_can_be_put_back_to_the_byte(project: Project) -> None:
    file, before = project.stack_file("dev"), b"config:\r\n  a:b:   c # odd\r\n"
    file.write_bytes(before)
    file.chmod(0o640)
    found = StackDocument.open(project, "dev")
    found.restore()
    found.set("host", "db")
    found.write()
    assert file.read_bytes() != before
    found.restore()
    assert file.read_bytes() == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_what_somebody_has_changed_since_it_was_written_is_not_put_back(project: Project) -> None:
    file = project.stack_file("dev")
    file.write_text("config: {}\n", encoding="utf-8")
    found = StackDocument.open(project, "dev")
    found.set("host", "db")
    found.write()
    file.write_text("config: {a:b: c}\n", encoding="utf-8")
    found.restore()
    assert file.read_text(encoding="utf-8") == "config: {a:b: c}\n"


def test_a_write_that_fails_leaves_nothing_behind(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    found = StackDocument.open(project, "dev")
    found.set("host", "db")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        found.write()
    assert [path.name for path in project.root.iterdir()] == ["Pulumi.yaml"]


def test_tst_is_unlocked_by_its_published_passphrase() -> None:
    found = StackDocument.open(Project(REPOSITORY), "tst")
    assert found.unlock({})
    assert not found.changed


def test_a_text_that_would_say_something_else_afterwards_is_left_alone() -> None:
    text = "x: &x {a: b}\nconfig:\n  golabs-infra:passwords: *x\n  a:b: *x\n"
    found = document(text)
    with pytest.raises(
        ConfigError, match=r"line 3: this can't be changed safely: config.golabs-infra:passwords is an alias"
    ):
        found.set("passwords", 1)
    assert found.text() == text


@given(text=stack_texts(), service=st.sampled_from(["billing", "catalog", "order"]))
def test_retiring_any_service_of_any_file_keeps_every_other_line(text: str, service: str) -> None:
    written = edited(text, service)
    before, after = parse(text, "x"), parse(written, "x")
    meant = yaml.safe_load(yaml.safe_dump(before, sort_keys=False))
    entries = meant["config"]["golabs-infra:services"]
    place = [entry["name"] if isinstance(entry, dict) else entry for entry in entries].index(service)
    entry = entries[place] if isinstance(entries[place], dict) else {"name": service}
    entries[place] = {**entry, "retired": True}
    assert after == meant
    kept = written.split("\n")
    assert [line for line in text.split("\n") if line not in kept and service not in line] == []


@given(
    text=stack_texts(),
    key=st.sampled_from(["host", "services", "passwords"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
        max_leaves=6,
    ),
)
def test_any_value_can_be_set_in_any_file_and_the_rest_stays(text: str, key: str, value: object) -> None:
    found = document(text)
    try:
        found.set(key, value)
    except ConfigError:
        assert found.text() == text
        return
    assert found.get(key) == value
    kept = found.text().split("\n")
    assert [line for line in text.split("\n") if line not in kept and ("other:" in line or "salt" in line)] == []
