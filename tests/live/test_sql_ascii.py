"""A server whose databases have no encoding, where PostgreSQL would give a client names as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from golabs_infra.cli import main
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import wipe, write_stack
from . import tools


def golabs(project: Project, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--project", str(project.root), *words])
    return int(ended.value.code or 0)


@pytest.fixture(params=["tst", "dev"])
def stack(request: pytest.FixtureRequest, sql_ascii: Endpoint, project: Project) -> str:
    """A stack on such a server, brought up."""
    wipe(sql_ascii)
    assert tools.answer(sql_ascii, "SHOW server_encoding") == "SQL_ASCII"
    name: str = request.param
    write_stack(project, name, sql_ascii, services=list(tools.SERVICES))
    assert golabs(project, "up", name, "--engine", "direct") == 0
    tools.migrate(project, environment=name)
    return name


def test_the_life_of_a_stack_is_as_anywhere(
    stack: str, project: Project, capsys: pytest.CaptureFixture[str], sql_ascii: Endpoint
) -> None:
    for words in (["up", stack, "--engine", "direct"], ["verify", stack], ["drift", stack]):
        capsys.readouterr()
        assert golabs(project, *words) == 0, capsys.readouterr().err
    golabs(project, "up", stack, "--engine", "direct", "--json")
    capsys.readouterr()
    assert golabs(project, "up", stack, "--engine", "direct", "--json") == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []
    golabs(project, "doctor", stack, "--engine", "direct", "--json")
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in told["checks"]}
    assert "b'" not in json.dumps(told)
    assert (
        f"system identifier {tools.answer(sql_ascii, 'SELECT system_identifier::text FROM pg_control_system()')}"
        in (checks["server"]["detail"])
    )
    assert checks["admin rights"]["detail"] == "postgres is a superuser"
