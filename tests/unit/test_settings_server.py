"""Which server, under which passphrase and policy: what does not go together is told."""

from __future__ import annotations

import pytest

from golabs_infra.errors import ConfigError
from golabs_infra.settings import (
    read_settings,
)
from golabs_infra.stackfile import RawConfig

from ..support import raw_config
from .configurations import error_of, faults_of, on_host, only_fault, secret

# ---- the server


def test_a_missing_host_is_told() -> None:
    assert only_fault("dev", server=None, adminPassword=secret("x")) == (
        "host: neither host nor server is given | write golabs-infra:host: db.example.org below config"
        ": in Pulumi.dev.yaml; or: pulumi config set host db.example.org --stack dev"
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
        " | write golabs-infra:policy: keep below config: in Pulumi.sandbox.yaml; or: pulumi config set policy keep --stack sandbox (or disposable, or guarded)"
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
