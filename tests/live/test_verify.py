"""`golabs verify` and `golabs drift` on real servers: what they say, write, accept, repair, and leave alone."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from golabs_infra.connecting import connect_admin
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument

from .catalog import snapshot
from .proofs import READ, SERVICES, Stack, provision
from .tools import as_superuser, login, migrate, url, user

MEMBER = "GRANT billing_app_{0}_user TO order_app_{0}_user"


@pytest.fixture(autouse=True)
def _confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)


@pytest.fixture
def tst(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Stack:
    return provision(project, server, "tst", capsys)


@pytest.fixture
def dev(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Stack:
    return provision(project, server, "dev", capsys)


@pytest.fixture(params=["superuser", "least privileged"])
def each(
    request: pytest.FixtureRequest, each_server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> Stack:
    """On each version, by each kind of admin."""
    return provision(project, each_server, "tst", capsys, limited=request.param == "least privileged")


def test_a_clean_environment_is_proven_twice_and_left_as_it_was(each: Stack) -> None:
    before = snapshot(each.server, each.database)
    code, out, err = each.golabs("verify")
    assert (code, err) == (0, "")
    assert "isolated: 3 services, 6 pairs, proven twice, by the catalogs and by logging in; nothing found" in out
    assert "undecided" not in out
    assert snapshot(each.server, each.database) == before
    assert each.golabs("drift")[:2] == (0, f"drift: {each.database} on 127.0.0.1:{each.admin.port}\nno drift\n")


def test_what_is_found_is_told_with_its_cause_and_its_sql(each: Stack) -> None:
    each.break_it(READ)
    code, out, _ = each.golabs("verify")
    assert code == 2
    assert "  critical  privilege/order_app_tst_user/SELECT on table billing.invoice\n" in out
    assert "order_app_tst_user has SELECT on table billing.invoice, and should not\n" in out
    assert "cause: granted by billing_migration_tst_user\n" in out
    assert 'mend:  REVOKE SELECT ON TABLE "billing"."invoice" FROM "order_app_tst_user";\n' in out
    assert out.endswith("1 finding: 1 critical\n")


def test_json_keeps_to_the_documented_schema(tst: Stack) -> None:
    clean = tst.report()
    assert clean["proven"] is True
    assert (clean["findings"], clean["reach"], clean["warnings"]) == ([], [], [])
    assert clean["target"]["database"] == "go-labs-tst"
    assert clean["live"]["logins"] == 6
    assert clean["live"]["scratch"] is True
    tst.break_it(MEMBER)
    broken = tst.report()
    assert broken["proven"] is False
    assert [(each["service"], each["into"]) for each in broken["reach"]] == [("order", "billing")]
    assert {"SELECT", "UPDATE", "USAGE"} <= set(broken["reach"][0]["privileges"])
    assert {"read", "update", "use-schema"} <= set(broken["reach"][0]["tried"])
    (finding,) = broken["findings"]
    assert finding["severity"] == "critical"
    assert finding["mend"] == ['REVOKE "billing_app_tst_user" FROM "order_app_tst_user" GRANTED BY "postgres" CASCADE;']


def test_a_program_that_pipes_json_gets_nothing_else_on_standard_output(tst: Stack) -> None:
    tst.break_it(READ)
    for command in ("verify", "drift"):
        code, out, err = tst.golabs(command, "--json")
        assert code == 2
        assert json.loads(out)["findings"][0]["id"] == "privilege/order_app_tst_user/SELECT"
        assert "critical" in err


def test_the_sql_of_all_findings_is_one_script(tst: Stack) -> None:
    tst.break_it(READ, MEMBER)
    code, out, _ = tst.golabs("verify", "--sql")
    assert code == 2
    assert out.startswith('-- go-labs-tst: what mends it\n\\set ON_ERROR_STOP on\n\\connect "go-labs-tst"\n')
    statements = [line for line in out.splitlines() if line and not line.startswith(("--", "\\"))]
    assert len(statements) == 3  # and one that a read-only database needs
    as_superuser(tst.server, *statements, database=tst.database)
    assert tst.golabs("verify")[0] == 0
    assert tst.golabs("verify", "--sql", "--json")[0] == 64


def test_the_page_is_written_in_one_step_and_an_unwritable_one_is_one_error(tst: Stack, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("the last one", encoding="utf-8")
    tst.break_it(READ)
    assert tst.golabs("verify", "--html", str(page))[0] == 2
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "privilege/order_app_tst_user/SELECT" in text
    code, _, err = tst.golabs("verify", "--html", str(tmp_path / "missing" / "report.html"))
    assert code == 1
    assert "the report can't be written: its folder is not there" in err
    assert "mend: name a file in a folder that you may write to" in err


def test_an_accepted_finding_is_listed_and_counts_no_more(tst: Stack) -> None:
    tst.break_it("CREATE ROLE reporting LOGIN", "GRANT SELECT ON billing.invoice, billing.event TO reporting")
    entry = {"id": "privilege/reporting/SELECT", "object": "table billing.*", "note": "monthly report"}
    assert tst.golabs("verify")[0] == 2
    tst.write(accepted=[entry | {"until": "2999-01-31"}])
    for command in ("verify", "drift"):
        code, out, err = tst.golabs(command)
        assert (code, err) == (0, "")
        assert (
            "accepted  privilege/reporting/SELECT on table billing.event, table billing.invoice (monthly report" in out
        )
    assert [each["accepted"] for each in tst.report()["findings"]] == [True, True]
    tst.write(accepted=[entry | {"until": "2026-01-31"}])
    code, _, err = tst.golabs("verify")
    assert code == 2
    assert "was accepted until 2026-01-31, which is over" in err
    tst.write(accepted=[entry, entry | {"id": "privilege/elsewhere/SELECT"}])
    code, _, err = tst.golabs("verify")
    assert code == 0
    assert "accepted[1]: privilege/elsewhere/SELECT on table billing.* is found no more: remove the entry" in err


def test_drift_sees_what_engines_are_blind_to_and_a_repair_leaves_none(each: Stack) -> None:
    before = snapshot(each.server, each.database)
    each.break_it(
        "CREATE ROLE reporting",
        "GRANT SELECT ON billing.customer_name TO reporting",
        "GRANT UPDATE (name) ON billing.customer TO order_app_{0}_user",
        "GRANT SELECT ON billing.event_2026 TO PUBLIC",
        "GRANT USAGE ON SCHEMA catalog TO reporting WITH GRANT OPTION",
        'ALTER ROLE order_app_{0}_user IN DATABASE "go-labs-{0}" SET search_path TO billing',
        "REVOKE SELECT ON billing.revenue FROM billing_app_{0}_user",
        "ALTER DEFAULT PRIVILEGES FOR ROLE order_migration_{0}_user GRANT SELECT ON TABLES TO billing_app_{0}_user",
        MEMBER,
    )
    code, out, _ = each.golabs("drift")
    assert code == 2
    for line in (
        "high  privilege/reporting/SELECT on view billing.customer_name",
        "critical  privilege/order_app_tst_user/UPDATE on column billing.customer.name",
        "critical  privilege/PUBLIC/SELECT on table billing.event_2026",
        "high  privilege/reporting/USAGE on schema catalog",
        "high  setting/order_app_tst_user/search_path on role order_app_tst_user in database go-labs-tst",
        "high  missing-privilege/billing_app_tst_user/SELECT on materialized view billing.revenue",
        "critical  default-privilege/order_migration_tst_user/billing_app_tst_user/SELECT on default privileges on tables",
        "critical  membership/order_app_tst_user/billing_app_tst_user on role billing_app_tst_user",
    ):
        assert line in out
    assert "8 differences: " in out
    code, out, err = each.golabs("drift", "--repair")
    if each.admin is each.server:
        assert (code, err) == (0, "")
        assert out.endswith("no drift: 8 differences repaired\n")
    else:  # what a superuser granted by membership, and settings by others, an admin may not be let to take
        assert out.count("  repaired  ") >= 6
    as_superuser(each.server, *_of(each), "DROP ROLE reporting", database=each.database)
    assert each.golabs("drift")[0] == 0
    assert snapshot(each.server, each.database) == before


def _of(stack: Stack) -> list[str]:
    """The SQL that is still offered."""
    _, out, _ = stack.golabs("drift", "--json")
    return [statement for each in json.loads(out)["findings"] for statement in each["mend"]]


def test_a_table_that_a_migration_has_just_made_is_no_drift(tst: Stack) -> None:
    with login(tst.project, "billing", "migration") as session:
        session.execute("CREATE TABLE fresh (id serial PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM fresh")
    assert tst.golabs("drift")[0] == 0
    assert tst.golabs("verify")[0] == 0


def test_in_a_guarded_environment_a_repair_wants_the_databases_name(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of our own")
    stack = Stack(project, server, server, "prd", capsys)
    stack.write()
    document = StackDocument.open(project, "prd")
    document.set_secret(("adminPassword",), server.admin_password, document.unlock(os.environ))
    document.write()
    stack.up()
    migrate(project, SERVICES, "prd")
    assert stack.golabs("verify")[0] == 0
    stack.break_it(READ)
    broken = snapshot(server, "go-labs-prd")
    for typed in ("no\n", "go-labs-tst\n", ""):
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code, _, err = stack.golabs("drift", "--repair")
        assert code == 1
        assert "confirm" in err
        assert "nothing was changed" in err
        assert snapshot(server, "go-labs-prd") == broken
    monkeypatch.setattr("sys.stdin", io.StringIO("go-labs-prd\n"))
    assert stack.golabs("drift", "--repair")[0] == 0
    stack.break_it(READ)
    monkeypatch.setenv("GOLABS_CONFIRM", "go-labs-prd")
    assert stack.golabs("drift", "--repair")[0] == 0
    assert stack.golabs("verify")[0] == 0


def test_a_keep_environment_is_probed_without_making_anything(dev: Stack) -> None:
    as_superuser(
        dev.server,
        "CREATE TABLE public.made (what text)",
        "CREATE FUNCTION public.note() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO public.made VALUES (tg_tag); END'",
        "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION public.note()",
        database=dev.database,
    )
    with connect_admin(dev.server, dev.database) as admin:
        before = admin.execute("SELECT pg_current_xact_id(), count(*) FROM pg_class").fetchone()
    document = dev.report()
    assert document["proven"] is True
    assert document["live"]["scratch"] is False
    assert document["live"]["undecided"] == 0
    with connect_admin(dev.server, dev.database) as admin:
        made = admin.execute("SELECT * FROM public.made").fetchall()
        after = admin.execute("SELECT count(*) FROM pg_class").fetchone()
    assert made == []
    assert before is not None
    assert after == before[1:]


def test_a_repair_changes_no_password_where_logins_are_to_be_kept(dev: Stack) -> None:
    app = user("billing", "app", "dev")
    dev.break_it(f"ALTER ROLE {app} PASSWORD 'another-one'", READ)
    code, out, err = dev.golabs("drift", "--repair")
    assert code == 2
    assert "repaired  privilege/order_app_dev_user/SELECT on table billing.invoice" in out
    assert f"not repaired: login/{app}/WRONG PASSWORD on role {app}: no login's password is changed unasked" in err
    with psycopg.connect(url(dev.project, "billing", "app", "dev"), password="another-one") as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_disposable_environment_gets_its_known_password_again(tst: Stack) -> None:
    app = user("billing", "app")
    tst.break_it(f"ALTER ROLE {app} PASSWORD NULL", f"ALTER ROLE {user('order', 'migration')} PASSWORD 'another-one'")
    ids = {each["id"] for each in tst.report()["findings"]}
    assert ids == {f"login/{app}/NO PASSWORD", f"login/{user('order', 'migration')}/WRONG PASSWORD"}
    assert tst.golabs("drift", "--repair")[0] == 0
    assert tst.golabs("verify")[0] == 0


def test_what_a_person_has_to_decide_is_left_with_its_reason(tst: Stack) -> None:
    tst.break_it("ALTER TABLE billing.invoice ENABLE ROW LEVEL SECURITY")
    code, _, err = tst.golabs("drift", "--repair")
    assert code == 2
    assert "not repaired: row-security/billing_app_tst_user on table billing.invoice: it may be meant" in err


def test_what_is_missing_is_for_up(tst: Stack) -> None:
    tst.write(services=[*SERVICES, "shipping"])
    code, out, err = tst.golabs("drift", "--repair")
    assert code == 2
    assert "high  missing-user/shipping_app_tst_user on role shipping_app_tst_user" in out
    assert "mend:  golabs up tst" in out
    assert "not repaired: missing-schema/shipping on schema shipping: golabs up" in err
    code, _, err = tst.golabs("verify")
    assert code == 1
    assert "no password is known here of shipping_migration_tst_user and of 1 more" in err
    assert "golabs up tst" in err
    tst.up()
    assert tst.golabs("verify")[0] == 0


def test_a_service_that_was_taken_out_is_told_as_long_as_it_can_log_in(dev: Stack) -> None:
    dev.write(services=["billing", "order"])
    assert [each["id"] for each in dev.report()["findings"]] == [
        "leftover-user/catalog_app_dev_user",
        "leftover-user/catalog_migration_dev_user",
    ]
    code, _, err = dev.golabs("drift", "--repair")
    assert code == 2
    assert (
        "not repaired: leftover-user/catalog_app_dev_user on role catalog_app_dev_user: its line may be missing" in err
    )
    as_superuser(dev.server, *_of(dev), database=dev.database)
    assert dev.report()["proven"] is True


def test_a_retired_service_is_proven_closed(dev: Stack) -> None:
    dev.write(services=["billing", "order", {"name": "catalog", "retired": True}])
    code, out, _ = dev.golabs("drift")
    assert code == 2
    assert "login/catalog_app_dev_user/LOGIN on role catalog_app_dev_user" in out
    dev.up()
    assert dev.report()["proven"] is True
    dev.break_it("ALTER ROLE catalog_app_dev_user LOGIN")
    assert {each["id"] for each in dev.report()["findings"]} == {"login/catalog_app_dev_user/LOGIN"}


def test_a_database_that_is_gone_or_closed_is_one_finding_and_no_noise(tst: Stack) -> None:
    as_superuser(tst.server, 'ALTER DATABASE "go-labs-tst" ALLOW_CONNECTIONS false')
    code, out, _ = tst.golabs("verify")
    assert code == 2
    assert out.endswith("1 finding: 1 high\n")
    assert "database/CLOSED on database go-labs-tst" in out
    assert tst.golabs("drift")[0] == 2
    as_superuser(tst.server, 'DROP DATABASE "go-labs-tst"')
    code, out, _ = tst.golabs("verify")
    assert code == 2
    assert "database/MISSING on database go-labs-tst" in out
    assert out.endswith("1 finding: 1 high\n")


def test_another_server_is_refused_before_a_password_is_tried(tst: Stack, second: Any) -> None:
    tst.admin = second.endpoint
    tst.write()
    code, _, err = tst.golabs("verify")
    assert code == 1
    assert "this is another server" in err
    assert "password authentication failed" not in second.log


def test_a_lost_connection_file_is_one_error_that_says_how_to_go_on(tst: Stack) -> None:
    os.unlink(connection_file(tst.project, "tst", "order"))
    code, _, err = tst.golabs("verify")
    assert code == 1
    assert "no password is known here of order_migration_tst_user and of 1 more" in err
    assert "golabs export tst" in err
    assert tst.golabs("verify", "--no-login")[0] == 0
    assert tst.golabs("drift")[0] == 0
