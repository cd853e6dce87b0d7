"""The whole life of environments on every version and with both kinds of admin, by the direct engine. Nothing is mocked."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import yaml

from golabs_infra import cli, passphrase
from golabs_infra.changes import CreateDatabase, CreateRole, SetPassword
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError
from golabs_infra.project import Project
from golabs_infra.repairing import Repairer
from golabs_infra.verification import Verifier

from ..live import tools
from ..live.catalog import row_versions, snapshot
from ..live.tools import DATABASE, SERVICES, engine
from .cells import Cell, Settle
from .hand_made import DEV_DATABASE, PASSWORDS, make_by_hand, rows

BREAKS = (
    "REVOKE USAGE ON SCHEMA billing FROM billing_app_tst_user",
    'REVOKE ALL ON ALL TABLES IN SCHEMA "order" FROM order_app_tst_user',
    "GRANT ALL ON billing.customer TO catalog_app_tst_user, PUBLIC",
    "GRANT ALL ON SEQUENCE billing.ticket TO order_app_tst_user",
    f'GRANT ALL ON DATABASE "{DATABASE}" TO PUBLIC',
    "GRANT ALL ON SCHEMA public TO PUBLIC",
    "ALTER SCHEMA catalog OWNER TO billing_migration_tst_user",
    "ALTER ROLE billing_app_tst_user NOLOGIN CREATEDB CREATEROLE NOINHERIT CONNECTION LIMIT 0",
    "ALTER ROLE billing_migration_tst_user SET search_path TO public",
    "ALTER ROLE order_app_tst_user PASSWORD 'somebody-elses'",
    "ALTER ROLE order_migration_tst_user VALID UNTIL '2001-01-01'",
    "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing GRANT SELECT ON TABLES TO PUBLIC",
    "DROP OWNED BY catalog_app_tst_user",
    "DROP ROLE catalog_app_tst_user",
)

NOBODY_MAY = (
    "SELECT * FROM public.shared",
    "CREATE TABLE public.mine (id int)",
    "SELECT * FROM catalog.customer",
    "INSERT INTO catalog.customer (name) VALUES ('from billing')",
    "SELECT nextval('catalog.ticket')",
    "SELECT catalog.doubled(2)",
    "CREATE TABLE catalog.mine (id int)",
    "ALTER TABLE catalog.customer ADD COLUMN note text",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "SET ROLE catalog_migration_tst_user",
)
APP_MAY_NOT = (
    "CREATE TABLE mine (id int)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "ALTER TABLE customer ADD COLUMN note text",
    "TRUNCATE customer CASCADE",
    "DROP TABLE event",
    "CREATE INDEX ON customer (name)",
    "REFRESH MATERIALIZED VIEW revenue",
    "SELECT setval('ticket', 1)",
    "SET ROLE billing_migration_tst_user",
)
APP_DOES = (
    "INSERT INTO customer (name) VALUES ('Barbara')",
    "UPDATE customer SET mood = 'glad' WHERE name = 'Barbara'",
    "DELETE FROM customer WHERE name = 'Barbara'",
    "INSERT INTO event (day, note) VALUES ('2026-06-01', 'by the app')",
    "SELECT nextval('ticket'), doubled(21), (SELECT count(*) FROM customer_name), (SELECT total FROM revenue)",
)

EXTENSIONS = {
    "pg_trgm": (True, "SELECT similarity('a', 'a')"),
    "vector": (False, "SELECT '[1]'::vector <-> '[2]'::vector"),
}
"""By name: whether who is no superuser may make it, and a use of it that gives 1. Every server has one of them."""


def refusal(project: Project, admin: Endpoint, environment: str = "tst", **values: Any) -> str:
    """What `up`, and `preview` in the same words, say where they are refused; no file is written."""
    before = tools.files(project)
    said = []
    for run in ("preview", "up"):
        with pytest.raises(AdoptionError) as caught:
            getattr(engine(project, admin, environment, **values), run)()
        said.append(str(caught.value))
    assert tools.files(project) == before
    assert said[0] == said[1]
    return said[0]


@pytest.fixture
def deployed(cell: Cell, settle: Settle, project: Project) -> Cell:
    """The cell's admin has provisioned tst, and its services have migrated."""
    settle("tst", lambda: refusal(project, cell.admin))
    engine(project, cell.admin).up()
    tools.migrate(project)
    return cell


def test_up_does_what_preview_shows_and_after_migrations_a_second_one_changes_nothing(
    cell: Cell, settle: Settle, project: Project
) -> None:
    settle("tst", lambda: refusal(project, cell.admin))
    shown = engine(project, cell.admin).preview().changes
    done = engine(project, cell.admin).up().changes
    assert tools.masked(done) == tools.masked(shown)
    assert len([change for change in done if isinstance(change, CreateRole)]) == 2 * len(SERVICES)
    tools.migrate(project)
    before = row_versions(cell.server, DATABASE)
    assert engine(project, cell.admin).up().changes == ()
    assert row_versions(cell.server, DATABASE) == before
    assert tools.can_log_in(project)
    assert len(tools.rows(project)) == len(SERVICES) * len(tools.TABLES)


