"""The provider: always the stack's own one, and what it is told of the server."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydantic import SecretStr

from .conftest import Bench
from .fake_engine import PROVIDER
from .samples import ADMIN_PASSWORD, ENDPOINT, ENVIRONMENTS, GUARDED, a_cluster

TRIGRAMS = ["billing", {"name": "catalog", "extensions": ["pg_trgm"]}]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_resource_of_postgresql_names_the_one_explicit_provider(bench: Bench, environment: str) -> None:
    run = bench.declared(environment, services=TRIGRAMS)
    (provider,) = run.of(PROVIDER).values()
    named = {resource.provider for resource in run if resource.type.startswith("postgresql:")}
    assert named == {f"{provider.urn}::go-labs-{environment}-id"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_provider_is_told_the_server_and_its_admin(bench: Bench, environment: str) -> None:
    assert bench.declared(environment).one(PROVIDER, f"go-labs-{environment}").inputs == {
        "host": "db.example.org",
        "port": "6432",
        "username": "provisioner",
        "password": ADMIN_PASSWORD,
        "database": "postgres",
        "sslmode": "verify-full",
        "sslrootcert": "/certs/ca.pem",
        "superuser": "true",
        "connectTimeout": "15",
        "maxConnections": "8",
    }


def test_the_provider_has_connections_enough_for_what_it_does_at_once(bench: Bench) -> None:
    assert json.loads(bench.declared().one(PROVIDER, "go-labs-tst").inputs["maxConnections"]) >= 4


@pytest.mark.parametrize("superuser", [True, False])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_whether_the_admin_is_a_superuser_is_the_servers_answer(
    bench: Bench, environment: str, superuser: bool
) -> None:
    run = bench.declare(environment, cluster=a_cluster(superuser=superuser), services=[])
    assert run.one(PROVIDER, f"go-labs-{environment}").inputs["superuser"] == json.dumps(superuser)


def test_the_admin_database_and_the_ssl_mode_are_the_endpoints(bench: Bench) -> None:
    endpoint = replace(ENDPOINT, admin_database="defaultdb", ssl_mode="disable", ssl_root_cert=None)
    given = bench.declare(endpoint=endpoint, services=[]).one(PROVIDER, "go-labs-tst").inputs
    assert (given["database"], given["sslmode"], "sslrootcert" in given) == ("defaultdb", "disable", False)


def test_a_client_certificate_is_handed_on(bench: Bench) -> None:
    endpoint = replace(ENDPOINT, ssl_cert="/certs/admin.pem", ssl_key="/certs/admin.key")
    given = bench.declare(endpoint=endpoint, services=[]).one(PROVIDER, "go-labs-tst").inputs
    assert json.loads(given["clientcert"]) == {"cert": "/certs/admin.pem", "key": "/certs/admin.key"}


def test_an_admin_that_logs_in_by_certificate_alone_has_no_password_there(bench: Bench) -> None:
    endpoint = replace(ENDPOINT, admin_password=SecretStr(""), ssl_cert="/certs/admin.pem", ssl_key="/certs/admin.key")
    given = bench.declare(endpoint=endpoint, services=[]).one(PROVIDER, "go-labs-tst").inputs
    assert "password" not in given
    assert json.loads(given["clientcert"])["cert"] == "/certs/admin.pem"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_another_host_is_a_replacement_that_protection_refuses_in_guarded_stacks_only(
    bench: Bench, environment: str
) -> None:
    provider = bench.declared(environment).one(PROVIDER, f"go-labs-{environment}")
    guarded = environment in GUARDED
    assert provider.protect is guarded
    assert provider.replace_on_changes == (("host", "port") if guarded else ())


def test_the_providers_password_stays_secret_in_its_outputs(bench: Bench) -> None:
    provider = bench.declared().one(PROVIDER, "go-labs-tst")
    assert provider.secret_inputs == {"password"}
    assert "password" in provider.additional_secret_outputs
