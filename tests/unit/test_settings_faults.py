"""Faults of single keys, of the server's and of the policy: each with its path and its mend."""

from __future__ import annotations

import pytest

from golabs_infra.config_keys import KEYS, STRUCTURED_KEYS
from golabs_infra.errors import ConfigError
from golabs_infra.settings import (
    read_settings,
)
from golabs_infra.stackfile import RawConfig

from ..support import raw_config
from .configurations import CANARY, CONTRACT, STRONG, error_of, faults_of, on_host, only_fault, secret

# ---- faults of scalar keys


def test_a_fault_says_path_value_and_mend_below_the_files_name() -> None:
    assert str(error_of("dev", **on_host(port=70000))) == (
        "Pulumi.dev.yaml: 1 fault\n  - golabs-infra:port: 70000 is more than 65535\n      mend: write port: 5432"
    )


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("port", 0, "port: 0 is less than 1 | write port: 5432"),
        ("port", "70000", "port: '70000' is more than 65535 | write port: 5432"),
        ("port", -1, "port: -1 is less than 1 | write port: 5432"),
        ("port", "abc", "port: 'abc' is not a whole number | write port: 5432"),
        ("port", "", "port: '' is not a whole number | write port: 5432"),
        ("port", " 5432", "port: ' 5432' is not a whole number | write port: 5432"),
        ("port", "٥", "port: '٥' is not a whole number | write port: 5432"),
        ("port", 54.32, "port: 54.32 is not a whole number | write port: 5432"),
        ("port", True, "port: true is not a whole number | write port: 5432"),
        ("port", [5432], "port: a list is not a whole number | write port: 5432"),
        ("port", {"value": 5432}, "port: a mapping is not a whole number | write port: 5432"),
        ("host", 5, "host: 5 is not a string | write host: db.example.org"),
        ("host", "", "host: '' is empty | write host: db.example.org"),
        ("host", "my db", "host: 'my db' has white space or control characters in it | write host: db.example.org"),
        ("host", "db\n", "host: 'db\\n' has white space or control characters in it | write host: db.example.org"),
        (
            "host",
            "db.example.org:5432",
            "host: 'db.example.org:5432' is no host: a port goes into the key port, an IPv6 address has no brackets"
            " | write host: db.example.org",
        ),
        (
            "host",
            "[::1]",
            "host: '[::1]' is no host: a port goes into the key port, an IPv6 address has no brackets"
            " | write host: db.example.org",
        ),
        (
            "host",
            "postgresql://db.example.org/postgres",
            "host: the value is a URL; give host, port, adminUser and adminPassword as keys of their own"
            " | write host: db.example.org",
        ),
        ("adminUser", "", "adminUser: '' is empty | write adminUser: postgres"),
        ("adminUser", 5, "adminUser: 5 is not a string | write adminUser: postgres"),
        ("adminDatabase", ["a"], "adminDatabase: a list is not a string | write adminDatabase: postgres"),
        (
            "sslMode",
            "prefer",
            "sslMode: 'prefer' is none of 'disable', 'require', 'verify-ca' or 'verify-full' | write sslMode: verify-full",
        ),
        (
            "sslMode",
            ["require"],
            "sslMode: a list is none of 'disable', 'require', 'verify-ca' or 'verify-full' | write sslMode: verify-full",
        ),
        ("sslRootCert", "", "sslRootCert: '' is empty | write sslRootCert: certs/ca.pem"),
        ("sslRootCert", True, "sslRootCert: true is not a string | write sslRootCert: certs/ca.pem"),
        ("policy", "weak", "policy: 'weak' is none of 'disposable', 'keep' or 'guarded' | write policy: keep"),
        (
            "adminPassword",
            "",
            "adminPassword: the value is empty | golabs set-password dev --admin",
        ),
        (
            "adminPassword",
            secret(""),
            "adminPassword: the value is empty | golabs set-password dev --admin",
        ),
        (
            "adminPassword",
            123456,
            "adminPassword: the value is not a string | golabs set-password dev --admin",
        ),
        (
            "adminPassword",
            secret("a\0b"),
            "adminPassword: the value holds a NUL character | golabs set-password dev --admin",
        ),
    ],
)
def test_a_scalar_of_wrong_type_or_range_is_told(key: str, value: object, fault: str) -> None:
    assert only_fault("dev", **on_host(**{key: value})) == fault


