"""Long work at a terminal: a live table while it lasts, and then the same lines that a file would hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import REPOSITORY, write_stack
from ..terminal import Seen, watch
from .tools import as_superuser

MANY = [f"service{number:02}" for number in range(40)]
HEADING = re.compile(r"^ *\d+ s +users +schemas +privileges +other$")


def command(project: Project, *words: str) -> list[str]:
    return [sys.executable, "-m", "golabs_infra", "--project", str(project.root), *words]


def environ(**more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
    }
    return {**kept, **more}


def at_a_terminal(project: Project, *words: str, size: tuple[int, int] = (24, 80), **variables: str) -> Seen:
    return watch(command(project, *words), folder=REPOSITORY, environ=environ(**variables), size=size)


def without(project: Project, *words: str) -> list[str]:
    done = subprocess.run(
        command(project, *words), cwd=REPOSITORY, env=environ(), capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def tables(seen: Seen) -> list[tuple[str, ...]]:
    """The live table in each picture that has one, from its heading to the end of the screen."""
    found = []
    for picture in seen.pictures:
        starts = [at for at, line in enumerate(picture) if HEADING.match(line)]
        if starts:
            found.append(picture[starts[-1] :])
    return found


def steps(lines: Iterable[str]) -> list[str]:
    """What was done, as it was told."""
    found = [line for line in lines if re.match(r"  (?!.*mend:|(migration|app) user |connection file )", line)]
    assert len(found) > len(MANY)
    return found


@pytest.fixture
def many(server: Endpoint, project: Project) -> Project:
    write_stack(project, "tst", server, services=MANY)
    return project


def test_a_long_up_has_a_live_table_and_leaves_the_lines_that_a_file_would_hold(many: Project) -> None:
    seen = at_a_terminal(many, "up", "tst", "--engine", "direct", size=(16, 100))
    assert seen.code == 0
    drawn = tables(seen)
    assert drawn, seen.pictures[-3:]
    assert max(len(table) for table in drawn) <= 13  # the heading, eight services, what is left out, the sum
    assert any(re.match(r"^all +\d+", line) for table in drawn for line in table)
    assert any("more" in line for table in drawn for line in table)
    assert not seen.cursor_was_hidden
    assert not any(HEADING.match(line) for line in seen.lines)
    without(many, "destroy", "tst", "--engine", "direct", "--yes")
    assert steps(seen.lines) == steps(without(many, "up", "tst", "--engine", "direct"))


@pytest.mark.parametrize("size", [(5, 40), (3, 20)])
def test_it_is_never_taller_than_the_terminal_nor_wider(many: Project, size: tuple[int, int]) -> None:
    seen = at_a_terminal(many, "up", "tst", "--engine", "direct", size=size)
    assert seen.code == 0
    assert not seen.cursor_was_hidden
    assert sum("40 schemas" in line or line.startswith("engine: direct") for line in seen.lines) <= 1
    assert not any(
        line.lstrip().startswith("all ") for line in seen.lines
    )  # else a part of it was left in the scrollback


def test_verify_counts_the_users_that_it_has_tried(many: Project) -> None:
    without(many, "up", "tst", "--engine", "direct")
    seen = at_a_terminal(many, "verify", "tst")
    assert seen.code == 0
    assert seen.ever("users tried: ")
    assert not any("users tried" in line for line in seen.lines)
    assert not seen.cursor_was_hidden


def test_the_summary_at_80_columns_has_every_name_and_path_whole(server: Endpoint, project: Project) -> None:
    write_stack(project, "tst", server, services=["billing", "catalog"])
    up = command(project, "up", "tst", "--engine", "direct")
    seen = watch(up, folder=project.root, environ=environ(), size=(24, 80))
    assert seen.code == 0
    shown = [line.strip() for line in seen.lines]
    for service in ("billing", "catalog"):
        begin = shown.index(service, shown.index("billing", len(shown) - 9))
        assert shown[begin + 1 : begin + 4] == [
            f"migration user   {service}_migration_tst_user",
            f"app user         {service}_app_tst_user",
            f"connection file  output/tst/{service}-connections.yaml",
        ]


def test_an_error_comes_after_the_table(many: Project, server: Endpoint) -> None:
    as_superuser(server, "CREATE DATABASE elsewhere", "CREATE ROLE service07_app_tst_user LOGIN")
    as_superuser(server, "CREATE SCHEMA s AUTHORIZATION service07_app_tst_user", database="elsewhere")
    without(many, "up", "tst", "--engine", "direct")
    seen = at_a_terminal(many, "destroy", "tst", "--engine", "direct", "--yes", size=(24, 120))
    assert seen.code == 1
    assert [line for line in seen.lines if line.startswith("error: ")] != []
    assert not any(HEADING.match(line) for line in seen.lines)
    assert not seen.cursor_was_hidden


def test_ctrl_c_takes_the_table_away(many: Project) -> None:
    seen = watch(
        command(many, "up", "tst", "--engine", "direct"),
        folder=REPOSITORY,
        environ=environ(),
        interrupt_at=lambda said: "schemas" in said,
    )
    assert seen.code != 0
    assert not seen.cursor_was_hidden
    assert not any(HEADING.match(line) for line in seen.lines), seen.lines
    assert any("interrupt" in line.lower() for line in seen.lines), seen.lines[-5:]


@pytest.mark.parametrize(
    "variables", [{"TERM": "dumb"}, {"CI": "true"}, {"NO_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}]
)
def test_a_terminal_that_only_writes_lines_has_no_table(many: Project, variables: dict[str, str]) -> None:
    shell = ["env", *(f"{name}={value}" for name, value in variables.items())]
    seen = watch([*shell, *command(many, "up", "tst", "--engine", "direct")], folder=REPOSITORY, environ=environ())
    assert seen.code == 0
    assert tables(seen) == []
