"""Connection files: private, written together or not at all, and read again by any reader of YAML."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from golabs_infra import connections, file_sets
from golabs_infra.connections import (
    Record,
    connection_file,
    known_passwords,
    read_records,
    remove_files,
    render_yaml,
)
from golabs_infra.errors import GolabsError
from golabs_infra.files import prepare_private
from golabs_infra.project import Project

from ..support import unwarned
from ..unit.connection_records import AMBIGUOUS, APP, HARMLESS, MIGRATION, ODD, mode, records_of

write_files = partial(connections.write_files, warn=unwarned)


# ---- the file's text


@pytest.mark.parametrize("password", [*HARMLESS, *ODD, *AMBIGUOUS])
def test_a_file_is_read_back_to_its_record_by_any_reader_of_yaml(password: str) -> None:
    (record,) = records_of("billing", password=password)
    text = render_yaml(record)
    assert yaml.safe_load(text) == record
    assert yaml.load(text, Loader=yaml.BaseLoader) == {**record, "port": "5432"}  # noqa: S506  (makes strings only)


@pytest.mark.parametrize("password", AMBIGUOUS)
def test_a_password_that_some_reader_takes_for_something_else_is_quoted(password: str) -> None:
    (record,) = records_of("billing", password=password)
    assert render_yaml(record).split("    password: ")[1][0] in "'\""


def test_a_file_says_what_it_is_and_how_it_is_made_again() -> None:
    (record,) = records_of("billing")
    assert render_yaml(record).splitlines()[:8] == [
        "# Written by golabs; holds passwords. Made again by: golabs export tst",
        "environment: tst",
        "service: billing",
        "database: go-labs-tst",
        "host: db.example.org",
        "port: 5432",
        "sslmode: require",
        "schema: billing",
    ]


# ---- files


def test_files_are_private_and_where_the_contract_says(project: Project) -> None:
    written = write_files(project, "tst", records_of("billing", "order"))
    folder = project.root / "output" / "tst"
    assert written == [folder / "billing-connections.yaml", folder / "order-connections.yaml"]
    assert [mode(path) for path in written] == [0o600, 0o600]
    assert mode(folder) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == ["billing-connections.yaml", "order-connections.yaml"]


def test_a_folder_and_files_that_were_open_to_others_are_closed(project: Project) -> None:
    folder = project.output_folder("tst")
    folder.mkdir(parents=True, mode=0o755)
    old = connection_file(project, "tst", "billing")
    old.touch(mode=0o644)
    write_files(project, "tst", records_of("billing"))
    assert (mode(folder), mode(old)) == (0o700, 0o600)


@pytest.mark.usefixtures("umask_of_nothing")
def test_the_umask_opens_nothing(project: Project) -> None:
    (written,) = write_files(project, "tst", records_of("billing"))
    assert (mode(written), mode(written.parent)) == (0o600, 0o700)


@pytest.fixture
def umask_of_nothing() -> Iterator[None]:
    """A umask that closes nothing by itself."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_what_is_written_is_read_again(project: Project) -> None:
    records = records_of("billing", "order", password="12345678")
    write_files(project, "tst", records)
    assert read_records(project, "tst") == records
    assert read_records(project, "dev") == []


def test_an_older_file_is_replaced(project: Project) -> None:
    for password in ("old", "new"):
        write_files(project, "tst", records_of("billing", password=password))
    assert read_records(project, "tst") == records_of("billing", password="new")


def test_files_of_removed_services_are_removed_and_others_left(project: Project) -> None:
    write_files(project, "tst", records_of("billing", "catalog", "order"))
    write_files(project, "tst", records_of("billing"), removed=["order", "never there"])
    assert [record["service"] for record in read_records(project, "tst")] == ["billing", "catalog"]