def with_null(*keys: str) -> RawConfig:
    """A configuration with keys that have nothing after their colon."""
    raw = raw_config("dev", **on_host())
    return RawConfig(raw.environment, {**raw.values, **dict.fromkeys(keys)}, raw.source, raw.published_passphrase)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("port", "port: null is not a whole number"),
        ("adminUser", "adminUser: null is not a string"),
        ("adminDatabase", "adminDatabase: null is not a string"),
        ("host", "host: neither host nor server is given"),
        ("adminPassword", "adminPassword: the admin's password is missing"),
        ("services", "services: null is not a list"),
        ("accepted", "accepted: null is not a list"),
        ("passwords", "passwords: it is not a mapping of services"),
    ],
)
def test_a_key_with_nothing_after_its_colon_is_told(key: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(with_null(key))
    assert [f"{told.where.removeprefix('golabs-infra:')}: {told.what}" for told in caught.value.faults] == [fault]


def test_optional_keys_with_nothing_after_their_colon_are_as_if_not_there() -> None:
    keys = ("server", "sslMode", "sslRootCert", "sslCert", "sslKey", "policy")
    assert read_settings(with_null(*keys)) == read_settings(with_null())


def test_a_long_value_is_cut() -> None:
    fault = only_fault("dev", **on_host(port="x" * 500))
    assert fault == f"port: '{'x' * 76}... is not a whole number | write port: 5432"


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("prot", "port"),
        ("Host", "host"),
        ("adminPasword", "adminPassword"),
        ("sslmode", "sslMode"),
        ("service", "services"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest_known_one(key: str, nearest: str) -> None:
    assert only_fault("dev", **on_host(**{key: "x"})) == (
        f"{key}: unknown key; the nearest known one is '{nearest}' | use one of {', '.join(sorted(CONTRACT))}"
    )


@pytest.mark.parametrize("environment", ["tst", "prd"])
def test_a_misspelled_list_of_services_is_one_fault_and_no_reason_to_remove_a_password(environment: str) -> None:
    given = {"billing": {"app": secret(STRONG)}, "order": {"app": secret(STRONG)}}
    values = on_host(services=None, servises=["billing", "order"], passwords=given, logins={"order": {"app": ["twin"]}})
    assert only_fault(environment, **values).startswith("servises: unknown key; the nearest known one is 'services'")


def test_an_unknown_key_that_is_like_none_is_told_with_all() -> None:
    assert only_fault("dev", **on_host(zzz="x")) == f"zzz: unknown key | use one of {', '.join(sorted(CONTRACT))}"


def test_a_password_set_without_its_path_is_told_as_an_unknown_key() -> None:
    fault = only_fault("dev", **on_host(**{"passwords.billing.app": secret(STRONG)}))
    assert fault.startswith("passwords.billing.app: unknown key; the nearest known one is 'passwords' | ")


@pytest.mark.parametrize(
    ("key", "example"),
    [(key, example) for key, example in KEYS.items() if key not in ("adminPassword", "passwords")],
)
def test_only_passwords_can_be_encrypted(key: str, example: str) -> None:
    values = on_host(sslCert="a", sslKey="b") | {key: secret(CANARY)}
    if key == "server":
        values["host"] = values["adminPassword"] = values["sslCert"] = values["sslKey"] = None
    fault = only_fault("dev", **values)
    if key in STRUCTURED_KEYS:
        assert fault == (
            f"{key}: it is not a mapping of services | write {example}"
            if key == "logins"
            else f"{key}: the value is not a list | write a list, such as {key}: {example}"
        )
    else:
        assert fault == (
            f"{key}: the value is encrypted, which only adminPassword and passwords can be | write {key}: {example}"
        )


def test_an_encrypted_list_of_services_is_told_entry_by_entry() -> None:
    assert faults_of("tst", services=secret('["billing", {"name": "order", "retired": "true"}]')) == [
        "services[0].name: the value is encrypted, which only adminPassword and passwords can be | write name: billing",
        "services[1].name: the value is encrypted, which only adminPassword and passwords can be | write name: billing",
        "services[1].retired: the value is encrypted, which only adminPassword and passwords can be | write retired: true",
    ]


# ---- all at once


def test_all_faults_of_a_configuration_are_told_at_once_in_the_order_of_their_paths() -> None:
    raw = RawConfig(
        "prd",
        {
            "policy": "keep",
            "host": "db.example.org",
            "port": 70000,
            "adminPassword": CANARY,
            "sslCert": "certs/admin.pem",
            "colour": "blue",
            "services": [
                "Billing",
                "public",
                "order",
                "order",
                {"name": "catalog", "statementTimeout": "5m", "retird": True},
                "s" * 50,
            ],
            "passwords": {
                "order": {"app": secret(f"{CANARY} 1"), "migration": f"{CANARY[:9]}"},
                "oder": {"app": CANARY},
            },
            "accepted": [{"id": "F1", "object": "o", "note": "n", "until": "soon"}],
        },
        "Pulumi.prd.yaml",
        lambda: True,
    )
    with pytest.raises(ConfigError) as caught:
        read_settings(raw)
    told = [f"{fault.where.removeprefix('golabs-infra:')}: {fault.what}" for fault in caught.value.faults]
    assert told == [
        "accepted[0].until: 'soon' is not a date",
        "adminPassword: the password stands in the file in plain text",
        "colour: unknown key",
        "host: 'db.example.org' is not this machine, and the stack's secrets are under the published passphrase of tst",
        "passwords.oder: there is no service 'oder'; the nearest known one is 'order'",
        "passwords.order.app: the password has characters other than letters, digits and _ . - (or starts with one of these three)",
        "passwords.order.migration: the password has 9 characters; the policy guarded asks for 16",
        "passwords.order.migration: the password stands in the file in plain text",
        "policy: prd is guarded and can't be declared 'keep'",
        "port: 70000 is more than 65535",
        "services[0]: 'Billing' is not a service name",
        "services[1]: 'public' is a reserved name",
        "services[3]: 'order' is given twice, first as services[2]",
        "services[4].retird: unknown key; the nearest known one is 'retired'",
        "services[4].statementTimeout: '5m' is not a duration: a whole number and one of ms, s, min, h, d",
        f"services[5]: the user name '{'s' * 50}_migration_prd_user' has 69 bytes; PostgreSQL takes 63",
        "sslCert: sslCert and sslKey go together",
    ]
    assert str(caught.value).startswith("Pulumi.prd.yaml: 17 faults\n")
    assert CANARY[:9] not in str(caught.value)
