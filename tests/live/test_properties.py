"""What holds for any configuration, whatever was there before and whatever somebody broke. Real servers, random examples.

HYPOTHESIS_PROFILE=explore draws twenty times as many, and others at each run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from golabs_infra import names
from golabs_infra.connecting import connect_admin
from golabs_infra.direct import DirectEngine
from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.project import Project
from golabs_infra.script import build_scripts
from golabs_infra.sql import verifier_variable

from ..psql import psql
from ..strategies import (
    BROKEN,
    DATABASE,
    MIGRATIONS,
    Stack,
    breakages,
    examples,
    migrations,
    service_names,
    stacks,
)
from ..support import make_project, wipe
from . import tools
from .catalog import row_versions, snapshot

ADMINS: dict[str, Callable[[Endpoint], Endpoint]] = {"superuser": lambda server: server, "deployer": tools.with_admin}

UNTRUSTED = "vector"
"""The extension that only a superuser can make here."""


@dataclass(frozen=True)
class Ground:
    """An emptied server with its superuser and the admin that provisions, and an empty project."""

    server: Endpoint
    admin: Endpoint
    project: Project

    def engine(self, stack: Stack) -> DirectEngine:
        """The engine of a configuration."""
        return tools.engine(self.project, self.admin, services=stack.services, passwords=stack.passwords)

    def up(self, stack: Stack) -> None:
        """Applies a configuration."""
        self.engine(stack).up()

    def assert_nothing_is_to_do(self, stack: Stack) -> None:
        """Neither preview nor up has a change, and up writes nothing, on the server or here."""
        before, files = row_versions(self.server, DATABASE), tools.files(self.project)
        assert self.engine(stack).preview().changes == ()
        assert self.engine(stack).up().changes == ()
        assert row_versions(self.server, DATABASE) == before
        assert tools.files(self.project) == files

    def assert_users_get_in(self, stack: Stack) -> None:
        """Each user with the password of its connection file, which is the configured one where there is one."""
        assert tools.can_log_in(self.project, stack.active)
        for service, users in stack.passwords.items():
            written = tools.record(self.project, service)["users"]
            assert {kind: written[kind]["password"] for kind in users} == users


@dataclass(frozen=True)
class Grounds:
    """Gives every example a server as new."""

    servers: Mapping[int, Endpoint]
    folders: Iterable[Path]

    def fresh(self, major: int = 18, admin: str = "superuser") -> Ground:
        """An emptied server of this version, and an admin of this kind on it."""
        server = self.servers[major]
        wipe(server)
        return Ground(server, ADMINS[admin](server), make_project(next(iter(self.folders))))


@pytest.fixture(scope="module")
def grounds(postgresql: Endpoint, postgresql16: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Grounds:
    """Servers of both versions."""
    folder = tmp_path_factory.mktemp("properties")
    return Grounds({18: postgresql, 16: postgresql16}, (folder / str(number) for number in itertools.count()))


def run_migrations(ground: Ground, made: Mapping[str, Iterable[str]], services: Iterable[str]) -> None:
    """What each service's migration user does when a deployment logs it in."""
    for service in services:
        with tools.login(ground.project, service, "migration") as session:
            for statements in made.get(service, ()):
                session.execute(statements.encode())


def run_migrations_as_superuser(ground: Ground, made: Mapping[str, Iterable[str]], services: Iterable[str]) -> None:
    """The same for users who may be retired: what they make is theirs, as if they had logged in."""
    with connect_admin(ground.server, DATABASE) as session:
        for service in services:
            session.execute(SQL("SET ROLE {}").format(Identifier(tools.user(service, "migration"))))
            session.execute(SQL("SET search_path TO {}").format(Identifier(service)))
            for statements in made.get(service, ()):
                session.execute(statements.encode())