def failing_at(number: int) -> Callable[[Path, str], str]:
    """`prepare_private` that fails at its n-th file, as on a full disk."""
    calls = iter(range(1, 100))

    def prepare(folder: Path, text: str) -> str:
        if next(calls) == number:
            raise OSError(28, "No space left on device")
        return prepare_private(folder, text)

    return prepare


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_failure_at_any_file_keeps_all_the_old_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    old = records_of("billing", "catalog", "order", password="old")
    write_files(project, "tst", old)
    monkeypatch.setattr(file_sets, "prepare_private", failing_at(number))
    with pytest.raises(GolabsError) as caught:
        write_files(project, "tst", records_of("billing", "catalog", "order", password="new"), removed=["gone"])
    folder = project.output_folder("tst")
    assert str(caught.value) == (
        f"{folder}: the connection files can't be written: No space left on device. The old ones are kept\n"
        "  mend: free space or mend permissions there, then: golabs export tst"
    )
    assert read_records(project, "tst") == old
    assert len(list(folder.iterdir())) == 3


def test_a_failure_of_the_first_run_leaves_no_file(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sets, "prepare_private", failing_at(2))
    with pytest.raises(GolabsError):
        write_files(project, "tst", records_of("billing", "order"))
    assert list(project.output_folder("tst").iterdir()) == []


def test_a_folder_in_the_place_of_one_file_keeps_all_the_old_ones(project: Project) -> None:
    old = records_of("billing", password="old")
    write_files(project, "tst", old)
    in_the_way = connection_file(project, "tst", "order")
    in_the_way.mkdir()
    with pytest.raises(GolabsError, match=r"order-connections\.yaml is a folder\. The old ones are kept"):
        write_files(project, "tst", records_of("billing", "order", password="new"))
    in_the_way.rmdir()
    assert read_records(project, "tst") == old


def test_a_file_in_the_place_of_the_folder_is_told(project: Project) -> None:
    (project.root / "output").touch()
    with pytest.raises(GolabsError, match="the connection files can't be written: "):
        write_files(project, "tst", records_of("billing"))


CANARY = "c4n4ry-in-the-mine"
RECORD_KEYS = ("environment", "service", "database", "host", "port", "sslmode", "schema", "users")
USER_KEYS = ("username", "password", "url", "jdbcUrl")
BROKEN = {
    "not YAML": f"users: {{app: {{password: {CANARY}\n",
    "an alias": f"password: *{CANARY}\n",
    "not a mapping": f"- {CANARY}\n",
    "empty": "",
    "no users": f"password: {CANARY}\n",
    "one user": f"users: {{app: {{username: u, password: {CANARY}}}}}\n",
    "no password": f"users: {{app: {{username: {CANARY}}}, migration: {{username: u}}}}\n",
    "users of another kind": f"users: [{CANARY}]\n",
    "users that are texts": f"users: {{migration: {CANARY}, app: {CANARY}}}\n",
    **{
        f"no {tag}": f"users: !!{tag} {CANARY}\n"
        for tag in ("int", "float", "bool", "timestamp", "binary", "set", "str2")
    },
    "a list far down": f"{'[' * 5000}{CANARY}",
    "a day that is none": f"users: {CANARY}\nday: 2027-99-99\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN.keys())
def test_a_file_that_is_none_is_told_by_its_name_and_not_shown(project: Project, text: str) -> None:
    path = connection_file(project, "tst", "billing")
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(GolabsError) as caught:
        read_records(project, "tst")
    assert caught.value.where == str(path)
    assert (
        caught.value.mend
        == "correct it, or move it out of the way; golabs export tst makes it again from the stack's state"
    )
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def changed(project: Project, change: Callable[[Record], object]) -> Path:
    """A connection file that somebody has edited."""
    (path,) = write_files(project, "tst", records_of("billing", password=CANARY))
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(record)
    path.write_text(yaml.safe_dump(record), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        *((lambda record, key=key: record.pop(key), f"{key} is missing") for key in RECORD_KEYS),
        *((lambda record, key=key: record.update({key: [CANARY]}), f"{key} is no ") for key in RECORD_KEYS),
        *(
            (lambda record, key=key: record["users"]["app"].pop(key), f"users.app.{key} is missing")
            for key in USER_KEYS
        ),
        (lambda record: record["users"]["app"].update(password=None), "users.app.password is no text"),
        (lambda record: record["users"]["app"].update(username=True), "users.app.username is no text"),
        (lambda record: record["users"].update(app=CANARY), "users.app is no mapping"),
        (lambda record: record["users"]["app"].update(others=CANARY), "users.app.others is no list"),
        (lambda record: record["users"]["app"].update(others=[CANARY]), "users.app.others[0] is no mapping"),
        (lambda record: record["users"]["app"].update(others=[{"username": CANARY}]), "others[0].password is missing"),
        (lambda record: record.update(port=CANARY), "port is no whole number"),
        (lambda record: record.update(sslrootcert=[CANARY]), "sslrootcert is no text"),
    ],
)
def test_a_file_that_lacks_something_or_has_something_else_there_is_told_by_its_key(
    project: Project, change: Callable[[Record], object], fault: str
) -> None:
    path = changed(project, change)
    with pytest.raises(GolabsError) as caught:
        read_records(project, "tst")
    assert caught.value.where == str(path)
    assert caught.value.what.startswith("the connection file can't be read: ")
    assert fault in caught.value.what
    assert CANARY not in str(caught.value)


