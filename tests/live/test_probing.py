"""What is seen by logging in as every user and trying: every way in, every refusal, and what nobody can decide."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.attempts import (
    FULL,
)
from golabs_infra.connecting import RefusalReason
from golabs_infra.endpoint import Endpoint
from golabs_infra.probing import SessionFacts, probe
from golabs_infra.project import Project

from . import tools
from .catalog import row_versions, snapshot
from .probes import (
    APP,
    DENIED,
    MIGRATION,
    OTHER,
    PERMITTED,
    UNDECIDED,
    of,
    passwords,
    probed,
    relations,
    sequences,
    unexpected,
)
from .tools import DATABASE, SERVICES


@pytest.mark.parametrize("scratch", [False, True])
def test_a_whole_environment_is_seen_as_the_model_says(provisioned: Endpoint, project: Project, scratch: bool) -> None:
    result = probed(provisioned, project, scratch=scratch)
    assert unexpected(result) == set()
    assert [login.user for login in result.logins] == list(passwords(project))
    for login in result.logins:
        service = login.user.split("_")[0]
        assert login.password_asked
        assert login.facts == SessionFacts(login.user, False, _quoted(service))
    assert result.scratch == (SERVICES if scratch else ())
    assert (result.without_scratch, result.left_behind) == ({}, ())
    states = {(each.outcome, each.state) for each in result.observations}
    assert states == {(PERMITTED, ""), (DENIED, "42501")}


def _quoted(service: str) -> str:
    return '"order"' if service == "order" else service


def test_every_relation_of_a_service_is_tried_as_its_app_user(provisioned: Endpoint, project: Project) -> None:
    result = probed(provisioned, project)
    for relation in relations(provisioned):
        app = f"{relation.schema}_app_tst_user"
        outcomes = {
            each.attempt.action: each.outcome
            for each in result.observations
            if each.user == app and each.attempt.object == relation.words
        }
        if relation.kind == "S":
            assert outcomes == {"read-sequence": PERMITTED, "use-sequence": PERMITTED, "set-sequence": DENIED}
        else:
            assert {action for action, outcome in outcomes.items() if outcome is PERMITTED} == {
                *("read", "insert", "update", "delete")
            }


@pytest.mark.parametrize("scratch", [False, True])
def test_nothing_is_left_behind(provisioned: Endpoint, project: Project, scratch: bool) -> None:
    before = snapshot(provisioned, DATABASE), tools.stored_rows(provisioned), sequences(provisioned)
    roles, objects = _counted(provisioned)
    probed(provisioned, project, scratch=scratch)
    assert (snapshot(provisioned, DATABASE), tools.stored_rows(provisioned), sequences(provisioned)) == before
    assert _counted(provisioned) == (roles, objects)


def _counted(server: Endpoint) -> tuple[object, object]:
    return (
        tools.answer(server, "SELECT count(*) FROM pg_authid"),
        tools.answer(
            server, "SELECT (SELECT count(*) FROM pg_class) + (SELECT count(*) FROM pg_type)", database=DATABASE
        ),
    )


def test_without_scratch_not_even_the_catalogs_are_written_to(provisioned: Endpoint, project: Project) -> None:
    before = row_versions(provisioned, DATABASE)
    probed(provisioned, project)
    assert row_versions(provisioned, DATABASE) == before


def test_a_way_into_another_schema_is_followed_to_all_that_is_there(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f'GRANT USAGE ON SCHEMA "order" TO {APP}',
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "order" TO {APP}',
        f'GRANT UPDATE ON "order".customer TO {APP}',
        f'GRANT USAGE ON SEQUENCE "order".ticket TO {APP}',
        database=DATABASE,
    )
    tables = [each for each in relations(provisioned) if each.schema == "order" and each.kind != "S"]
    assert unexpected(probed(provisioned, project)) == {
        (APP, "use-schema", "schema order", PERMITTED),
        (APP, "update", "table order.customer", PERMITTED),
        (APP, "use-sequence", "sequence order.ticket", PERMITTED),
        *((APP, "read", table.words, PERMITTED) for table in tables),
    }


def test_privileges_on_a_table_without_its_schema_are_of_no_use(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f'GRANT ALL ON ALL TABLES IN SCHEMA "order" TO {APP}', database=DATABASE)
    assert unexpected(probed(provisioned, project)) == set()


def test_a_privilege_on_one_column_is_none_on_the_table(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f"REVOKE INSERT, UPDATE ON billing.customer FROM {APP}",
        f"GRANT INSERT (name), UPDATE (name) ON billing.customer TO {APP}",
        database=DATABASE,
    )
    assert unexpected(probed(provisioned, project)) == {
        (APP, "insert", "table billing.customer", DENIED),
        (APP, "update", "table billing.customer", DENIED),
    }


def test_a_member_reaches_what_the_other_user_has(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f"GRANT order_app_tst_user TO {APP}")
    seen = unexpected(probed(provisioned, project))
    assert {user for user, *_ in seen} == {APP}
    assert (APP, "become-role", "role order_app_tst_user", PERMITTED) in seen
    assert (APP, "delete", "table order.invoice", PERMITTED) in seen
    assert (APP, "create-in-schema", "schema order", PERMITTED) not in seen


@pytest.mark.parametrize("scratch", [False, True])
def test_a_closed_login_ends_the_proof_of_its_user_alone(
    provisioned: Endpoint, project: Project, scratch: bool
) -> None:
    tools.as_superuser(provisioned, f"ALTER ROLE {MIGRATION} NOLOGIN")
    result = probed(provisioned, project, scratch=scratch)
    assert unexpected(result) == {(MIGRATION, "log-in", f"database {DATABASE}", DENIED)}
    (login,) = [each for each in result.logins if not each.accepted]
    assert login.refusal is not None
    assert login.refusal.reason is RefusalReason.NO_LOGIN
    assert login.password_asked
    assert [each for each in result.observations if each.user == MIGRATION] == [
        of(result, MIGRATION, "log-in", f"database {DATABASE}")
    ]
    if scratch:
        assert result.scratch == ("catalog", "order")
        assert list(result.without_scratch) == ["billing"]
        assert "not permitted to log in" in result.without_scratch["billing"]


def test_a_wrong_password_is_told_from_other_refusals(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        f"ALTER ROLE {MIGRATION} VALID UNTIL '2001-01-01'",
        f'REVOKE CONNECT ON DATABASE "{DATABASE}" FROM order_app_tst_user',
        "ALTER ROLE catalog_app_tst_user CONNECTION LIMIT 0",
    )
    known = {**passwords(project), APP: SecretStr("not-the-password")}
    result = probed(provisioned, project, known=known)
    reasons = {login.user: login.refusal.reason for login in result.logins if login.refusal}
    assert reasons == {
        APP: RefusalReason.WRONG_PASSWORD,
        MIGRATION: RefusalReason.WRONG_PASSWORD,
        "order_app_tst_user": RefusalReason.NO_CONNECT,
        "catalog_app_tst_user": RefusalReason.ROLE_FULL,
    }
    assert unexpected(result) == {(user, "log-in", f"database {DATABASE}", DENIED) for user in reasons}
    states = {user: of(result, user, "log-in", f"database {DATABASE}").state for user in known}
    assert states == {
        APP: "28P01",
        MIGRATION: "28P01",
        "order_app_tst_user": "42501",
        "catalog_app_tst_user": "53300",
        "order_migration_tst_user": "",
        "catalog_migration_tst_user": "",
    }


def test_a_limit_that_a_running_service_may_have_reached_decides_nothing(server: Endpoint, project: Project) -> None:
    services = [{"name": "billing", "connectionLimit": 1}]
    engine = tools.engine(project, server, services=services)
    engine.up()
    known = passwords(project, ["billing"])
    with tools.login(project, "billing", "app"):
        result = probe(server, engine.desired, known, ())
    assert unexpected(result) == {(APP, "log-in", f"database {DATABASE}", UNDECIDED)}
    assert of(result, APP, "log-in", f"database {DATABASE}").state in FULL
    tools.wait_for_sessions_to_end(server, DATABASE)
    tools.engine(project, server, "ci", services=services, policy="disposable").up()
    result = probe(server, engine.desired, known, (), other_databases=[OTHER], scratch=True)
    assert unexpected(result) == set()


def test_a_retired_service_is_shown_to_be_closed(server: Endpoint, project: Project) -> None:
    tools.engine(project, server).up()
    known = passwords(project)
    retired = tools.engine(project, server, services=["catalog", "order", {"name": "billing", "retired": True}])
    retired.up()
    result = probe(server, retired.desired, known, relations(server), scratch=True)
    assert unexpected(result) == set()
    assert of(result, APP, "log-in", f"database {DATABASE}").outcome is DENIED
    assert (result.scratch, result.without_scratch) == (("catalog", "order"), {})  # and no word on what must be so


def test_a_user_whose_password_is_not_known_is_left_out(provisioned: Endpoint, project: Project) -> None:
    known = passwords(project)
    del known[MIGRATION]
    result = probed(provisioned, project, known=known, scratch=True)
    assert [login.user for login in result.logins] == list(known)
    assert unexpected(result) == set()
    assert MIGRATION in result.without_scratch["billing"]


def test_other_databases_are_tried_by_connecting(provisioned: Endpoint, project: Project) -> None:
    tools.engine(project, provisioned, "ci", policy="disposable").up()
    tools.as_superuser(provisioned, f'GRANT CONNECT ON DATABASE "{OTHER}" TO {APP}')
    result = probed(provisioned, project, others=[OTHER, "nowhere"])
    seen = {each for each in unexpected(result) if each[2] == f"database {OTHER}"}
    assert seen == {(APP, "connect-elsewhere", f"database {OTHER}", PERMITTED)}
    nowhere = [each for each in result.observations if each.attempt.object == "database nowhere"]
    assert {(each.outcome, each.state) for each in nowhere} == {(UNDECIDED, "3D000")}
    assert len(nowhere) == 2 * len(SERVICES)


@pytest.mark.parametrize("scratch", [False, True])
def test_what_the_database_gives_everybody_is_seen(provisioned: Endpoint, project: Project, scratch: bool) -> None:
    tools.as_superuser(
        provisioned,
        f'GRANT TEMPORARY ON DATABASE "{DATABASE}" TO {APP}',
        f'GRANT CREATE ON DATABASE "{DATABASE}" TO catalog_migration_tst_user',
        "GRANT USAGE, CREATE ON SCHEMA public TO order_app_tst_user",
        "ALTER ROLE order_migration_tst_user CREATEROLE CREATEDB",
        database=DATABASE,
    )
    assert unexpected(probed(provisioned, project, scratch=scratch)) == {
        (APP, "temporary-table", f"database {DATABASE}", PERMITTED),
        ("catalog_migration_tst_user", "create-schema", f"database {DATABASE}", PERMITTED),
        ("order_app_tst_user", "use-schema", "schema public", PERMITTED),
        ("order_app_tst_user", "create-in-schema", "schema public", PERMITTED),
        ("order_migration_tst_user", "create-role", "server", PERMITTED),
        ("order_migration_tst_user", "create-database", "server", PERMITTED),
    }