def catalogs(ground: Ground, stack: Stack) -> dict[str, Any]:
    """The snapshot, without the extensions that an earlier configuration asked for: they are never dropped."""
    found: dict[str, Any] = snapshot(ground.server, DATABASE)
    asked = {name for service in stack.services for name in service.get("extensions", ())}
    if not asked:
        found["schemas"].pop("extensions", None)
    if "vector" not in asked:
        found["extensions"].pop("vector", None)
        found["functions"] = {
            name: value for name, value in found["functions"].items() if not name.startswith("extensions.")
        }
    return found


def stored(ground: Ground) -> dict[str, list[Any]]:
    """Every row of every table."""
    with connect_admin(ground.server, DATABASE) as connection:
        tables = connection.execute(
            "SELECT relnamespace::regnamespace::text, oid::regclass::text FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace >= 16384"
        ).fetchall()
        return {
            table: connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1".encode()).fetchall()
            for _, table in tables
        }


@examples(20)
@given(
    first=stacks(),
    second=stacks(),
    made=migrations(),
    major=st.sampled_from([18, 16]),
    admin=st.sampled_from(sorted(ADMINS)),
)
def test_whatever_was_applied_before_the_catalogs_are_those_of_the_configuration_applied_last(
    grounds: Grounds, first: Stack, second: Stack, made: dict[str, tuple[str, ...]], major: int, admin: str
) -> None:
    if admin != "superuser":
        first, second = first.without(UNTRUSTED), second.without(UNTRUSTED)
    ground = grounds.fresh(major, admin)
    ground.up(first)
    run_migrations(ground, made, first.active)
    ground.up(second)
    ground.assert_users_get_in(second)
    ground.assert_nothing_is_to_do(second)
    found, rows = catalogs(ground, second), stored(ground)

    fresh = grounds.fresh(major)
    fresh.up(second)
    run_migrations_as_superuser(fresh, made, [name for name in second.names if name in first.active])
    assert found == catalogs(fresh, second)
    assert rows == stored(fresh)


# ---- scripts


@examples(8)
@given(stack=stacks(), major=st.sampled_from([18, 16]), admin=st.sampled_from(sorted(ADMINS)))
def test_the_scripts_leave_the_catalogs_that_up_leaves_and_change_nothing_the_second_time(
    grounds: Grounds, stack: Stack, major: int, admin: str
) -> None:
    if admin != "superuser":
        stack = stack.without(UNTRUSTED)
    password = "a-Password.of-all"
    stack = replace(stack, passwords={name: dict.fromkeys(names.USER_KINDS, password) for name in stack.names})
    ground = grounds.fresh(major, admin)
    script = "".join(build_scripts(ground.engine(stack).desired).values())
    verifiers = [f"--set={verifier_variable(user)}={scram_verifier(password, random_salt())}" for user in stack.users]
    psql(ground.admin, script, *verifiers)
    scripted = snapshot(ground.server, DATABASE)
    psql(ground.admin, script)
    assert snapshot(ground.server, DATABASE) == scripted
    assert ground.engine(stack).preview().changes == ()
    ground.up(stack)
    assert snapshot(ground.server, DATABASE) == scripted
    ground.assert_users_get_in(stack)

    fresh = grounds.fresh(major)
    fresh.up(stack)
    assert snapshot(fresh.server, DATABASE) == scripted


# ---- what is broken by hand


@dataclass
class Kept:
    """An environment for many breakages, made anew after one that was not mended."""

    grounds: Grounds
    major: int
    admin: str
    stack: Stack
    ground: Ground | None = None
    whole: tuple[object, object] | None = None

    def take(self) -> Ground:
        """The environment, whole. Whoever mends it puts it back."""
        ground, self.ground = self.ground, None
        if ground is None:
            ground = self.grounds.fresh(self.major, self.admin)
            ground.up(self.stack)
            run_migrations(ground, dict.fromkeys(self.stack.names, MIGRATIONS), self.stack.names)
            self.whole = snapshot(ground.server, DATABASE), stored(ground)
        return ground


def break_by_hand(server: Endpoint, statements: Iterable[str]) -> None:
    """As a superuser in the environment's database. What the server refuses does not happen."""
    for statement in statements:
        with connect_admin(server, DATABASE) as session, suppress(psycopg.Error):
            session.execute(statement.encode())