def test_every_fault_of_a_file_is_told_at_once(project: Project) -> None:
    changed(project, lambda record: (record.pop("service"), record["users"].pop("app")))
    with pytest.raises(GolabsError, match=r": service is missing; users\.app is missing\n") as caught:
        read_records(project, "tst")
    assert caught.value.__suppress_context__


def test_numbers_that_nobody_has_quoted_are_texts_where_texts_are_meant(project: Project) -> None:
    changed(project, lambda record: (record["users"]["app"].update(password=12345678), record.update(port="5432")))
    (record,) = read_records(project, "tst")
    assert (record["users"]["app"]["password"], record["port"]) == ("12345678", 5432)
    assert {key for key, value in records_of("billing")[0].items() if record[key] != value} == {"users"}


def test_a_file_that_is_not_utf_8_is_told(project: Project) -> None:
    path = connection_file(project, "tst", "billing")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"users: \xff\n")
    with pytest.raises(GolabsError, match="the connection file can't be read"):
        read_records(project, "tst")


def test_other_files_in_the_folder_are_not_read(project: Project) -> None:
    write_files(project, "tst", records_of("billing"))
    (project.output_folder("tst") / "golabs.sql").write_text("SELECT", encoding="utf-8")
    assert len(read_records(project, "tst")) == 1


def test_known_passwords_are_by_user_and_hidden() -> None:
    known = known_passwords(records_of("billing", password=CANARY))
    assert {user: password.get_secret_value() for user, password in known.items()} == {MIGRATION: CANARY, APP: CANARY}
    assert CANARY not in repr(known)


def test_what_somebody_added_to_the_users_of_a_file_is_passed_over() -> None:
    (record,) = records_of("billing")
    record["users"]["reporting"] = {"note": "made by hand"}
    assert list(known_passwords([record])) == [MIGRATION, APP]


def test_removing_takes_the_connection_files_and_the_empty_folder(project: Project) -> None:
    written = write_files(project, "tst", records_of("billing", "order"))
    assert remove_files(project, "tst") == written
    assert not project.output_folder("tst").exists()
    assert remove_files(project, "tst") == []


def test_removing_leaves_what_is_not_ours(project: Project) -> None:
    write_files(project, "tst", records_of("billing"))
    other = project.output_folder("tst") / "notes.txt"
    other.touch()
    remove_files(project, "tst")
    assert list(project.output_folder("tst").iterdir()) == [other]
