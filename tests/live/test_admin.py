"""An admin who is no superuser, as managed servers give one: on PostgreSQL 18 and 16. Real servers, nothing mocked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from golabs_infra.changes import AllowConnections, GrantPrivileges
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, GolabsError
from golabs_infra.project import Project

from ..support import make_project, wipe
from . import tools
from .catalog import memberships, row_versions, snapshot
from .tools import DATABASE, SERVICES, Upkeep, engine

OTHERS = ("catalog", "order")
BREAKS = [
    "REVOKE USAGE ON SCHEMA billing FROM billing_app_tst_user",
    "REVOKE ALL ON ALL TABLES IN SCHEMA billing FROM billing_app_tst_user",
    "GRANT ALL ON billing.customer TO catalog_app_tst_user, PUBLIC",
    "GRANT SELECT ON billing.customer TO billing_app_tst_user WITH GRANT OPTION",
    "GRANT ALL ON SEQUENCE billing.ticket TO catalog_app_tst_user",
    'GRANT ALL ON DATABASE "go-labs-tst" TO PUBLIC',
    "GRANT ALL ON SCHEMA public TO PUBLIC",
    "ALTER SCHEMA billing OWNER TO catalog_migration_tst_user",
    "ALTER SCHEMA billing OWNER TO billing_app_tst_user",
    "ALTER SCHEMA billing OWNER TO deployer",
    "ALTER ROLE billing_app_tst_user NOLOGIN CREATEDB CREATEROLE NOINHERIT CONNECTION LIMIT 0",
    "ALTER ROLE billing_migration_tst_user SET search_path TO public; ALTER ROLE billing_app_tst_user RESET ALL",
    'ALTER ROLE billing_migration_tst_user IN DATABASE "go-labs-tst" SET statement_timeout TO 1',
    "ALTER ROLE billing_app_tst_user PASSWORD 'somebody-elses'",
    "ALTER ROLE billing_app_tst_user PASSWORD NULL",
    "ALTER ROLE billing_app_tst_user VALID UNTIL '2001-01-01'",
    "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing GRANT SELECT ON TABLES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user GRANT SELECT ON TABLES TO PUBLIC",
    "DROP OWNED BY billing_app_tst_user; DROP ROLE billing_app_tst_user",
]


on_the_newest = pytest.mark.parametrize("each_server", [18], indirect=True)
"""For what no version does in another way."""


@pytest.fixture
def admin(each_server: Endpoint) -> Endpoint:
    """The endpoint of an admin with CREATEROLE, CREATEDB and pg_signal_backend, on an emptied server."""
    return tools.with_admin(each_server)


@pytest.fixture
def deployed(admin: Endpoint, project: Project) -> Endpoint:
    """The same, where the admin has provisioned tst and its services have migrated."""
    engine(project, admin).up()
    tools.migrate(project)
    return admin


def own_memberships(endpoint: Endpoint) -> list[tuple[Any, ...]]:
    """What the admin is a member of, but for what CREATE ROLE itself leaves: ADMIN, and neither INHERIT nor SET."""
    return [found for found in memberships(endpoint, endpoint.admin_user) if found[2:] != (True, False, False)]


def test_it_does_the_whole_job_and_a_second_up_writes_nothing(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    shown = engine(project, admin).preview().changes
    done = engine(project, admin).up().changes
    assert tools.masked(done) == tools.masked(shown)
    tools.migrate(project)
    before = row_versions(each_server, DATABASE)
    assert engine(project, admin).up().changes == ()
    assert row_versions(each_server, DATABASE) == before
    assert tools.can_log_in(project)
    assert len(tools.rows(project)) == 18


def test_it_leaves_the_same_catalogs_as_a_superuser(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    by_the_admin = snapshot(each_server, DATABASE)
    wipe(each_server)
    another = make_project(project.root.parent / "another")
    engine(another, each_server).up()
    tools.migrate(another)
    assert snapshot(each_server, DATABASE) == by_the_admin


def test_it_keeps_no_membership_that_it_had_not_before(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    before = own_memberships(admin)
    assert before == [("pg_signal_backend", "postgres", False, True, True)]
    engine(project, admin).up()
    assert own_memberships(admin) == before
    tools.as_superuser(each_server, "REVOKE USAGE ON SCHEMA billing FROM billing_app_tst_user", database=DATABASE)
    engine(project, admin).up()
    engine(project, admin, services=OTHERS).up()
    assert own_memberships(admin) == before
    engine(project, admin).destroy()
    assert memberships(each_server, "deployer") == before


@on_the_newest
def test_it_keeps_the_memberships_that_it_had(each_server: Endpoint, deployed: Endpoint, project: Project) -> None:
    tools.as_superuser(
        each_server,
        "GRANT billing_migration_tst_user TO deployer",
        "GRANT catalog_migration_tst_user TO deployer WITH INHERIT FALSE",
    )
    before = memberships(each_server, "deployer")
    for service in ("billing", "catalog"):
        tools.as_superuser(
            each_server, f"REVOKE USAGE ON SCHEMA {service} FROM {service}_app_tst_user", database=DATABASE
        )
    engine(project, deployed).up()
    assert engine(project, deployed).up().changes == ()
    assert memberships(each_server, "deployer") == before


@on_the_newest
def test_an_admin_that_inherits_nothing_is_told_so_before_anything(each_server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(each_server, attributes="CREATEROLE CREATEDB NOINHERIT")
    with pytest.raises(AdoptionError, match="NOINHERIT") as caught:
        engine(project, admin).up()
    assert tools.role_names(each_server) == ["deployer"]
    tools.settle(each_server, caught.value)
    engine(project, admin).up()
    assert engine(project, admin).up().changes == ()


@on_the_newest
def test_an_admin_that_is_granted_its_new_roles_at_once_does_the_whole_job(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    tools.as_superuser(each_server, "ALTER ROLE deployer SET createrole_self_grant TO 'set, inherit'")
    engine(project, admin).up()
    tools.migrate(project)
    assert engine(project, admin).up().changes == ()
    engine(project, admin, services=OTHERS).up()
    engine(project, admin, services=OTHERS).destroy()


@pytest.fixture(scope="module")
def upkeep(postgresql: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Upkeep:
    """The environment that the breaks share, provisioned by the admin."""
    return Upkeep(postgresql, tmp_path_factory.mktemp("breaks"), tools.with_admin)


@pytest.mark.parametrize("statements", BREAKS)
def test_what_is_broken_by_hand_is_seen_and_mended(upkeep: Upkeep, statements: str) -> None:
    whole = upkeep.assert_seen_and_mended(statements)
    assert [found[0] for found in own_memberships(whole.admin)] == ["pg_signal_backend"]


def test_everything_broken_at_once_is_mended_on_an_older_server_too(postgresql16: Endpoint, tmp_path: Path) -> None:
    whole = Upkeep(postgresql16, tmp_path, tools.with_admin).assert_seen_and_mended(";".join(BREAKS))
    assert [found[0] for found in own_memberships(whole.admin)] == ["pg_signal_backend"]


@on_the_newest
@pytest.mark.parametrize("statement", ["SUPERUSER", "REPLICATION", "BYPASSRLS"])
def test_what_only_a_superuser_can_mend_is_a_clear_error_with_nothing_changed(
    each_server: Endpoint, deployed: Endpoint, project: Project, statement: str
) -> None:
    tools.as_superuser(each_server, f"ALTER ROLE billing_app_tst_user {statement}")
    tools.as_superuser(each_server, "REVOKE USAGE ON SCHEMA catalog FROM catalog_app_tst_user", database=DATABASE)
    before = row_versions(each_server, DATABASE)
    with pytest.raises(AdoptionError, match=f"it has {statement}, .* only a superuser can take it away") as caught:
        engine(project, deployed).up()
    assert row_versions(each_server, DATABASE) == before
    tools.settle(each_server, caught.value)
    assert [type(change) for change in engine(project, deployed).up().changes][1:2] == [GrantPrivileges]
    assert engine(project, deployed).up().changes == ()


def test_a_service_with_tables_and_sessions_is_taken_out(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    rows = tools.rows(project, OTHERS)
    with tools.login(project, "billing", "app"), tools.login(project, "billing", "migration"):
        shown = engine(project, deployed, services=OTHERS).preview().changes
        assert engine(project, deployed, services=OTHERS).up().changes == shown
    assert engine(project, deployed, services=OTHERS).up().changes == ()
    assert not [name for name in tools.role_names(each_server) if "billing" in name]
    assert not connection_file(project, "tst", "billing").exists()
    assert tools.rows(project, OTHERS) == rows


@on_the_newest
def test_a_service_is_retired_and_comes_back(each_server: Endpoint, deployed: Endpoint, project: Project) -> None:
    whole = snapshot(each_server, DATABASE)
    services = [{"name": "billing", "retired": True}, *OTHERS]
    engine(project, deployed, services=services).up()
    assert engine(project, deployed, services=services).up().changes == ()
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        psycopg.connect(tools.url(project, "billing", "app"))
    engine(project, deployed).up()
    assert engine(project, deployed).up().changes == ()
    assert snapshot(each_server, DATABASE) == whole


@on_the_newest
def test_a_keep_stack_with_a_retired_service_can_go_on(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    services = ["billing", {"name": "order", "retired": True}]
    engine(project, admin, "dev", services=["billing", "order"]).up()
    engine(project, admin, "dev", services=services).up()
    assert engine(project, admin, "dev", services=services).up().changes == ()
    engine(project, admin, "dev", services=["billing", "order"]).up()
    assert tools.can_log_in(project, ["billing", "order"], "dev")


def test_destroy_ends_open_sessions_and_drops_everything(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    with tools.busy(project):
        engine(project, deployed).destroy()
    assert not tools.database_exists(each_server)
    assert tools.role_names(each_server) == ["deployer"]
    assert not project.output_folder("tst").exists()


@on_the_newest
def test_without_the_right_to_end_sessions_destroy_is_refused_with_nothing_touched(
    each_server: Endpoint, project: Project
) -> None:
    admin = tools.with_admin(each_server, signals=False)
    engine(project, admin).up()
    tools.migrate(project)
    before, files = row_versions(each_server, DATABASE), tools.files(project)
    with tools.login(project, "billing", "app"):
        with pytest.raises(GolabsError) as caught:
            engine(project, admin).destroy()
        assert isinstance(caught.value, AdoptionError)
        assert 'GRANT pg_signal_backend TO "deployer"' in str(caught.value)
        assert row_versions(each_server, DATABASE) == before
        assert tools.files(project) == files
    # Sessions are slow to go away: a backend ends after its client has left.
    tools.wait_for_sessions_to_end(each_server, DATABASE)
    engine(project, admin).destroy()
    assert tools.role_names(each_server) == ["deployer"]


@on_the_newest
def test_a_database_that_allows_no_connections_is_opened_again(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    tools.as_superuser(each_server, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    engine(project, deployed).preview()
    assert engine(project, deployed).up().changes == (AllowConnections(DATABASE),)
    assert engine(project, deployed).up().changes == ()


@on_the_newest
def test_an_extension_that_only_a_superuser_may_make_is_a_clear_error(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    services = [{"name": "billing", "extensions": ["vector"]}]
    with pytest.raises(AdoptionError, match="extension vector: only a superuser can create it") as caught:
        engine(project, admin, services=services).up()
    assert tools.role_names(each_server) == ["deployer"]
    create, *inside = tools.statements_in(caught.value.faults[0].mend)
    tools.as_superuser(admin, create)
    tools.as_superuser(each_server, *inside, database=DATABASE)
    engine(project, admin, services=services).up()
    assert engine(project, admin, services=services).up().changes == ()
    with tools.login(project, "billing", "migration") as session:
        session.execute("CREATE TABLE item (at vector(2))")


# ---- rights that are lacking


@on_the_newest
@pytest.mark.parametrize(
    ("attributes", "lacking"), [("CREATEDB", "CREATEROLE"), ("CREATEROLE", "CREATEDB"), ("", "CREATEROLE and CREATEDB")]
)
def test_an_admin_without_rights_is_told_which_before_anything(
    each_server: Endpoint, project: Project, attributes: str, lacking: str
) -> None:
    admin = tools.with_admin(each_server, attributes=attributes)
    before = row_versions(each_server)
    for run in (engine(project, admin).preview, engine(project, admin).up):
        with pytest.raises(AdoptionError, match=f"it lacks {lacking}"):
            run()
    assert row_versions(each_server) == before
    assert not tools.database_exists(each_server)


def test_an_admin_needs_no_createdb_where_the_database_is_its_own(each_server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(each_server, attributes="CREATEROLE")
    tools.as_superuser(each_server, f'CREATE DATABASE "{DATABASE}" OWNER deployer')
    engine(project, admin).up()
    assert engine(project, admin).up().changes == ()
    limited = [{"name": "billing", "connectionLimit": 3}, *OTHERS]
    engine(project, admin, services=limited).up()
    assert engine(project, admin, services=limited).up().changes == ()
    assert tools.can_log_in(project)


@on_the_newest
@pytest.mark.parametrize("environment", ["tst", "prd"])
def test_a_database_of_somebody_else_is_an_error_before_anything(
    each_server: Endpoint, admin: Endpoint, project: Project, environment: str
) -> None:
    database = f"go-labs-{environment}"
    tools.as_superuser(each_server, "CREATE ROLE dba", f'CREATE DATABASE "{database}" OWNER dba')
    before = row_versions(each_server, database)
    for run in (engine(project, admin, environment).preview, engine(project, admin, environment).up):
        with pytest.raises(AdoptionError, match="it belongs to dba, not to the admin") as caught:
            run()
        assert f'ALTER DATABASE "{database}" OWNER TO "deployer"' in str(caught.value)
    assert row_versions(each_server, database) == before
    tools.as_superuser(each_server, f'ALTER DATABASE "{database}" OWNER TO deployer')
    engine(project, admin, environment).up()
    assert engine(project, admin, environment).up().changes == ()


@on_the_newest
def test_a_member_of_the_databases_owner_may_do_the_job(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    tools.as_superuser(
        each_server, "CREATE ROLE dba", f'CREATE DATABASE "{DATABASE}" OWNER dba', "GRANT dba TO deployer"
    )
    engine(project, admin).up()
    assert engine(project, admin).up().changes == ()


def test_a_service_goes_with_what_somebody_has_granted_its_users_on_others(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    tools.as_superuser(
        each_server,
        "GRANT SELECT ON catalog.customer TO billing_app_tst_user WITH GRANT OPTION",
        "GRANT CREATE ON SCHEMA catalog TO billing_migration_tst_user",
        "GRANT USAGE ON SEQUENCE catalog.ticket TO billing_migration_tst_user",
        "ALTER DEFAULT PRIVILEGES FOR ROLE catalog_migration_tst_user GRANT SELECT ON TABLES TO billing_app_tst_user",
        database=DATABASE,
    )
    shown = engine(project, deployed, services=OTHERS).preview().changes
    assert engine(project, deployed, services=OTHERS).up().changes == shown
    assert engine(project, deployed, services=OTHERS).up().changes == ()
    assert not [name for name in tools.role_names(each_server) if "billing" in name]


@on_the_newest
def test_a_table_that_one_service_has_in_anothers_schema_is_told_where_the_admin_can_do_nothing_about_it(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    tools.as_superuser(
        each_server,
        "CREATE TABLE catalog.of_billing (id int)",
        "ALTER TABLE catalog.of_billing OWNER TO billing_migration_tst_user",
        database=DATABASE,
    )
    with pytest.raises(AdoptionError, match="1 object in it belong to billing_migration_tst_user") as caught:
        engine(project, deployed).up()
    tools.settle(each_server, caught.value, database=DATABASE)
    assert engine(project, deployed).up().changes != ()
    assert engine(project, deployed).up().changes == ()


@on_the_newest
def test_users_made_by_somebody_else_are_a_clear_error_with_nothing_changed(
    each_server: Endpoint, admin: Endpoint, project: Project
) -> None:
    engine(project, each_server).up()
    tools.as_superuser(each_server, f'ALTER DATABASE "{DATABASE}" OWNER TO deployer')
    tools.as_superuser(each_server, "REVOKE USAGE ON SCHEMA billing FROM billing_app_tst_user", database=DATABASE)
    before = row_versions(each_server, DATABASE)
    with pytest.raises(AdoptionError, match="no ADMIN OPTION on 6 users") as caught:
        engine(project, admin).up()
    with pytest.raises(AdoptionError, match="no ADMIN OPTION on 6 users"):
        engine(project, admin).destroy()
    assert row_versions(each_server, DATABASE) == before
    tools.settle(each_server, caught.value)
    assert engine(project, admin).up().changes != ()
    assert engine(project, admin).up().changes == ()
    engine(project, admin).destroy()
    assert tools.role_names(each_server) == ["deployer"]


@on_the_newest
def test_a_wrong_password_of_a_user_is_mended_by_logging_in_and_failing(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    tools.as_superuser(each_server, "ALTER ROLE order_app_tst_user PASSWORD 'other'")
    (change,) = engine(project, deployed).up().changes
    assert "order_app_tst_user" in repr(change)
    assert tools.can_log_in(project, SERVICES)


@on_the_newest
def test_the_admins_name_may_be_anything(each_server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(each_server, 'Admin";--%s')
    engine(project, admin).up()
    tools.migrate(project)
    assert engine(project, admin).up().changes == ()
    engine(project, replace(admin), services=OTHERS).up()
    engine(project, admin).destroy()
