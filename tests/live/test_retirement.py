"""`golabs retire` on real servers: no login, no privileges, data kept; who depends on it is told, and may stop it."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.retirement import look_before_retirement

from ..support import direct_engine, make_settings
from .catalog import snapshot
from .retiring import (
    DATABASE,
    USERS,
    Stack,
    confirmed,  # noqa: F401 - a fixture of all of these tests
    logins,
    rights,
    rights_of_everybody,
    stack_on_each_version,  # noqa: F401 - the fixture `each_stack`
    stack_on_the_newest,  # noqa: F401 - the fixture `stack`
    without_plain_secrets,
)
from .tools import (
    as_superuser,
    can_log_in,
    engine,
    login,
    migrate,
    statements_in,
    stored_rows,
    url,
    with_admin,
)


def test_a_retired_service_has_no_login_and_no_privileges_and_keeps_its_data(
    each_stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = each_stack
    stack.up()
    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    rows = stored_rows(stack.server, ["billing", "order"], DATABASE)
    urls = [url(stack.project, "billing", kind, "dev") for kind in ("migration", "app")]

    assert stack.golabs("retire", "billing", "--yes") == 0
    said = capsys.readouterr()
    assert "nobody else depends on billing, and its users have no open sessions" in said.out
    assert (
        "billing is retired; its data is kept. To take it back: golabs retire dev billing --engine direct --undo"
        in said.out
    )
    assert logins(stack.server) == [False, False]
    assert rights(stack.server) == []
    for each in urls:
        with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
            psycopg.connect(each)
    assert can_log_in(stack.project, ["order"], "dev")
    assert stored_rows(stack.server, ["billing", "order"], DATABASE) == rows
    assert (
        b"    - name: billing # the oldest\n      retired: true\n    - order\n\n# the end\n" in stack.file.read_bytes()
    )
    assert direct_engine(stack.project, "dev").up().changes == ()
    # what somebody grants again is taken again
    as_superuser(stack.server, f"GRANT SELECT ON billing.invoice TO {USERS[1]}", database=DATABASE)
    assert direct_engine(stack.project, "dev").up().changes != ()
    assert rights(stack.server) == []

    assert stack.golabs("retire", "billing", "--undo", "--yes") == 0
    assert stack.file.read_bytes() == before
    assert [url(stack.project, "billing", kind, "dev") for kind in ("migration", "app")] == urls
    assert can_log_in(stack.project, ["billing", "order"], "dev")
    assert snapshot(stack.server, DATABASE) == catalogs
    assert stored_rows(stack.server, ["billing", "order"], DATABASE) == rows
    assert direct_engine(stack.project, "dev").up().changes == ()


def test_what_the_schema_holds_is_shown_and_given_as_json(
    each_stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = each_stack
    stack.up()
    as_superuser(stack.server, "ANALYZE billing.customer", database=DATABASE)
    capsys.readouterr()
    assert stack.golabs("retire", "billing", "--yes", "--json") == 0
    said = capsys.readouterr()
    result = json.loads(said.out)
    holds = {entry["kind"]: entry for entry in result["preflight"]["holds"]}
    assert {kind: entry["number"] for kind, entry in holds.items()} == {
        "table": 5,
        "partitioned table": 1,
        "view": 1,
        "materialized view": 1,
        "sequence": 4,
        "function": 1,
        "type": 1,
    }
    assert holds["table"]["bytes"] >= 5 * 8192
    assert holds["table"]["rows"] >= 2
    assert (result["service"], result["retired"], result["preflight"]["sessions"]) == ("billing", True, [])
    assert result["sessions"] == {"ended": 0, "left": []}
    assert "5 tables" in said.err
    assert "1 partitioned table" in said.err


DEPENDENTS = """
CREATE SCHEMA reporting;
CREATE VIEW reporting.bills AS SELECT i.id, c.name FROM billing.invoice i JOIN billing.customer c ON c.id = customer_id;
CREATE MATERIALIZED VIEW reporting.later AS SELECT * FROM reporting.bills;
CREATE TABLE "reporting"."note" (id int PRIMARY KEY DEFAULT nextval('billing.ticket'), of int REFERENCES billing.invoice,
    mood billing.mood);
