"""Settings: every key of the contract in both forms that it comes in, and every fault, with its path and its mend."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import date

import pytest
import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from golabs_infra import config_keys
from golabs_infra.config_keys import KEYS, STRUCTURED_KEYS, AcceptedFinding, ServiceSettings
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ConfigError
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP
from golabs_infra.settings import (
    Settings,
    password_faults,
    read_settings,
)
from golabs_infra.stackfile import RawConfig

from ..support import make_settings, raw_config

CANARY = "c4n4ry-in-the-mine"
STRONG = "Zk3-vQ9_xW7.rT2mLp"


def secret(text: str) -> SecretStr:
    """An encrypted value."""
    return SecretStr(text)


def on_host(**values: object) -> dict[str, object]:
    """A configuration that names a server of its own."""
    return {"server": None, "host": "db.example.org", "adminPassword": secret(STRONG), **values}


def error_of(environment: str = "tst", /, **values: object) -> ConfigError:
    """The error that a configuration ends in."""
    with pytest.raises(ConfigError) as caught:
        make_settings(environment, **values)
    return caught.value


def faults_of(environment: str = "tst", /, **values: object) -> list[str]:
    """Every fault of a configuration, as `where: what | mend`, without the namespace of its key."""
    faults = error_of(environment, **values).faults
    return [f"{fault.where.removeprefix('golabs-infra:')}: {fault.what} | {fault.mend}" for fault in faults]


def only_fault(environment: str = "tst", /, **values: object) -> str:
    """The one fault of a configuration."""
    (fault,) = faults_of(environment, **values)
    return fault


# ---- what is accepted

CONTRACT = [
    *("server", "host", "port", "adminUser", "adminPassword", "adminDatabase"),
    *("sslMode", "sslRootCert", "sslCert", "sslKey", "policy", "services", "passwords", "logins", "accepted"),
]

SERVICES: list[object] = [
    "order",
    {
        "name": "catalog",
        "connectionLimit": 50,
        "statementTimeout": "30s",
        "idleInTransactionTimeout": "60s",
        "extensions": ["pg_trgm", "uuid-ossp", "pg_trgm"],
        "retired": True,
    },
]
PASSWORDS = {"catalog": {"migration": secret(f"m-{STRONG}"), "app": secret(f"a-{STRONG}")}}
ACCEPTED = [
    {"id": "F1", "object": "table t", "note": "known", "until": "2027-01-31"},
    {"id": "F2", "object": "", "note": ""},
]
LOGINS = {"catalog": {"app": ["user", "twin"]}}
IN_YAML: dict[str, object] = {
    "server": None,
    "host": "db.example.org",
    "port": 6432,
    "adminUser": "admin",
    "adminPassword": secret("admin's own"),
    "adminDatabase": "maintenance",
    "sslMode": "verify-full",
    "sslRootCert": "certs/ca.pem",
    "sslCert": "certs/admin.pem",
    "sslKey": "certs/admin.key",
    "policy": "guarded",
    "services": SERVICES,
    "passwords": PASSWORDS,
    "logins": LOGINS,
    "accepted": ACCEPTED,
}
OF_PULUMI: dict[str, object] = IN_YAML | {
    "port": "6432",
    "services": json.dumps(SERVICES).replace("50", '"50"').replace("true", '"true"'),
    "passwords": secret(json.dumps({"catalog": {"migration": f"m-{STRONG}", "app": f"a-{STRONG}"}})),
    "logins": json.dumps(LOGINS),
    "accepted": json.dumps(ACCEPTED).replace("2027-01-31", "2027-01-31 00:00:00 +0000 UTC"),
}


@pytest.mark.parametrize("values", [IN_YAML, OF_PULUMI], ids=["as YAML", "as Pulumi's strings"])
def test_every_key_of_the_contract_is_read(values: dict[str, object]) -> None:
    settings = make_settings("sandbox", **values)
    assert settings.endpoint == Endpoint(
        host="db.example.org",
        port=6432,
        admin_user="admin",
        admin_password=SecretStr("admin's own"),
        admin_database="maintenance",
        ssl_mode="verify-full",
        ssl_root_cert="certs/ca.pem",
        ssl_cert="certs/admin.pem",
        ssl_key="certs/admin.key",
    )
    assert settings.policy is GUARDED
    assert [service.model_dump() for service in settings.services] == [
        {
            "name": "catalog",
            "connection_limit": 50,
            "statement_timeout": 30_000,
            "idle_in_transaction_timeout": 60_000,
            "extensions": ("pg_trgm", "uuid-ossp"),
            "retired": True,
        },
        {
            "name": "order",
            "connection_limit": None,
            "statement_timeout": None,
            "idle_in_transaction_timeout": None,
            "extensions": (),
            "retired": False,
        },
    ]
    assert {user: password.get_secret_value() for user, password in settings.passwords.items()} == {
        "catalog_migration_sandbox_user": f"m-{STRONG}",
        "catalog_app_sandbox_user": f"a-{STRONG}",
    }
    assert [finding.model_dump() for finding in settings.accepted] == [
        {"id": "F1", "object": "table t", "note": "known", "until": date(2027, 1, 31)},
        {"id": "F2", "object": "", "note": "", "until": None},
    ]
    assert settings.warnings == ()
    assert (settings.environment, settings.source) == ("sandbox", "Pulumi.sandbox.yaml")


def test_the_keys_are_those_of_the_contract_and_no_others() -> None:
    assert list(KEYS) == CONTRACT
    assert {"services", "passwords", "logins", "accepted"} == STRUCTURED_KEYS
    assert list(IN_YAML) == CONTRACT


def test_the_smallest_configuration_has_the_defaults() -> None:
    settings = make_settings("dev", server=None, host="db", adminPassword=secret("x"), services=["billing"])
    assert settings.endpoint == Endpoint("db", 5432, "postgres", SecretStr("x"), "postgres", "require")
    assert settings.policy is KEEP
    assert (settings.services, settings.accepted) == ((ServiceSettings(name="billing"),), ())
    assert settings.passwords == {}


def test_the_embedded_server_needs_no_endpoint() -> None:
    settings = make_settings("tst")
    assert settings.endpoint is None
    assert settings.policy is DISPOSABLE


def test_names_of_database_and_users_follow_from_the_environment() -> None:
    settings = make_settings("tst", services=["order", "billing"])
    assert settings.database == "go-labs-tst"
    assert settings.user("billing", "app") == "billing_app_tst_user"
    assert settings.users == (
        "billing_migration_tst_user",
        "billing_app_tst_user",
        "order_migration_tst_user",
        "order_app_tst_user",
    )


def test_services_are_sorted_whatever_their_order_in_the_file() -> None:
    listed = make_settings("tst", services=["order", {"name": "billing"}, "catalog"]).services
    assert [service.name for service in listed] == ["billing", "catalog", "order"]


def test_no_services_at_all_can_be_said() -> None:
    assert make_settings("tst", services=[]).services == ()


@pytest.mark.parametrize(
    ("host", "mode"),
    [
        ("localhost", "disable"),
        ("127.0.0.1", "disable"),
        ("/run/postgresql", "disable"),
        ("db", "require"),
        ("10.0.0.1", "require"),
    ],
)
def test_without_ssl_mode_only_loopback_goes_without_tls(host: str, mode: str) -> None:
    endpoint = make_settings("dev", **on_host(host=host)).endpoint
    assert endpoint is not None
    assert endpoint.ssl_mode == mode


@pytest.mark.parametrize("mode", ["disable", "require", "verify-ca", "verify-full"])
def test_every_ssl_mode_that_all_clients_know_is_taken(mode: str) -> None:
    endpoint = make_settings(
        "dev", **on_host(sslMode=mode, sslRootCert="ca.pem" if "verify" in mode else None)
    ).endpoint
    assert endpoint is not None
    assert endpoint.ssl_mode == mode


@pytest.mark.parametrize("port", [1, "1", 65535, "65535", 5432.0])
def test_a_port_is_a_whole_number_or_such_a_string(port: object) -> None:
    endpoint = make_settings("dev", **on_host(port=port)).endpoint
    assert endpoint is not None
    assert endpoint.port == int(str(port).removesuffix(".0"))


@pytest.mark.parametrize(
    "host", ["db", "db.example.org", "10.0.0.1", "::1", "fe80::1", "/run/postgresql", "db_1", "db-a,db-b"]
)
def test_a_host_is_a_name_an_address_or_a_socket_folder(host: str) -> None:
    endpoint = make_settings("dev", **on_host(host=host)).endpoint
    assert endpoint is not None
    assert endpoint.host == host


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("1ms", 1),
        ("1500ms", 1500),
        ("30s", 30_000),
        ("30 s", 30_000),
        ("5min", 300_000),
        ("2h", 7_200_000),
        ("24d", 2_073_600_000),
        ("2147483647ms", 2_147_483_647),
    ],
)
def test_durations_have_postgresqls_units(text: str, milliseconds: int) -> None:
    (service,) = make_settings("tst", services=[{"name": "billing", "statementTimeout": text}]).services
    assert service.statement_timeout == milliseconds


@pytest.mark.parametrize(("value", "flag"), [(True, True), ("true", True), (False, False), ("false", False)])
def test_retired_is_true_or_false_or_such_a_string(value: object, flag: bool) -> None:
    (service,) = make_settings("tst", services=[{"name": "billing", "retired": value}]).services
    assert service.retired is flag


@pytest.mark.parametrize("key", ["connectionLimit", "statementTimeout", "idleInTransactionTimeout"])
def test_a_limit_of_null_is_no_limit(key: str) -> None:
    (service,) = make_settings("tst", services=[{"name": "billing", key: None}]).services
    assert service == ServiceSettings(name="billing")


@pytest.mark.parametrize("kind", ["migration", "app"])
def test_one_of_two_passwords_may_be_given(kind: str) -> None:
    settings = make_settings("tst", passwords={"billing": {kind: secret(STRONG)}})
    assert list(settings.passwords) == [f"billing_{kind}_tst_user"]


def test_settings_cant_be_changed() -> None:
    settings = make_settings("tst")
    for value, name in ((settings, "environment"), (settings.services[0], "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, name, "other")


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


# ---- the server


def test_a_missing_host_is_told() -> None:
    assert only_fault("dev", server=None, adminPassword=secret("x")) == (
        "host: neither host nor server is given | pulumi config set host db.example.org --stack dev"
    )


def test_a_missing_admin_password_is_told() -> None:
    assert only_fault("dev", server=None, host="db") == (
        "adminPassword: the admin's password is missing | golabs set-password dev --admin"
    )


def test_server_and_host_together_are_told() -> None:
    assert only_fault("dev", **on_host(server="embedded")) == (
        "server: both server and host are given | keep one: server: embedded, or host: <name>"
    )


def test_another_server_than_the_embedded_one_is_told() -> None:
    assert only_fault("tst", server="embeded") == "server: 'embeded' is none of 'embedded' | write server: embedded"


STRAY = ["port", "adminUser", "adminPassword", "adminDatabase", "sslMode", "sslRootCert", "sslCert", "sslKey"]


@pytest.mark.parametrize("key", [key for key in STRAY if key not in ("sslCert", "sslKey")])
def test_what_the_embedded_server_brings_itself_is_told(key: str) -> None:
    value = {"port": 5432, "adminPassword": secret("x"), "sslMode": "require"}.get(key, "x")
    assert only_fault("tst", **{key: value}) == (
        f"{key}: it does not go with server: embedded, which brings its own"
        " | remove it, or give a host instead of server"
    )


def test_everything_that_the_embedded_server_brings_itself_is_told_at_once() -> None:
    values = dict.fromkeys(STRAY, "x") | {"port": 5432, "adminPassword": secret("x"), "sslMode": "require"}
    assert [fault.split(":")[0] for fault in faults_of("tst", **values)] == sorted(STRAY)


@pytest.mark.parametrize("key", ["sslCert", "sslKey"])
def test_a_certificate_without_its_key_is_told(key: str) -> None:
    assert only_fault("dev", **on_host(**{key: "certs/file"})) == (
        "sslCert: sslCert and sslKey go together | give both or neither"
    )


# ---- the published passphrase


def under_published_passphrase(**values: object) -> RawConfig:
    """A configuration whose secrets anybody can read."""
    raw = raw_config("dev", **on_host(**values))
    return RawConfig(raw.environment, raw.values, raw.source, lambda: True)


@pytest.mark.parametrize("host", ["db.example.org", "10.0.0.1", "0.0.0.0", "localhost.example.org"])  # noqa: S104
def test_the_published_passphrase_goes_with_loopback_only(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(under_published_passphrase(host=host))
    assert str(caught.value) == (
        "Pulumi.dev.yaml: 1 fault\n"
        f"  - golabs-infra:host: '{host}' is not this machine, and the stack's secrets are under the published "
        "passphrase of tst\n"
        "      mend: pulumi stack change-secrets-provider passphrase --stack dev, with a passphrase of your own"
    )


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "/run/postgresql"])
def test_a_loopback_host_may_be_under_the_published_passphrase(host: str) -> None:
    endpoint = read_settings(under_published_passphrase(host=host)).endpoint
    assert endpoint is not None
    assert endpoint.host == host


@pytest.mark.parametrize("fault", [{"port": 0}, {"adminPassword": None}, {"zzz": 1}, {"adminPassword": ""}])
def test_another_fault_does_not_hide_the_published_passphrase(fault: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(under_published_passphrase(**fault))
    assert "published passphrase" in str(caught.value)
    assert len(caught.value.faults) >= 2


def test_whether_the_passphrase_is_published_is_not_worked_out_for_loopback() -> None:
    def never() -> bool:
        raise AssertionError("this takes 0.3 s for nothing")

    raw = raw_config("dev", **on_host(host="localhost"))
    assert read_settings(RawConfig(raw.environment, raw.values, raw.source, never)).endpoint is not None


# ---- policy and environment


@pytest.mark.parametrize("environment", ["qua", "prd"])
@pytest.mark.parametrize("declared", ["disposable", "keep"])
def test_a_guarded_environment_cant_be_declared_weaker(environment: str, declared: str) -> None:
    assert only_fault(environment, policy=declared) == (
        f"policy: {environment} is guarded and can't be declared '{declared}' | remove the key"
    )


def test_a_guarded_environment_declared_weaker_is_still_held_to_its_own_rules() -> None:
    faults = faults_of("prd", policy="keep", passwords={"billing": {"app": "plain"}})
    assert [fault.split(" | ")[0] for fault in faults] == [
        "passwords.billing.app: the password has 5 characters; the policy guarded asks for 16",
        "passwords.billing.app: the password stands in the file in plain text",
        "policy: prd is guarded and can't be declared 'keep'",
    ]


def test_a_stack_of_another_name_must_say_its_policy() -> None:
    assert only_fault("sandbox") == (
        "policy: the stack 'sandbox' says no policy; only tst, dev, qua, prd are known by name"
        " | pulumi config set policy keep --stack sandbox (or disposable, or guarded)"
    )


def test_an_unknown_policy_of_a_stack_of_another_name_is_told_once() -> None:
    assert only_fault("sandbox", policy="weak") == (
        "policy: 'weak' is none of 'disposable', 'keep' or 'guarded' | write policy: keep"
    )


def test_a_stack_whose_name_cant_be_a_part_of_names_is_told() -> None:
    error = error_of("My_Stack", policy="keep", passwords={"billing": {"app": secret("x")}})
    assert [(fault.where, fault.what) for fault in error.faults] == [
        ("the stack's name", "'My_Stack' can't name an environment: it becomes a part of database and user names")
    ]


# ---- services


def test_missing_services_are_told() -> None:
    assert only_fault("tst", services=None) == (
        "services: no services are given | add 'services:' with a line '- billing' below it"
    )


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("billing", "'billing'"),
        ("billing,order", "'billing,order'"),
        (5, "5"),
        ("5", "5"),
        ({"billing": {}}, "a mapping"),
        ('{"billing": {}}', "a mapping"),
        (True, "true"),
        ("[billing", "'[billing'"),
        ("[" * 100_000, f"'{'[' * 76}..."),
    ],
)
def test_services_that_are_no_list_are_told(value: object, seen: str) -> None:
    assert only_fault("tst", services=value) == (
        f"services: {seen} is not a list | write a list, such as services: [billing]"
    )


@pytest.mark.parametrize(("entry", "seen"), [(5, "5"), (None, "null"), (True, "true"), (["a"], "a list"), (1.5, "1.5")])
def test_an_entry_that_is_no_service_is_told_with_its_index(entry: object, seen: str) -> None:
    assert only_fault("tst", services=["billing", entry]) == (
        f"services[1]: {seen} is not a name or a mapping of keys | write [billing]"
    )


@pytest.mark.parametrize("name", ["Billing", "1st", "bill-ing", "", "bílling", "billing "])
@pytest.mark.parametrize("wrap", [str, lambda name: {"name": name}], ids=["plain", "mapping"])
def test_a_bad_service_name_is_told(name: str, wrap: Callable[[str], object]) -> None:
    assert only_fault("tst", services=["order", wrap(name)]) == (
        f"services[1]: {name!r} is not a service name"
        " | use lower-case letters, digits and underscores, starting with a letter, such as 'billing'"
    )


def test_a_bad_service_name_with_a_password_is_told_and_no_more() -> None:
    values = {"services": ["Billing"], "passwords": {"Billing": {"app": secret("x")}}}
    assert only_fault("prd", **values).startswith("services[0]: 'Billing' is not a service name | ")


@pytest.mark.parametrize("name", ["public", "information_schema", "extensions", "pg_stat"])
def test_a_reserved_schema_name_is_told(name: str) -> None:
    assert only_fault("tst", services=[name]) == (
        f"services[0]: '{name}' is a reserved name | choose another name for the service, such as 'service_{name}'"
    )


def test_a_user_name_over_63_bytes_is_told() -> None:
    assert make_settings("tst", services=["a" * 44]).users[0] == f"{'a' * 44}_migration_tst_user"
    assert only_fault("tst", services=["a" * 47]) == (
        f"services[0]: the user name '{'a' * 47}_migration_tst_user' has 66 bytes; PostgreSQL takes 63"
        " | shorten the service's name by 3 characters"
    )


def test_a_service_given_twice_is_told_with_both_places() -> None:
    assert faults_of("tst", services=["billing", "order", {"name": "billing"}, "billing"]) == [
        "services[2]: 'billing' is given twice, first as services[0] | keep one of the two",
        "services[3]: 'billing' is given twice, first as services[0] | keep one of the two",
    ]


SERVICE_KEYS = "connectionLimit, extensions, idleInTransactionTimeout, name, retired, statementTimeout"


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"connectionLimit": 0}, "connectionLimit: 0 is less than 1 | write connectionLimit: 50"),
        ({"connectionLimit": -1}, "connectionLimit: -1 is less than 1 | write connectionLimit: 50"),
        ({"connectionLimit": 300_000}, "connectionLimit: 300000 is more than 262143 | write connectionLimit: 50"),
        ({"connectionLimit": "many"}, "connectionLimit: 'many' is not a whole number | write connectionLimit: 50"),
        ({"extensions": "pg_trgm"}, "extensions: 'pg_trgm' is not a list | write extensions: [pg_trgm]"),
        ({"extensions": None}, "extensions: null is not a list | write extensions: [pg_trgm]"),
        (
            {"extensions": ["pg_trgm", "Bad Name"]},
            "extensions: a list holds 'Bad Name', which is no extension's name | write extensions: [pg_trgm]",
        ),
        (
            {"extensions": [{"name": "x"}]},
            "extensions: a list holds a mapping, which is no extension's name | write extensions: [pg_trgm]",
        ),
        (
            {"extensions": [5]},
            "extensions: a list holds 5, which is no extension's name | write extensions: [pg_trgm]",
        ),
        ({"retired": "yes"}, "retired: 'yes' is neither true nor false | write retired: true"),
        ({"retired": 1}, "retired: 1 is neither true nor false | write retired: true"),
        ({"retired": 0}, "retired: 0 is neither true nor false | write retired: true"),
        ({"retired": None}, "retired: null is neither true nor false | write retired: true"),
        (
            {"statementTimout": "30s"},
            f"statementTimout: unknown key; the nearest known one is 'statementTimeout' | use one of {SERVICE_KEYS}",
        ),
        (
            {"statement_timeout": "30s"},
            f"statement_timeout: unknown key; the nearest known one is 'statementTimeout' | use one of {SERVICE_KEYS}",
        ),
        ({"owner": "me"}, f"owner: unknown key | use one of {SERVICE_KEYS}"),
        ({5: "x"}, f"5: unknown key | use one of {SERVICE_KEYS}"),
    ],
)
def test_a_bad_option_of_a_service_is_told(keys: dict[str, object], fault: str) -> None:
    assert only_fault("tst", services=["order", {"name": "billing", **keys}]) == f"services[1].{fault}"


@pytest.mark.parametrize("key", ["statementTimeout", "idleInTransactionTimeout"])
@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (30, "30"),
        ("30", "'30'"),
        ("5m", "'5m'"),
        ("1.5h", "'1.5h'"),
        ("s", "'s'"),
        ("-5s", "'-5s'"),
        ("", "''"),
        ("30 seconds", "'30 seconds'"),
        ("9" * 5000 + "s", f"'{'9' * 76}..."),
    ],
)
def test_an_unreadable_duration_is_told_with_the_units(key: str, value: object, seen: str) -> None:
    assert only_fault("tst", services=[{"name": "billing", key: value}]) == (
        f"services[0].{key}: {seen} is not a duration: a whole number and one of ms, s, min, h, d"
        f" | write {key}: {'30s' if key == 'statementTimeout' else '60s'}"
    )


@pytest.mark.parametrize("value", ["0s", "0ms", "25d", "2147483648ms", "999999999999h"])
def test_a_duration_that_postgresql_cant_hold_is_told(value: str) -> None:
    assert only_fault("tst", services=[{"name": "billing", "statementTimeout": value}]) == (
        f"services[0].statementTimeout: '{value}' is not a duration between 1ms and 24d | write statementTimeout: 30s"
    )


@pytest.mark.parametrize("name", [5, None, True, ["billing"]])
def test_a_name_that_is_no_string_is_told(name: object) -> None:
    fault = only_fault("tst", services=[{"name": name}])
    assert fault.startswith("services[0].name: ")
    assert fault.endswith(" is not a string | write name: billing")


def test_a_service_without_a_name_is_told() -> None:
    assert faults_of("tst", services=[{"connectionLimit": 5}, {"billing": None}]) == [
        "services[0].name: is missing | write name: billing",
        f"services[1].billing: unknown key | use one of {SERVICE_KEYS}",
        "services[1].name: is missing | write name: billing",
    ]


# ---- passwords


def test_a_password_of_no_service_is_told_with_the_nearest() -> None:
    assert only_fault("tst", passwords={"biling": {"app": secret(STRONG)}}) == (
        "passwords.biling: there is no service 'biling'; the nearest known one is 'billing'"
        " | correct the name, or remove the entry"
    )


def test_a_password_of_a_service_with_a_fault_has_none_itself() -> None:
    values = {
        "services": [{"name": "billing", "connectionLimit": 0}],
        "passwords": {"billing": {"app": secret(STRONG)}},
    }
    assert only_fault("tst", **values) == "services[0].connectionLimit: 0 is less than 1 | write connectionLimit: 50"


def test_a_password_of_no_user_is_told_with_the_nearest() -> None:
    assert only_fault("tst", passwords={"billing": {"migrations": secret(STRONG)}}) == (
        "passwords.billing.migrations: a service has no user 'migrations'; the nearest known one is 'migration'"
        " | name migration or app"
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
    faults, warnings = password_faults(given, "dev", KEEP, existing=())
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


def test_an_adopted_users_bad_password_is_a_warning() -> None:
    given = {"billing_app_prd_user": secret("a b"), "order_app_prd_user": secret("c d")}
    faults, warnings = password_faults(given, "prd", GUARDED, existing=["billing_app_prd_user"])
    assert {fault.where for fault in faults} == {"golabs-infra:passwords.order.app"}
    assert warnings == [
        "golabs-infra:passwords.billing.app: the password has characters other than letters, digits and _ . - (or "
        "starts with one of these three); it is kept, as billing_app_prd_user exists already",
        "golabs-infra:passwords.billing.app: the password has 3 characters; the policy guarded asks for 16; it is "
        "kept, as billing_app_prd_user exists already",
    ]


# ---- accepted findings


ACCEPTED_KEYS = "id, note, object, until"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("F1", "[0]: 'F1' is not a mapping of keys | write [{id: ..., object: ..., note: ...}]"),
        ({"object": "o", "note": "n"}, "[0].id: is missing | write id: the id that golabs verify prints"),
        ({"id": "i", "note": "n"}, "[0].object: is missing | write object: the object that golabs verify prints"),
        ({"id": "i", "object": "o"}, "[0].note: is missing | write note: why it is accepted"),
        (
            {"id": "i", "object": "o", "note": "n", "untill": "x"},
            f"[0].untill: unknown key; the nearest known one is 'until' | use one of {ACCEPTED_KEYS}",
        ),
        (
            {"id": 5, "object": "o", "note": "n"},
            "[0].id: 5 is not a string | write id: the id that golabs verify prints",
        ),
    ],
)
def test_a_bad_entry_of_accepted_findings_is_told(entry: object, fault: str) -> None:
    assert only_fault("tst", accepted=[entry]) == f"accepted{fault}"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("tomorrow", "'tomorrow'"),
        ("2027-02-30", "'2027-02-30'"),
        ("31.01.2027", "'31.01.2027'"),
        ("2027-1-31", "'2027-1-31'"),
        ("20270131", "'20270131'"),
        ("86400", "'86400'"),
        ("2027-01-31T10:00:00Z", "'2027-01-31T10:00:00Z'"),
        ("2027-01-31 10:00:00 +0000 UTC", "'2027-01-31 10:00:00 +0000 UTC'"),
        ("", "''"),
        (20270131, "20270131"),
        (True, "true"),
    ],
)
def test_what_is_no_date_is_told(value: object, seen: str) -> None:
    entry = {"id": "i", "object": "o", "note": "n", "until": value}
    assert only_fault("tst", accepted=[entry]) == f"accepted[0].until: {seen} is not a date | write until: 2027-01-31"


@pytest.mark.parametrize("value", ["x", 5, {"id": "i"}, True])
def test_accepted_findings_that_are_no_list_are_told(value: object) -> None:
    fault = only_fault("tst", accepted=value)
    assert fault.startswith("accepted: ")
    assert fault.endswith(" is not a list | write a list, such as accepted: [{id: ..., object: ..., note: ...}]")


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
    return [*map(str, password_faults(*every, existing=())[0]), *password_faults(*every, existing=settings.users)[1]]


def test_the_canary_would_be_found() -> None:
    assert CANARY in str(error_of("tst", services=[CANARY]))


# ---- the module's own promises


@pytest.mark.parametrize("kind", [ServiceSettings, AcceptedFinding, config_keys.ServerKeys])
def test_every_key_has_an_example_that_is_valid_itself(kind: type[BaseModel]) -> None:
    keys = [str(field.alias) for field in kind.model_fields.values()]
    examples = {key: yaml.load(config_keys.EXAMPLES[key], Loader=yaml.BaseLoader) for key in keys}  # noqa: S506
    assert kind.model_validate(examples).model_fields_set == set(kind.model_fields)
