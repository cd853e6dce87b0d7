"""Endpoints: how they are shown, and which hosts can only be this machine."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.endpoint import Endpoint, is_loopback


def endpoint(host: str) -> Endpoint:
    """An endpoint on a host."""
    return Endpoint(host, 5432, "postgres", SecretStr("hidden"), "postgres", "require")


@pytest.mark.parametrize(
    ("host", "address"),
    [("db.example.org", "db.example.org:5432"), ("10.0.0.1", "10.0.0.1:5432"), ("::1", "[::1]:5432")],
)
def test_an_address_is_host_and_port_with_brackets_around_ipv6(host: str, address: str) -> None:
    assert endpoint(host).address == address


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.1.2.3", "::1", "0:0:0:0:0:0:0:1", "/var/run/postgresql"],
)
def test_loopback_hosts_can_only_be_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "db.example.org",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "10.0.0.1",
        "0.0.0.0",  # noqa: S104  (a host to judge, not one to bind)
        "::",
        "128.0.0.1",
        "localhost,db.example.org",
        "127.0.0.1,10.0.0.1",
        "",
        " localhost",
    ],
)
def test_any_other_host_may_be_another_machine(host: str) -> None:
    assert not is_loopback(host)
