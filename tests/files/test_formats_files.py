"""Files of every form: private, written all or none, kept true by later runs, and gone with what they are of."""

from __future__ import annotations

import stat
from functools import partial
from pathlib import Path

import pytest

from golabs_infra import connections, file_sets
from golabs_infra.connections import read_records, remove_files, write_meanwhile
from golabs_infra.errors import GolabsError
from golabs_infra.formats_login import ExportFormat
from golabs_infra.project import Project

from ..support import unwarned
from ..unit.connection_records import endpoint
from ..unit.test_formats import CERTIFICATE, OTHERS, records_of
from .test_connections_files import failing_at

write_files = partial(connections.write_files, warn=unwarned)
export_files = partial(connections.export_files, warn=unwarned)


def contents(project: Project) -> dict[str, str]:
    """Every connection file by its name."""
    return {path.name: path.read_text(encoding="utf-8") for path in project.output_folder("tst").iterdir()}


def export_all(project: Project, *services: str, password: str) -> None:
    """Every form, YAML as an `up` writes it."""
    for form in ExportFormat:
        export_files(project, "tst", records_of(*services, password=password), form)


@pytest.mark.parametrize("form", OTHERS)
def test_exported_files_are_private_and_nothing_else_is_written(project: Project, form: ExportFormat) -> None:
    written = export_files(project, "tst", records_of("billing", "order"), form)
    assert sorted(path.name for path in written) == sorted(contents(project))
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert stat.S_IMODE(written[0].parent.stat().st_mode) == 0o700


def test_forms_that_were_exported_once_are_rewritten_and_others_are_not_made(project: Project) -> None:
    write_files(project, "tst", records_of("billing", password="old"))
    export_files(project, "tst", records_of("billing", password="old"), ExportFormat.DOTENV)
    assert [path.name for path in write_files(project, "tst", records_of("billing", "order", password="new"))] == [
        "billing-connections.yaml",
        "order-connections.yaml",
    ]
    found = contents(project)
    assert sorted(found) == [
        *("billing-app.env", "billing-connections.yaml", "billing-migration.env"),
        *("order-app.env", "order-connections.yaml", "order-migration.env"),
    ]
    assert "PGPASSWORD=new\n" in found["billing-app.env"]


def test_no_old_password_is_left_in_any_form(project: Project) -> None:
    export_all(project, "billing", "order", password="old-one")
    before = contents(project)
    write_files(project, "tst", records_of("billing", "order", password="new-one"))
    after = contents(project)
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)
    assert "old-one" not in "".join(after.values())


def test_files_of_a_removed_service_go_in_every_form(project: Project) -> None:
    export_all(project, "billing", "order", password="pencil")
    write_files(project, "tst", records_of("billing"), removed=["order"])
    found = contents(project)
    assert [name for name in found if "order" in name] == []
    assert "order" not in found["pgpass"] + found["pg_service.conf"]
    write_files(project, "tst", [], removed=["billing"])
    assert contents(project) == {}


def test_a_form_that_cannot_hold_a_new_password_loses_its_files_rather_than_keep_the_old_one(project: Project) -> None:
    export_all(project, "billing", "order", password="old")
    records = [*records_of("billing", password="it's $5"), *records_of("order")]
    told: list[str] = []
    write_files(project, "tst", records, warn=told.append)
    (warning,) = told
    assert warning.startswith("the files of the form dotenv are removed, rather than left with old passwords: ")
    assert "golabs rotate tst billing --user migration" in warning
    found = contents(project)
    assert [name for name in found if name.endswith(".env")] == []
    assert {"pgpass", "pg_service.conf", "billing-app.properties", "billing-secret.yaml"} < found.keys()
    assert read_records(project, "tst") == records
    with pytest.raises(GolabsError, match="the password of billing_migration_tst_user"):
        export_files(project, "tst", records, ExportFormat.DOTENV)
    assert contents(project) == found


def test_a_change_that_may_be_taken_back_is_in_golabs_own_form_alone(project: Project) -> None:
    export_all(project, "billing", "order", password="old")
    before = contents(project)
    records = [*records_of("billing", password="it's $5"), *records_of("catalog")]
    write_meanwhile(project, "tst", records, removed=["order"])
    after = contents(project)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed == {f"{service}-connections.yaml" for service in ("billing", "catalog", "order")}
    assert read_records(project, "tst") == records


def test_files_that_stay_as_they_were_are_not_said_to_be_removed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_all(project, "billing", password="old")
    before = contents(project)
    monkeypatch.setattr(file_sets, "prepare_private", failing_at(1))
    with pytest.raises(GolabsError):
        write_files(project, "tst", records_of("billing", password="it's $5"))
    assert contents(project) == before


@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize("form", [ExportFormat.DOTENV, ExportFormat.JDBC])
def test_a_failure_at_any_file_keeps_all_the_old_ones(
    project: Project, monkeypatch: pytest.MonkeyPatch, number: int, form: ExportFormat
) -> None:
    export_files(project, "tst", records_of("billing", "order", password="old"), form)
    before = contents(project)
    monkeypatch.setattr(file_sets, "prepare_private", failing_at(number))
    with pytest.raises(GolabsError, match=r"No space left on device\. The old ones are kept"):
        export_files(project, "tst", records_of("billing", "order", password="new"), form)
    assert contents(project) == before


def test_a_failure_of_a_later_run_keeps_the_old_files_of_all_forms(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_all(project, "billing", password="old")
    before = contents(project)
    monkeypatch.setattr(file_sets, "prepare_private", failing_at(len(before)))
    with pytest.raises(GolabsError):
        write_files(project, "tst", records_of("billing", password="new"))
    assert contents(project) == before


def test_a_folder_in_the_place_of_a_file_keeps_all_the_old_ones(project: Project) -> None:
    (project.output_folder("tst") / "order-app.env").mkdir(parents=True)
    with pytest.raises(GolabsError, match=r"order-app\.env is a folder\. The old ones are kept"):
        export_files(project, "tst", records_of("billing", "order"), ExportFormat.DOTENV)
    assert [path.name for path in project.output_folder("tst").iterdir()] == ["order-app.env"]


def test_removing_takes_the_files_of_every_form_and_leaves_what_is_not_ours(project: Project) -> None:
    export_all(project, "billing", password="pencil")
    ours = sorted(contents(project))
    other = project.output_folder("tst") / "notes.env"
    other.touch()
    assert [path.name for path in remove_files(project, "tst")] == ours
    assert list(project.output_folder("tst").iterdir()) == [other]


def test_a_root_certificate_that_cannot_be_read_is_told_by_its_path(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    records = records_of("billing", server=endpoint(ssl_root_cert=str(file)))
    for write in (lambda: None, lambda: file.write_bytes(b"\xff\xfe")):
        write()
        with pytest.raises(GolabsError, match="the root certificate can't be read: ") as caught:
            export_files(project, "tst", records, ExportFormat.K8S)
        assert caught.value.where == str(file)
        assert not project.output_folder("tst").exists()
    file.write_text(CERTIFICATE, encoding="ascii")
    assert [path.name for path in export_files(project, "tst", records, ExportFormat.K8S)] == ["billing-secret.yaml"]
