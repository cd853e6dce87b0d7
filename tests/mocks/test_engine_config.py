"""How the program reads its configuration from the engine: text, JSON text, and the names of secret keys."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from golabs_infra.program import read_engine_config
from golabs_infra.project import Project
from golabs_infra.settings import read_settings
from golabs_infra.stackfile import RawConfig

from .fake_engine import FakeEngine
from .samples import CONFIGURED_PASSWORD, KEPT_PASSWORD


def read(engine: FakeEngine, environment: str = "dev") -> RawConfig:
    """The configuration as a program on this engine reads it."""
    found: list[RawConfig] = []
    engine.run(lambda: found.append(read_engine_config(environment, engine.project)), environment)
    return found[0]


def given(engine: FakeEngine, *secret_keys: str, **values: object) -> RawConfig:
    """The same after these keys were configured; what is no text is handed over as JSON."""
    engine.config = {
        f"golabs-infra:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in values.items()
    }
    engine.secret_keys = tuple(f"golabs-infra:{key}" for key in secret_keys)
    return read(engine)


def test_lists_and_mappings_arrive_as_json_text(engine: FakeEngine) -> None:
    services = ["billing", {"name": "catalog", "connectionLimit": 5, "retired": True}]
    assert given(engine, services=services).values == {"services": services}


def test_scalars_stay_the_text_that_they_are(engine: FakeEngine) -> None:
    raw = given(engine, host="10.0.0.1", port="5432", adminUser="1", server="null")
    assert raw.values == {"host": "10.0.0.1", "port": "5432", "adminUser": "1", "server": "null"}


def test_text_that_is_no_json_is_handed_on_for_the_settings_to_refuse(engine: FakeEngine) -> None:
    assert given(engine, services="[billing").values == {"services": "[billing"}


def test_keys_of_other_namespaces_are_not_ours(engine: FakeEngine) -> None:
    engine.config = {"postgresql:host": "a", "golabs-infra-two:host": "b", "golabs-infra:host": "c"}
    engine.secret_keys = ("postgresql:host",)
    assert read(engine).values == {"host": "c"}


def test_a_secret_key_holds_a_secret(engine: FakeEngine) -> None:
    raw = given(engine, "adminPassword", adminPassword=CONFIGURED_PASSWORD, adminUser="provisioner")
    assert raw.values == {"adminPassword": SecretStr(CONFIGURED_PASSWORD), "adminUser": "provisioner"}
    assert CONFIGURED_PASSWORD not in repr(raw)


def test_a_key_that_is_not_marked_secret_shows_that_it_stands_there_in_plain_text(engine: FakeEngine) -> None:
    assert given(engine, adminPassword="in plain text").values == {"adminPassword": "in plain text"}


def test_every_text_below_a_secret_key_is_a_secret(engine: FakeEngine) -> None:
    passwords = {"billing": {"migration": CONFIGURED_PASSWORD, "app": KEPT_PASSWORD}}
    raw = given(engine, "passwords", passwords=passwords)
    assert raw.values == {
        "passwords": {"billing": {"migration": SecretStr(CONFIGURED_PASSWORD), "app": SecretStr(KEPT_PASSWORD)}}
    }


def test_the_stacks_file_tells_which_of_them_stand_there_in_plain_text(engine: FakeEngine, project: Project) -> None:
    project.stack_file("dev").write_text(
        "config:\n  golabs-infra:passwords:\n    billing:\n      migration: {secure: v1:x:y}\n      app: in-plain-text\n",
        encoding="utf-8",
    )
    passwords = {"billing": {"migration": CONFIGURED_PASSWORD, "app": "in-plain-text"}}
    assert given(engine, "passwords", passwords=passwords).values == {
        "passwords": {"billing": {"migration": SecretStr(CONFIGURED_PASSWORD), "app": "in-plain-text"}}
    }


def test_a_stack_without_a_file_is_read_from_the_engine_alone(engine: FakeEngine, project: Project) -> None:
    assert not project.stack_file("dev").exists()
    raw = given(engine, services=["billing"])
    assert (raw.environment, raw.source) == ("dev", "Pulumi.dev.yaml")


def test_a_file_that_can_not_be_read_does_not_stop_what_the_engine_has_read(
    engine: FakeEngine, project: Project
) -> None:
    project.stack_file("dev").write_text("config: [", encoding="utf-8")
    assert given(engine, services=["billing"]).values == {"services": ["billing"]}


def test_the_engines_environment_variables_serve_where_it_sets_nothing_else(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"golabs-infra:adminPassword": CONFIGURED_PASSWORD, "golabs-infra:services": '["billing"]'}
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(config))
    monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", '["golabs-infra:adminPassword"]')
    assert read(engine).values == {"adminPassword": SecretStr(CONFIGURED_PASSWORD), "services": ["billing"]}


def test_every_key_of_the_contract_is_read_as_the_engine_writes_it(engine: FakeEngine) -> None:
    values: dict[str, Any] = {
        "host": "db.example.org",
        "port": "6432",
        "adminUser": "provisioner",
        "adminPassword": CONFIGURED_PASSWORD,
        "adminDatabase": "defaultdb",
        "sslMode": "verify-full",
        "sslRootCert": "certs/ca.pem",
        "policy": "keep",
        "services": [
            "billing",
            {
                "name": "catalog",
                "connectionLimit": 50,
                "statementTimeout": "30s",
                "idleInTransactionTimeout": "60s",
                "extensions": ["pg_trgm"],
                "retired": True,
            },
        ],
        "passwords": {"billing": {"migration": KEPT_PASSWORD}},
        "accepted": [{"id": "x", "object": "y", "note": "z", "until": "2027-01-31"}],
    }
    settings = read_settings(given(engine, "adminPassword", "passwords", **values))
    assert settings.endpoint is not None
    assert (settings.endpoint.address, settings.endpoint.admin_database) == ("db.example.org:6432", "defaultdb")
    assert [service.name for service in settings.services] == ["billing", "catalog"]
    assert settings.services[1].statement_timeout == 30_000
    assert settings.services[1].retired
    assert settings.passwords == {"billing_migration_dev_user": SecretStr(KEPT_PASSWORD)}
    assert len(settings.accepted) == 1
    assert settings.warnings == ()
