"""Canary passwords through the real engine: in the state encrypted, in files where they have to be, and nowhere else.

Pulumi itself hands the decrypted configuration to its program, and the passphrase to its processes, by the environment;
what a process's environment shows is its user's alone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import random_salt, scram_verifier

from ..canaries import Search, watched
from ..support import running_server
from .checkout import PASSPHRASE, Checkout, Ran
from .database import execute

LEGACY = 'it\'s "ödd" Vb5nQ8xL2kW7jF4t 100% & $HOME\\n :@/?#=;`x` 2026'
MARK = "PULUMI_CONFIG_PASSPHRASE="
DEBUGGING = ("--logtostderr", "-v=8", "--debug", "--diff")


@pytest.fixture
def talkative(tmp_path: Path) -> Iterator[tuple[Endpoint, Path]]:
    """A server that logs every statement, and its log."""
    home = tmp_path / "talkative"
    settings = {"log_statement": "all", "log_min_duration_statement": "0", "log_min_error_statement": "debug5"}
    with running_server(home, settings=settings) as endpoint:
        yield endpoint, home / "server.log"


def note_passwords(checkout: Checkout, secrets: dict[str, str]) -> None:
    """Adds what the connection files have to the secrets."""
    for record in checkout.connections("dev").values():
        for user in record["users"].values():
            for login in (user, *user.get("others", ())):
                if login["password"] not in secrets.values():
                    secrets[f"{login['username']} {len(secrets)}"] = login["password"]


def test_secrets_are_found_where_they_have_to_be_and_nowhere_else(
    checkout: Checkout, talkative: tuple[Endpoint, Path], tmp_path: Path
) -> None:
    endpoint, server_log = talkative
    secrets = {"admin": endpoint.admin_password.get_secret_value(), "passphrase": PASSPHRASE, "adopted": LEGACY}
    users = [
        f"CREATE ROLE billing_{kind}_dev_user LOGIN PASSWORD '{scram_verifier(LEGACY, random_salt())}'"
        for kind in ("migration", "app")
    ]
    execute(endpoint, *users)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    variables = {"TMPDIR": str(temporary)}
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.point_at("dev", endpoint)
    printed: list[Ran] = []
    with watched(MARK, temporary) as seen:
        for kind in ("migration", "app"):
            words = ("set-password", "dev", "billing", kind)
            printed.append(checkout.golabs(*words, typed=f"{LEGACY}\n", variables=variables))
        printed.append(
            checkout.up(
                "dev",
                *DEBUGGING,
                "--event-log",
                "events.json",
                variables={**variables, "PULUMI_DEBUG_COMMANDS": "true"},
            )
        )
        note_passwords(checkout, secrets)
        printed += [
            checkout.golabs("up", "dev", "--json", variables=variables),
            checkout.golabs("verify", "dev", variables=variables),
            checkout.golabs("rotate", "dev", "catalog", variables=variables),
        ]
        note_passwords(checkout, secrets)
        printed.append(checkout.golabs("rotate", "dev", "billing", "--user", "app", "--overlap", variables=variables))
        note_passwords(checkout, secrets)
        printed += [
            checkout.pulumi("preview", *DEBUGGING, stack="dev", variables=variables),
            checkout.golabs("rotate", "dev", "billing", "--finish", "--json", variables=variables),
            checkout.golabs("export", "dev", "--format", "pgpass", variables=variables),
            checkout.pulumi("stack", "output", "--json", stack="dev"),
            checkout.pulumi("stack", "export", stack="dev"),
            checkout.pulumi("stack", "history", "--json", stack="dev"),
            checkout.pulumi("config", "--json", stack="dev"),
            checkout.golabs("up", "dev", variables={**variables, "PULUMI_CONFIG_PASSPHRASE": "another"}, fails=True),
        ]
        execute(
            endpoint, "ALTER ROLE catalog_app_dev_user CONNECTION LIMIT 3", 'DROP DATABASE "go-labs-dev" WITH (FORCE)'
        )
        printed.append(checkout.golabs("up", "dev", fails=True, variables=variables))

    assert len(secrets) >= 3 + 2 + 2 + 1  # the given ones, catalog's first and second, billing's twin
    search = Search(secrets)
    for ran in printed:
        search.assert_absent(ran.out, f"standard output of: {ran.command}")
        search.assert_absent(ran.err, f"standard error of: {ran.command}")
    log = server_log.read_bytes()
    assert b"SCRAM-SHA-256$4096:" in log
    search.assert_absent(log, "the server's log")
    assert any(checkout.backend.rglob("dev.json"))
    for folder in (checkout.backend, temporary, Path(checkout.environ["PULUMI_HOME"])):
        assert search.in_files(folder) == {}, folder
    found = search.in_files(checkout.root)
    connection_files = {f"output/dev/{service}-connections.yaml" for service in ("billing", "catalog")}
    assert set(found) == connection_files | {"output/dev/pgpass"}
    assert all((checkout.root / name).stat().st_mode & 0o777 == 0o600 for name in found)

    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=checkout.root, check=True, capture_output=True)
    tracked = subprocess.run(["git", "ls-files"], cwd=checkout.root, check=True, capture_output=True, text=True).stdout
    assert "Pulumi.dev.yaml" in tracked.split("\n")
    assert not set(found) & set(tracked.split("\n"))

    assert seen.looks > 50
    assert seen.found(search, seen.arguments) == {}
    assert seen.found(search, seen.files) == {}
    environment = seen.found(search, seen.environments)
    assert "passphrase" in environment["pulumi"]
    with_passwords = {name for name, names in environment.items() if names - {"passphrase"}}
    assert with_passwords, "Pulumi hands the program its configuration: the search must see it"
    assert all(name.startswith("python") for name in with_passwords), environment
