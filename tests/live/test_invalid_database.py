"""A database that an interrupted DROP DATABASE has left half dropped: it is recognised, told, and made anew where it may be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from golabs_infra.changes import CreateDatabase, DropDatabase, RenameDatabase
from golabs_infra.cli import main
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import write_stack
from . import tools
from .tools import DATABASE, engine

INVALIDATE = "UPDATE pg_database SET datconnlimit = -2 WHERE datname = '{}'"
"""What DROP DATABASE does first; once it is interrupted after that, nobody takes it back."""


def golabs(project: Project, *words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["--project", str(project.root), *words])
    return int(ended.value.code or 0)


def invalidate(server: Endpoint, database: str = DATABASE) -> None:
    tools.as_superuser(server, INVALIDATE.format(database))


@pytest.fixture(params=[False, True], ids=["superuser", "limited"])
def admin(each_server: Endpoint, project: Project, request: pytest.FixtureRequest) -> Endpoint:
    """An admin who has provisioned tst, whose database is invalid since."""
    admin = tools.with_admin(each_server) if request.param else each_server
    engine(project, admin).up()
    invalidate(each_server)
    return admin


def test_up_on_a_disposable_stack_drops_it_and_makes_it_again(admin: Endpoint, project: Project) -> None:
    files = tools.files(project)
    shown = engine(project, admin).preview().changes
    assert shown[:2] == (DropDatabase(DATABASE), CreateDatabase(DATABASE))
    done = engine(project, admin).up().changes
    assert done[:2] == (DropDatabase(DATABASE), CreateDatabase(DATABASE))
    assert tools.masked(done) == tools.masked(shown)
    assert engine(project, admin).up().changes == ()
    assert tools.files(project) == files
    tools.migrate(project)


def test_reset_and_destroy_drop_it(admin: Endpoint, project: Project) -> None:
    assert engine(project, admin).reset().changes[-2:] == (
        DropDatabase(DATABASE),
        RenameDatabase("go-labs-tst~reset", DATABASE),
    )
    assert engine(project, admin).up().changes == ()
    if admin.admin_user != "deployer":  # who may not write to the catalogs
        invalidate(admin)
    assert DropDatabase(DATABASE) in engine(project, admin).destroy().changes
    assert not tools.database_exists(admin)


def test_a_reset_that_was_building_it_leaves_it_to_the_next_run(server: Endpoint, project: Project) -> None:
    engine(project, server).up()
    tools.as_superuser(server, 'CREATE DATABASE "go-labs-tst~reset"')
    invalidate(server, "go-labs-tst~reset")
    assert engine(project, server).up().changes == (DropDatabase("go-labs-tst~reset"),)


@pytest.mark.parametrize("command", ["verify", "drift", "doctor", "retire"])
def test_on_a_disposable_stack_what_only_looks_says_that_up_makes_it_again(
    command: str, server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(project, "tst", server, services=list(tools.SERVICES))
    engine(project, server).up()
    invalidate(server)
    more = ["billing", "--yes", "--engine", "direct"] if command == "retire" else []
    assert golabs(project, command, "tst", *more) == 1
    told = capsys.readouterr().err
    assert "golabs up tst" in told
    assert command == "retire" or "the database is invalid: a DROP DATABASE that was interrupted" in told


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_where_it_is_kept_one_error_says_what_a_person_can_do(
    environment: str,
    server: Endpoint,
    project: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = f"go-labs-{environment}"
    monkeypatch.setenv("GOLABS_CONFIRM", database)
    write_stack(project, environment, server, services=["billing"])
    tools.conceal_admin_password(project, environment, monkeypatch)
    direct: list[str] = ["--engine", "direct"]
    assert golabs(project, "up", environment, *direct) == 0
    invalidate(server, database)
    capsys.readouterr()
    commands: list[list[str]] = [["up", *direct], ["preview", *direct], ["verify"], ["drift"], ["doctor", *direct]]
    if environment == "dev":
        commands.append(["destroy", *direct])
    for command, *more in commands:
        assert golabs(project, command, environment, *more) == 1
        told = capsys.readouterr().err
        assert told.count("the database is invalid") == 1, told
        assert re.search(r'mend: .*backup.* DROP DATABASE "go-labs-\w+";', told), told
    assert tools.database_exists(server, database), "nobody but a person drops it"
    tools.as_superuser(server, f'DROP DATABASE "{database}"')
    assert golabs(project, "up", environment, *direct) == 1
    assert "restore it from a backup" in capsys.readouterr().err


def test_the_first_up_of_what_is_kept_does_not_take_it_over(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    tools.as_superuser(server, 'CREATE DATABASE "go-labs-dev"')
    invalidate(server, "go-labs-dev")
    write_stack(project, "dev", server, services=["billing"])
    assert golabs(project, "up", "dev", "--engine", "direct") == 1
    assert "the database is invalid" in capsys.readouterr().err
    assert tools.role_names(server) == []


def test_one_of_another_environment_is_nobodys_finding(
    provisioned: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stack(project, "tst", provisioned, services=list(tools.SERVICES))
    tools.as_superuser(provisioned, 'CREATE DATABASE "go-labs-qua"')
    invalidate(provisioned, "go-labs-qua")
    assert golabs(project, "verify", "tst", "--json") == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert report["findings"] == []
