"""Two environments on one server and sessions of their users, for the tests of what each can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import make_project, wipe
from . import tools

Session = psycopg.Connection[Any]
Sessions = Callable[[str, str], Session]

KINDS = ("migration", "app")


@pytest.fixture(scope="module", name="environment")
def two_environments(postgresql: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two environments on one server, tst and ci, both migrated; none of these tests changes them for good."""
    wipe(postgresql)
    project = make_project(tmp_path_factory.mktemp("isolation") / "project")
    tools.engine(project, postgresql).up()
    tools.engine(project, postgresql, "ci", policy="disposable").up()
    for name in ("tst", "ci"):
        tools.migrate(project, environment=name)
    tools.as_superuser(
        postgresql,
        "CREATE TABLE public.shared (id int)",
        "CREATE SEQUENCE public.numbers",
        "CREATE FUNCTION public.helper() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE stranger LOGIN PASSWORD 'passes-by'",
        database=tools.DATABASE,
    )
    return project


@pytest.fixture(scope="module", name="sessions")
def sessions_of_users(environment: Project) -> Iterator[Sessions]:
    """An open session of each user of tst, made at its first use."""
    opened: dict[tuple[str, str], Session] = {}

    def session(service: str, kind: str) -> Session:
        if (service, kind) not in opened:
            opened[service, kind] = psycopg.connect(tools.url(environment, service, kind), autocommit=True)
        return opened[service, kind]

    yield session
    for connection in opened.values():
        connection.close()


def run(session: Session, statements: str) -> None:
    """Runs statements and takes back what they did."""
    with session.transaction(force_rollback=True):
        session.execute(statements.encode())


def refused(session: Session, statements: str) -> None:
    """Shows that the server refuses a statement for want of a privilege, and for nothing else."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(session, statements)
