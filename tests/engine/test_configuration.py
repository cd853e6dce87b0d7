"""The stack's file is one for the real CLI, the program and `golabs`: faults arrive readable, secrets are compatible."""

from __future__ import annotations

import json
import random
import string
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from golabs_infra.endpoint import Endpoint
from golabs_infra.stackfile import StackFile

from .checkout import PASSPHRASE, Checkout
from .database import databases, login, passwords

AWKWARD = (
    "plain",
    " spaces at both ends ",
    "two\nlines\n",
    'it\'s "quoted" \\ and $HOME `id` %s {x} [y] #z: !',
    "0123",
    "true",
    "Grüße, 東京, 🐘, \u00e9 and e\u0301",
    "x" * 5000,
)


def test_every_fault_of_a_configuration_is_told_at_once_and_without_a_traceback(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.init("dev")
    checkout.set_keys(
        "dev",
        host=server.host,
        port=70000,
        adminUsr="postgres",
        sslMode="sometimes",
        services=["billing", "billing", "Catalog", "pg_order", {"name": "stock", "statementTimeout": "soon"}, {"n": 1}],
        passwords={"billng": {"app": "x"}},
    )
    seen = {
        "plain pulumi": checkout.up("dev", fails=True).text,
        "golabs": checkout.golabs("preview", "dev", fails=True).text,
        "golabs, direct": checkout.golabs("up", "dev", "--engine", "direct", fails=True).text,
    }
    for reader, text in seen.items():
        for part in (
            "golabs-infra:port: ",
            "is more than 65535",
            "golabs-infra:adminUsr: unknown key; the nearest known one is 'adminUser'",
            "golabs-infra:adminPassword: the admin's password is missing",
            "golabs-infra:sslMode: 'sometimes'",
            "golabs-infra:services[1]: 'billing' is given twice",
            "golabs-infra:services[2]: 'Catalog' is not a service name",
            "golabs-infra:services[3]: 'pg_order' is a reserved name",
            "golabs-infra:services[4].statementTimeout: 'soon' is not a duration",
            "golabs-infra:services[5].name: is missing",
            "golabs-infra:passwords.billng: there is no service 'billng'; the nearest known one is 'billing'",
            "mend: ",
        ):
            assert part in text, f"{reader} does not tell: {part}\n{text}"
    assert databases(server) == set()


def test_values_that_the_real_cli_encrypts_are_read_without_it_and_the_other_way_round(checkout: Checkout) -> None:
    checkout.init("dev")
    generator = random.Random(20260101)  # noqa: S311  (texts to try, the same ones each time)
    texts = [
        *AWKWARD,
        *("".join(generator.choices(string.printable + "äß€𝔘", k=generator.randint(1, 80))) for _ in range(12)),
    ]
    words = [
        word for index, text in enumerate(texts) for word in ("--secret", f"golabs-infra:probe.cli[{index}]={text}")
    ]
    checkout.pulumi("config", "set-all", "--path", *words, stack="dev")
    document = checkout.document("dev")
    document["config"]["golabs-infra:probe"]["ours"] = [checkout.secure("dev", text) for text in texts]
    checkout.write("dev", document)

    file = StackFile.read(checkout.project, "dev")
    ours = file.decrypted({"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}).values["probe"]
    assert ours == {"cli": [SecretStr(text) for text in texts], "ours": [SecretStr(text) for text in texts]}
    theirs = checkout.pulumi("config", "get", "golabs-infra:probe", stack="dev")
    assert json.loads(theirs.out) == {"cli": texts, "ours": texts}


def test_a_stack_under_its_own_passphrase_file_with_its_passwords_under_one_secret_key(
    checkout: Checkout, server: Endpoint, tmp_path: Path
) -> None:
    file = tmp_path / "secret words"
    file.write_text(f"{PASSPHRASE} of a file\n")
    checkout = replace(
        checkout, own={"PULUMI_CONFIG_PASSPHRASE_FILE": str(file), "PULUMI_BACKEND_URL": checkout.backend.as_uri()}
    )
    given = {"billing": {"app": "Whole-Key_App.2026", "migration": "Whole-Key_Migration.2026"}}
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.pulumi("config", "set", "--secret", "passwords", json.dumps(given), stack="dev")
    checkout.configure("dev", server)
    checkout.up("dev")
    expected = {f"billing_{kind}_dev_user": password for kind, password in given["billing"].items()}
    assert passwords(checkout.connections("dev")) == expected
    login(checkout.connections("dev")["billing"], "app").close()
    direct = checkout.golabs("up", "dev", "--engine", "direct", "--json")
    assert direct.json["changes"] == []


@pytest.mark.parametrize("missing", ["passphrase", "backend"])
def test_a_missing_passphrase_or_backend_is_told_with_what_to_export(missing: str, checkout: Checkout) -> None:
    checkout.secure("dev", "x")
    variable = {"passphrase": "PULUMI_CONFIG_PASSPHRASE", "backend": "PULUMI_BACKEND_URL"}[missing]
    checkout = replace(checkout, own={name: value for name, value in checkout.own.items() if name != variable})
    refused = checkout.golabs("env", "dev", fails=True)
    assert f"export {variable}=" in refused.text, refused


def test_a_service_of_the_shipped_tst_is_taken_out_by_its_line_and_its_passwords_may_stay(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    checkout.set_keys("tst", services=["billing", "catalog"])
    told = checkout.up("tst")
    assert "golabs-infra:passwords.order: of no service that is listed; may be removed" in told.text, told
    assert sorted(checkout.connections("tst")) == ["billing", "catalog"]
    checkout.unchanged("tst", "--refresh")