def assert_mended(kept: Kept, broken: list[str]) -> None:
    """What was broken is as before, users get in, and nothing is left to do."""
    ground = kept.take()
    break_by_hand(ground.server, broken)
    ground.up(kept.stack)
    assert (snapshot(ground.server, DATABASE), stored(ground)) == kept.whole
    ground.assert_users_get_in(kept.stack)
    ground.assert_nothing_is_to_do(kept.stack)
    kept.ground = ground


@pytest.fixture(scope="module")
def kept(grounds: Grounds) -> Kept:
    """What breakages break, on the newest version."""
    return Kept(grounds, 18, "superuser", BROKEN)


@pytest.fixture(scope="module")
def kept_by_deployer(grounds: Grounds) -> Kept:
    """The same on an older version, with an admin who is no superuser."""
    return Kept(grounds, 16, "deployer", BROKEN.without(UNTRUSTED))


@examples(30)
@given(broken=st.lists(breakages("superuser"), min_size=1, max_size=6))
def test_whatever_was_broken_by_hand_up_brings_the_catalogs_back(kept: Kept, broken: list[str]) -> None:
    assert_mended(kept, broken)


@examples(15)
@given(broken=st.lists(breakages("deployer"), min_size=1, max_size=6))
@example(  # the admin acts as two users then, of whom PostgreSQL chooses the one in whose name it revokes
    broken=[
        "GRANT USAGE ON SCHEMA catalog TO billing_migration_tst_user WITH GRANT OPTION",
        "REVOKE USAGE ON SCHEMA billing FROM billing_app_tst_user",
    ]
)
def test_an_admin_who_is_no_superuser_brings_back_all_that_it_can(kept_by_deployer: Kept, broken: list[str]) -> None:
    assert_mended(kept_by_deployer, broken)


# ---- names


def assert_services_work(ground: Ground, services: Sequence[str], used: Sequence[str]) -> None:
    """Up, both users get in where it is used, the one makes a table, the other fills it; then nothing is to do."""
    stack = Stack(tuple({"name": name} for name in services), {})
    ground.up(stack)
    for service in used:
        with tools.login(ground.project, service, "migration") as session:
            session.execute("CREATE TABLE filled (id serial, note text)")
        with tools.login(ground.project, service, "app") as session:
            session.execute("INSERT INTO filled (note) VALUES (current_schema())")
            assert session.execute("SELECT id, note FROM filled").fetchall() == [(1, service)]
    ground.assert_nothing_is_to_do(stack)


def test_every_key_word_of_sql_names_a_service_that_works(grounds: Grounds) -> None:
    ground = grounds.fresh()
    with connect_admin(ground.server) as connection:
        words = dict(connection.execute("SELECT word, catcode FROM pg_get_keywords()").fetchall())
    accepted = [word for word in words if names.service_name_problem(word, "tst") is None]
    assert len(accepted) > 400
    # A login takes its time; the unreserved words, U, can stand anywhere even without quotes.
    assert_services_work(ground, accepted, used=[word for word in accepted if words[word] != "U"])


@examples(4)
@given(services=st.lists(service_names(), min_size=1, max_size=6, unique=True))
def test_every_accepted_name_names_a_service_that_works(grounds: Grounds, services: list[str]) -> None:
    assert_services_work(grounds.fresh(), services, used=services)


def test_names_of_every_length_and_those_that_look_like_users_name_services_that_work(grounds: Grounds) -> None:
    longest = names.MAX_NAME_BYTES - len(names.user_name("", "migration", "tst"))
    services = ["x", "x" * longest, "y" * (longest - 1), "z" * (longest - 1) + "_", "a_", "a__b", "a0", "a_migration"]
    services += [
        "migration",
        "app",
        "app_migration",
        "app_app",
        "a_app_tst_user",
        "a_migration_tst_user",
        "tst",
        "user",
    ]
    services += ["postgres", "golabs", "template0", "pgx", "information", "public_", "publics", "none"]
    assert_services_work(grounds.fresh(), services, used=services)
