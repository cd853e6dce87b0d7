"""The reference says what the code does: pages that are written from it are up to date, tables name what there is."""

from __future__ import annotations

import re

import pytest

from golabs_infra import cli_options
from golabs_infra.config_keys import KEYS
from golabs_infra.policy import BY_ENVIRONMENT, POLICIES

from ..support import REPOSITORY
from .reference import STRUCTURED, Reference, references

FOLDER = REPOSITORY / "docs" / "reference"


@pytest.mark.parametrize("page", references(), ids=lambda page: page.path.name)
def test_a_page_that_follows_from_the_code_is_up_to_date(page: Reference) -> None:
    assert page.path.read_text(encoding="utf-8") == page.text, "run: make docs"


def test_every_key_that_is_no_scalar_is_described() -> None:
    assert set(STRUCTURED) < set(KEYS)
    assert "None" not in (FOLDER / "configuration.md").read_text(encoding="utf-8")


def test_every_exit_code_is_told() -> None:
    told = re.findall(r"^\| (\d+) \|", (FOLDER / "exit-codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    codes = {value for name, value in vars(cli_options).items() if name.startswith("EXIT_")}
    assert {int(code) for code in told} == codes | {0}


def test_every_environment_has_its_policy_in_the_table() -> None:
    head, _, policies, *_ = re.findall(
        r"^\| .*", (FOLDER / "environments.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    told: dict[str, str] = {}
    for names, policy in zip(head.split("|")[2:-1], policies.split("|")[2:-1], strict=True):
        told |= dict.fromkeys(names.strip().split(", "), policy.strip(" `"))
    assert told == {environment: policy.name for environment, policy in BY_ENVIRONMENT.items()}
    assert set(told.values()) == set(POLICIES)


def test_the_shortest_passwords_are_told() -> None:
    text = (FOLDER / "environments.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| shortest new password \|(.*)\|$", text, re.MULTILINE)
    lengths = [POLICIES[name].minimum_password_length for name in ("disposable", "keep", "guarded")]
    assert [int(cell) for cell in row.split("|")] == lengths
