"""A stack belongs to one server and one database; destroy follows the policy. Two real servers, nothing mocked."""

from __future__ import annotations

import pytest

from golabs_infra.changes import CreateDatabase
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, GolabsError, IdentityError, PolicyError
from golabs_infra.project import Project

from ..support import make_project
from . import tools
from .catalog import row_versions
from .conftest import OwnServer
from .tools import DATABASE, SERVICES, engine

# ---- another server


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_another_server_under_the_same_stack_is_refused_and_left_untouched(
    server: Endpoint, second: OwnServer, project: Project, environment: str
) -> None:
    engine(project, server, environment).up()
    before, files = row_versions(second.endpoint), tools.files(project)
    for run in (
        engine(project, second.endpoint, environment).preview,
        engine(project, second.endpoint, environment).up,
    ):
        with pytest.raises(IdentityError, match="this is another server") as caught:
            run()
        assert second.endpoint.address in str(caught.value)
    assert row_versions(second.endpoint) == before
    assert tools.files(project) == files
    assert engine(project, server, environment).up().changes == ()


def test_another_server_is_refused_even_where_it_has_such_an_environment(
    server: Endpoint, second: OwnServer, project: Project
) -> None:
    engine(make_project(project.root.parent / "others"), second.endpoint, "dev").up()
    engine(project, server, "dev").up()
    before = row_versions(second.endpoint, "go-labs-dev")
    with pytest.raises(IdentityError):
        engine(project, second.endpoint, "dev").up()
    assert row_versions(second.endpoint, "go-labs-dev") == before


def test_a_disposable_stack_follows_to_another_server(server: Endpoint, second: OwnServer, project: Project) -> None:
    engine(project, server).up()
    passwords = tools.secret_words(project)
    engine(project, second.endpoint).up()
    assert engine(project, second.endpoint).up().changes == ()
    assert tools.record(project, "billing")["port"] == second.endpoint.port
    assert tools.secret_words(project) == passwords
    assert tools.can_log_in(project)
    assert tools.database_exists(server)


def test_the_same_server_at_another_address_is_the_same(server: Endpoint, project: Project) -> None:
    engine(project, server, "dev").up()
    by_name = type(server)(**{**vars(server), "host": "localhost"})
    assert engine(project, by_name, "dev").up().changes == ()
    assert tools.record(project, "billing", "dev")["host"] == "localhost"
    assert tools.can_log_in(project, environment="dev")


# ---- a database that is gone


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_known_database_that_is_gone_stops_the_run_with_nothing_made(
    server: Endpoint, project: Project, environment: str
) -> None:
    engine(project, server, environment).up()
    tools.as_superuser(server, f'DROP DATABASE "go-labs-{environment}"')
    before, files = row_versions(server), tools.files(project)
    for run in (engine(project, server, environment).preview, engine(project, server, environment).up):
        with pytest.raises(IdentityError, match="is gone"):
            run()
    assert row_versions(server) == before
    assert tools.files(project) == files
    # The way out that the message names.
    tools.as_superuser(server, f'CREATE DATABASE "go-labs-{environment}"')
    engine(project, server, environment).up()
    assert engine(project, server, environment).up().changes == ()
    assert tools.can_log_in(project, environment=environment)


def test_a_disposable_database_that_is_gone_is_made_again(provisioned: Endpoint, project: Project) -> None:
    passwords = tools.secret_words(project)
    tools.as_superuser(provisioned, f'DROP DATABASE "{DATABASE}"')
    shown = engine(project, provisioned).preview().changes
    done = engine(project, provisioned).up().changes
    assert shown == done
    assert done[0] == CreateDatabase(DATABASE)
    assert engine(project, provisioned).up().changes == ()
    assert tools.secret_words(project) == passwords
    tools.migrate(project)


# ---- destroy


def test_destroy_of_a_disposable_stack_drops_everything_with_tables_and_open_sessions(
    provisioned: Endpoint, project: Project
) -> None:
    engine(project, provisioned, "ci", policy="disposable").up()
    with tools.busy(project):
        engine(project, provisioned).destroy()
    assert not tools.database_exists(provisioned)
    assert not [name for name in tools.role_names(provisioned) if "_tst_" in name]
    assert not project.output_folder("tst").exists()
    assert not [name for name in tools.files(project) if "tst" in name]
    # The other environment on the server stays.
    assert engine(project, provisioned, "ci", policy="disposable").up().changes == ()
    assert tools.can_log_in(project, environment="ci")


