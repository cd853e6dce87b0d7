"""`golabs retire` on real servers: no login, no privileges, data kept; refused while somebody uses it; and taken back."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from typing import Any

import psycopg
import pytest

from golabs_infra import cli
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.retirement import look_before_retirement

from ..support import direct_engine, make_settings, write_stack
from .catalog import snapshot
from .tools import (
    answer,
    as_superuser,
    can_log_in,
    engine,
    login,
    migrate,
    statements_in,
    stored_rows,
    url,
    user,
    with_admin,
)

USERS = (user("billing", "migration", "dev"), user("billing", "app", "dev"))
DATABASE = "go-labs-dev"


class Stack:
    """dev on a server, written in its file with comments, and `golabs` on it with the direct engine."""

    def __init__(self, project: Project, server: Endpoint, admin: Endpoint, environment: str = "dev") -> None:
        self.project, self.server, self.admin, self.environment = project, server, admin, environment
        self.file = project.stack_file(environment)
        write_stack(project, environment, admin)
        listed = "  golabs-infra:services: # ours\n    - billing # the oldest\n    - order\n\n# the end\n"
        self.file.write_text(self.file.read_text(encoding="utf-8") + listed, encoding="utf-8")

    def golabs(self, command: str, *words: str) -> int:
        """Runs the command; gives its exit code."""
        arguments = ["--project", str(self.project.root), command, self.environment, *words, "--engine", "direct"]
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        code = ended.value.code
        assert isinstance(code, int)
        return code

    def up(self) -> None:
        """Provisions, migrates."""
        direct_engine(self.project, self.environment).up()
        migrate(self.project, ["billing", "order"], self.environment)


@pytest.fixture(autouse=True)
def _confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)


@pytest.fixture(params=["superuser", "least privileged"])
def each_stack(request: pytest.FixtureRequest, each_server: Endpoint, project: Project) -> Stack:
    """The same on each version, by a superuser and by an admin with CREATEROLE and CREATEDB."""
    admin = each_server if request.param == "superuser" else with_admin(each_server)
    return Stack(project, each_server, admin)


@pytest.fixture
def stack(server: Endpoint, project: Project) -> Stack:
    found = Stack(project, server, server)
    found.up()
    return found


def rights(server: Endpoint, database: str = DATABASE) -> list[Any]:
    """Every privilege that the two users have anywhere in the database, what they own aside."""
    query = """
        SELECT 'database', acl.privilege_type FROM pg_database d, aclexplode(d.datacl) acl, pg_roles r
        WHERE d.datname = current_database() AND acl.grantee = r.oid AND r.rolname = ANY (%(users)s)
        UNION ALL
        SELECT n.nspname, acl.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) acl, pg_roles r
        WHERE acl.grantee = r.oid AND acl.grantee <> n.nspowner AND r.rolname = ANY (%(users)s)
        UNION ALL
        SELECT c.relname, acl.privilege_type FROM pg_class c, aclexplode(c.relacl) acl, pg_roles r
        WHERE acl.grantee = r.oid AND acl.grantee <> c.relowner AND r.rolname = ANY (%(users)s)
        UNION ALL
        SELECT 'default', acl.privilege_type FROM pg_default_acl c, aclexplode(c.defaclacl) acl, pg_roles r
        WHERE acl.grantee = r.oid AND acl.grantee <> c.defaclrole AND r.rolname = ANY (%(users)s)
    """
    with connect_admin(server, database) as connection:
        return connection.execute(query.encode(), {"users": list(USERS)}).fetchall()


def logins(server: Endpoint) -> list[bool]:
    with connect_admin(server) as connection:
        found = connection.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = ANY (%s)", [list(USERS)]
        ).fetchall()
        return [login for (login,) in found]


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
    assert "billing is retired; its data is kept. To take it back: golabs retire dev billing --undo" in said.out
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
    assert "golabs retire dev billing --force; nothing was changed" in said
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
    stack.file.write_text(_without_plain_secrets(text, project), encoding="utf-8")
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


def test_an_interruption_at_the_question_puts_the_file_back(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> str:
        raise KeyboardInterrupt

    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    monkeypatch.setattr("golabs_infra.account.Account.confirm_up", interrupt)
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert (stack.file.read_bytes(), snapshot(stack.server, DATABASE)) == (before, catalogs)


def _without_plain_secrets(text: str, project: Project) -> str:
    """prd's admin password encrypted, as a guarded stack must have it."""
    from pydantic import SecretStr

    from golabs_infra.stack_editing import StackDocument

    document = StackDocument.open(project, "prd")
    crypter = document.unlock({"PULUMI_CONFIG_PASSPHRASE": "of our own"})
    plain = document.get("adminPassword")
    document.set_secret(("adminPassword",), SecretStr(str(plain)), crypter)
    return document.text()


