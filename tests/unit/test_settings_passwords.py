"""Passwords in a configuration: whose they are, how they are written, the rules for new ones, and that none is shown."""

from __future__ import annotations

import json
import traceback

import pytest

from golabs_infra.config_keys import KEYS
from golabs_infra.errors import ConfigError
from golabs_infra.policy import GUARDED, KEEP
from golabs_infra.settings import (
    Settings,
    password_faults,
    read_settings,
)
from golabs_infra.stackfile import RawConfig

from ..support import make_settings, raw_config
from .configurations import CANARY, STRONG, error_of, faults_of, on_host, only_fault, secret

# ---- passwords


def test_a_password_of_no_service_is_told_with_the_nearest() -> None:
    assert only_fault("tst", passwords={"biling": {"app": secret(STRONG)}}) == (
        "passwords.biling: there is no service 'biling'; the nearest known one is 'billing'"
        " | correct the name, or remove the entry"
    )


ENTRY = {"app": secret(STRONG)}


@pytest.mark.parametrize("environment", ["tst", "dev"])
def test_entries_of_a_service_that_was_taken_out_are_a_warning_where_services_may_go(environment: str) -> None:
    left = {"passwords": {"billing": ENTRY, "shipping": ENTRY}, "logins": {"shipping": {"app": ["twin"]}}}
    settings = make_settings(environment, **on_host(services=["billing", "order"], **left))
    assert settings.warnings == (
        f"Pulumi.{environment}.yaml: golabs-infra:logins.shipping, golabs-infra:passwords.shipping: of no service that "
        "is listed; may be removed",
    )
    assert list(settings.passwords) == [f"billing_app_{environment}_user"]
    assert settings.logins == {}


@pytest.mark.parametrize("environment", ["qua", "prd"])
def test_entries_of_a_service_that_was_taken_out_are_a_fault_where_none_may_go(environment: str) -> None:
    assert only_fault(environment, **on_host(passwords={"billing": ENTRY, "shipping": ENTRY})).startswith(
        "passwords.shipping: there is no service 'shipping'"
    )


@pytest.mark.parametrize("name", ["order", "oredrs", "Orders", "oders"])
def test_an_entry_whose_name_is_a_slip_of_a_service_without_one_is_a_fault(name: str) -> None:
    values = {"services": ["billing", "orders"], "passwords": {"billing": ENTRY, name: ENTRY}}
    assert only_fault("tst", **values).startswith(f"passwords.{name}: there is no service '{name}'; the nearest known")
    values["passwords"] = {"orders": ENTRY, name: ENTRY}
    if name.islower():
        assert len(make_settings("tst", **values).warnings) == 1
    else:
        assert only_fault("tst", **values), "it can't have been a service"


def test_a_password_of_a_service_with_a_fault_has_none_itself() -> None:
    values = {
        "services": [{"name": "billing", "connectionLimit": 0}],
        "passwords": {"billing": {"app": secret(STRONG)}},
    }
    assert only_fault("tst", **values) == "services[0].connectionLimit: 0 is less than 1 | write connectionLimit: 50"


@pytest.mark.parametrize(("key", "known"), [("migrations", "migration"), ("app_twin", "appTwin")])
def test_a_password_of_no_user_is_told_with_the_nearest(key: str, known: str) -> None:
    assert only_fault("tst", passwords={"billing": {key: secret(STRONG)}}) == (
        f"passwords.billing.{key}: a service has no user '{key}'; the nearest known one is '{known}'"
        " | name one of migration, app, migrationTwin, appTwin"
    )


@pytest.mark.parametrize("value", [CANARY, secret(CANARY), [CANARY], 5, True, None, f"{{{CANARY}"])
def test_passwords_that_are_no_mapping_are_told(value: object) -> None:
    raw = raw_config("tst")
    given = RawConfig(raw.environment, {**raw.values, "passwords": value}, raw.source, lambda: False)
    with pytest.raises(ConfigError) as caught:
        read_settings(given)
    assert str(caught.value) == (
        "Pulumi.tst.yaml: 1 fault\n"
        "  - golabs-infra:passwords: it is not a mapping of services\n"
        "      mend: write {billing: {migration: ..., app: ...}}"
    )


@pytest.mark.parametrize("value", [CANARY, secret(CANARY), [CANARY], 5, None])
def test_a_services_passwords_that_are_no_mapping_are_told(value: object) -> None:
    assert only_fault("tst", passwords={"billing": value}) == (
        "passwords.billing: it is not a mapping of users | write {migration: ..., app: ...}"
    )


