"""The psql scripts, run by the real psql: they build what `up` builds, can be run again, and hold no password."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import SecretStr

from golabs_infra.connecting import LoginAnswer, try_login
from golabs_infra.connections import read_records
from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.project import Project
from golabs_infra.script import change_script, environment_script, script_file
from golabs_infra.settings import Settings

from ..psql import attempt, psql
from ..support import make_project, make_settings, wipe
from . import tools
from .catalog import snapshot
from .tools import DATABASE, engine

SERVICES = [
    "billing",
    {"name": "catalog", "extensions": ["vector"], "connectionLimit": 7},
    {"name": "order", "statementTimeout": "30s", "idleInTransactionTimeout": "1min"},
    {"name": "select", "retired": True},
]
WITHOUT_EXTENSION = ["billing", {"name": "order", "statementTimeout": "30s"}, {"name": "table", "retired": True}]


def settings_of(services: Sequence[object]) -> Settings:
    """The settings of tst with these services."""
    return make_settings("tst", services=list(services))


def variables(project: Project) -> list[str]:
    """psql's options that give the verifier of every password in the connection files."""
    return [
        option
        for record in read_records(project, "tst")
        for kind, user in record["users"].items()
        for option in ("-v", f"{record['service']}_{kind}_verifier={scram_verifier(user['password'], random_salt())}")
    ]


def test_the_script_builds_what_up_builds_with_passwords_that_work_and_can_be_run_again(
    each_server: Endpoint, project: Project
) -> None:
    engine(project, each_server, services=SERVICES).up()
    built = snapshot(each_server, DATABASE)
    script = environment_script(project, settings_of(SERVICES), None, with_verifiers=True)
    wipe(each_server)
    psql(each_server, script)
    assert snapshot(each_server, DATABASE) == built
    assert tools.can_log_in(project, ["billing", "catalog", "order"])
    assert engine(project, each_server, services=SERVICES).up().changes == ()
    tools.migrate(project, ["billing", "order"])
    before, rows = snapshot(each_server, DATABASE), tools.rows(project, ["billing", "order"])
    psql(each_server, script)
    assert snapshot(each_server, DATABASE) == before
    assert tools.rows(project, ["billing", "order"]) == rows
    assert tools.can_log_in(project, ["billing", "catalog", "order"])


@pytest.mark.parametrize("limited", [False, True])
def test_the_files_run_one_by_one_build_what_up_builds(each_server: Endpoint, project: Project, limited: bool) -> None:
    admin = tools.with_admin(each_server) if limited else each_server
    engine(project, admin, services=WITHOUT_EXTENSION).up()
    built = snapshot(each_server, DATABASE)
    wipe(each_server)
    if limited:
        tools.with_admin(each_server)
    for _ in range(2):
        for name in ("database", "billing", "order", "table"):
            psql(admin, script_file(project, "tst", name), *variables(project))
        assert snapshot(each_server, DATABASE) == built
    assert tools.can_log_in(project, ["billing", "order"])
    assert engine(project, admin, services=WITHOUT_EXTENSION).up().changes == ()


def test_an_admin_who_owns_the_database_and_may_make_no_other_runs_the_scripts_too(
    each_server: Endpoint, project: Project
) -> None:
    admin = tools.with_admin(each_server, attributes="CREATEROLE")
    tools.as_superuser(each_server, f'CREATE DATABASE "{DATABASE}" OWNER deployer TEMPLATE template0')
    engine(project, admin, services=WITHOUT_EXTENSION).up()
    built = snapshot(each_server, DATABASE)
    for name in ("database", "billing", "order", "table"):
        psql(admin, script_file(project, "tst", name), *variables(project))
    assert snapshot(each_server, DATABASE) == built


def test_new_users_without_a_verifier_have_no_password_until_somebody_sets_one(
    server: Endpoint, project: Project
) -> None:
    psql(server, environment_script(project, settings_of(["billing"]), None, with_verifiers=False))
    kept = "SELECT count(*) FROM pg_authid WHERE rolname LIKE 'billing%' AND rolpassword IS NULL AND rolcanlogin"
    assert tools.answer(server, kept) == 2
    changes = engine(project, server, services=["billing"]).up().changes
    assert {type(change).__name__ for change in changes} == {"SetPassword"}
    assert tools.can_log_in(project, ["billing"])


def test_a_user_whose_verifier_is_not_given_keeps_its_password(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, "ALTER ROLE billing_app_tst_user CONNECTION LIMIT 0")
    psql(provisioned, script_file(project, "tst", "billing"))
    assert tools.can_log_in(project)


def test_a_verifier_that_is_given_as_a_variable_becomes_the_password(provisioned: Endpoint, project: Project) -> None:
    old = tools.record(project, "billing")["users"]
    verifier = scram_verifier(old["migration"]["password"], random_salt())
    psql(provisioned, script_file(project, "tst", "billing"), "-v", f"billing_app_verifier={verifier}")
    new, former = SecretStr(old["migration"]["password"]), SecretStr(old["app"]["password"])
    assert try_login(provisioned, DATABASE, "billing_app_tst_user", new) is LoginAnswer.ACCEPTED
    assert try_login(provisioned, DATABASE, "billing_app_tst_user", former) is LoginAnswer.WRONG_PASSWORD


