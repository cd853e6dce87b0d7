"""What an admin who is no superuser may not do is told, before anything or with nothing changed."""

from __future__ import annotations

import pytest

from golabs_infra.changes import GrantPrivileges
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, GolabsError
from golabs_infra.project import Project

from . import tools
from .admins import (
    OTHERS,
    deployed_by_plain_admin,  # noqa: F401 - the fixture `deployed`
    on_the_newest,
    plain_admin,  # noqa: F401 - the fixture `admin`
)
from .catalog import row_versions
from .tools import DATABASE, SERVICES, engine


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
    with pytest.raises(AdoptionError, match="1 object in it belongs to billing_migration_tst_user") as caught:
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
