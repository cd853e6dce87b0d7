"""Files of a form that can no longer hold what they should: they go only where what is new stays, and never unsaid."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
import yaml

from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from .rotations import Stack, provision
from .tools import as_superuser, files

pytestmark = pytest.mark.usefixtures("passphrase_given")
WARNING = "warning: the files of the form jdbc are removed, rather than left with old passwords: "

Exported = Callable[[str], Stack]


@pytest.fixture
def exported(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Exported:
    """An environment with files for JDBC, of which one user has got a password since that they can't hold."""

    def make(environment: str) -> Stack:
        stack, odd = provision(project, server, environment, capsys, secrets=environment == "prd"), "${HOME}-of-old"
        stack.done("export", "--format", "jdbc")
        as_superuser(server, f"ALTER ROLE order_app_{environment}_user PASSWORD '{odd}'")
        path = connection_file(project, environment, "order")
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        record["users"]["app"]["password"] = odd
        path.write_text(yaml.safe_dump(record), encoding="utf-8")
        assert len(properties(stack)) == 4
        return stack

    return make


def properties(stack: Stack) -> dict[str, bytes]:
    """The files for JDBC."""
    return {name: text for name, text in files(stack.project).items() if name.endswith(".properties")}


@pytest.mark.parametrize("words", [("export",), ("up",), ("rotate", "billing"), ("rotate", "billing", "--overlap")])
def test_a_command_that_removes_them_says_so_once(exported: Exported, words: tuple[str, ...]) -> None:
    stack = exported("dev")
    code, _, err = stack.golabs(*words)
    assert code == 0, err
    assert not properties(stack)
    assert err.count(WARNING) == 1, err
    engine = " --engine direct" if words == ("up",) else ""
    assert f"golabs rotate dev order{engine} --user app" in err
    assert stack.works(stack.login("order", "app"))
    assert stack.works(stack.login("billing", "app"))


def test_another_form_that_is_exported_leaves_them(exported: Exported) -> None:
    stack = exported("dev")
    before = properties(stack)
    stack.done("export", "--format", "pgpass")
    assert properties(stack) == before


def test_a_rotation_that_is_taken_back_leaves_them(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = exported("prd")
    before = files(stack.project)
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    code, _, err = stack.golabs("rotate", "billing", "--overlap")
    assert code == 1
    assert "not confirmed; nothing was changed" in err
    assert "jdbc" not in err
    after = {name: text for name, text in files(stack.project).items() if not name.endswith(".lock")}
    assert after.keys() == before.keys()
    assert properties(stack) == {name: text for name, text in before.items() if name.endswith(".properties")}
