"""Canary passwords through every command of the direct engine: found where they have to be, and nowhere else.

The server logs every statement and counts them in pg_stat_statements; its sessions and all processes are watched meanwhile.
"""

from __future__ import annotations

import base64
import json
import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import yaml

from golabs_infra.connecting import connect_admin
from golabs_infra.connections import read_records
from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.project import Project
from golabs_infra.stack_editing import StackDocument

from ..canaries import PAUSE_S, Printed, Search, Seen, assert_nothing_printed, run_golabs, watched
from ..matrix.servers import UnavailableError, programs_of
from ..support import REPOSITORY, home_in_memory, make_project, running_server, write_stack
from .tools import as_superuser, with_admin

MAJOR = 17
LEGACY = 'it\'s "ödd" Vb5nQ8xL2kW7jF4t 100% & $HOME\\n :@/?#=;`x` 2026'
"""What an adopted user's password may be like."""
PHRASE = 'the passphrase Hd3pY6sM9cG5rE8u: it\'s "long" & 100% ünusual'
MARK = "GOLABS_CANARY_MARK"
TALKATIVE = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_min_error_statement": "debug5",
    "log_min_messages": "debug1",
    "log_connections": "on",
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "track_activity_query_size": "65536",
}


WRITERS: dict[str, Callable[[str], str | bytes]] = {
    "as it is": str,
    "JSON": json.dumps,
    "JSON of Go": lambda text: json.dumps(text, ensure_ascii=False).replace("&", "\\u0026"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "ascii": ascii,
    "YAML": lambda text: yaml.safe_dump({"x": text}),
    "YAML in double quotes": lambda text: yaml.safe_dump(text, default_style='"'),
    "SQL": lambda text: text.replace("'", "''"),
    "pgpass": lambda text: text.replace("\\", "\\\\").replace(":", "\\:"),
    "shell": shlex.quote,
    "URL": quote,
    "form": quote_plus,
    "hexadecimal": lambda text: text.encode().hex(),
    "UTF-16": lambda text: text.encode("utf-16"),
    **{f"base64 after {n}": lambda text, n=n: base64.b64encode(b"x" * n + text.encode()) for n in range(3)},  # type: ignore[misc]
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()),
}
"""How programs write a text down."""


@dataclass(frozen=True)
class Talkative:
    """A server that writes down all that it is told."""

    endpoint: Endpoint
    log: Path


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talkative]:
    try:
        programs = programs_of(MAJOR)
    except UnavailableError as error:
        pytest.skip(f"PostgreSQL {MAJOR} with pg_stat_statements can't be had here: {error}")
    with (
        home_in_memory(tmp_path_factory.mktemp("talkative")) as home,
        running_server(home, major=MAJOR, programs=programs, settings=TALKATIVE) as endpoint,
    ):
        with connect_admin(endpoint) as admin:
            admin.execute("CREATE EXTENSION pg_stat_statements")
        yield Talkative(endpoint, home / "server.log")