def set_app(environment: str) -> str:
    return f"golabs set-password {environment} billing app"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (5, "the password is not a string"),
        (12345678, "the password is not a string"),
        (None, "the password is not a string"),
        ([CANARY], "the password is not a string"),
        ({"secure": 5}, "the password is not a string"),
        (True, "the password is not a string"),
        ("", "the password is empty"),
        (secret(""), "the password is empty"),
        (secret(f"{CANARY}\0"), "the password holds a NUL character"),
    ],
)
def test_a_password_that_is_none_is_told_with_the_command(value: object, what: str) -> None:
    assert (
        only_fault("tst", passwords={"billing": {"app": value}}) == f"passwords.billing.app: {what} | {set_app('tst')}"
    )


@pytest.mark.parametrize("environment", ["qua", "prd"])
def test_a_plain_text_password_is_a_fault_in_guarded_stacks(environment: str) -> None:
    values = on_host(adminPassword=STRONG, passwords={"billing": {"app": STRONG}})
    assert faults_of(environment, **values) == [
        f"adminPassword: the password stands in the file in plain text | golabs set-password {environment} --admin",
        f"passwords.billing.app: the password stands in the file in plain text | {set_app(environment)}",
    ]


def test_a_plain_text_password_is_a_warning_elsewhere() -> None:
    settings = make_settings("dev", **on_host(adminPassword=STRONG, passwords={"billing": {"app": STRONG}}))
    assert settings.warnings == (
        f"Pulumi.dev.yaml: golabs-infra:passwords.billing.app: the password stands in the file in plain text; encrypt it: {set_app('dev')}",
        "Pulumi.dev.yaml: golabs-infra:adminPassword: the password stands in the file in plain text; encrypt it: "
        "golabs set-password dev --admin",
    )


def test_encrypted_passwords_are_no_reason_to_warn() -> None:
    settings = make_settings("prd", **on_host(passwords={"billing": {"app": secret(STRONG)}}))
    assert settings.warnings == ()


OWN = "or remove it and have one generated"


def test_a_new_password_must_keep_to_the_rules_of_its_environment() -> None:
    given = {"billing_app_dev_user": secret("a b"), "billing_migration_dev_user": secret(STRONG)}
    faults, warnings = password_faults(given, "dev", KEEP, lambda *_: False)
    assert [(fault.where, fault.what, fault.mend) for fault in faults] == [
        (
            "golabs-infra:passwords.billing.app",
            "the password has characters other than letters, digits and _ . - (or starts with one of these three)",
            f"{set_app('dev')}; {OWN}",
        ),
        (
            "golabs-infra:passwords.billing.app",
            "the password has 3 characters; the policy keep asks for 12",
            f"{set_app('dev')}; {OWN}",
        ),
    ]
    assert warnings == []


@pytest.mark.parametrize(("environment", "length"), [("tst", 8), ("dev", 12), ("qua", 16), ("prd", 16)])
def test_with_other_faults_a_password_too_weak_for_the_environment_is_told_along(environment: str, length: int) -> None:
    values = on_host(port=0, passwords={"billing": {"app": secret("abcdefg")}})
    assert [fault.split(" | ")[0].split(";")[0] for fault in faults_of(environment, **values)] == [
        "passwords.billing.app: the password has 7 characters",
        "port: 0 is less than 1",
    ]
    assert f"asks for {length}" in str(error_of(environment, **values))


def test_a_password_too_weak_alone_waits_for_a_look_at_the_server() -> None:
    settings = make_settings("prd", **on_host(passwords={"billing": {"app": secret("weak")}}))
    assert list(settings.passwords) == ["billing_app_prd_user"]


def test_a_bad_password_that_a_user_has_already_is_a_warning() -> None:
    given = {"billing_app_prd_user": secret("a b"), "order_app_prd_user": secret("c d")}
    faults, warnings = password_faults(given, "prd", GUARDED, lambda user, _: user == "billing_app_prd_user")
    assert {fault.where for fault in faults} == {"golabs-infra:passwords.order.app"}
    assert warnings == [
        "golabs-infra:passwords.billing.app: the password has characters other than letters, digits and _ . - (or "
        "starts with one of these three); it is kept, as billing_app_prd_user has it already",
        "golabs-infra:passwords.billing.app: the password has 3 characters; the policy guarded asks for 16; it is "
        "kept, as billing_app_prd_user has it already",
    ]


