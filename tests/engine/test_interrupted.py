"""Runs that are killed or fail half-way: what they leave behind is told, and the next run converges."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from golabs_infra.endpoint import Endpoint

from .checkout import Checkout, Ran
from .database import can_work, create_admin, databases, execute, login, migrate, passwords, users


@pytest.mark.parametrize(
    "moment",
    [r"Role \S+ created", r"Database \S+ created", r"DefaultPrivileges \S+ creating"],
    ids=["users", "database", "privileges"],
)
def test_a_first_up_that_is_killed_is_cancelled_and_converges(
    moment: str, checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.point_at("dev", server)
    _killed_up(checkout, moment)
    assert not checkout.project.output_folder("dev").exists(), "no connection file after half a run"
    checkout.pulumi("cancel", "--yes", stack="dev")
    checkout.up("dev")
    for record in checkout.connections("dev").values():
        migrate(record)
        can_work(record)
    checkout.unchanged("dev", "--refresh")


def test_the_lock_of_a_dead_run_and_of_a_live_one_are_told_apart(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    _killed_up(checkout, r"Role \S+ creating", "tst")
    refused = checkout.golabs("up", "tst", fails=True)
    assert "a run that is dead" in refused.text, refused
    assert "pulumi cancel --yes --stack tst" in refused.text

    with _locked_by(checkout, os.getpid()):
        live = checkout.golabs("up", "tst", fails=True)
    assert "another run is at work on the stack" in live.text, live
    assert f"process {os.getpid()}" in live.text
    assert "a run that is dead" not in live.text

    assert _follow(checkout, refused, "tst").code == 0
    checkout.golabs("up", "tst")
    login(checkout.connections("tst")["billing"], "app").close()


@pytest.mark.parametrize(
    ("moment", "before", "services"),
    [
        (r"\+ Role ", [], ["billing", "catalog"]),
        (r"\+ Schema ", [], ["billing", "catalog"]),
        (r"\+ Role order", ["billing", "catalog"], ["billing", "catalog", "order"]),
        (r"- Schema ", ["billing", "catalog", "order"], ["billing"]),
    ],
    ids=["users", "schemas", "a service more", "services less"],
)
def test_a_killed_golabs_up_of_a_disposable_stack_leaves_the_state_before_it_and_converges(
    moment: str, before: list[str], services: list[str], checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("tst", *(before or services))
    checkout.point_at("tst", server)
    if before:
        checkout.golabs("up", "tst")
        checkout.services("tst", *services)
    else:
        checkout.init("tst")
    state, files, known = checkout.resources("tst"), checkout.connection_texts("tst"), checkout.connections("tst")

    _killed_golabs(checkout, "up", moment)
    assert checkout.resources("tst") == state, "it is written at the end of a run"
    left = {name: text for name, text in checkout.connection_texts("tst").items() if not name.startswith(".")}
    assert left.items() <= files.items(), "connection files are whole, and of the run before"

    refused = checkout.golabs("up", "tst", fails=True)
    assert "a run that is dead" in refused.text, refused
    assert _follow(checkout, refused, "tst").code == 0
    checkout.golabs("up", "tst")
    records = checkout.connections("tst")
    assert set(records) == set(services)
    assert users(server) == {f"{service}_{kind}_tst_user" for service in services for kind in ("migration", "app")}
    assert all(records[service] == known[service] for service in known.keys() & records.keys()), "passwords stay"
    assert {path.name for path in checkout.project.output_folder("tst").iterdir()} == {
        "database.sql",
        *(f"{service}{ending}" for service in services for ending in ("-connections.yaml", ".sql")),
    }
    for record in records.values():
        migrate(record)
        can_work(record)
    checkout.unchanged("tst", "--refresh")


def test_a_killed_golabs_destroy_of_a_disposable_stack_is_finished_by_the_next(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("tst", "billing", "catalog", "order")
    checkout.point_at("tst", server)
    checkout.golabs("up", "tst")
    _killed_golabs(checkout, "destroy", "- Database ", "--yes")
    assert databases(server) == set()
    refused = checkout.golabs("destroy", "tst", "--yes", fails=True)
    assert "a run that is dead" in refused.text, refused
    assert _follow(checkout, refused, "tst").code == 0
    checkout.golabs("destroy", "tst", "--yes")
    assert databases(server) == users(server) == set()
    assert checkout.resources("tst") == {}


def test_a_killed_golabs_up_of_any_other_stack_has_what_it_made_in_the_state(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    _killed_golabs(checkout, "up", r"\+ Database ", stack="dev")
    kinds = {resource["type"].rpartition(":")[2] for resource in checkout.resources("dev").values()}
    assert {"RandomPassword", "Role", "Database"} <= kinds
    checkout.pulumi("cancel", "--yes", stack="dev")
    checkout.golabs("up", "dev")
    login(checkout.connections("dev")["billing"], "app").close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_golabs_waits_for_the_engine_to_end_in_order_when_it_is_interrupted(
    number: signal.Signals, checkout: Checkout, server: Endpoint
) -> None:
    checkout.point_at("tst", server)
    process = _started_golabs(checkout, "up", "tst")
    said = _heard(process, "Role")
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)  # as a service manager does
    assert process.stdout is not None
    said += process.stdout.read()
    process.stdout.close()
    assert process.wait() == 1, said
    assert "pulumi up was interrupted and has ended in order" in said
    assert "Traceback" not in said
    assert not checkout.project.output_folder("tst").exists()
    assert not list((checkout.project.state_folder / ".pulumi" / "locks").rglob("*.json")), "no lock is left"
    assert users(server), "it was interrupted after it had begun"
    kinds = [resource["type"].rpartition(":")[2] for resource in checkout.resources("tst").values()]
    assert kinds.count("Role") == len(users(server)), "what was done until then is in the state"
    checkout.up("tst")
    for record in checkout.connections("tst").values():
        login(record, "app").close()


def test_a_run_that_fails_half_way_writes_no_connection_file_and_changes_none(
    checkout: Checkout, server: Endpoint
) -> None:
    execute(server, 'CREATE DATABASE "go-labs-dev"')
    execute(
        server,
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not today''; END'",
        "CREATE EVENT TRIGGER refuse ON ddl_command_start WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION refuse()",
        database="go-labs-dev",
    )
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    failed = checkout.up("dev", fails=True)
    assert "not today" in failed.text
    assert users(server) == {"billing_app_dev_user", "billing_migration_dev_user"}
    assert not checkout.project.output_folder("dev").exists()

    execute(server, "ALTER EVENT TRIGGER refuse DISABLE", database="go-labs-dev")
    checkout.up("dev")
    texts = checkout.connection_texts("dev")
    execute(server, "ALTER EVENT TRIGGER refuse ENABLE", database="go-labs-dev")
    checkout.services("dev", "billing", "order")
    failed = checkout.golabs("up", "dev", fails=True)
    assert "not today" in failed.err, failed
    assert checkout.connection_texts("dev") == texts

    execute(server, "DROP EVENT TRIGGER refuse", database="go-labs-dev")
    checkout.up("dev")
    for record in checkout.connections("dev").values():
        login(record, "migration").close()
    assert passwords(checkout.connections("dev")).keys() >= {"order_app_dev_user", "billing_app_dev_user"}


def test_an_admin_without_the_rights_is_told_which_and_nothing_is_made(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", create_admin(server, "weak", "CREATEDB"))
    refused = checkout.up("dev", fails=True)
    assert "it lacks CREATEROLE" in refused.text, refused
    assert 'ALTER ROLE "weak" CREATEROLE' in refused.text
    assert databases(server) == users(server) == set()
    assert not checkout.project.output_folder("dev").exists()


def _killed_up(checkout: Checkout, moment: str, stack: str = "dev") -> None:
    """Starts `pulumi up` and kills it with SIGKILL as soon as it prints what `moment` describes."""
    command = [str(checkout.toolchain.cli), "up", "--yes", "--skip-preview", "--color", "never", "--stack", stack]
    process = subprocess.Popen(
        [*command, "--non-interactive"],
        cwd=checkout.root,
        env={**checkout.environ, **checkout.variables(stack)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _kill_at(process, moment)


def _killed_golabs(checkout: Checkout, command: str, moment: str, *options: str, stack: str = "tst") -> None:
    """Starts a command of golabs and kills it and the engine with SIGKILL, as `_killed_up` does."""
    _kill_at(_started_golabs(checkout, command, stack, *options), moment)


def _started_golabs(checkout: Checkout, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "golabs_infra", *words],
        cwd=checkout.root,
        env={**checkout.environ, **checkout.golabs_variables(words)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _heard(process: subprocess.Popen[str], moment: str) -> str:
    """What a process prints until it prints what `moment` describes."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if re.search(moment, line):
            return said
    pytest.fail(f"it ended before {moment} was seen:\n{said}")


