"""Passwords in plain text are refused and not shown; generated ones survive lost files. Where none may be: test_canaries."""

from __future__ import annotations

from golabs_infra.endpoint import Endpoint

from .checkout import Checkout
from .database import login

GIVEN = {"migration": "Given-Migration_4711.xyz", "app": "Given-App_4711.xyz"}


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


def _assert_absent(words: list[str], text: str, where: str) -> None:
    for word in words:
        found = text.find(word)
        assert found < 0, f"a password is in {where}: ...{text[max(0, found - 200) : found]}[password]"