def test_destroy_can_be_repeated_and_up_begins_anew(provisioned: Endpoint, project: Project) -> None:
    old = tools.secret_words(project)
    engine(project, provisioned).destroy()
    assert engine(project, provisioned).destroy().changes == ()
    engine(project, provisioned).up()
    assert engine(project, provisioned).up().changes == ()
    assert tools.secret_words(project).isdisjoint(old)
    assert tools.can_log_in(project)


def test_destroy_takes_services_with_it_that_the_configuration_no_longer_has(
    provisioned: Endpoint, project: Project
) -> None:
    engine(project, provisioned, services=["billing"]).destroy()
    assert tools.role_names(provisioned) == []
    assert not tools.database_exists(provisioned)
    assert not project.output_folder("tst").exists()


def test_destroy_works_where_the_database_was_dropped_by_hand(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f'DROP DATABASE "{DATABASE}"', "DROP ROLE billing_app_tst_user")
    engine(project, provisioned).destroy()
    assert tools.role_names(provisioned) == []


def test_destroy_works_where_the_database_allows_no_connections(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    engine(project, provisioned).destroy()
    assert not tools.database_exists(provisioned)
    assert tools.role_names(provisioned) == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER DATABASE elsewhere OWNER TO billing_migration_tst_user",
        "GRANT CONNECT ON DATABASE elsewhere TO billing_migration_tst_user",
        "GRANT CREATE ON SCHEMA public TO billing_migration_tst_user",
        "CREATE SCHEMA theirs AUTHORIZATION billing_migration_tst_user",
    ],
)
def test_a_user_with_something_in_another_database_is_told_before_anything_is_dropped(
    provisioned: Endpoint, project: Project, statement: str
) -> None:
    tools.as_superuser(provisioned, "CREATE DATABASE elsewhere")
    tools.as_superuser(provisioned, statement, database="elsewhere")
    before = row_versions(provisioned, DATABASE)
    with pytest.raises(
        AdoptionError, match=r"billing_migration_tst_user: it owns something.* in database elsewhere too"
    ) as caught:
        engine(project, provisioned).destroy()
    assert row_versions(provisioned, DATABASE) == before
    tools.settle(provisioned, caught.value, database="elsewhere")
    engine(project, provisioned).destroy()
    assert tools.role_names(provisioned) == []


def test_destroy_of_a_keep_stack_forgets_drops_nothing_and_keeps_the_connection_files(
    server: Endpoint, project: Project
) -> None:
    engine(project, server, "dev").up()
    tools.migrate(project, environment="dev")
    before, rows = row_versions(server, "go-labs-dev"), tools.rows(project, environment="dev")
    outcome = engine(project, server, "dev").destroy()
    assert outcome.changes == ()
    assert any("left in place" in warning for warning in outcome.warnings)
    assert row_versions(server, "go-labs-dev") == before
    assert tools.rows(project, environment="dev") == rows
    assert all(connection_file(project, "dev", service).exists() for service in SERVICES)
    assert not project.identity_file("dev").exists()
    # Adopted again with the connection files.
    assert engine(project, server, "dev").up().changes == ()


@pytest.mark.parametrize("environment", ["qua", "prd"])
def test_destroy_of_a_guarded_stack_is_refused_with_nothing_touched(
    server: Endpoint, project: Project, environment: str
) -> None:
    engine(project, server, environment).up()
    before, files = row_versions(server, f"go-labs-{environment}"), tools.files(project)
    with pytest.raises(PolicyError, match="nothing was touched"):
        engine(project, server, environment).destroy()
    assert row_versions(server, f"go-labs-{environment}") == before
    assert tools.files(project) == files


def test_an_identity_file_that_is_no_json_is_a_clear_error(provisioned: Endpoint, project: Project) -> None:
    project.identity_file("tst").write_text("{", encoding="utf-8")
    with pytest.raises(GolabsError, match="can't be read"):
        engine(project, provisioned).up()