@contextmanager
def sessions_watched(endpoint: Endpoint, statements: list[bytes]) -> Iterator[None]:
    """Notes what every session is seen to run, as long as the block lasts."""
    over = threading.Event()

    def look() -> None:
        with connect_admin(endpoint) as admin:
            while not over.is_set():
                rows = admin.execute(
                    "SELECT concat_ws(' ', usename, application_name, query) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                )
                statements.extend(text.encode() for (text,) in rows)
                over.wait(PAUSE_S)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def begun(endpoint: Endpoint, statement: str) -> Iterator[None]:
    """A transaction of somebody else, which is never committed."""
    with connect_admin(endpoint) as other, other.transaction(force_rollback=True):
        other.execute(statement or "SELECT")
        yield


@dataclass
class Life:
    """What was left of all that was done, and the secrets by name, also those that were generated on the way."""

    project: Project
    secrets: dict[str, str]
    printed: list[Printed]
    seen: Seen
    activity: list[bytes]
    temporary: Path


@dataclass(frozen=True)
class Step:
    """One command, and what somebody does to the server before it: statements, of the admin of `database`."""

    words: str
    fails: bool = False
    typed: str = ""
    given: tuple[str, ...] = ()
    """Words that are no option: a password by mistake."""
    engine: bool = True
    phrase: str = PHRASE
    before: tuple[str, ...] = ()
    held: str = ""
    """What somebody else has begun meanwhile, and not committed."""
    database: str = "postgres"


STEPS = (
    Step("set-password dev billing migration", typed=f"{LEGACY}\n", engine=False),
    Step("set-password dev billing app", typed=f"{LEGACY}\n", engine=False),
    Step("doctor dev"),
    Step("preview dev"),
    Step("preview dev --sql"),
    Step("up dev --json"),
    Step("verify dev --html PAGE", engine=False),
    Step("verify dev --json", engine=False),
    Step("sql dev", engine=False),
    Step("sql dev --verifiers", engine=False),
    Step("export dev"),
    Step("export dev --format dotenv", fails=True),  # which can't hold the adopted one, and says so
    Step("export dev --format pgpass"),
    Step("export dev --format jdbc"),
    Step("export dev --format k8s"),
    Step("drift dev", engine=False),
    Step(
        "verify dev --sql",
        engine=False,
        before=("ALTER ROLE order_app_dev_user NOLOGIN", "GRANT order_app_dev_user TO billing_app_dev_user"),
    ),
    Step("drift dev --repair --json", engine=False),
    Step("rotate dev order"),
    Step("rotate dev order --user app --overlap --json"),
    Step("rotate dev order --finish"),
    Step("rotate dev billing --user app"),
    Step("retire dev billing --yes"),
    Step("retire dev billing --undo --yes"),
    Step("rotate dev biling", fails=True),
    Step("set-password dev", given=(LEGACY,), engine=False, fails=True),
    Step("set-password dev", given=(LEGACY, "app"), engine=False, fails=True),
    Step("set-password dev billing", given=(LEGACY,), engine=False, fails=True),
    Step("set-password dev billing app", given=(LEGACY,), engine=False, fails=True),
    Step("up dev", phrase="another passphrase", fails=True),
    Step(
        "rotate dev order",
        fails=True,
        before=("ALTER ROLE deployer SET statement_timeout TO '1s'",),
        held="ALTER ROLE order_migration_dev_user CONNECTION LIMIT 7",
    ),
    Step("up dev", fails=True, before=("ALTER ROLE deployer RESET statement_timeout", "ALTER ROLE deployer NOLOGIN")),
    Step("up dev", fails=True, before=("ALTER ROLE deployer LOGIN PASSWORD 'somebody-elses-now'",)),
    Step("verify dev", fails=True, engine=False),
)


def adopted(server: Endpoint) -> None:
    """An environment that somebody has made by hand, with a password that no rule of ours permits: by its verifier, as the
    log is searched for the password."""
    statements = ['CREATE DATABASE "go-labs-dev" TEMPLATE template0']
    for kind in ("migration", "app"):
        verifier = scram_verifier(LEGACY, random_salt())
        statements.append(f"CREATE ROLE billing_{kind}_dev_user LOGIN PASSWORD '{verifier}'")
    as_superuser(server, *statements)


@pytest.fixture(scope="module")
def life(talkative: Talkative, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """Everything that golabs does, in one go, with failures in between."""
    project, temporary = make_project(tmp_path_factory.mktemp("life") / "project"), tmp_path_factory.mktemp("temporary")
    admin = with_admin(talkative.endpoint, attributes="SUPERUSER")
    secrets = {"admin": admin.admin_password.get_secret_value(), "passphrase": PHRASE, "adopted": LEGACY}
    adopted(talkative.endpoint)
    write_stack(project, "dev", admin, services=["billing", "order"])
    environ = {"TMPDIR": str(temporary), MARK: "here"}
    document = StackDocument.open(project, "dev")
    document.set_secret(("adminPassword",), admin.admin_password, document.unlock({"PULUMI_CONFIG_PASSPHRASE": PHRASE}))
    document.write()
    printed: list[Printed] = []
    activity: list[bytes] = []
    with watched(MARK, temporary) as seen, sessions_watched(talkative.endpoint, activity):
        for step in STEPS:
            as_superuser(talkative.endpoint, *step.before, database=step.database)
            words = step.words.replace("PAGE", str(temporary / "page.html")).split()
            words += [*step.given, *(["--engine", "direct"] if step.engine else [])]
            variables = {**environ, "PULUMI_CONFIG_PASSPHRASE": step.phrase}
            with begun(talkative.endpoint, step.held):
                ran = run_golabs(project.root, words, variables, repository=REPOSITORY, typed=step.typed)
            assert (ran.code not in (0, 2)) == step.fails, ran
            assert b"Traceback" not in ran.err, ran
            printed.append(ran)
            note_passwords(project, secrets)
    return Life(project, secrets, printed, seen, activity, temporary)


def note_passwords(project: Project, secrets: dict[str, str]) -> None:
    """Adds the passwords of the connection files to the secrets, each under its user's name and a number."""
    for record in read_records(project, "dev"):
        for user in record["users"].values():
            for login in (user, *user.get("others", ())):
                if login["password"] not in secrets.values():
                    secrets[f"{login['username']} {len(secrets)}"] = login["password"]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_the_search_finds_a_secret_however_it_is_written(write: Callable[[str], str | bytes]) -> None:
    text = write(LEGACY)
    search = Search({"odd": LEGACY})
    assert search.names_in(b"before" + (text.encode() if isinstance(text, str) else text) + b"after") == {"odd"}
    assert search.names_in(f"another: {LEGACY.swapcase()}".encode()) == set()


def test_no_command_prints_a_secret(life: Life) -> None:
    assert len(life.secrets) >= 3 + 2 + 2 + 1 + 1  # the given ones, order's first, order's second, its twin, billing's
    assert_nothing_printed(Search(life.secrets), life.printed)


def test_the_server_never_gets_one_in_clear(talkative: Talkative, life: Life) -> None:
    search = Search(life.secrets)
    log = talkative.log.read_bytes()
    assert b"ALTER ROLE" in log
    assert b"SCRAM-SHA-256$4096:" in log
    assert b"canceling statement due to statement timeout" in log
    search.assert_absent(log, "the server's log")
    with connect_admin(talkative.endpoint) as admin:
        rows = admin.execute("SELECT query FROM pg_stat_statements").fetchall()
    assert any("ALTER ROLE" in text for (text,) in rows)
    search.assert_absent("\n".join(text for (text,) in rows), "pg_stat_statements")
    assert len(life.activity) > 100
    search.assert_absent(b"\n".join(life.activity), "pg_stat_activity")


def test_files_hold_them_only_where_they_have_to(life: Life) -> None:
    """The connection files, which are their purpose, and the forms that were asked for; every form is private."""
    search = Search(life.secrets)
    found = search.in_files(life.project.root)
    forms = {f"output/dev/{name}" for name in ("pgpass",)}
    forms |= {f"output/dev/{service}-secret.yaml" for service in ("billing", "order")}
    forms |= {
        f"output/dev/{service}-{kind}.properties" for service in ("billing", "order") for kind in ("migration", "app")
    }
    assert set(found) == forms | {f"output/dev/{service}-connections.yaml" for service in ("billing", "order")}
    assert not {"admin", "passphrase"} & {name for names in found.values() for name in names}
    for name in found:
        path = life.project.root / name
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert search.in_files(life.temporary) == {}
    text = life.project.stack_file("dev").read_text(encoding="utf-8")
    assert text.count("secure: v1:") >= 5


def test_only_the_process_that_needs_it_has_the_passphrase_and_no_command_line_has_any(life: Life) -> None:
    assert life.seen.looks > 100
    # Somebody who gives a password as an argument, by mistake, has it there: as words of ours, to which nobody else adds.
    search = Search(life.secrets)
    assert {name for names in life.seen.found(search, life.seen.arguments).values() for name in names} == {"adopted"}
    environment = life.seen.found(search, life.seen.environments)
    assert {name for names in environment.values() for name in names} == {"passphrase"}
    assert all(name.startswith("python") for name in environment)


def test_no_temporary_file_holds_one_at_any_time(life: Life) -> None:
    assert life.seen.found(Search(life.secrets), life.seen.files) == {}
