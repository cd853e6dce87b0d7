"""`golabs rotate` on real servers: new passwords at once, and what is refused with nothing changed."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from golabs_infra import file_sets
from golabs_infra import files as files_module
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument

from ..support import direct_engine, write_stack
from .catalog import snapshot
from .conftest import OwnServer
from .killed import ITERATIONS, Killer
from .rotations import KINDS, PHRASE, Stack, provision
from .tools import answer, as_superuser, files

pytestmark = pytest.mark.usefixtures("passphrase_given")


@pytest.fixture
def stack(server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]) -> Iterator[Stack]:
    yield provision(project, server, "dev", capsys)
    mended = "SET default_transaction_read_only TO off", "ALTER DATABASE postgres RESET default_transaction_read_only"
    as_superuser(server, *mended)


@pytest.fixture(params=["superuser", "least privileged"])
def each(
    request: pytest.FixtureRequest, each_server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> Stack:
    """On each version, by each kind of admin."""
    return provision(project, each_server, "dev", capsys, limited=request.param == "least privileged")


def logins(stack: Stack) -> dict[tuple[str, str], tuple[str, str]]:
    return {(service, kind): stack.login(service, kind) for service in ("billing", "order") for kind in KINDS}


@pytest.mark.parametrize("secrets", [False, True], ids=["connection file", "secret config"])
def test_both_users_get_new_passwords_and_the_old_ones_are_over(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str], secrets: bool
) -> None:
    stack = provision(project, server, "dev", capsys, secrets=secrets)
    before, catalogs = logins(stack), snapshot(server, stack.database)
    out = stack.done("rotate", "billing")
    assert "proven by logging in: billing_migration_dev_user, billing_app_dev_user" in out
    assert ("Pulumi.dev.yaml has changed: commit it" in out) is secrets
    after = logins(stack)
    for kind in KINDS:
        assert after["order", kind] == before["order", kind]
        assert after["billing", kind][0] == before["billing", kind][0]
        assert not stack.works(before["billing", kind])
        assert stack.works(after["billing", kind])
        assert after["billing", kind][1] not in out
        assert len(stack.all_logins("billing", kind)) == 1
    assert ("passwords" in stack.file_text) is secrets
    assert stack.is_proven()
    assert snapshot(server, stack.database) == catalogs


def test_one_user_of_a_service_alone_or_every_service(each: Stack) -> None:
    before = logins(each)
    each.done("rotate", "billing", "--user", "app")
    after = logins(each)
    assert {key for key in before if before[key] != after[key]} == {("billing", "app")}
    told = each.told("--all")
    assert [(turn["service"], turn["user"], turn["login"]) for turn in told["rotated"]] == [
        (service, kind, f"{service}_{kind}_dev_user") for service in ("billing", "order") for kind in KINDS
    ]
    last = logins(each)
    assert all(last[key] != after[key] for key in last)
    assert not any(password in json.dumps(told) for _, password in last.values())
    assert each.is_proven()


def test_a_session_that_is_open_stays(stack: Stack) -> None:
    with stack.session(stack.login("billing", "app")) as session:
        stack.done("rotate", "billing")
        assert session.execute("SELECT name FROM customer ORDER BY id").fetchall() == [("Ada",), ("Grace",)]


def test_a_plain_text_password_of_the_stacks_file_is_replaced_by_an_encrypted_one(stack: Stack) -> None:
    document = StackDocument.open(stack.project, "dev")
    document.set("passwords", {"billing": {"app": stack.login("billing", "app")[1]}})
    document.write()
    stack.done("rotate", "billing", "--user", "app")
    assert stack.login("billing", "app")[1] not in stack.file_text
    assert "secure: v1:" in stack.file_text
    assert stack.works(stack.login("billing", "app"))
    assert stack.is_proven()


def test_a_password_that_nobody_knows_any_more_is_replaced(stack: Stack) -> None:
    as_superuser(
        stack.server,
        "ALTER ROLE billing_app_dev_user PASSWORD 'x'",
        "ALTER ROLE billing_migration_dev_user PASSWORD 'y'",
    )
    code, _, err = stack.golabs("up")
    assert code == 1
    assert "set a new one: golabs rotate dev billing --engine direct\n" in err
    code, _, err = stack.golabs("rotate", "billing", "--user", "app")
    assert code == 1
    assert "the password of billing_migration_dev_user is not known here" in err
    stack.done("rotate", "billing")
    assert stack.is_proven()


Break = Callable[[Stack], None]


def without_user(stack: Stack) -> None:
    statements = "DROP OWNED BY billing_app_dev_user", "DROP ROLE billing_app_dev_user"
    as_superuser(stack.server, *statements, database=stack.database)


def closed(stack: Stack) -> None:
    as_superuser(stack.server, f'ALTER DATABASE "{stack.database}" ALLOW_CONNECTIONS false')


def read_only(stack: Stack) -> None:
    as_superuser(stack.server, "ALTER DATABASE postgres SET default_transaction_read_only TO on")


def retired(stack: Stack) -> None:
    stack.done("retire", "billing", "--yes")


def without_login(stack: Stack) -> None:
    as_superuser(stack.server, "ALTER ROLE billing_app_dev_user NOLOGIN")


def of_yesterday(stack: Stack) -> None:
    """A checkout that has not been pulled since a colleague's rotation."""
    path = stack.project.stack_file("dev")
    text = path.read_text(encoding="utf-8")
    stack.done("rotate", "billing", "--overlap")
    stack.done("rotate", "billing", "--finish")
    path.write_text(text, encoding="utf-8")


