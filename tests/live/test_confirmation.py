"""Questions where somebody may be, or nobody: who answers, what the variable says, and the mend that can be pasted."""

from __future__ import annotations

import subprocess
from typing import IO

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import REPOSITORY, write_stack
from . import tools
from .test_terminal import command, environ

UP = ["up", "prd", "--engine", "direct"]
QUESTION = "type the database's name, go-labs-prd, to go on:"


@pytest.fixture
def prd(server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A guarded stack whose database is not there yet."""
    write_stack(project, "prd", server, services=["billing"])
    tools.conceal_admin_password(project, "prd", monkeypatch)
    return project


def run(project: Project, *words: str, typed: str | None = None, **variables: str) -> tuple[int, str]:
    """Runs `golabs`; nobody is there unless something is typed. Gives exit code and standard error."""
    given: dict[str, int | IO[str] | str] = {"stdin": subprocess.DEVNULL} if typed is None else {"input": typed}
    done = subprocess.run(
        command(project, *words),
        cwd=REPOSITORY,
        env=environ(**variables),
        capture_output=True,
        text=True,
        check=False,
        **given,  # type: ignore[call-overload]
    )
    return done.returncode, done.stderr


def test_where_nobody_is_nothing_is_asked_and_the_mend_names_the_variable(prd: Project, server: Endpoint) -> None:
    code, said = run(prd, *UP)
    assert code == 1
    assert QUESTION not in said
    assert "golabs up prd: not confirmed; nothing was changed: nobody is there to be asked\n" in said
    assert said.splitlines()[-1] == "  mend: GOLABS_CONFIRM=go-labs-prd golabs up prd --engine direct"
    assert not tools.database_exists(server, "go-labs-prd")


@pytest.mark.parametrize("typed", [None, "go-labs-prd\n"], ids=["nobody", "somebody"])
def test_a_variable_that_confirms_something_else_is_told(prd: Project, server: Endpoint, typed: str | None) -> None:
    code, said = run(prd, *UP, typed=typed, GOLABS_CONFIRM="go-labs-xx")
    assert "GOLABS_CONFIRM is 'go-labs-xx', not 'go-labs-prd'" in said
    assert (code == 0) == (typed is not None)
    assert tools.database_exists(server, "go-labs-prd") == (typed is not None)


def test_yes_with_a_variable_that_confirms_something_else_is_told(prd: Project) -> None:
    code, said = run(prd, *UP, "--yes", GOLABS_CONFIRM="go-labs-xx")
    assert code == 1
    assert "--yes does not confirm a guarded environment, and GOLABS_CONFIRM is 'go-labs-xx', not 'go-labs-prd'" in said


def test_an_error_after_a_question_stands_on_a_line_of_its_own(prd: Project) -> None:
    code, said = run(prd, *UP, typed="go-labs-xx\n")
    assert code == 1
    assert said.splitlines()[-3:] == [
        f"{QUESTION} ",
        "error: golabs up prd: not confirmed; nothing was changed",
        "  mend: run it again and type go-labs-prd",
    ]


@pytest.mark.parametrize("words", ["reset tst", "destroy tst"])
def test_where_nobody_is_the_mend_of_a_disposable_stack_is_yes(words: str, server: Endpoint, project: Project) -> None:
    write_stack(project, "tst", server, services=["billing"])
    words = f"{words} --engine direct" if words.startswith("destroy") else words
    code, said = run(project, *words.split())
    assert code == 1
    assert "Type yes" not in said
    assert said.splitlines()[-1] == f"  mend: golabs {words} --yes"
