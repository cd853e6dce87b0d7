"""The commands that errors offer for a password: one wording, which the command line takes."""

from __future__ import annotations

import shlex

import pytest
import typer.main

from golabs_infra import cli
from golabs_infra.names import PASSWORD_KEYS, UserName
from golabs_infra.password_commands import known_or_new, set_password, set_secret


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("adminPassword", "golabs set-password dev --admin"),
        *((f"passwords.order.{key}", f"golabs set-password dev order {key}") for key in PASSWORD_KEYS),
    ],
)
def test_a_passwords_path_gives_the_command_that_writes_it(path: str, command: str) -> None:
    assert set_password("dev", path) == command
    assert set_secret("dev", path) == command
    name, *words = shlex.split(command)[1:]
    typer.main.get_group(cli.app).commands[name].make_context(name, words)  # raises where it does not take them


@pytest.mark.parametrize("path", ["services", "passwords", "passwords.billing", "passwords.billing.owner"])
def test_any_other_secret_is_the_clis(path: str) -> None:
    assert set_secret("qua", path) == f"pulumi config set --secret --path 'golabs-infra:{path}' --stack qua"


def test_an_unknown_password_is_given_or_replaced() -> None:
    user = UserName("billing", "app", "prd", "twin")
    given = "give the password that its clients use: golabs set-password prd billing appTwin"
    assert known_or_new(user, alone=True) == f"{given}; or set a new one: golabs rotate prd billing --user app"
    assert known_or_new(user, alone=False) == f"{given}; or set a new one: golabs rotate prd billing"