def test_a_user_that_is_made_again_may_use_the_tables_that_are_there(provisioned: Endpoint, project: Project) -> None:
    before = snapshot(provisioned, DATABASE)
    tools.as_superuser(
        provisioned, "DROP OWNED BY billing_app_tst_user", "DROP ROLE billing_app_tst_user", database=DATABASE
    )
    psql(provisioned, environment_script(project, settings_of(list(tools.SERVICES)), "billing", with_verifiers=True))
    assert snapshot(provisioned, DATABASE) == before
    assert tools.rows(project)["billing.customer"]


def test_a_script_that_fails_leaves_a_service_as_it_was(provisioned: Endpoint, project: Project) -> None:
    before = snapshot(provisioned, DATABASE)
    tools.as_superuser(provisioned, "ALTER ROLE order_app_tst_user CONNECTION LIMIT 3")
    broken = snapshot(provisioned, DATABASE)
    tools.as_superuser(provisioned, tools.RAISE_ON_GRANT.format(tags="'GRANT'"), database=DATABASE)
    done = attempt(provisioned, script_file(project, "tst", "order"))
    assert done.returncode == 3
    assert "grants are frozen" in done.stderr
    tools.as_superuser(provisioned, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse", database=DATABASE)
    assert snapshot(provisioned, DATABASE) == broken
    psql(provisioned, script_file(project, "tst", "order"))
    assert snapshot(provisioned, DATABASE) == before


def test_what_a_preview_shows_as_sql_does_what_up_does(each_server: Endpoint, project: Project, tmp_path: Path) -> None:
    changed = [*SERVICES[1:], {"name": "shipping", "connectionLimit": 3}]
    engine(project, each_server, services=SERVICES).up()
    tools.as_superuser(each_server, "GRANT USAGE ON SCHEMA billing TO order_app_tst_user", database=DATABASE)
    shown = change_script(engine(project, each_server, services=changed).preview().changes, DATABASE)
    assert "SCRAM-SHA-256" not in shown
    assert not [word for word in tools.secret_words(project) if word in shown]
    variables = [
        f"shipping_{kind}_verifier={scram_verifier('not-a-secret', random_salt())}" for kind in ("migration", "app")
    ]
    psql(each_server, shown, "-v", variables[0], "-v", variables[1])
    by_hand = snapshot(each_server, DATABASE)
    rest = engine(project, each_server, services=changed).preview()
    assert {type(change).__name__ for change in rest.changes} == {"SetPassword"}
    wipe(each_server)
    engine(make_project(tmp_path / "fresh"), each_server, services=changed).up()
    assert snapshot(each_server, DATABASE) == by_hand


@pytest.mark.parametrize("also", ["nothing", "changes in the database", "no database"])
def test_what_a_preview_shows_as_sql_drops_what_a_killed_reset_has_left_too(
    each_server: Endpoint, project: Project, also: str
) -> None:
    engine(project, each_server).up()
    built = snapshot(each_server, DATABASE)
    tools.as_superuser(each_server, f'CREATE DATABASE "{DATABASE}~reset"')
    if also == "changes in the database":
        tools.as_superuser(each_server, "GRANT USAGE ON SCHEMA billing TO order_app_tst_user", database=DATABASE)
    if also == "no database":
        tools.as_superuser(each_server, f'DROP DATABASE "{DATABASE}"')
    psql(each_server, change_script(engine(project, each_server).preview().changes, DATABASE))
    assert not tools.database_exists(each_server, f"{DATABASE}~reset")
    assert snapshot(each_server, DATABASE) == built
    assert engine(project, each_server).up().changes == ()


def test_a_preview_of_nothing_as_sql_makes_everything(server: Endpoint, project: Project) -> None:
    shown = change_script(engine(project, server, services=["billing"]).preview().changes, DATABASE)
    without = attempt(server, shown)
    assert without.returncode == 3
    assert "syntax error" in without.stderr, "no server takes a variable that was not given for a password"
    verifier = scram_verifier("not-a-secret", random_salt())
    variables = [f"billing_{kind}_verifier={verifier}" for kind in ("migration", "app")]
    psql(server, shown.replace("CREATE DATABASE", "SELECT; -- CREATE DATABASE"), "-v", variables[0], "-v", variables[1])
    login = try_login(server, DATABASE, "billing_app_tst_user", SecretStr("not-a-secret"))
    assert login is LoginAnswer.ACCEPTED


def test_no_password_is_in_the_scripts_and_removed_services_have_none(provisioned: Endpoint, project: Project) -> None:
    folder = project.output_folder("tst")
    texts = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.sql")}
    assert set(texts) == {"database.sql", "billing.sql", "catalog.sql", "order.sql"}
    for word in tools.secret_words(project):
        assert not [name for name, text in texts.items() if word in text]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.glob("*.sql"))
    engine(project, provisioned, services=["billing", "order"]).up()
    assert {path.name for path in folder.glob("*.sql")} == {"database.sql", "billing.sql", "order.sql"}
    (folder / "report.sql").write_text("-- somebody's own\n", encoding="utf-8")
    engine(project, provisioned).destroy()
    assert [path.name for path in folder.iterdir()] == ["report.sql"]