def test_the_app_user_does_dml_and_nothing_else_and_nobody_reaches_another_service_nor_public(
    deployed: Cell, project: Project
) -> None:
    tools.as_superuser(deployed.server, "CREATE TABLE public.shared (id int)", database=DATABASE)
    with tools.login(project, "billing", "app") as app, tools.login(project, "billing", "migration") as migration:
        for statement in APP_DOES:
            app.execute(statement.encode())
        migration.execute("CREATE TABLE later (id serial, at timestamptz DEFAULT now())")
        app.execute("INSERT INTO later DEFAULT VALUES")
        for session, statements in ((app, (*APP_MAY_NOT, *NOBODY_MAY)), (migration, NOBODY_MAY)):
            for statement in statements:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(statement.encode())


def test_what_is_broken_by_hand_is_seen_and_mended(deployed: Cell, project: Project) -> None:
    server, admin = deployed.server, deployed.admin
    whole, rows_before = snapshot(server, DATABASE), tools.stored_rows(server)
    tools.as_superuser(server, *BREAKS, database=DATABASE)
    shown = engine(project, admin).preview().changes
    assert len(shown) > len(BREAKS)
    assert tools.masked(engine(project, admin).up().changes) == tools.masked(shown)
    assert engine(project, admin).up().changes == ()
    assert snapshot(server, DATABASE) == whole
    assert tools.stored_rows(server) == rows_before
    assert tools.can_log_in(project)


def test_a_service_retires_and_comes_back_and_another_one_goes(deployed: Cell, project: Project) -> None:
    server, admin = deployed.server, deployed.admin
    whole, rows_before = snapshot(server, DATABASE), tools.stored_rows(server)
    retired = ({"name": "billing", "retired": True}, "catalog", "order")
    assert engine(project, admin, services=retired).up().changes != ()
    assert engine(project, admin, services=retired).up().changes == ()
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(tools.url(project, "billing", "app"))
    assert engine(project, admin).up().changes != ()
    assert engine(project, admin).up().changes == ()
    assert snapshot(server, DATABASE) == whole
    assert tools.stored_rows(server) == rows_before

    left = ("billing", "order")
    with tools.login(project, "catalog", "app"):
        shown = engine(project, admin, services=left).preview().changes
        assert engine(project, admin, services=left).up().changes == shown
    assert engine(project, admin, services=left).up().changes == ()
    assert not [name for name in tools.role_names(server) if name.startswith("catalog")]
    assert tools.stored_rows(server, left) == [row for row in rows_before if not row.startswith("catalog")]


def test_reset_and_destroy_end_open_sessions(deployed: Cell, settle: Settle, project: Project) -> None:
    server, admin = deployed.server, deployed.admin
    if deployed.cannot_close_public:
        before = row_versions(server, DATABASE)
        with pytest.raises(AdoptionError, match="below PostgreSQL 15 only a superuser can close it"):
            engine(project, admin).reset()
        assert row_versions(server, DATABASE) == before
    else:
        old = tools.answer(server, "SELECT oid FROM pg_database WHERE datname = %s", DATABASE)
        with tools.busy(project):
            engine(project, admin).reset()
        assert tools.answer(server, "SELECT oid FROM pg_database WHERE datname = %s", DATABASE) != old
        assert engine(project, admin).up().changes == ()
        tools.migrate(project)
    with tools.busy(project):
        engine(project, admin).destroy()
    assert not tools.database_exists(server)
    assert tools.role_names(server) == ([admin.admin_user] if deployed.limited else [])
    assert not project.output_folder("tst").exists()
    settle("tst", lambda: refusal(project, admin))
    engine(project, admin).up()
    assert tools.can_log_in(project)


