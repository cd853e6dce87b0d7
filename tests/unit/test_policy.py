"""Policies: what each environment permits, and that qua and prd are never less than guarded."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, astuple

import pytest

from golabs_infra.policy import BY_ENVIRONMENT, DISPOSABLE, GUARDED, KEEP, POLICIES, Policy, policy_of


@pytest.mark.parametrize(
    ("environment", "policy"), [("tst", DISPOSABLE), ("dev", KEEP), ("qua", GUARDED), ("prd", GUARDED)]
)
def test_the_four_environments_are_known_by_name(environment: str, policy: Policy) -> None:
    assert policy_of(environment, None) is policy
    assert policy_of(environment, policy.name) is policy


@pytest.mark.parametrize(
    ("policy", "drops", "forgets", "protects", "resets_passwords", "confirms_up"),
    [
        (DISPOSABLE, True, False, False, True, False),
        (KEEP, False, True, False, False, False),
        (GUARDED, False, False, True, False, True),
    ],
)
def test_each_policy_permits_what_the_design_says(
    policy: Policy, drops: bool, forgets: bool, protects: bool, resets_passwords: bool, confirms_up: bool
) -> None:
    assert policy.drops is drops
    assert policy.forgets is forgets
    assert policy.protects is protects
    assert policy.resets_passwords is resets_passwords
    assert policy.confirms_up is confirms_up


def test_the_names_are_those_of_the_contract() -> None:
    assert list(POLICIES) == ["disposable", "keep", "guarded"]
    assert list(BY_ENVIRONMENT) == ["tst", "dev", "qua", "prd"]


def test_a_stricter_policy_never_asks_for_less_of_a_password() -> None:
    demands = [(p.minimum_password_length, p.minimum_distinct_characters) for p in (DISPOSABLE, KEEP, GUARDED)]
    assert demands == [(8, 1), (12, 6), (16, 8)]


@pytest.mark.parametrize("environment", ["qua", "prd"])
@pytest.mark.parametrize("declared", ["disposable", "keep"])
def test_qua_and_prd_cant_be_declared_weaker_than_guarded(environment: str, declared: str) -> None:
    with pytest.raises(ValueError, match=f"^{environment} is guarded and can't be declared '{declared}'$"):
        policy_of(environment, declared)


@pytest.mark.parametrize("environment", ["tst", "dev", "qua", "prd", "sandbox"])
def test_every_environment_can_be_declared_guarded(environment: str) -> None:
    assert policy_of(environment, "guarded") is GUARDED


@pytest.mark.parametrize("environment", ["sandbox", "prd-eu", "PRD", "tst2"])
def test_a_stack_of_another_name_must_say_its_policy(environment: str) -> None:
    with pytest.raises(
        ValueError, match=f"^the stack '{environment}' says no policy; only tst, dev, qua, prd are known by name$"
    ):
        policy_of(environment, None)


@pytest.mark.parametrize("policy", POLICIES.values())
def test_a_stack_of_another_name_has_the_policy_that_it_says(policy: Policy) -> None:
    assert policy_of("sandbox", policy.name) is policy


def test_a_policy_cant_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        GUARDED.drops = True  # type: ignore[misc]
    assert astuple(GUARDED)[:3] == ("guarded", False, False)
