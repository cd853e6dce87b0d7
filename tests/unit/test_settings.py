"""Settings: every key of the contract in both forms that it comes in, and its default."""

from __future__ import annotations

import json
from datetime import date

import pytest
import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from golabs_infra import config_keys
from golabs_infra.config_keys import KEYS, STRUCTURED_KEYS, AcceptedFinding, ServiceSettings
from golabs_infra.endpoint import Endpoint
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP

from ..support import make_settings
from .configurations import CONTRACT, STRONG, on_host, secret

# ---- what is accepted


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


# ---- the module's own promises


@pytest.mark.parametrize("kind", [ServiceSettings, AcceptedFinding, config_keys.ServerKeys])
def test_every_key_has_an_example_that_is_valid_itself(kind: type[BaseModel]) -> None:
    keys = [str(field.alias) for field in kind.model_fields.values()]
    examples = {key: yaml.load(config_keys.EXAMPLES[key], Loader=yaml.BaseLoader) for key in keys}  # noqa: S506
    assert kind.model_validate(examples).model_fields_set == set(kind.model_fields)
