"""What `golabs drift --repair` leaves alone, gives back, and says; and when `golabs verify` does not claim a proof."""

from __future__ import annotations

import json

import psycopg
import pytest

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from .catalog import snapshot
from .proofs import READ, Stack, provision
from .tools import answer, as_superuser, migrate, url, user


@pytest.fixture
def tst(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Stack:
    return provision(project, server, "tst", capsys)


def test_what_reaches_beyond_the_environment_is_left_to_people(tst: Stack) -> None:
    as_superuser(
        tst.server,
        'CREATE DATABASE "go-labs-prd"',
        "ALTER ROLE ALL SET statement_timeout TO '5min'",
        "CREATE ROLE dba NOLOGIN",
        'ALTER DATABASE "go-labs-tst" OWNER TO dba',
    )
    before = snapshot(tst.server, "go-labs-prd")
    try:
        code, _, err = tst.golabs("drift", "--repair")
        assert code == 2
        for left in (
            "other-database/PUBLIC/CONNECT+TEMPORARY on database go-labs-prd",
            "setting/all/statement_timeout on all roles",
            "owner/dba on database go-labs-tst",
        ):
            assert f"not repaired: {left}: it concerns more than tst" in err
        assert snapshot(tst.server, "go-labs-prd") == before
        assert answer(tst.server, "SELECT count(*) FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = 0") == 1
        assert (
            answer(tst.server, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'go-labs-tst'") == "dba"
        )
    finally:
        as_superuser(tst.server, "ALTER ROLE ALL RESET ALL")


def test_an_admin_keeps_the_memberships_that_it_had(
    each_server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = provision(project, each_server, "tst", capsys, limited=True)
    owner = user("billing", "migration")
    as_superuser(each_server, f"GRANT {owner} TO deployer WITH ADMIN OPTION")
    edges = "SELECT count(*) FROM pg_auth_members WHERE pg_get_userbyid(member) = 'deployer'"
    before = answer(each_server, edges)
    stack.break_it(READ, 'GRANT SELECT ON "order".invoice TO PUBLIC', "GRANT USAGE ON SCHEMA public TO PUBLIC")
    code, out, err = stack.golabs("drift", "--repair")
    assert (code, err) == (0, "")
    assert "no drift: 3 differences repaired" in out
    assert answer(each_server, edges) == before


def test_who_has_provisioned_it_before_is_no_intruder(
    each_server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = provision(project, each_server, "tst", capsys, limited=True)
    stack.admin = stack.server
    stack.write()
    code, out, _ = stack.golabs("verify")
    assert code == 0, out


def test_what_the_model_gives_is_given_back_at_once(tst: Stack) -> None:
    before = snapshot(tst.server, tst.database)
    as_superuser(
        tst.server,
        "CREATE ROLE a1",
        "GRANT USAGE ON SCHEMA billing TO a1",
        "GRANT SELECT ON billing.invoice TO a1 WITH GRANT OPTION",
        "SET ROLE a1",
        "GRANT SELECT ON billing.invoice TO billing_app_tst_user",
        "RESET ROLE",
        "REVOKE SELECT ON billing.invoice FROM billing_app_tst_user",
        database=tst.database,
    )
    assert tst.golabs("drift", "--repair")[0] == 0
    as_superuser(tst.server, "DROP ROLE a1")
    assert snapshot(tst.server, tst.database) == before


def test_a_closed_database_is_opened_and_a_missing_one_is_for_up(tst: Stack) -> None:
    as_superuser(tst.server, 'ALTER DATABASE "go-labs-tst" ALLOW_CONNECTIONS false')
    code, out, err = tst.golabs("drift", "--repair")
    assert (code, err) == (0, "")
    assert "repaired  database/CLOSED on database go-labs-tst" in out
    as_superuser(tst.server, 'DROP DATABASE "go-labs-tst" WITH (FORCE)')
    code, _, err = tst.golabs("drift", "--repair")
    assert code == 2
    assert "not repaired: database/MISSING on database go-labs-tst: golabs up tst" in err


def test_users_and_schemas_with_names_alike_are_no_leftovers(tst: Stack) -> None:
    as_superuser(
        tst.server,
        "CREATE ROLE extensions_migration_tst_user",
        "CREATE ROLE public_app_tst_user",
        "CREATE ROLE reporting_app_tst_user",
        "CREATE ROLE bi",
        "CREATE SCHEMA reporting AUTHORIZATION bi",
        "CREATE TABLE reporting.sales (id int)",
        "GRANT SELECT ON reporting.sales TO bi",
        database=tst.database,
    )
    code, out, _ = tst.golabs("drift")
    assert code == 0, out


def test_an_interrupted_repair_says_that_nothing_of_it_stays(tst: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    tst.break_it(READ)
    broken = snapshot(tst.server, tst.database)
    monkeypatch.setattr("golabs_infra.repairing.Repairer._run", interrupt)
    code, out, err = tst.golabs("drift", "--repair")
    assert code == 1
    assert "interrupted; nothing of this repair stays" in err
    assert "repaired" not in out
    assert snapshot(tst.server, tst.database) == broken


def test_what_is_left_has_its_reason_in_json(tst: Stack) -> None:
    tst.break_it("ALTER TABLE billing.invoice ENABLE ROW LEVEL SECURITY", READ)
    _, out, _ = tst.golabs("drift", "--repair", "--json")
    told = json.loads(out)
    assert told["repaired"] == [{"id": "privilege/order_app_tst_user/SELECT", "object": "table billing.invoice"}]
    (left,) = told["left"]
    assert left["reason"] == "it may be meant, so that a person has to decide"
    assert [each["severity"] for each in told["findings"]] == ["critical", "high"]


def test_a_user_that_finds_no_free_connection_leaves_the_isolation_unproven(tst: Stack) -> None:
    tst.write(services=[{"name": "billing", "connectionLimit": 1}, "catalog", "order"])
    tst.up()
    with psycopg.connect(url(tst.project, "billing", "app")):
        code, out, err = tst.golabs("verify")
    assert code == 1
    assert "not proven: nothing found, but 1 of " in out
    assert "proven twice" not in out
    assert "too many connections for role" in err
    assert tst.golabs("verify")[0] == 0


def test_a_lone_service_has_nothing_to_be_isolated_from(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(project, server, server, "tst", capsys)
    stack.write(services=["billing"])
    stack.up()
    migrate(project, ["billing"])
    code, out, _ = stack.golabs("verify")
    assert code == 0
    assert out.endswith("nothing to isolate: 1 service, looked at by the catalogs and by logging in; nothing found\n")


def test_settings_that_keep_the_admin_from_writing_do_not_keep_a_repair_from_it(tst: Stack) -> None:
    tst.break_it(READ)
    as_superuser(tst.server, "ALTER ROLE postgres SET default_transaction_read_only TO on")
    try:
        assert tst.golabs("drift", "--repair")[0] == 0
    finally:
        with connect_admin(tst.server) as admin:
            admin.execute("SET default_transaction_read_only TO off")
            admin.execute("ALTER ROLE postgres RESET default_transaction_read_only")


def test_a_stranger_above_nobody_can_not_be_hidden_by_a_name(tst: Stack) -> None:
    tst.break_it('CREATE ROLE "PUBLIC"', 'GRANT SELECT ON billing.invoice TO "PUBLIC"', 'CREATE ROLE "a\nb\x1b[31m"')
    as_superuser(tst.server, 'GRANT SELECT ON billing.event TO "a\nb\x1b[31m"', database=tst.database)
    code, out, _ = tst.golabs("verify")
    assert code == 2
    assert 'privilege/"PUBLIC"/SELECT on table billing.invoice' in out
    assert "\x1b" not in out
    assert "\nb" not in out
    as_superuser(tst.server, *_statements(tst), database=tst.database)
    assert tst.golabs("verify")[0] == 0


def _statements(stack: Stack) -> list[str]:
    return [text for each in stack.report()["findings"] for text in each["mend"]]
