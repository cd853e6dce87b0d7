"""psql scripts: grouped and commented, quoted, without a password; a preview's SQL is what a run sends, in its order."""

from __future__ import annotations

import re

import pytest

from golabs_infra.changes import (
    AllowConnections,
    Change,
    CreateDatabase,
    CreateRole,
    DropDatabase,
    GrantPrivileges,
    RenameDatabase,
    RevokePrivileges,
    SetPassword,
)
from golabs_infra.inspection import Live
from golabs_infra.model import Grant, Role
from golabs_infra.plan import plan, plan_database
from golabs_infra.script import build_scripts, change_script
from golabs_infra.sql import batches, repeatable

from .catalogs import make_cluster, make_desired

DATABASE = "go-labs-tst"


def test_there_is_one_script_for_the_database_and_one_for_each_service_in_their_order() -> None:
    desired = make_desired("tst", services=["order", "billing", "select"])
    assert list(build_scripts(desired)) == ["database", *(service.name for service in desired.services)]


def test_every_script_says_what_it_is_how_to_run_it_and_how_passwords_get_in() -> None:
    scripts = build_scripts(make_desired("tst", services=["billing"]))
    comments = [line for line in scripts["billing"].splitlines() if line.startswith("-- ")]
    assert "The service billing in go-labs-tst" in comments[0]
    assert "psql -X -d postgres -f billing.sql" in comments[1]
    assert "-v billing_migration_verifier=" in comments[2]
    assert "-v billing_app_verifier=" in comments[2]
    assert "golabs sql tst" in scripts["database"].splitlines()[0]


def test_a_service_is_in_its_own_script_alone() -> None:
    scripts = build_scripts(make_desired("tst", services=["billing", "order"]))
    assert "order" not in scripts["billing"]
    assert "billing" not in scripts["order"]
    assert not re.search("billing|order", scripts["database"])


def test_the_transaction_of_a_script_holds_everything_but_the_database_itself() -> None:
    for name, text in build_scripts(make_desired("tst", services=["billing"])).items():
        lines = text.splitlines()
        begin, commit = lines.index("BEGIN;"), lines.index("COMMIT;")
        assert commit == len(lines) - 1
        before = [line for line in lines[:begin] if not line.startswith(("--", "\\", "SET client_min_messages"))]
        assert [line.split('"')[0] for line in before] == (["SELECT 'CREATE DATABASE "] if name == "database" else [])


def test_whatever_would_fail_a_second_time_is_made_only_where_it_is_missing() -> None:
    services = [{"name": "billing", "extensions": ["vector"]}]
    text = "\n".join(build_scripts(make_desired("tst", services=services)).values())
    creations = re.findall(r"^.*\bCREATE (?:ROLE|DATABASE|SCHEMA|EXTENSION)\b.*$", text, re.MULTILINE)
    assert len(creations) == 6
    for line in creations:
        assert " IF NOT EXISTS " in line or re.fullmatch(r"SELECT '.*' WHERE NOT EXISTS \(.*\) \\gexec", line)


@pytest.mark.parametrize("change", [CreateRole(Role("billing_app_tst_user", True, ("billing",)), None)])
def test_a_new_user_is_found_by_its_name_and_gets_a_password_only_from_a_variable(change: CreateRole) -> None:
    assert repeatable(change, DATABASE) == [
        """SELECT 'CREATE ROLE "billing_app_tst_user" WITH LOGIN NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT -1 """
        """VALID UNTIL ''infinity\'\'' WHERE NOT EXISTS """
        "(SELECT FROM pg_catalog.pg_roles WHERE rolname = 'billing_app_tst_user') \\gexec",
        'ALTER ROLE "billing_app_tst_user" WITH LOGIN CONNECTION LIMIT -1;',
        'ALTER ROLE "billing_app_tst_user" SET search_path TO "billing";',
        "\\if :{?billing_app_verifier}",
        "ALTER ROLE \"billing_app_tst_user\" PASSWORD :'billing_app_verifier';",
        "\\endif",
    ]


# ---- what a preview shows


def grant(user: str, *privileges: str) -> GrantPrivileges:
    """A grant on the database."""
    return GrantPrivileges(Grant("database", "", user, privileges))


def rendered(changes: list[Change]) -> list[str]:
    """The statements that are sent for changes."""
    return [statement.as_string() for _, composed in batches(changes, DATABASE) for statement in composed]


def test_grants_that_differ_in_the_grantee_alone_are_one_statement() -> None:
    changes: list[Change] = [grant("a", "CONNECT"), grant("b", "CONNECT"), grant("c", "CONNECT", "TEMPORARY")]
    assert rendered(changes) == [
        'GRANT CONNECT ON DATABASE "go-labs-tst" TO "a", "b"',
        'GRANT CONNECT, TEMPORARY ON DATABASE "go-labs-tst" TO "c"',
    ]


def test_grants_keep_their_place_among_other_changes_and_revocations_stay_apart() -> None:
    revoke = RevokePrivileges(Grant("database", "", "a", ("CONNECT",)))
    changes: list[Change] = [grant("a", "CONNECT"), revoke, revoke, grant("b", "CONNECT")]
    assert [statement.split()[0] for statement in rendered(changes)] == ["GRANT", "REVOKE", "REVOKE", "GRANT"]


def test_every_change_is_in_one_batch() -> None:
    desired = make_desired("tst", services=["billing", "order"])
    changes = plan(
        desired, Live(make_cluster(database_exists=False)), dict.fromkeys(role.name for role in desired.roles)
    )
    assert [change for together, _ in batches(changes, DATABASE) for change in together] == changes


def test_a_preview_as_sql_goes_service_by_service_and_ends_with_the_database() -> None:
    desired = make_desired("tst", services=["billing", "order"])
    live = Live(make_cluster(database_exists=False))
    changes = [*plan_database(desired, live), *plan(desired, live, dict.fromkeys(r.name for r in desired.roles))]
    text = change_script(changes, DATABASE)
    assert re.findall(r"^-- (.*)$", text, re.MULTILINE) == [
        "go-labs-tst: what up would send",
        "go-labs-tst",
        "billing",
        "order",
        "go-labs-tst",
    ]
    assert text.index("CREATE DATABASE") < text.index("\\connect") < text.index("BEGIN;")
    assert text.endswith("COMMIT;")


def test_a_preview_of_no_change_sends_nothing() -> None:
    assert change_script([], DATABASE).splitlines() == ["-- go-labs-tst: nothing to change", "\\set ON_ERROR_STOP on"]


@pytest.mark.parametrize(
    "change",
    [
        CreateDatabase(DATABASE),
        AllowConnections(DATABASE),
        DropDatabase(f"{DATABASE}~reset"),
        RenameDatabase(f"{DATABASE}~reset", DATABASE),
    ],
)
def test_what_needs_no_connection_to_the_database_opens_no_transaction(change: Change) -> None:
    text = change_script([change], DATABASE)
    assert "BEGIN" not in text
    assert "\\connect" not in text


def test_a_password_that_is_not_known_yet_is_a_variable_that_no_server_takes_for_one() -> None:
    (statement,) = rendered([SetPassword("billing_app_tst_user", None)])
    assert statement == "ALTER ROLE \"billing_app_tst_user\" PASSWORD :'billing_app_verifier'"
