"""Passwords in the stack's configuration, by the real CLI and by `golabs set-password`, which read what the other wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from golabs_infra.endpoint import Endpoint

from .checkout import PASSPHRASE, Checkout, Ran
from .database import can_work, login, migrate, passwords, verifiers

GIVEN = {"migration": "Given4Migrations.of-2026", "app": "Given4Apps_of.2026"}
NEW_PHRASE = "another one: 'quoted' & longer"
NEW = {"PULUMI_CONFIG_PASSPHRASE": NEW_PHRASE}
KEY = "golabs-infra:passwords.billing"


def told(checkout: Checkout, *words: str, given: str = "", variables: Mapping[str, str] | None = None) -> Ran:
    """The plain CLI on dev, with something on its standard input."""
    command = [str(checkout.toolchain.cli), *words, "--stack", "dev", "--color", "never"]
    return checkout.run(command, variables={**checkout.variables("dev"), **(variables or {})}, typed=given)


def read_by_cli(checkout: Checkout, key: str, variables: Mapping[str, str] | None = None) -> str:
    """What the CLI decrypts."""
    return told(checkout, "config", "get", "--path", key, variables=variables).out.removesuffix("\n")


def read_by_direct(checkout: Checkout, variables: Mapping[str, str] | None = None) -> Ran:
    """What the direct engine would change; it has to log in as the admin for it."""
    return checkout.golabs("preview", "dev", "--engine", "direct", "--json", variables=variables)


def logs_in(checkout: Checkout, kind: str, password: str) -> None:
    """The connection file has this password, and the server takes it."""
    record = checkout.connections("dev")["billing"]
    assert record["users"][kind]["password"] == password
    with login(record, kind) as session:
        assert session.execute("SELECT session_user").fetchone() == (f"billing_{kind}_dev_user",)


def prepare(checkout: Checkout, server: Endpoint) -> None:
    """A stack with all that it needs but passwords, by the commands that the README shows."""
    checkout.drop_keys("dev", "server")
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.pulumi(
        *("config", "set-all", "--plaintext", f"host={server.host}", "--plaintext", f"port={server.port}"),
        *("--plaintext", f"adminUser={server.admin_user}", "--plaintext", f"sslMode={server.ssl_mode}"),
        stack="dev",
    )


def test_what_the_cli_and_golabs_write_is_read_by_both_engines_also_under_a_new_passphrase(
    checkout: Checkout, server: Endpoint
) -> None:
    prepare(checkout, server)
    admin = server.admin_password.get_secret_value()
    file = checkout.project.stack_file("dev")

    # the CLI writes, and both engines read
    told(checkout, "config", "set", "--secret", "--path", "golabs-infra:adminPassword", given=admin)
    told(checkout, "config", "set", "--secret", "--path", f"{KEY}.app", given=f"{GIVEN['app']}\n")
    assert not [word for word in (admin, *GIVEN.values()) if word in file.read_text()]
    assert "billing_app_dev_user" in read_by_direct(checkout).out
    checkout.up("dev")
    logs_in(checkout, "app", GIVEN["app"])
    assert read_by_direct(checkout).json["changes"] == []

    # golabs writes, and the CLI reads
    before = file.read_text()
    written = checkout.golabs("set-password", "dev", "billing", "migration", typed=f"{GIVEN['migration']}\n")
    assert "next: golabs up dev" in written.out
    checkout.golabs("set-password", "dev", "--admin", typed=f"{admin}\n")
    assert set(before.splitlines()) <= set(file.read_text().splitlines()), "what was there is as it was"
    assert read_by_cli(checkout, f"{KEY}.migration") == GIVEN["migration"]
    assert read_by_cli(checkout, f"{KEY}.app") == GIVEN["app"]
    assert read_by_cli(checkout, "golabs-infra:adminPassword") == admin
    checkout.golabs("up", "dev", "--engine", "pulumi")
    logs_in(checkout, "migration", GIVEN["migration"])
    checkout.unchanged("dev", "--refresh")

    # a new passphrase: every value is encrypted again, in the file and in the state
    old = checkout.document("dev")
    stored = verifiers(server)
    told(checkout, "stack", "change-secrets-provider", "passphrase", given=f"{NEW_PHRASE}\n")
    new = checkout.document("dev")
    assert new["encryptionsalt"] != old["encryptionsalt"]
    assert new["config"].keys() == old["config"].keys()
    assert new["config"][KEY.rpartition(".")[0]] != old["config"][KEY.rpartition(".")[0]]
    assert PASSPHRASE != NEW_PHRASE
    for engine in ("direct", "pulumi"):
        refused = checkout.golabs("preview", "dev", "--engine", engine, fails=True)
        assert "the passphrase is not the one of this stack" in refused.err, refused
        assert "mend: correct PULUMI_CONFIG_PASSPHRASE" in refused.err
    refused = checkout.golabs("set-password", "dev", "billing", "app", typed=GIVEN["app"], fails=True)
    assert "the passphrase is not the one of this stack" in refused.err
    assert "incorrect passphrase" in checkout.up("dev", fails=True).text

    assert read_by_direct(checkout, NEW).json["changes"] == []
    checkout.up("dev", "--expect-no-changes", variables=NEW)
    checkout.pulumi("preview", "--refresh", "--expect-no-changes", stack="dev", variables=NEW)
    checkout.golabs("up", "dev", "--engine", "direct", variables=NEW)
    assert verifiers(server) == stored
    again = checkout.golabs("export", "dev", "--engine", "pulumi", variables=NEW)
    assert "billing-connections.yaml" in again.out
    for kind, password in GIVEN.items():
        logs_in(checkout, kind, password)

    # and under it golabs writes as before
    checkout.golabs("set-password", "dev", "billing", "app", typed="Under4TheNewOne", variables=NEW)
    assert read_by_cli(checkout, f"{KEY}.app", NEW) == "Under4TheNewOne"
    checkout.up("dev", variables=NEW)
    logs_in(checkout, "app", "Under4TheNewOne")
    logs_in(checkout, "migration", GIVEN["migration"])


def test_an_adopted_users_odd_password_comes_through_the_cli_and_golabs_alike(checkout: Checkout) -> None:
    checkout.init("dev")
    odd = '  it\'s "odd": ${x} `y` \\ #% é 日本 \t{secure: no} -- '
    told(checkout, "config", "set", "--secret", "--path", f"{KEY}.app", given=f"{odd}\n")
    there = checkout.golabs("set-password", "dev", "billing", "app", typed=f"{odd}\n")
    assert "is this password already" in there.out, "golabs has read what the CLI wrote"
    for password in (odd, "12345678", "true", "-"):
        checkout.golabs("set-password", "dev", "billing", "migration", typed=password)
        assert read_by_cli(checkout, f"{KEY}.migration") == password


@contextmanager
def key_service() -> Iterator[str]:
    """What of Vault's transit engine a secrets provider needs, on loopback: it encrypts and decrypts. Gives its URL."""

    class Transit(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            encrypts = "/encrypt/" in self.path
            value = f"vault:v1:{given['plaintext']}" if encrypts else given["ciphertext"].removeprefix("vault:v1:")
            body = json.dumps({"data": {"ciphertext" if encrypts else "plaintext": value}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT  # noqa: N815

        def log_message(self, *_words: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Transit) as service:
        thread = Thread(target=service.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{service.server_port}"
        finally:
            service.shutdown()
            thread.join()


def test_where_a_key_service_holds_the_key_the_cli_encrypts_for_golabs(checkout: Checkout, server: Endpoint) -> None:
    with key_service() as url:
        # no passphrase could decrypt: only the provider can
        vault = {"VAULT_SERVER_URL": url, "VAULT_SERVER_TOKEN": "none", "PULUMI_CONFIG_PASSPHRASE": ""}
        checkout.drop_keys("dev", "server")
        checkout.services("dev", "billing")
        checkout.set_keys("dev", host=server.host, port=server.port, sslMode=server.ssl_mode)
        checkout.set_keys("dev", adminUser=server.admin_user)
        told(checkout, "stack", "init", "--secrets-provider", "hashivault://golabs", variables=vault)
        for words, password in (
            (("--admin",), server.admin_password.get_secret_value()),
            (("billing", "app"), GIVEN["app"]),
        ):
            written = checkout.golabs("set-password", "dev", *words, "--json", typed=f"{password}\n", variables=vault)
            assert (written.json["encryptedBy"], written.json["written"]) == ("pulumi", True)
            assert password not in written.text + checkout.project.stack_file("dev").read_text()
        assert read_by_cli(checkout, f"{KEY}.app", vault) == GIVEN["app"]
        checkout.golabs("up", "dev", "--engine", "pulumi", variables=vault)
        logs_in(checkout, "app", GIVEN["app"])
        checkout.golabs("export", "dev", "--engine", "pulumi", variables=vault)
        for way in ("--overlap", "--finish"):
            checkout.golabs("rotate", "dev", "billing", "--user", "app", way, variables=vault)
        record = checkout.connections("dev")["billing"]
        new = record["users"]["app"]["password"]
        assert read_by_cli(checkout, f"{KEY}.appTwin", vault) == new != GIVEN["app"]
        with login(record, "app") as session:
            assert session.execute("SELECT session_user").fetchone() == ("billing_app_dev_twin",)
        refused = checkout.golabs("up", "dev", "--engine", "direct", fails=True, variables=vault)
        assert "the secrets of this stack are held by hashivault://golabs" in refused.err, refused
        assert "golabs up dev --engine pulumi" in refused.err


def test_what_the_direct_engine_generated_is_kept_when_the_stack_moves_over(
    checkout: Checkout, server: Endpoint
) -> None:
    moved("dev", checkout, server, plain=True)


def test_what_a_disposable_environment_was_given_moves_over_too(checkout: Checkout, server: Endpoint) -> None:
    moved("tst", checkout, server, plain=False)


def test_what_a_guarded_environment_was_given_moves_over_too(checkout: Checkout, server: Endpoint) -> None:
    moved("prd", checkout, server, plain=False)


def moved(environment: str, checkout: Checkout, server: Endpoint, *, plain: bool) -> None:
    """A stack is built by the direct engine, taken over by the other, and goes back and forth."""
    confirm = {"GOLABS_CONFIRM": f"go-labs-{environment}"}
    checkout.drop_keys(environment, "passwords")
    checkout.point_at(environment, server)
    direct = ("up", environment, "--engine", "direct")
    checkout.golabs(*direct, variables=confirm)
    records = checkout.connections(environment)
    generated = passwords(records)
    assert len(set(generated.values())) == len(generated) == 6
    for record in records.values():
        migrate(record)
    checkout.golabs(*direct, variables=confirm)
    assert passwords(checkout.connections(environment)) == generated, "a second run of the same engine"

    checkout.init(environment)
    if plain:
        checkout.up(environment, variables=confirm)
    else:
        checkout.golabs("up", environment, "--engine", "pulumi", variables=confirm)
    assert passwords(checkout.connections(environment)) == generated
    for record in records.values():  # as they were before the move
        can_work(record)
        with login(record, "migration") as session:
            session.execute("ALTER TABLE invoice ADD COLUMN moved date")
    checkout.unchanged(environment, "--refresh")
    checkout.up(environment, "--expect-no-changes", variables=confirm)

    stored = verifiers(server)
    checkout.golabs(*direct, variables=confirm)
    assert verifiers(server) == stored, "the way back changes nothing either"
    checkout.golabs("up", environment, "--engine", "pulumi", variables=confirm)
    checkout.unchanged(environment, "--refresh")
    assert passwords(checkout.connections(environment)) == generated
    assert verifiers(server) == stored