def test_a_service_has_its_extension_which_the_admin_makes_where_it_may(
    cell: Cell, settle: Settle, project: Project
) -> None:
    settle("tst", lambda: refusal(project, cell.admin))
    engine(project, cell.admin, services=["billing"]).up()
    query = "SELECT array_agg(name::text ORDER BY name) FROM pg_available_extensions WHERE name = ANY(%s)"
    extension = tools.answer(cell.server, query, list(EXTENSIONS))[0]
    trusted, use = EXTENSIONS[extension]
    services = [{"name": "billing", "extensions": [extension]}]
    if cell.limited and not trusted:
        said = refusal(project, cell.admin, services=services)
        assert f"extension {extension}: only a superuser can create it" in said
        tools.as_superuser(cell.server, *tools.statements_in(said), database=DATABASE)
    assert engine(project, cell.admin, services=services).up().changes != ()
    assert engine(project, cell.admin, services=services).up().changes == ()
    for kind in ("migration", "app"):
        with tools.login(project, "billing", kind) as session:
            assert session.execute(use.encode()).fetchone() == (1.0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(f"DROP EXTENSION {extension}".encode())


def test_dev_adopts_what_the_same_admin_has_made_by_hand(cell: Cell, settle: Settle, project: Project) -> None:
    make_by_hand(cell.admin)
    given: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    settle("dev", lambda: refusal(project, cell.admin, "dev", **given))
    _adopted(cell, project, given)


def test_dev_adopts_what_another_admin_has_made_by_hand(cell: Cell, settle: Settle, project: Project) -> None:
    tools.as_superuser(cell.server, "CREATE ROLE dba SUPERUSER")
    make_by_hand(cell.server, "dba")
    given: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    if cell.limited:  # the superuser has to hand the database over, and from PostgreSQL 16 on the users too
        before = row_versions(cell.server, DEV_DATABASE)
        said = refusal(project, cell.admin, "dev", **given)
        assert f'ALTER DATABASE "{DEV_DATABASE}" OWNER TO "{cell.admin.admin_user}";' in said
        assert ("ADMIN OPTION" in said) == (cell.major >= 16)
        assert row_versions(cell.server, DEV_DATABASE) == before
        tools.as_superuser(cell.server, *tools.statements_in(said), database=DEV_DATABASE)
    elif warnings := engine(project, cell.admin, "dev", **given).preview().warnings:
        assert any("it belongs to dba, not to the admin" in warning for warning in warnings), warnings
    _adopted(cell, project, given)


def _adopted(cell: Cell, project: Project, given: dict[str, Any]) -> None:
    """dev comes up on what was made by hand, with its rows and passwords, and is left in place by destroy."""
    query = "SELECT array_agg(rolname || rolpassword ORDER BY rolname) FROM pg_authid WHERE rolname LIKE '%%\\_user'"
    verifiers = tools.answer(cell.server, query)
    done = engine(project, cell.admin, "dev", **given).up().changes
    assert done != ()
    assert not [change for change in done if isinstance(change, CreateRole | CreateDatabase | SetPassword)]
    assert engine(project, cell.admin, "dev", **given).up().changes == ()
    assert tools.answer(cell.server, query) == verifiers
    for kind, password in PASSWORDS["billing"].items():
        assert tools.record(project, "billing", "dev")["users"][kind]["password"] == password
    assert rows(project) == [("a",), ("b",)]
    with tools.login(project, "billing", "app", "dev") as app:
        app.execute("INSERT INTO invoice (note) VALUES ('c')")
        for statement in ("TRUNCATE invoice", "CREATE TABLE public.mine (id int)", "CREATE TABLE mine (id int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(statement.encode())
    engine(project, cell.admin, "dev", **given).destroy()
    assert rows(project) == [("a",), ("b",), ("c",)]


def test_prd_is_refused_without_its_name_and_nothing_gets_it_down(
    cell: Cell,
    settle: Settle,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settle("prd", lambda: refusal(project, cell.admin, "prd"))
    _write_guarded(project, cell.admin, monkeypatch)
    empty = row_versions(cell.server)
    assert _golabs(project, "up", "prd", "--yes") == 1
    assert "--yes does not confirm a guarded environment" in capsys.readouterr().err
    assert row_versions(cell.server) == empty
    monkeypatch.setenv("GOLABS_CONFIRM", "go-labs-prd")
    assert _golabs(project, "up", "prd", "--yes") == 0
    tools.migrate(project, environment="prd")
    whole = row_versions(cell.server, "go-labs-prd")
    capsys.readouterr()
    for command in ("destroy", "reset"):
        assert _golabs(project, command, "prd", "--yes") == 1
        assert f"{command} is refused" in capsys.readouterr().err
    assert row_versions(cell.server, "go-labs-prd") == whole
    assert tools.can_log_in(project, environment="prd")


def _write_guarded(project: Project, admin: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pulumi.prd.yaml with the admin's password encrypted, as a guarded stack must have it."""
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "of prd alone")
    monkeypatch.setattr(passphrase, "ITERATIONS", 1)  # deriving keys would take as long as everything else
    crypter, salt = passphrase.create("of prd alone")
    config: dict[str, object] = {
        "host": admin.host,
        "port": admin.port,
        "adminUser": admin.admin_user,
        "adminPassword": {"secure": crypter.encrypt(admin.admin_password.get_secret_value())},
        "sslMode": admin.ssl_mode,
        "services": list(SERVICES),
    }
    document = {"encryptionsalt": salt, "config": {f"golabs-infra:{key}": value for key, value in config.items()}}
    project.stack_file("prd").write_text(yaml.safe_dump(document), encoding="utf-8")


def _golabs(project: Project, *words: str) -> object:
    """The exit code of a command on the direct engine."""
    engine_words = [] if words[0] == "reset" else ["--engine", "direct"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["--project", str(project.root), *words, *engine_words])
    return ended.value.code


FOUND = {
    "privilege/order_app_tst_user/SELECT": "GRANT SELECT ON billing.customer TO order_app_tst_user",
    "privilege/PUBLIC/UPDATE": "GRANT UPDATE (name) ON billing.customer TO PUBLIC",
    "membership/order_app_tst_user/catalog_app_tst_user": "GRANT catalog_app_tst_user TO order_app_tst_user",
    "setting/billing_app_tst_user/search_path": "ALTER ROLE billing_app_tst_user SET search_path TO public",
    "login/billing_migration_tst_user/NOLOGIN": "ALTER ROLE billing_migration_tst_user NOLOGIN",
    "missing-privilege/catalog_app_tst_user/USAGE": "REVOKE USAGE ON SCHEMA catalog FROM catalog_app_tst_user",
    "default-privilege/billing_migration_tst_user/PUBLIC/SELECT": (
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing GRANT SELECT ON TABLES TO PUBLIC"
    ),
    "owner/order_migration_tst_user": "ALTER VIEW billing.customer_name OWNER TO order_migration_tst_user",
}


def test_the_proofs_find_nothing_in_a_whole_environment_and_each_break_and_a_repair_mends_it(
    deployed: Cell, project: Project
) -> None:
    verifier = Verifier(project, engine(project, deployed.admin).settings, deployed.admin)
    clean = verifier.prove()
    assert (clean.findings, clean.warnings) == ((), ())
    assert clean.report.live is not None
    assert (clean.report.live.logins, clean.report.live.undecided) == (2 * len(SERVICES), 0)
    before = snapshot(deployed.server, DATABASE)
    tools.as_superuser(deployed.server, *FOUND.values(), database=DATABASE)
    if deployed.major < 16:
        tools.as_superuser(deployed.server, "CREATE ROLE maker CREATEROLE")
    found = verifier.prove().findings
    expected = {*FOUND, *({"attribute/maker/CREATEROLE"} if deployed.major < 16 else ())}
    assert {each.id for each in found} == expected
    settings = engine(project, deployed.admin).settings
    done = Repairer(settings, deployed.admin, verifier.passwords()).repair(found)
    left = [statement for each in done.left for statement in each.finding.statements]
    beyond = ['ALTER ROLE "maker" NOCREATEROLE;'] if deployed.major < 16 else []
    assert deployed.limited or left == beyond
    assert len(done.repaired) > len(done.left), done.left
    tools.as_superuser(deployed.server, *left, database=DATABASE)
    assert verifier.prove().findings == ()
    if deployed.major < 16:
        tools.as_superuser(deployed.server, "DROP ROLE maker")
    assert snapshot(deployed.server, DATABASE) == before


def test_a_second_login_acts_as_its_user_and_is_proven(deployed: Cell, project: Project) -> None:
    logins = {"billing": {kind: ["user", "twin"] for kind in ("migration", "app")}}
    engine(project, deployed.admin, logins=logins).up()
    assert engine(project, deployed.admin, logins=logins).up().changes == ()
    with tools.login(project, "billing", "migration") as migration, tools.login(project, "billing", "app") as app:
        for session, kind in ((migration, "migration"), (app, "app")):
            acting = session.execute("SELECT session_user::text, current_user::text").fetchone()
            assert acting == (f"billing_{kind}_tst_twin", f"billing_{kind}_tst_user")
        migration.execute("CREATE TABLE by_the_twin (id serial)")
        app.execute("INSERT INTO by_the_twin DEFAULT VALUES")
        for session, statements in ((app, (*APP_MAY_NOT, *NOBODY_MAY)), (migration, NOBODY_MAY)):
            for statement in statements:
                if "public.shared" not in statement:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        session.execute(statement.encode())
    owned = "SELECT tableowner::text FROM pg_tables WHERE tablename = 'by_the_twin'"
    assert tools.answer(deployed.server, owned, database=DATABASE) == "billing_migration_tst_user"
    settings = engine(project, deployed.admin, logins=logins).settings
    verdict = Verifier(project, settings, deployed.admin).prove()
    assert (verdict.findings, verdict.report.proven) == ((), True)
    closed = {"billing": {kind: ["twin"] for kind in ("migration", "app")}}
    engine(project, deployed.admin, logins=closed).up()
    assert (
        Verifier(project, engine(project, deployed.admin, logins=closed).settings, deployed.admin).prove().findings
        == ()
    )
