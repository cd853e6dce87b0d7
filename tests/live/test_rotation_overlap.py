"""`golabs rotate --overlap` on real servers: two logins that act as one user, so that nobody who connects is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from .catalog import snapshot
from .rotations import KINDS, Stack, provision
from .tools import answer, as_superuser

pytestmark = pytest.mark.usefixtures("passphrase_given")


@pytest.fixture(params=["superuser, secret config", "least privileged, connection file"])
def each(
    request: pytest.FixtureRequest, each_server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> Stack:
    """On each version, by each kind of admin, with both places that passwords are kept in."""
    limited = str(request.param).startswith("least")
    return provision(project, each_server, "dev", capsys, limited=limited, secrets=not limited)


@pytest.fixture
def stack(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Stack:
    return provision(project, server, "dev", capsys)


def acl(stack: Stack) -> object:
    """Who owns what and may do what in the environment's database."""
    found = snapshot(stack.server, stack.database)
    return {key: value for key, value in found.items() if "role" not in key and "member" not in key}


def test_both_logins_are_good_until_the_overlap_is_finished_and_the_next_one_goes_back(each: Stack) -> None:
    before = acl(each)
    old = {kind: each.login("billing", kind) for kind in KINDS}
    out = each.done("rotate", "billing", "--overlap")
    assert "+ user billing_app_dev_twin, a second login of billing_app_dev_user" in out
    assert "golabs rotate dev billing --finish" in out
    assert each.logins == {"billing": {"migration": ["user", "twin"], "app": ["user", "twin"]}}
    new = {kind: each.login("billing", kind) for kind in KINDS}
    for kind in KINDS:
        assert new[kind][0] == f"billing_{kind}_dev_twin"
        assert new[kind][1] != old[kind][1]
        assert each.works(old[kind])
        assert each.works(new[kind])
        assert each.all_logins("billing", kind) == [new[kind], old[kind]]
    assert each.is_proven()
    assert acl(each) == before
    each.done("rotate", "billing", "--finish")
    assert each.logins == {"billing": {"migration": ["twin"], "app": ["twin"]}}
    for kind in KINDS:
        assert not each.works(old[kind])
        assert each.all_logins("billing", kind) == [new[kind]]
        assert each.works(new[kind])
    assert each.is_proven()
    assert acl(each) == before
    each.done("rotate", "billing", "--user", "app")  # at once, of the login that is open
    assert not each.works(new["app"])
    assert each.login("billing", "app")[0] == "billing_app_dev_twin"
    each.done("rotate", "billing", "--overlap")
    assert each.logins == {"billing": {"migration": ["twin", "user"], "app": ["twin", "user"]}}
    assert each.login("billing", "app")[0] == "billing_app_dev_user"
    assert not each.works(old["app"])
    assert each.works(new["migration"])
    assert each.is_proven()
    each.done("rotate", "billing", "--finish")
    assert not each.works(new["migration"])
    assert each.is_proven()
    assert acl(each) == before


def test_what_a_second_login_makes_belongs_to_the_user(stack: Stack) -> None:
    stack.done("rotate", "billing", "--overlap")
    with stack.session(stack.login("billing", "migration")) as session:
        assert session.execute("SELECT session_user::text, current_user::text").fetchone() == (
            "billing_migration_dev_twin",
            "billing_migration_dev_user",
        )
        session.execute("DISCARD ALL")  # as poolers do between clients
        session.execute("CREATE TABLE made_by_the_twin (id serial)")
    query = "SELECT tableowner FROM pg_tables WHERE tablename = 'made_by_the_twin'"
    assert answer(stack.server, query, database=stack.database) == "billing_migration_dev_user"
    with stack.session(stack.login("billing", "app")) as session:
        session.execute("INSERT INTO made_by_the_twin DEFAULT VALUES")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("CREATE TABLE mine ()")
    assert stack.is_proven()


class Client(threading.Thread):
    """Connects over and over with what the connection file says at that moment, and notes who was refused."""

    def __init__(self, stack: Stack, kind: str, fixed: tuple[str, str] | None = None) -> None:
        super().__init__()
        self._stack = stack
        self._kind = kind
        self._fixed = fixed
        self._stopped = threading.Event()
        self.logins = 0
        self.used: set[str] = set()
        self.refused: list[str] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            login = self._fixed or self._stack.login("billing", self._kind)
            try:
                with self._stack.session(login) as session:
                    session.execute("SELECT count(*) FROM customer")
                self.used.add(login[0])
                self.logins += 1
            except psycopg.OperationalError as error:
                self.refused.append(f"{login[0]}: {error}")

    def stop(self) -> None:
        """Ends it, after one more login."""
        seen, deadline = self.logins, time.monotonic() + 10
        while self.logins <= seen + 1 and not self.refused:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self._stopped.set()
        self.join()


@pytest.fixture
def clients(stack: Stack) -> Iterator[list[Client]]:
    started = [Client(stack, kind) for kind in KINDS]
    started += [Client(stack, kind, stack.login("billing", kind)) for kind in KINDS]
    for client in started:
        client.start()
    yield started
    for client in started:
        client._stopped.set()


def test_clients_that_connect_all_the_time_are_never_refused(stack: Stack, clients: list[Client]) -> None:
    readers, holders = clients[:2], clients[2:]
    stack.done("rotate", "billing", "--overlap")
    for holder in holders:  # who has not read the file again can work until the overlap is finished
        holder.stop()
    for reader in readers:  # and who has, has left the older login
        seen = reader.logins
        while reader.logins < seen + 2:
            time.sleep(0.01)
    stack.done("rotate", "billing", "--finish", "--force")
    for reader in readers:
        reader.stop()
    assert [client.refused for client in clients] == [[], [], [], []]
    assert min(client.logins for client in clients) > 3
    assert readers[1].used == {"billing_app_dev_user", "billing_app_dev_twin"}