REFUSED: dict[str, tuple[Break, tuple[str, ...], int, str]] = {
    "no such service": (lambda _: None, ("biling",), 64, "the nearest known one is 'billing'"),
    "neither a service nor all": (lambda _: None, (), 64, "name a service, or --all"),
    "a service and all": (lambda _: None, ("billing", "--all"), 64, "don't go together"),
    "begin and end at once": (lambda _: None, ("billing", "--overlap", "--finish"), 64, "use one of them"),
    "force without an end": (lambda _: None, ("billing", "--force"), 64, "--force is for --finish alone"),
    "no overlap to finish": (
        lambda _: None,
        ("billing", "--finish"),
        1,
        "golabs rotate dev billing --engine direct --overlap",
    ),
    "a retired service": (retired, ("billing",), 1, "golabs retire dev billing --engine direct --undo"),
    "a user that is not there": (without_user, ("billing",), 1, "there is no user billing_app_dev_user on the server"),
    "a closed login": (without_login, ("billing",), 1, "the login of billing_app_dev_user is closed"),
    "a file of yesterday": (of_yesterday, ("billing",), 1, "git pull"),
    "a closed database": (closed, ("billing",), 1, "it allows no connections"),
    "a server that refuses": (read_only, ("billing",), 1, "server: somebody has made it read-only"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_changes_nothing(stack: Stack, case: str) -> None:
    break_it, words, expected, says = REFUSED[case]
    break_it(stack)
    before = files(stack.project)
    roles = answer(stack.server, "SELECT string_agg(rolname || rolpassword, ',' ORDER BY oid) FROM pg_authid")
    code, _, err = stack.golabs("rotate", *words)
    assert code == expected, err
    assert says in err
    assert err.count("mend: ") == 1
    after = {name: text for name, text in files(stack.project).items() if not name.endswith(".lock")}
    assert after == {name: text for name, text in before.items() if not name.endswith(".lock")}
    assert answer(stack.server, "SELECT string_agg(rolname || rolpassword, ',' ORDER BY oid) FROM pg_authid") == roles


def test_a_guarded_environment_wants_its_databases_name(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = provision(project, server, "prd", capsys, secrets=True)
    before = files(project)
    monkeypatch.setattr("sys.stdin", io.StringIO("go-labs-dev\n"))
    code, out, err = stack.golabs("rotate", "billing")
    assert code == 1
    assert "~ user billing_app_prd_user: password" in out
    assert "not confirmed; nothing was changed" in err
    after = files(project)
    assert {name for name in after if after[name] != before.get(name)} <= {".golabs/rotations/prd.lock"}
    monkeypatch.setenv("GOLABS_CONFIRM", "go-labs-prd")
    old = stack.login("billing", "app")
    stack.done("rotate", "billing")
    assert not stack.works(old)
    assert stack.is_proven()


def test_a_login_that_cant_be_proven_leaves_both_passwords_and_an_up_settles_it(
    second: OwnServer, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = provision(project, second.endpoint, "dev", capsys)
    old = stack.login("billing", "app")
    rules = second.data / "pg_hba.conf"
    text = rules.read_text(encoding="utf-8")
    rules.write_text(f"host all billing_app_dev_user all reject\n{text}", encoding="utf-8")
    as_superuser(second.endpoint, "SELECT pg_reload_conf()")
    try:
        code, _, err = stack.golabs("rotate", "billing", "--user", "app")
        assert code == 1
        assert "pg_hba.conf rejects" in err
        assert "golabs up dev" in err
        assert [login for login in stack.all_logins("billing", "app") if login == old] == [old]
        assert len(stack.all_logins("billing", "app")) == 2
    finally:
        rules.write_text(text, encoding="utf-8")
        as_superuser(second.endpoint, "SELECT pg_reload_conf()")
    assert any(stack.works(login) for login in stack.all_logins("billing", "app"))
    direct_engine(project, "dev").up()
    assert stack.works(stack.login("billing", "app"))
    assert stack.is_proven()


def test_only_one_rotation_at_a_time(stack: Stack) -> None:
    ended: list[tuple[int, str, str]] = []
    with connect_admin(stack.server) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [f"golabs:{stack.database}"])
        first = threading.Thread(target=lambda: ended.append(stack.golabs("rotate", "billing")))
        first.start()
        lock = Path(stack.project.private_folder, "rotations", "dev.lock")
        while (
            not lock.exists()
            or answer(stack.server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0
        ):
            assert first.is_alive()
        code = second_rotation(stack)
    first.join()
    assert code == 1
    assert ended[0][0] == 0


def second_rotation(stack: Stack) -> int:
    """In the same process, where a lock of another file handle counts all the same."""
    from golabs_infra.errors import GolabsError
    from golabs_infra.remembering import alone

    with pytest.raises(GolabsError, match="another golabs rotate is at work on it"), alone(stack.project, "dev"):
        raise AssertionError("there are two")
    return 1


def test_a_user_whose_connections_are_all_taken_is_proven_all_the_same(stack: Stack) -> None:
    as_superuser(stack.server, "ALTER ROLE billing_app_dev_user CONNECTION LIMIT 1")
    with stack.session(stack.login("billing", "app")):
        assert "proven by logging in" in stack.done("rotate", "billing", "--user", "app")
    as_superuser(stack.server, "ALTER ROLE billing_app_dev_user CONNECTION LIMIT -1")
    with pytest.raises(psycopg.OperationalError), stack.session(("billing_app_dev_user", "wrong")):
        raise AssertionError("a wrong password got in")
    assert stack.works(stack.login("billing", "app"))


def test_an_export_after_a_kill_loses_no_password(stack: Stack) -> None:
    old = stack.login("billing", "app")
    with Killer(stack.project, {**PHRASE, ITERATIONS: "1000"}) as killer:
        words = ["rotate", "dev", "billing", "--user", "app", "--engine", "direct"]
        committed = killer.run(*words).points.index("after commit")
        assert killer.run(*words, kill_at=committed).code is None
    assert not stack.works(old)
    for _ in range(2):
        stack.done("export")
        assert any(stack.works(login) for login in stack.all_logins("billing", "app"))
    stack.done("up")
    assert len(stack.all_logins("billing", "app")) == 1
    assert stack.is_proven()


def test_a_rotation_before_the_first_up_hides_nothing_from_it(
    server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """A takeover looks at what is there, such as who gets in through PUBLIC: only once an up has run is that known."""
    adopted = [
        'CREATE DATABASE "go-labs-dev" TEMPLATE template0',
        "CREATE ROLE reporting LOGIN PASSWORD 'reports-daily'",
    ]
    adopted += [f"CREATE ROLE billing_{kind}_dev_user LOGIN PASSWORD 'of-long-ago'" for kind in KINDS]
    as_superuser(server, *adopted)
    as_superuser(server, "CREATE SCHEMA reports AUTHORIZATION reporting", database="go-labs-dev")
    write_stack(project, "dev", server, services=["billing"])
    stack = Stack(project, server, server, "dev", capsys)
    stack.done("rotate", "billing")
    assert all(stack.works(stack.login("billing", kind)) for kind in KINDS)
    code, _, err = stack.golabs("up")
    assert code == 1
    assert "get in through PUBLIC alone, which up closes" in err


def test_a_full_disk_after_the_change_leaves_both_passwords(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = files_module.prepare_private, [0]

    def full(folder: Path, text: str, *, durable: bool = True) -> str:
        calls[0] += 1
        if calls[0] > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(folder, text, durable=durable)

    monkeypatch.setattr(file_sets, "prepare_private", full)
    code, _, err = stack.golabs("rotate", "billing", "--user", "app")
    assert code == 1
    assert "the server has what is new" in err
    assert "golabs up dev" in err
    assert any(stack.works(login) for login in stack.all_logins("billing", "app"))
    monkeypatch.undo()
    direct_engine(stack.project, "dev").up()
    assert stack.works(stack.login("billing", "app"))
