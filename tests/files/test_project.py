"""The project's folder is found from anywhere inside it, and its paths are where the design says."""

from __future__ import annotations

from pathlib import Path

import pytest

from golabs_infra.errors import UsageError
from golabs_infra.project import Project, find_project

from ..support import REPOSITORY


def test_every_path_is_where_the_design_says() -> None:
    project = Project(Path("/p"))
    assert project.stack_file("tst") == Path("/p/Pulumi.tst.yaml")
    assert project.project_file == Path("/p/Pulumi.yaml")
    assert project.state_folder == Path("/p/.golabs/state")
    assert project.server_home == Path("/p/.golabs/postgres")
    assert project.identity_file("dev") == Path("/p/.golabs/identities/dev.json")
    assert project.output_folder("tst") == Path("/p/output/tst")


def test_a_path_outside_of_the_checkout_is_shown_whole() -> None:
    assert Project(Path("/p")).relative(Path("/elsewhere/a.yaml")) == "/elsewhere/a.yaml"


def test_a_path_is_shown_so_that_it_can_be_used_from_where_its_reader_is(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.output_folder("tst") / "a.yaml"
    monkeypatch.chdir(project.root)
    assert project.relative(file) == "output/tst/a.yaml"
    monkeypatch.chdir(tmp_path)
    assert project.relative(file) == str(file)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert project.relative(file) == str(file)


def test_the_project_is_found_from_a_folder_below_it(project: Project) -> None:
    below = project.root / "a" / "b"
    below.mkdir(parents=True)
    assert find_project(below) == project
    assert find_project(project.root) == project


def test_the_project_is_found_from_a_relative_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    below = project.root / "a"
    below.mkdir()
    monkeypatch.chdir(below)
    assert find_project(Path()) == project


def test_this_repository_is_a_project() -> None:
    assert find_project(REPOSITORY / "tests" / "unit").root == REPOSITORY


@pytest.mark.parametrize(
    "line", ["name: golabs-infra", 'name: "golabs-infra"', "name: 'golabs-infra'  # ours", "name:  golabs-infra\r"]
)
def test_the_name_may_be_written_as_yaml_permits(tmp_path: Path, line: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text(f"runtime: python\n{line}\n", encoding="utf-8", newline="")
    assert find_project(tmp_path).root == tmp_path


@pytest.mark.parametrize(
    "line", ["name: golabs-infra-web", "name: other", "# name: golabs-infra", "description: name: golabs-infra"]
)
def test_another_project_is_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(UsageError):
        find_project(tmp_path)


def test_without_a_project_the_folder_and_the_way_out_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find_project(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no Pulumi.yaml of golabs-infra here or above\n"
        "  mend: change into a checkout of golabs-infra first, or name it with --project FOLDER"
    )