def test_the_older_login_is_not_closed_while_somebody_uses_it(stack: Stack) -> None:
    old = stack.login("billing", "app")
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    with stack.session(old) as session:
        code, _, err = stack.golabs("rotate", "billing", "--finish")
        assert code == 1
        assert "somebody still uses the older login: billing_app_dev_user (1)" in err
        assert stack.logins == {"billing": {"app": ["user", "twin"]}}
        out = stack.done("rotate", "billing", "--finish", "--force")
        assert "sessions ended: billing_app_dev_user (1)" in out
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert stack.is_proven()


@pytest.mark.parametrize("gone", ["twin", "user"])
def test_an_overlap_whose_older_login_was_dropped_by_hand_is_finished_and_an_up_settles_it(
    stack: Stack, gone: str
) -> None:
    """Nobody can log in as who is gone; that it comes back, closed, is for an up, which may give it a password."""
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    if gone == "twin":
        stack.done("rotate", "billing", "--finish")
        stack.done("rotate", "billing", "--user", "app", "--overlap")
    old = f"billing_app_dev_{gone}"
    as_superuser(stack.server, f"DROP OWNED BY {old}", f"DROP ROLE {old}", database=stack.database)
    out = stack.done("rotate", "billing", "--finish")
    assert f"gone from the server before: {old}; golabs up dev makes it again, closed" in out
    assert "closed: " not in out
    newest = "user" if gone == "twin" else "twin"
    assert stack.logins == {"billing": {"app": [newest]}}
    assert [name for name, _ in stack.all_logins("billing", "app")] == [f"billing_app_dev_{newest}"]
    # What a second login may do is its user's: without that one it may not even connect.
    assert stack.works(stack.login("billing", "app")) is (gone == "twin")
    stack.done("up")
    assert stack.works(stack.login("billing", "app"))
    closed = "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = %s"
    assert answer(stack.server, closed, old)
    assert stack.is_proven()


def test_an_overlap_that_is_under_way_is_gone_on_with_and_nothing_else_begins(stack: Stack) -> None:
    stack.done("rotate", "billing", "--overlap")
    logins = {kind: stack.all_logins("billing", kind) for kind in KINDS}
    stack.done("rotate", "billing", "--overlap")
    assert {kind: stack.all_logins("billing", kind) for kind in KINDS} == logins
    code, _, err = stack.golabs("rotate", "billing")
    assert code == 1
    assert "golabs rotate dev billing --engine direct --finish, and then this" in err
    assert stack.is_proven()


def test_a_retired_service_comes_back_with_the_logins_that_it_had(stack: Stack) -> None:
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    logins = stack.all_logins("billing", "app")
    stack.done("retire", "billing", "--yes")
    assert not any(stack.works(login) for login in logins)
    assert stack.is_proven()
    stack.done("retire", "billing", "--undo", "--yes")
    assert all(stack.works(login) for login in logins)
    assert stack.is_proven()


BROKEN = {
    "REVOKE billing_app_dev_user FROM billing_app_dev_twin": "missing-membership/billing_app_dev_twin/billing_app_dev_user",
    "GRANT billing_app_dev_user TO billing_app_dev_twin WITH ADMIN OPTION": "membership/billing_app_dev_twin/billing_app_dev_user",
    "GRANT order_app_dev_user TO billing_app_dev_twin": "membership/billing_app_dev_twin/order_app_dev_user",
    "ALTER ROLE billing_app_dev_twin RESET role": "setting/billing_app_dev_twin/role",
    "ALTER ROLE billing_app_dev_twin SET role TO order_app_dev_user": "setting/billing_app_dev_twin/role",
    "ALTER ROLE billing_app_dev_twin NOLOGIN": "login/billing_app_dev_twin/NOLOGIN",
    "ALTER ROLE billing_app_dev_user NOLOGIN": "login/billing_app_dev_user/NOLOGIN",
    "ALTER ROLE billing_app_dev_twin SUPERUSER": "attribute/billing_app_dev_twin/SUPERUSER",
    "ALTER ROLE billing_app_dev_twin RESET search_path": "setting/billing_app_dev_twin/search_path",
    "GRANT SELECT ON billing.invoice TO billing_app_dev_twin": "privilege/billing_app_dev_twin/SELECT",
    "ALTER TABLE billing.invoice OWNER TO billing_app_dev_twin": "owner/billing_app_dev_twin",
}


@pytest.mark.parametrize("statement", BROKEN)
def test_what_is_wrong_with_a_second_login_is_found_and_mended(stack: Stack, statement: str) -> None:
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    whole = snapshot(stack.server, stack.database)
    as_superuser(stack.server, statement, database=stack.database)
    code, out, _ = stack.golabs("verify")
    assert code == 2
    assert BROKEN[statement] in out
    code, out, _ = stack.golabs("drift", "--repair")
    assert code == 0, out
    assert snapshot(stack.server, stack.database) == whole
    assert stack.is_proven()


def test_a_second_login_that_the_configuration_does_not_name_any_more_is_told(stack: Stack) -> None:
    stack.done("rotate", "billing", "--user", "app", "--overlap")
    path = stack.project.stack_file("dev")
    path.write_text(stack.file_text.partition("  golabs-infra:logins")[0], encoding="utf-8")
    code, out, _ = stack.golabs("verify", "--no-login")
    assert code == 2
    assert "leftover-user/billing_app_dev_twin" in out
    assert "nothing names this second login of billing_app_dev_user in the configuration any more" in out
    code, _, err = stack.golabs("up")
    assert code == 1
    assert "billing_app_dev_twin is not in the configuration any more" in err
    assert "git pull" in err