def test_a_run_that_the_server_refuses_changes_nothing_there_and_puts_the_file_back(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    tags = "'REVOKE', 'GRANT', 'ALTER DEFAULT PRIVILEGES'"
    as_superuser(
        stack.server,
        "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''frozen''; END'",
        f"CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ({tags}) EXECUTE FUNCTION public.refuse()",
        database=DATABASE,
    )
    assert stack.golabs("retire", "billing", "--yes") == 1
    said = capsys.readouterr().err
    assert "frozen" in said
    assert "nothing is half done" in said
    as_superuser(stack.server, "DROP EVENT TRIGGER refuse", "DROP FUNCTION public.refuse()", database=DATABASE)
    assert (stack.file.read_bytes(), snapshot(stack.server, DATABASE)) == (before, catalogs)


def test_a_run_that_is_refused_before_any_change_puts_the_file_back(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = stack.file.read_bytes()
    as_superuser(stack.server, "ALTER ROLE billing_app_dev_user SUPERUSER")
    as_superuser(stack.server, "ALTER ROLE order_app_dev_user PASSWORD 'another-One.99'")
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "order_app_dev_user" in capsys.readouterr().err
    assert stack.file.read_bytes() == before


def test_what_is_retired_already_or_not_at_all_is_said(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.golabs("retire", "billing", "--undo", "--yes") == 0
    assert "billing is not retired, neither in Pulumi.dev.yaml nor on the server" in capsys.readouterr().out
    assert stack.golabs("retire", "billing", "--yes") == 0
    capsys.readouterr()
    assert stack.golabs("retire", "billing", "--yes") == 0
    said = capsys.readouterr().out
    assert "billing is retired already, in Pulumi.dev.yaml and on the server" in said
    assert "to take it back: golabs retire dev billing --undo" in said


def test_what_the_file_says_and_the_server_does_not_is_applied_and_not_believed(stack: Stack) -> None:
    assert stack.golabs("retire", "billing", "--yes") == 0
    as_superuser(stack.server, f"ALTER ROLE {USERS[1]} LOGIN")
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert logins(stack.server) == [False, False]
    as_superuser(stack.server, "GRANT USAGE ON SCHEMA billing TO " + USERS[1], database=DATABASE)
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert rights(stack.server) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_the_server_waits_changes_nothing_and_puts_the_file_back(
    number: signal.Signals, stack: Stack
) -> None:
    before, catalogs = stack.file.read_bytes(), snapshot(stack.server, DATABASE)
    words = ["--project", str(stack.project.root), "retire", "dev", "billing", "--yes", "--engine", "direct"]
    with connect_admin(stack.server, DATABASE) as other, other.transaction(force_rollback=True):
        other.execute("LOCK TABLE billing.customer IN ACCESS EXCLUSIVE MODE")
        running = subprocess.Popen(
            [sys.executable, "-m", "golabs_infra", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        deadline = time.monotonic() + 60
        while not answer(stack.server, waiting):
            assert time.monotonic() < deadline
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 1, said
    assert "interrupted" in said
    assert stack.file.read_bytes() == before
    assert snapshot(stack.server, DATABASE) == catalogs


@pytest.mark.parametrize(
    ("moment", "undo"),
    [
        ("account.Account.converge_service", []),
        ("retiring._leave_nobody", []),
        ("account.Account.converge_service", ["--undo"]),
    ],
    ids=["converging", "ending sessions", "undo"],
)
def test_an_interruption_after_the_change_keeps_the_file_and_says_how_to_go_on_and_back(
    moment: str, undo: list[str], stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if undo:
        assert stack.golabs("retire", "billing", "--yes") == 0

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"golabs_infra.{moment}", interrupt)
    assert stack.golabs("retire", "billing", "--yes", *undo) == 1
    back = "golabs retire dev billing" + ("" if undo else " --undo")
    said = capsys.readouterr().err
    assert "interrupted; what was done stays" in said
    assert f"Pulumi.dev.yaml has the change; to go on: golabs up dev; to go back: {back}\n" in said
    assert logins(stack.server) == [bool(undo)] * 2
    assert (b"retired: true" in stack.file.read_bytes()) is not bool(undo)


def test_what_the_server_does_not_take_back_is_told_and_no_success(
    stack: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    as_superuser(
        stack.server,
        "CREATE ROLE reader",
        "GRANT USAGE ON SCHEMA billing TO reader",
        "GRANT TRUNCATE ON billing.invoice TO reader WITH GRANT OPTION",
        f"SET ROLE reader; GRANT TRUNCATE ON billing.invoice TO {USERS[1]}",
        database=DATABASE,
    )
    for ways_told in (True, False):  # the second run finds nothing that it could change
        assert stack.golabs("retire", "billing", "--yes", "--force") == 1
        said = capsys.readouterr()
        assert (
            "billing is not what it should be on the server; this did not come about: "
            f"- TRUNCATE on table billing.invoice from {USERS[1]}" in said.err
        )
        assert ("to go back: golabs retire dev billing --undo" in said.err) is ways_told
        assert "billing is retired" not in said.out
        assert logins(stack.server) == [False, False]
        assert b"retired: true" in stack.file.read_bytes()
    as_superuser(
        stack.server, f"SET ROLE reader; REVOKE TRUNCATE ON billing.invoice FROM {USERS[1]}", database=DATABASE
    )
    assert stack.golabs("retire", "billing", "--yes") == 0
    assert "billing is retired already" in capsys.readouterr().out
    assert rights(stack.server) == []


def test_what_nobody_can_look_at_is_not_said_to_be_so(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    assert stack.golabs("retire", "billing", "--yes") == 0
    as_superuser(stack.server, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    assert stack.golabs("retire", "billing", "--yes") == 1
    assert "is not currently accepting connections" in capsys.readouterr().err
    as_superuser(stack.server, f'DROP DATABASE "{DATABASE}"')
    assert stack.golabs("retire", "billing", "--yes") == 1
    said = capsys.readouterr()
    assert "there is no database go-labs-dev yet, so there is nothing to retire" in said.err
    assert "retired already" not in said.out


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


def rights_of_everybody(server: Endpoint) -> list[Any]:
    """What PUBLIC may do in the schema billing, on it and on its relations."""
    query = """
        SELECT n.nspname, acl.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) acl
        WHERE n.nspname = 'billing' AND acl.grantee = 0
        UNION ALL
        SELECT c.relname, acl.privilege_type FROM pg_class c, aclexplode(c.relacl) acl
        WHERE c.relnamespace = 'billing'::regnamespace AND acl.grantee = 0
    """
    with connect_admin(server, DATABASE) as connection:
        return connection.execute(query.encode()).fetchall()


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
    assert "there is no service 'biling'; the nearest one is 'billing'" in capsys.readouterr().err


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