CREATE FUNCTION reporting.named(billing.customer) RETURNS text LANGUAGE sql AS 'SELECT $1.name';
CREATE TABLE reporting.heir () INHERITS (billing.schema_migrations);
CREATE TABLE reporting.apart (id int);
CREATE ROLE reader; CREATE ROLE "odd ""name"; CREATE ROLE keeper; CREATE ROLE idle;
GRANT USAGE ON SCHEMA billing TO reader; GRANT SELECT ON billing.invoice TO reader;
GRANT SELECT (name) ON billing.customer TO "odd ""name";
GRANT billing_app_dev_user TO keeper;
GRANT billing_app_dev_user TO idle WITH ADMIN TRUE, INHERIT FALSE, SET FALSE;
"""


def test_everybody_who_depends_on_it_is_told_at_once_and_stops_it(
    each_stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = each_stack
    stack.up()
    as_superuser(stack.server, *(part for part in DEPENDENTS.split(";") if part.strip()), database=DATABASE)
    catalogs, before = snapshot(stack.server, DATABASE), stack.file.read_bytes()
    with login(stack.project, "billing", "app", "dev") as session:
        session.execute("SELECT 1")
        capsys.readouterr()
        assert stack.golabs("retire", "billing", "--yes") == 1
    said = capsys.readouterr().err
    found = [line.removeprefix("  - ") for line in said.splitlines() if line.startswith("  - ")]
    assert found == [
        "constraint note_of_fkey on table reporting.note: it needs table billing.invoice",
        "default value for column id of table reporting.note: it needs sequence billing.ticket",
        "function reporting.named(billing.customer): it needs type billing.customer",
        "open sessions: the service's users are connected: billing_app_dev_user (1)",
        "role keeper: it is a member of billing_app_dev_user, and may do what that one may",
        'role odd "name: it has SELECT in the schema billing',
        "role reader: it has SELECT, USAGE in the schema billing",
        "table reporting.heir: it needs table billing.schema_migrations",
        "table reporting.note: it needs type billing.mood",
        "view reporting.bills: it needs table billing.customer, table billing.invoice",
    ]
    assert "mend: stop billing, then run this again" in said
    assert 'REVOKE "billing_app_dev_user" FROM "keeper";' in said
    assert 'REVOKE ALL ON SCHEMA "billing" FROM "odd ""name";' in said
    assert "golabs retire dev billing --engine direct --force; nothing was changed" in said
    assert snapshot(stack.server, DATABASE) == catalogs
    assert stack.file.read_bytes() == before


def test_force_goes_on_and_ends_the_sessions_after_nobody_can_log_in(
    each_stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = each_stack
    stack.up()
    with login(stack.project, "billing", "migration", "dev") as session:
        session.execute("BEGIN; LOCK TABLE customer; INSERT INTO customer (name) VALUES ('half-way')")
        assert stack.golabs("retire", "billing", "--yes", "--force", "--json") == 0
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    said = capsys.readouterr()
    assert json.loads(said.out)["sessions"] == {"ended": 1, "left": []}
    assert "warning: open sessions: the service's users are connected: billing_migration_dev_user (1)" in said.err
    assert "sessions ended: billing_migration_dev_user (1)" in said.err
    assert logins(stack.server) == [False, False]


def test_sessions_that_the_admin_may_not_end_are_told(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(project, server, with_admin(server, signals=False))
    stack.up()
    as_superuser(server, "REVOKE billing_app_dev_user FROM deployer")
    as_superuser(server, "GRANT billing_app_dev_user TO deployer WITH ADMIN OPTION, INHERIT FALSE, SET FALSE")
    with login(project, "billing", "app", "dev") as session:
        pid = session.info.backend_pid
        assert stack.golabs("retire", "billing", "--yes", "--force") == 0
        said = capsys.readouterr()
        assert (
            "still connected, and able to work with what they own until they leave: billing_app_dev_user (1)"
            in said.err
        )
        assert str(pid) in said.err
        session.execute("SELECT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT * FROM billing.customer")


def test_what_is_declined_changes_nothing(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    asked: list[str] = []

    def answer(_: object, question: str) -> str:
        asked.append(question)
        return "no"

    monkeypatch.setattr("golabs_infra.console.Screen.ask", answer)
    assert stack.golabs("retire", "billing") == 1
    assert asked == [
        f"retire billing in go-labs-dev on {stack.server.host}:{stack.server.port}: no logins, no privileges, its data "
        "kept? Type yes:"
    ]
    assert (stack.file.read_bytes(), snapshot(stack.server, DATABASE)) == (before, catalogs)


def test_a_guarded_environment_shows_the_preview_and_wants_the_name(
    server: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(project, server, server, "prd")
    monkeypatch.setenv("GOLABS_CONFIRM", "go-labs-prd")
    passwords = {
        f"{name}": {"migration": "Mm1." + "abcdefgh" * 3, "app": "Aa1." + "abcdefgh" * 3}
        for name in ("billing", "order")
    }
    engine(project, server, "prd", services=["billing", "order"], passwords=passwords).up()
    monkeypatch.delenv("GOLABS_CONFIRM")
    text = stack.file.read_text(encoding="utf-8")
    stack.file.write_text(without_plain_secrets(text, project), encoding="utf-8")
    before, catalogs = stack.file.read_bytes(), snapshot(server, "go-labs-prd")
    seen: list[bytes] = []

    def answer(_: object, question: str) -> str:
        assert question == "type the database's name, go-labs-prd, to go on:"
        seen.append(stack.file.read_bytes())
        return "go-labs-dev"

    monkeypatch.setattr("golabs_infra.console.Screen.ask", answer)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of our own")
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "mend: GOLABS_CONFIRM=go-labs-prd golabs retire prd billing" in capsys.readouterr().err
    assert seen == []
    assert stack.golabs("retire", "billing") == 1
    said = capsys.readouterr()
    assert "billing_app_prd_user" in said.out
    assert "golabs retire prd billing: not confirmed; nothing was changed" in said.err
    assert b"retired: true" in seen[0]
    assert (stack.file.read_bytes(), snapshot(server, "go-labs-prd")) == (before, catalogs)

    monkeypatch.setenv("GOLABS_CONFIRM", "go-labs-prd")
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert snapshot(server, "go-labs-prd") != catalogs
    assert stack.golabs("retire", "billing", "--undo", "--yes") == 0
    assert (stack.file.read_bytes(), snapshot(server, "go-labs-prd")) == (before, catalogs)


def test_what_is_open_to_everybody_is_told_and_closed(each_stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    stack = each_stack
    stack.up()
    as_superuser(
        stack.server,
        "GRANT EXECUTE ON FUNCTION billing.doubled TO billing_app_dev_user",  # PUBLIC's own is written down by it
        database=DATABASE,
    )
    assert look_before_retirement(stack.admin, make_settings("dev", services=["billing"]), "billing").obstacles == ()
    opened = ("GRANT USAGE ON SCHEMA billing TO PUBLIC", "GRANT SELECT ON billing.invoice TO PUBLIC")
    as_superuser(stack.server, *opened, "GRANT SELECT (name) ON billing.customer TO PUBLIC", database=DATABASE)
    capsys.readouterr()
    assert stack.golabs("retire", "billing", "--yes") == 1
    said = capsys.readouterr().err
    assert (
        "PUBLIC: everybody who may connect has SELECT, USAGE in the schema billing, which a retirement takes away"
        in said
    )
    assert stack.golabs("retire", "billing", "--yes", "--force") == 0
    assert rights_of_everybody(stack.server) == []
    assert stack.golabs("retire", "billing", "--undo", "--yes") == 0

    as_superuser(stack.server, *opened, database=DATABASE)
    as_superuser(stack.server, *statements_in(said), database=DATABASE)
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert rights_of_everybody(stack.server) == []


def test_no_size_is_shown_where_one_table_is_locked(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    settings = make_settings("dev", services=["billing"])
    with connect_admin(stack.server, DATABASE) as other, other.transaction(force_rollback=True):
        other.execute("LOCK TABLE billing.customer IN ACCESS EXCLUSIVE MODE")
        held = {holding.kind: holding for holding in look_before_retirement(stack.server, settings, "billing").holdings}
        assert (held["table"].number, held["table"].bytes) == (5, None)
        assert held["materialized view"].bytes
        as_superuser(stack.server, "CREATE ROLE reader", "GRANT USAGE ON SCHEMA billing TO reader", database=DATABASE)
        assert stack.golabs("retire", "billing", "--yes") == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("5 tables")]
    assert "byte" not in line
    assert "kB" not in line


def test_a_retired_service_is_marked_where_services_are_listed(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stack.golabs("retire", "billing", "--yes") == 0
    capsys.readouterr()
    assert stack.golabs("up", "--yes") == 0
    said = capsys.readouterr().out
    assert re.search(r"^billing \(retired\) +billing_migration_dev_user ", said, re.MULTILINE)
    assert re.search(r"^order +order_migration_dev_user ", said, re.MULTILINE)
    stack.golabs("doctor")
    assert "services billing (retired), order" in capsys.readouterr().out


def test_a_service_that_there_is_not_is_refused_with_the_nearest_name(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stack.golabs("retire", "biling") == 64
    assert "there is no service 'biling'; the nearest known one is 'billing'" in capsys.readouterr().err


def test_a_service_that_was_never_provisioned_is_refused(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = Stack(project, server, server)
    before = stack.file.read_bytes()
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "there is no database go-labs-dev yet, so there is nothing to retire" in capsys.readouterr().err
    engine(project, server, "dev", services=["order"]).up()
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "there is no user billing_migration_dev_user yet" in capsys.readouterr().err
    assert stack.file.read_bytes() == before


def test_the_number_of_queries_does_not_grow_with_the_schema(second: Any, project: Project) -> None:
    engine(project, second.endpoint, services=["billing", "order"]).up()
    settings = make_settings("tst", services=["billing", "order"])

    def asked() -> int:
        before = len(second.log.splitlines())
        look_before_retirement(second.endpoint, settings, "billing")
        return sum("statement: " in line or "execute <" in line for line in second.log.splitlines()[before:])

    first = asked()
    migrate(project, ["billing"])
    assert asked() == first < 12
