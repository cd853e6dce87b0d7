"""An admin who is no superuser does the whole job. Real servers, nothing mocked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from golabs_infra.changes import AllowConnections
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import make_project, wipe
from . import tools
from .admins import (
    OTHERS,
    deployed_by_plain_admin,  # noqa: F401 - the fixture `deployed`
    on_the_newest,
    own_memberships,
    plain_admin,  # noqa: F401 - the fixture `admin`
)
from .catalog import memberships, row_versions, snapshot
from .tools import DATABASE, Upkeep, engine

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
def test_a_database_that_allows_no_connections_is_opened_again(
    each_server: Endpoint, deployed: Endpoint, project: Project
) -> None:
    tools.as_superuser(each_server, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    engine(project, deployed).preview()
    assert engine(project, deployed).up().changes == (AllowConnections(DATABASE),)
    assert engine(project, deployed).up().changes == ()


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
def test_the_admins_name_may_be_anything(each_server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(each_server, 'Admin";--%s')
    engine(project, admin).up()
    tools.migrate(project)
    assert engine(project, admin).up().changes == ()
    engine(project, replace(admin), services=OTHERS).up()
    engine(project, admin).destroy()
