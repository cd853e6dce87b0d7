"""The cycle: up, no changes, break by hand, seen, up, no changes. The direct engine on a real server, nothing mocked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from golabs_infra.changes import CreateDatabase, CreateRole, CreateSchema
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import direct_engine, make_project, write_stack
from . import tools
from .catalog import row_versions, snapshot
from .conftest import OwnServer
from .rotations import provision
from .tools import DATABASE, SERVICES, engine


def test_up_makes_everything_on_an_empty_server(server: Endpoint, project: Project) -> None:
    write_stack(project, "tst", server, services=list(SERVICES))
    changes = direct_engine(project).up().changes
    users = [tools.user(service, kind) for service in SERVICES for kind in ("app", "migration")]
    assert tools.role_names(server) == sorted(users)
    assert changes[0] == CreateDatabase(DATABASE)
    assert [change.schema.name for change in changes if isinstance(change, CreateSchema)] == list(SERVICES)
    assert sum(isinstance(change, CreateRole) for change in changes) == 6
    assert tools.can_log_in(project)


def test_the_admin_owns_the_database_and_each_migration_user_its_schema(provisioned: Endpoint) -> None:
    found = snapshot(provisioned, DATABASE)
    assert found["database"] == {
        DATABASE: {
            "owner": "<admin>",
            "encoding": "UTF8",
            "datallowconn": True,
            "datconnlimit": -1,
            "acl": sorted(
                [
                    *(f"<admin> {privilege}" for privilege in ("CONNECT", "CREATE", "TEMPORARY")),
                    *(f"{tools.user(service, 'app')} CONNECT" for service in SERVICES),
                    *(
                        f"{tools.user(service, 'migration')} {p}"
                        for service in SERVICES
                        for p in ("CONNECT", "TEMPORARY")
                    ),
                ]
            ),
        }
    }
    assert found["memberships"] == []
    schemas = found["schemas"]
    assert isinstance(schemas, dict)
    assert sorted(schemas) == [*SERVICES, "public"]
    assert schemas["public"] == {
        "owner": "pg_database_owner",
        "acl": ["pg_database_owner CREATE", "pg_database_owner USAGE"],
    }
    for service in SERVICES:
        owner = tools.user(service, "migration")
        acl = [f"{tools.user(service, 'app')} USAGE", f"{owner} CREATE", f"{owner} USAGE"]
        assert schemas[service] == {"owner": owner, "acl": acl}


def test_a_second_up_has_no_changes_and_writes_nothing(provisioned: Endpoint, project: Project) -> None:
    before, files = row_versions(provisioned, DATABASE), tools.files(project)
    assert engine(project, provisioned).up().changes == ()
    assert row_versions(provisioned, DATABASE) == before
    assert tools.files(project) == files


def test_a_second_up_sends_only_queries(second: OwnServer, project: Project) -> None:
    engine(project, second.endpoint).up()
    tools.migrate(project)
    begin = len(second.log)
    engine(project, second.endpoint).up()
    log = second.log[begin:]
    assert "pg_advisory_lock" in log
    for word in ("CREATE ", "ALTER ", "DROP ", "GRANT ", "REVOKE "):
        assert f": {word}" not in log


def test_the_number_of_queries_does_not_grow_with_the_services(second: OwnServer, tmp_path: Path) -> None:
    counts = []
    for number in (1, 12):
        project = make_project(tmp_path / str(number))
        services = [f"service_{each}" for each in range(number)]
        engine(project, second.endpoint, services=services).up()
        begin = len(second.log)
        assert engine(project, second.endpoint, services=services).up().changes == ()
        counts.append(len(re.findall(r"(?:statement|execute [^:]*): ", second.log[begin:])))
    assert counts[0] == counts[1] < 20


def test_a_run_is_one_transaction_and_grants_alike_to_many_users_at_once(second: OwnServer, project: Project) -> None:
    begin = len(second.log)
    engine(project, second.endpoint).up()
    sent = re.findall(r"(?:statement|execute [^:]*): (.*)", second.log[begin:])
    words = [line.split('"')[0].strip() for line in sent]
    assert words.count("BEGIN") == words.count("COMMIT") == 1
    changing = [index for index, line in enumerate(words) if line.startswith(("CREATE ROLE", "CREATE SCHEMA", "GRANT"))]
    assert words.index("BEGIN") < changing[0] <= changing[-1] < words.index("COMMIT")
    on_database = [line for line in sent if line.startswith("GRANT") and " ON DATABASE " in line]
    assert [line.count("_tst_user") for line in on_database] == [len(SERVICES), len(SERVICES)]


def test_preview_writes_nothing_and_shows_what_up_then_does(server: Endpoint, project: Project) -> None:
    before = row_versions(server)
    shown = engine(project, server).preview()
    assert row_versions(server) == before
    assert sorted(tools.files(project)) == ["Pulumi.yaml"]
    done = engine(project, server).up()
    assert tools.masked(shown.changes) == tools.masked(done.changes)


def test_preview_of_a_changed_configuration_writes_nothing_and_shows_what_up_then_does(
    provisioned: Endpoint, project: Project
) -> None:
    services = [{"name": "billing", "connectionLimit": 7}, "catalog", "shipping"]
    before, files = row_versions(provisioned, DATABASE), tools.files(project)
    shown = engine(project, provisioned, services=services).preview()
    assert row_versions(provisioned, DATABASE) == before
    assert tools.files(project) == files
    done = engine(project, provisioned, services=services).up()
    assert tools.masked(shown.changes) == tools.masked(done.changes)
    assert engine(project, provisioned, services=services).up().changes == ()


def test_a_schema_dropped_by_hand_is_made_again_and_the_others_keep_their_rows(
    provisioned: Endpoint, project: Project
) -> None:
    rows = tools.rows(project, ["catalog", "order"])
    tools.as_superuser(provisioned, "DROP SCHEMA billing CASCADE", database=DATABASE)
    assert engine(project, provisioned).preview().changes != ()
    engine(project, provisioned).up()
    assert engine(project, provisioned).up().changes == ()
    assert tools.rows(project, ["catalog", "order"]) == rows
    tools.migrate(project, ["billing"])
    assert len(tools.rows(project, ["billing"])["billing.customer"]) == 2
    assert engine(project, provisioned).up().changes == ()


def test_a_migration_user_dropped_by_hand_gets_its_schema_back(provisioned: Endpoint, project: Project) -> None:
    rows = tools.rows(project)
    name = tools.user("billing", "migration")
    tools.as_superuser(
        provisioned,
        f"REASSIGN OWNED BY {name} TO postgres",
        f"DROP OWNED BY {name}",
        f"DROP ROLE {name}",
        database=DATABASE,
    )
    assert engine(project, provisioned).preview().changes != ()
    engine(project, provisioned).up()
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)
    assert tools.rows(project) == rows
    with tools.login(project, "billing", "migration") as session:
        session.execute("CREATE TABLE another (id int)")


def test_what_migrations_make_is_no_change(provisioned: Endpoint, project: Project) -> None:
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            "CREATE TABLE event_2027 PARTITION OF event FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');"
            "DROP TABLE event_other; CREATE UNLOGGED TABLE fast (id serial); CREATE VIEW v AS SELECT 1 AS one;"
            "CREATE TABLE child () INHERITS (customer); CREATE TYPE pair AS (a int, b int);"
            "CREATE DOMAIN positive AS int CHECK (value > 0); CREATE PROCEDURE noop() LANGUAGE sql AS '';"
            "CREATE TEMP TABLE scratch (id int)"
        )
        assert engine(project, provisioned).up().changes == ()


def test_what_others_were_granted_on_purpose_is_left_alone(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned,
        "CREATE ROLE reporting LOGIN",
        'GRANT CONNECT ON DATABASE "go-labs-tst" TO reporting',
        "GRANT USAGE ON SCHEMA billing TO reporting",
        "GRANT SELECT ON ALL TABLES IN SCHEMA billing TO reporting",
        "CREATE SCHEMA reports AUTHORIZATION reporting",
        "GRANT billing_app_tst_user TO reporting",
        database=DATABASE,
    )
    before = snapshot(provisioned, DATABASE)
    assert engine(project, provisioned).up().changes == ()
    assert snapshot(provisioned, DATABASE) == before


def test_a_table_made_by_the_admin_becomes_readable_for_the_app_user(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(
        provisioned, "CREATE TABLE billing.imported AS SELECT 1 AS one, 'ä\"%s'::text AS two", database=DATABASE
    )
    assert len(engine(project, provisioned).up().changes) >= 1
    assert engine(project, provisioned).up().changes == ()
    with tools.login(project, "billing", "app") as session:
        assert session.execute("SELECT one FROM imported").fetchone() == (1,)


def test_a_table_of_any_name_can_be_mended(provisioned: Endpoint, project: Project) -> None:
    names = ['with "quotes"', "with %s percent", "Mixed Case", "\u00fcn\u00efcode", "semi;colon", "table"]
    with tools.login(project, "billing", "migration") as session:
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            session.execute(f"CREATE TABLE {quoted} (id serial)".encode())
            session.execute(f"GRANT ALL ON {quoted} TO catalog_app_tst_user".encode())
            session.execute(f"REVOKE INSERT ON {quoted} FROM billing_app_tst_user".encode())
    assert len(engine(project, provisioned).up().changes) == len(names) + 1
    assert engine(project, provisioned).up().changes == ()


def test_what_users_plant_in_schema_public_is_never_run_as_the_admin(provisioned: Endpoint, project: Project) -> None:
    tools.as_superuser(provisioned, "GRANT ALL ON SCHEMA public TO billing_app_tst_user", database=DATABASE)
    with tools.login(project, "billing", "app") as session:
        for kind in ("text", "text[]", "name"):
            function = f"public.seize_{kind.strip('[]')}{len(kind)}"
            session.execute(
                f"CREATE FUNCTION {function}(state text[], value {kind}) RETURNS text[] LANGUAGE plpgsql AS "
                "'BEGIN RAISE EXCEPTION ''run as %'', current_user; END'".encode()
            )
            session.execute(f"CREATE AGGREGATE public.array_agg({kind}) (SFUNC = {function}, STYPE = text[])".encode())
    engine(project, provisioned).preview()
    engine(project, provisioned).up()
    assert engine(project, provisioned).up().changes == ()


@pytest.mark.usefixtures("passphrase_given")
@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_preview_never_asks_and_is_the_same_with_yes(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str], environment: str
) -> None:
    stack = provision(project, server, environment, capsys, secrets=environment == "prd")
    tools.as_superuser(server, f"ALTER ROLE billing_app_{environment}_user CONNECTION LIMIT 3")
    before, files = snapshot(server, stack.database), tools.files(project)
    changes = [json.loads(stack.done("preview", "--json", *words))["changes"] for words in ((), ("--yes",), ("-y",))]
    assert changes[0]
    assert changes[1:] == [changes[0]] * 2
    assert snapshot(server, stack.database) == before
    assert tools.files(project) == files
