"""Probing on other servers and connections: other admins, older versions, standbys, and ones that do not answer."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from golabs_infra import attempting
from golabs_infra.attempts import (
    Attempt,
)
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ServerConnectionError
from golabs_infra.probing import probe
from golabs_infra.project import Project
from golabs_infra.scratch import read_relations

from ..support import free_port
from . import tools
from .catalog import snapshot
from .probes import (
    APP,
    DENIED,
    MIGRATION,
    PERMITTED,
    UNDECIDED,
    of,
    passwords,
    probed,
    relations,
    scratch_tables,
    unexpected,
)
from .tools import DATABASE, SERVICES


def test_an_admin_who_is_no_superuser_can_have_it_proven(server: Endpoint, project: Project) -> None:
    admin = tools.with_admin(server)
    tools.engine(project, admin).up()
    tools.migrate(project)
    before = snapshot(server, DATABASE)
    result = probed(admin, project, scratch=True)
    assert unexpected(result) == set()
    assert result.scratch == SERVICES
    assert of(result, APP, "become-role", "role deployer").outcome is DENIED
    assert snapshot(server, DATABASE) == before


def test_an_older_server_says_the_same(each_server: Endpoint, project: Project) -> None:
    tools.engine(project, each_server).up()
    tools.migrate(project)
    assert unexpected(probed(each_server, project, scratch=True)) == set()


def test_a_server_that_does_not_answer_is_one_error(provisioned: Endpoint, project: Project) -> None:
    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    nowhere = replace(provisioned, port=free_port())
    for scratch in (False, True):
        with pytest.raises(ServerConnectionError, match="no PostgreSQL answers there"):
            probe(nowhere, desired, passwords(project), seen, scratch=scratch)


def test_a_lost_admins_connection_is_one_error(provisioned: Endpoint) -> None:
    with connect_admin(provisioned, DATABASE) as connection:
        pid = connection.info.backend_pid
        tools.as_superuser(provisioned, f"SELECT pg_terminate_backend({pid}, 10000)")
        with pytest.raises(ServerConnectionError, match="could not be looked at"):
            read_relations(connection, SERVICES)


def test_an_admin_who_is_thrown_out_before_anything_is_made_is_one_error(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def thrown_out(endpoint: Endpoint, database: str | None = None) -> psycopg.Connection[Any]:
        connection = connect_admin(endpoint, database)
        tools.as_superuser(provisioned, f"SELECT pg_terminate_backend({connection.info.backend_pid}, 10000)")
        return connection

    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    monkeypatch.setattr("golabs_infra.scratch.connect_admin", thrown_out)
    with pytest.raises(ServerConnectionError, match="could not be looked at"):
        probe(provisioned, desired, passwords(project), seen, scratch=True)
    assert scratch_tables(provisioned) == []


def test_a_standby_is_tried_as_far_as_reading_goes(standby: tuple[Endpoint, Project]) -> None:
    endpoint, project = standby
    assert tools.answer(endpoint, "SELECT pg_is_in_recovery()")
    result = probed(endpoint, project)
    assert unexpected(result) == set()
    assert of(result, APP, "update", "table billing.customer").outcome is PERMITTED
    assert of(result, APP, "use-schema", "schema order").outcome is DENIED


def test_what_writes_on_a_standby_is_undecided(standby: tuple[Endpoint, Project]) -> None:
    _, project = standby
    with tools.login(project, "billing", "migration") as session:
        attempt = Attempt("create-in-schema", "schema billing", "billing", "CREATE TABLE t ()", True, ())
        (seen,) = attempting.try_all(session, MIGRATION, [attempt])
    assert (seen.outcome, seen.state) == (UNDECIDED, "25006")


def test_a_server_that_does_not_tell_by_itself_whether_it_is_a_standby_is_asked(
    provisioned: Endpoint, standby: tuple[Endpoint, Project]
) -> None:
    for endpoint, mode in ((provisioned, "READ WRITE"), (standby[0], "READ ONLY")):
        with connect_admin(endpoint, DATABASE) as session:
            silent: Any = SimpleNamespace(
                pgconn=SimpleNamespace(parameter_status=lambda _name: None), execute=session.execute
            )
            assert mode in attempting.beginning(silent) == attempting.beginning(session)


def test_progress_is_told_for_each_user(provisioned: Endpoint, project: Project) -> None:
    told: list[tuple[int, int]] = []
    desired, seen = tools.engine(project, provisioned).desired, relations(provisioned)
    probe(provisioned, desired, passwords(project), seen, progress=lambda *count: told.append(count))
    assert told == [(done, 6) for done in range(1, 7)]


def test_a_session_that_was_lost_once_is_opened_again_and_all_is_decided(
    provisioned: Endpoint, project: Project
) -> None:
    with tools.login(project, "billing", "migration") as session:
        session.execute(
            b"CREATE SEQUENCE calls; CREATE FUNCTION first_words() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS"
            b" 'BEGIN IF nextval(''billing.calls'') = 1 THEN"
            b" PERFORM pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid()); END IF; RETURN true; END';"
            b"CREATE VIEW deadly_once AS SELECT 1 AS one WHERE first_words()"
        )
    result = probed(provisioned, project)
    assert unexpected(result) == set()
    assert not [each for each in result.observations if each.outcome is UNDECIDED]
    assert of(result, APP, "read", "view billing.deadly_once").outcome is PERMITTED
    assert tools.answer(provisioned, "SELECT last_value FROM billing.calls", database=DATABASE) > 2