def _kill_at(process: subprocess.Popen[str], moment: str) -> None:
    """Kills a process and its engine with SIGKILL as soon as it prints what `moment` describes."""
    said = _heard(process, moment)
    for pid in (process.pid, *_below(process.pid)):  # they go no further while all of them are looked for
        with suppress(ProcessLookupError):  # one that has just come to its end
            os.kill(pid, signal.SIGSTOP)
    started = _below(process.pid)
    engines = [pid for pid in started if os.getsid(pid) == pid]  # golabs gives its engine a session of its own
    for pid in (process.pid, *engines):
        os.killpg(pid, signal.SIGKILL)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL, f"it ended before it was killed:\n{said}"
    time.sleep(0.5)  # what it had begun on the server comes to its end
    for pid in started:  # plugins outlive their engine by minutes
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _below(parent: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    found = [parent]
    for pid in found:
        found += [int(line.split()[0]) for line in listed.splitlines() if int(line.split()[1]) == pid]
    return found[1:]


def _follow(checkout: Checkout, refused: Ran, stack: str) -> Ran:
    """Does what the message says: the pulumi command in it."""
    found = re.search(r"&& pulumi (cancel [^;\n]*)", refused.text)
    assert found, f"no command to follow:\n{refused}"
    words = [word for word in found[1].split() if word not in ("--stack", stack)]
    return checkout.pulumi(*words, stack=stack)


@contextmanager
def _locked_by(checkout: Checkout, pid: int) -> Iterator[None]:
    """The stack's lock as it would be if a process of this machine held it."""
    (file,) = (checkout.project.state_folder / ".pulumi" / "locks").rglob("*.json")
    text = file.read_text()
    content = json.loads(text)
    assert content["hostname"] == socket.gethostname()
    file.write_text(json.dumps({**content, "pid": pid}))
    yield
    file.write_text(text)
