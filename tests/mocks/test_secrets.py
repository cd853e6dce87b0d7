"""Passwords and verifiers reach the engine as secrets only, whatever they come from and whatever else goes on."""

from __future__ import annotations

import pytest

from .conftest import Bench
from .fake_engine import (
    PROVIDER,
    RANDOM_BYTES,
    RANDOM_PASSWORD,
    ROLE,
    STACK_SALT,
    UNKNOWN,
    Run,
    is_secret,
    opened,
    redacted,
)
from .samples import (
    CANARIES,
    ENVIRONMENTS,
    KINDS,
    SERVICES,
    a_decision,
    configured,
    kept,
    some_settings,
)

FAILING = {ROLE: "billing-app", RANDOM_PASSWORD: "billing-app", PROVIDER: "go-labs-tst"}


def mixed(bench: Bench, environment: str, *, preview: bool = False) -> Run:
    """A run with passwords of every origin."""
    return bench.once(f"mixed {environment} {preview}", lambda: _mixed(bench, environment, preview))


def _mixed(bench: Bench, environment: str, preview: bool) -> Run:
    settings = some_settings(environment, services=["billing", "catalog"])
    billing, catalog = f"billing_app_{environment}_user", f"catalog_app_{environment}_user"
    decision = a_decision(settings, {billing: configured(generated_before=True), catalog: kept()})
    return bench.declare(environment, decision=decision, preview=preview, services=["billing", "catalog"])


def readable_by_anybody(run: Run) -> str:
    """All that the engine was sent, without what was wrapped as a secret."""
    requests = [resource.public_text for resource in run]
    return str([requests, redacted(run.raw_outputs), run.logged, redacted(run.invoked)])


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_no_password_is_in_a_request_or_in_what_is_logged_but_wrapped_as_a_secret(
    bench: Bench, environment: str, preview: bool
) -> None:
    run = mixed(bench, environment, preview=preview)
    text = readable_by_anybody(run)
    assert not [canary for canary in CANARIES if canary in text]
    assert "SCRAM-SHA-256" not in text
    assert "db.example.org" in text
    wrapped = str([opened(run.raw_outputs), [resource.inputs for resource in run]])
    assert "Canary1" in wrapped
    assert preview or all(canary in wrapped for canary in CANARIES)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_roles_verifier_and_the_providers_password_are_all_that_is_secret_in_the_inputs(
    bench: Bench, environment: str
) -> None:
    for resource in mixed(bench, environment):
        expected = {"password"} if resource.type in (ROLE, PROVIDER) else set()
        assert resource.secret_inputs == expected, resource.name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_verifier_that_a_preview_can_not_know_yet_is_still_a_secret(bench: Bench, environment: str) -> None:
    for role in bench.declare(environment, preview=True, services=["billing"]).of(ROLE).values():
        assert role.secret_inputs == {"password"}
        assert role.inputs["password"] == UNKNOWN


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_connections_output_is_one_secret(bench: Bench, environment: str, preview: bool) -> None:
    outputs = mixed(bench, environment, preview=preview).stack_outputs
    assert is_secret(outputs["connections"])
    assert not is_secret(outputs["database"])


def test_connections_stay_secret_where_no_service_is_left(bench: Bench) -> None:
    outputs = bench.declare(services=[]).stack_outputs
    assert is_secret(outputs["connections"])
    assert opened(outputs["connections"]) == {}


def test_what_is_generated_is_secret_in_the_state(bench: Bench) -> None:
    run = bench.declared()
    for password in run.of(RANDOM_PASSWORD).values():
        assert {"result", "bcryptHash"} <= password.additional_secret_outputs
    for salt in run.of(RANDOM_BYTES).values():
        assert {"base64", "hex"} <= salt.additional_secret_outputs


def test_a_state_holds_no_password_in_clear(bench: Bench) -> None:
    text = str(redacted(mixed(bench, "dev").state))
    assert not [canary for canary in (*CANARIES, STACK_SALT, "SCRAM") if canary in text]


@pytest.mark.parametrize("type_", [ROLE, RANDOM_PASSWORD, PROVIDER])
def test_no_password_leaks_when_a_resource_is_reported_as_failed(bench: Bench, type_: str) -> None:
    bench.engine.failing, bench.engine.failure = (type_, FAILING[type_]), "reports"
    text = readable_by_anybody(bench.declare(services=["billing"]))
    assert not [canary for canary in CANARIES if canary in text]


@pytest.mark.parametrize("type_", [ROLE, RANDOM_PASSWORD, PROVIDER])
def test_no_password_leaks_when_a_resource_fails_and_ends_the_run(bench: Bench, type_: str) -> None:
    bench.engine.failing = (type_, FAILING[type_])
    with pytest.raises(RuntimeError) as raised:
        bench.declare(services=["billing"])
    text = f"{raised.value} {readable_by_anybody(bench.engine.last)}"
    assert not [canary for canary in CANARIES if canary in text]


def test_a_secret_is_not_shown_by_the_values_that_carry_it() -> None:
    decision = a_decision(some_settings(), {"billing_app_tst_user": configured(), "order_app_tst_user": kept()})
    assert not [canary for canary in CANARIES if canary in f"{decision!r} {decision}"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_user_has_its_own_generated_password(bench: Bench, environment: str) -> None:
    found = opened(bench.declared(environment).stack_outputs["connections"])
    passwords = {found[service]["users"][kind]["password"] for service in SERVICES for kind in KINDS}
    assert len(passwords) == 6
