"""No password in clear: not in the server's log, not in the state, not in what is printed, not in logs of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import ALPHABET, GENERATED_LENGTH

from ..support import running_server
from .checkout import Checkout
from .database import login, migrate, passwords

GIVEN = {"migration": "Given-Migration_4711.xyz", "app": "Given-App_4711.xyz"}


@pytest.fixture
def talkative(tmp_path: Path) -> Iterator[tuple[Endpoint, Path]]:
    """A server that logs every statement, and its log."""
    home = tmp_path / "talkative"
    with running_server(home, settings={"log_statement": "all", "log_min_duration_statement": "0"}) as endpoint:
        yield endpoint, home / "server.log"


def test_no_password_is_seen_in_logs_state_or_anything_printed(
    checkout: Checkout, talkative: tuple[Endpoint, Path]
) -> None:
    endpoint, server_log = talkative
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.point_at("dev", endpoint)
    checkout.set_keys(
        "dev", passwords={"billing": {kind: checkout.secure("dev", text) for kind, text in GIVEN.items()}}
    )
    events, logs = checkout.root / "events.json", checkout.root / "logs"
    logs.mkdir()
    debug = ("--logtostderr", "-v=8", "--diff", "--event-log", str(events))

    printed = [
        checkout.pulumi(
            "up", "--yes", *debug, stack="dev", variables={"TMPDIR": str(logs), "PULUMI_DEBUG_COMMANDS": "true"}
        )
    ]
    records = checkout.connections("dev")
    known = passwords(records)
    assert {known[f"billing_{kind}_dev_user"]: kind for kind in GIVEN} == {text: kind for kind, text in GIVEN.items()}
    for kind in ("migration", "app"):
        generated = known[f"catalog_{kind}_dev_user"]
        assert len(generated) == GENERATED_LENGTH
        assert set(generated) <= set(ALPHABET)
    for record in records.values():
        migrate(record)

    checkout.services("dev", "billing", {"name": "catalog", "connectionLimit": 9})
    printed += [
        checkout.preview("dev", "--diff", "--logtostderr", "-v=8"),
        checkout.up("dev", "--refresh", "--diff"),
        checkout.pulumi("stack", "output", "--json", stack="dev"),
        checkout.pulumi("stack", "export", stack="dev"),
        checkout.pulumi("config", stack="dev"),
        checkout.golabs("up", "dev"),
        checkout.golabs("doctor", "dev"),
        checkout.golabs("up", "dev", "--json", "--engine", "direct"),
    ]
    assert passwords(checkout.connections("dev")) == known, "passwords are stable over runs of both engines"

    words = [*known.values(), endpoint.admin_password.get_secret_value()]
    for ran in printed:
        _assert_absent(words, ran.text, f"printed by: {ran.command}")
    seen = 0
    for path in [
        events,
        *_files(logs),
        *_files(checkout.backend),
        *_files(Path(checkout.environ["PULUMI_HOME"]) / "logs"),
    ]:
        seen += 1
        _assert_absent(words, path.read_text(errors="replace"), str(path))
    assert seen > 3
    log = server_log.read_text(errors="replace")
    assert "SCRAM-SHA-256" in log, "roles get verifiers"
    _assert_absent(words, log, "the server's log")


def test_a_plain_password_in_a_guarded_stacks_file_is_refused_and_not_shown(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("qua", "billing")
    checkout.init("qua")
    checkout.point_at("qua", server)
    secret = checkout.secure("qua", GIVEN["migration"])
    checkout.set_keys("qua", passwords={"billing": {"app": "Plainly-Readable_4711", "migration": secret}})
    for refused in (
        checkout.confirmed_up("qua", fails=True),
        checkout.golabs("preview", "qua", fails=True),
    ):
        assert "golabs-infra:passwords.billing.app: the password stands in the file in plain text" in refused.text
        assert "passwords.billing.migration" not in refused.text
        _assert_absent(["Plainly-Readable_4711", GIVEN["migration"]], refused.text, refused.command)


def test_generated_passwords_survive_where_the_files_are_lost(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.up("dev")
    texts, records = checkout.connection_texts("dev"), checkout.connections("dev")
    for path in checkout.project.output_folder("dev").iterdir():
        path.unlink()
    checkout.up("dev")
    assert checkout.connection_texts("dev") == texts, "they are in the state"
    for path in checkout.project.output_folder("dev").iterdir():
        path.unlink()
    checkout.golabs("export", "dev")
    assert checkout.connection_texts("dev").keys() == texts.keys()
    assert checkout.connections("dev") == records
    login(checkout.connections("dev")["billing"], "app").close()


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []


def _assert_absent(words: list[str], text: str, where: str) -> None:
    for word in words:
        found = text.find(word)
        assert found < 0, f"a password is in {where}: ...{text[max(0, found - 200) : found]}[password]"