# ---- secrets are never shown

MISPLACED: list[dict[str, object]] = [
    on_host(adminPassword=CANARY),
    on_host(adminPassword=secret(CANARY)),
    on_host(adminPassword=[CANARY]),
    on_host(adminPassword={"value": CANARY}),
    on_host(adminPassword=[secret(CANARY)]),
    on_host(adminPassword=secret(f"{CANARY}\0")),
    on_host(adminPasswort=CANARY),
    on_host(password=secret(CANARY)),
    on_host(host=f"postgresql://admin:{CANARY}@db.example.org:5432/postgres"),
    on_host(host=f"admin:{CANARY}@db.example.org"),
    *(on_host(**{key: secret(CANARY)}) for key in KEYS),
    *(on_host(**{key: {"secure": CANARY}}) for key in KEYS),
    *(on_host(**{key: [CANARY]}) for key in KEYS if key not in ("services", "accepted")),
    {"adminPassword": CANARY},
    {"passwords": CANARY},
    {"passwords": [CANARY]},
    {"passwords": secret(CANARY)},
    {"passwords": f'{{"billing": {{"app": "{CANARY}"'},
    {"passwords": secret(f'{{"billing": {{"app": "{CANARY}"')},
    {"passwords": secret(f'{{"billing": {{"app": ["{CANARY}"]}}}}')},
    {"passwords": {"billing": CANARY}},
    {"passwords": {"billing": [CANARY]}},
    {"passwords": {"billing": secret(CANARY)}},
    {"passwords": {"billing": {"app": [CANARY]}}},
    {"passwords": {"billing": {"app": {"value": CANARY}}}},
    {"passwords": {"billing": {"app": {"secure": CANARY, "more": CANARY}}}},
    {"passwords": {"billing": {"app": CANARY}}},
    {"passwords": {"billing": {"app": secret(CANARY)}}},
    {"passwords": {"billing": {"app": secret(f"{CANARY} {CANARY}")}}, "accepted": 5},
    {"passwords": {"billing": {"app": f"{CANARY}\0"}}},
    {"passwords": {"billing": {"ap": CANARY}}},
    {"passwords": {"biling": {"app": CANARY}}},
    {"services": [{"name": "billing", "password": CANARY}]},
    {"services": [{"name": "billing", "passwords": {"app": CANARY}}]},
    {"services": {"billing": {"password": CANARY}}},
    {"services": json.dumps({"billing": {"password": CANARY}})},
    {"services": [{"billing": {"password": CANARY}}]},
    {"services": [["billing", CANARY]]},
    {"services": [secret(CANARY)]},
    {"services": [{"name": secret(CANARY), "retired": secret(CANARY), "extensions": [secret(CANARY)]}]},
    {"services": [{"name": "billing", "connectionLimit": secret(CANARY), "statementTimeout": secret(CANARY)}]},
    {"accepted": [{"id": secret(CANARY), "object": secret(CANARY), "note": secret(CANARY), "until": secret(CANARY)}]},
    {"accepted": [secret(CANARY)]},
]


@pytest.mark.parametrize("environment", ["tst", "dev", "prd", "sandbox"])
def test_no_message_and_no_repr_holds_a_secret_wherever_it_stands(environment: str) -> None:
    refused = 0
    for values in MISPLACED:
        try:
            settings = read_settings(raw_config(environment, **values))
        except ConfigError as error:
            refused += 1
            shown = [str(error), repr(error), repr(error.faults), repr(error.args), *traceback.format_exception(error)]
        else:
            shown = [
                str(settings),
                repr(settings),
                *settings.warnings,
                repr(settings.endpoint),
                settings.model_dump_json(),
            ]
            shown += password_warnings(settings)
        assert [text for text in shown if CANARY in text] == [], values
    assert refused > 50


def password_warnings(settings: Settings) -> list[str]:
    """All that can be said of the passwords, of new users and of old ones."""
    every = (settings.passwords, settings.environment, settings.policy)
    return [*map(str, password_faults(*every, lambda *_: False)[0]), *password_faults(*every, lambda *_: True)[1]]


def test_the_canary_would_be_found() -> None:
    assert CANARY in str(error_of("tst", services=[CANARY]))
