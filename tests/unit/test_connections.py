"""Connection records: the contract's shape, and URLs that every client reads back."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from golabs_infra.connections import (
    build_records,
    candidates,
    jdbc_url,
    keeping,
    libpq_url,
    render_yaml,
)

from .catalogs import make_desired
from .connection_records import APP, MIGRATION, ODD, PASSWORD, endpoint, records_of

# ---- the record


def test_a_record_has_exactly_the_shape_of_the_contract() -> None:
    desired = make_desired("tst", services=["billing"])
    (record,) = build_records(desired, endpoint(port=6432), {MIGRATION: "m1", APP: "a1"})
    assert record == {
        "environment": "tst",
        "service": "billing",
        "database": "go-labs-tst",
        "host": "db.example.org",
        "port": 6432,
        "sslmode": "require",
        "schema": "billing",
        "users": {
            "migration": {
                "username": MIGRATION,
                "password": "m1",
                "url": f"postgresql://{MIGRATION}:m1@db.example.org:6432/go-labs-tst?sslmode=require",
                "jdbcUrl": "jdbc:postgresql://db.example.org:6432/go-labs-tst"
                f"?user={MIGRATION}&password=m1&sslmode=require",
            },
            "app": {
                "username": APP,
                "password": "a1",
                "url": f"postgresql://{APP}:a1@db.example.org:6432/go-labs-tst?sslmode=require",
                "jdbcUrl": f"jdbc:postgresql://db.example.org:6432/go-labs-tst?user={APP}&password=a1&sslmode=require",
            },
        },
    }
    assert list(record) == ["environment", "service", "database", "host", "port", "sslmode", "schema", "users"]
    assert list(record["users"]) == ["migration", "app"]
    assert list(record["users"]["app"]) == ["username", "password", "url", "jdbcUrl"]


def test_there_is_one_record_a_service_in_order() -> None:
    assert [record["service"] for record in records_of("order", "billing", "catalog")] == [
        "billing",
        "catalog",
        "order",
    ]


def test_the_root_certificate_is_in_a_record_and_its_file_where_it_is_configured() -> None:
    desired = make_desired("tst", services=["billing"])
    server = endpoint(ssl_mode="verify-full", ssl_root_cert="/certs/ca.pem", ssl_cert="/certs/admin.pem")
    (record,) = build_records(desired, server, {MIGRATION: "m1", APP: "a1"})
    assert record["sslrootcert"] == "/certs/ca.pem"
    assert render_yaml(record).splitlines()[6:9] == [
        "sslmode: verify-full",
        "sslrootcert: /certs/ca.pem",
        "schema: billing",
    ]
    assert "admin.pem" not in render_yaml(record)  # the admin's own certificate is nobody else's business


def test_what_else_is_known_of_a_users_logins_is_kept_beside_them_and_nothing_of_other_users() -> None:
    twin = APP.replace("_user", "_twin")
    known = {
        APP: [SecretStr(PASSWORD), SecretStr("newer")],
        twin: [SecretStr("its own")],
        "order_app_tst_user": [SecretStr("another's")],
        "somebody": [SecretStr("nobody's")],
    }
    (record,) = keeping(records_of("billing"), known)
    assert candidates([record]) == {
        MIGRATION: (SecretStr(PASSWORD),),
        APP: (SecretStr(PASSWORD), SecretStr("newer")),
        twin: (SecretStr("its own"),),
    }
    assert record["users"]["app"]["username"] == APP
    assert keeping([record], known) == [record]


def test_a_record_holds_nothing_of_the_admin() -> None:
    assert "admin's" not in repr(records_of("billing"))


# ---- URLs


@pytest.mark.parametrize("password", ["secret", *ODD])
def test_libpq_reads_a_url_back_to_what_it_was_made_of(password: str) -> None:
    url = libpq_url(endpoint(ssl_root_cert="/certs/my ca&1.pem"), "go-labs-tst", APP, password)
    assert conninfo_to_dict(url) == {
        "host": "db.example.org",
        "port": "5432",
        "dbname": "go-labs-tst",
        "user": APP,
        "password": password,
        "sslmode": "require",
        "sslrootcert": "/certs/my ca&1.pem",
    }
    assert url.isascii()
    assert url == "".join(url.split())


@pytest.mark.parametrize("password", ["secret", *ODD])
def test_any_reader_of_urls_reads_a_libpq_url_back(password: str) -> None:
    parts = urlsplit(libpq_url(endpoint(), "go-labs-tst", APP, password))
    assert (parts.scheme, parts.hostname, parts.port, parts.path) == (
        "postgresql",
        "db.example.org",
        5432,
        "/go-labs-tst",
    )
    assert unquote(parts.username or "") == APP
    assert unquote(parts.password or "") == password


@pytest.mark.parametrize("password", ["secret", *ODD])
def test_a_jdbc_url_is_read_back_to_what_it_was_made_of(password: str) -> None:
    url = jdbc_url(endpoint(ssl_root_cert="/certs/my ca.pem"), "go-labs-tst", APP, password)
    assert url.startswith("jdbc:postgresql://db.example.org:5432/go-labs-tst?")
    # The driver decodes as forms are decoded, so that a plus would be a space.
    assert parse_qs(urlsplit(url.removeprefix("jdbc:")).query, strict_parsing=True) == {
        "user": [APP],
        "password": [password],
        "sslmode": ["require"],
        "sslrootcert": ["/certs/my ca.pem"],
    }
    assert url.isascii()


@pytest.mark.parametrize(
    ("host", "in_url"),
    [
        ("::1", "[::1]"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_an_ipv6_address_stands_in_brackets(host: str, in_url: str) -> None:
    url = libpq_url(endpoint(host), "go-labs-tst", APP, "x")
    assert f"@{in_url}:5432/" in url
    assert conninfo_to_dict(url)["host"] == host
    assert jdbc_url(endpoint(host), "go-labs-tst", APP, "x").startswith(f"jdbc:postgresql://{in_url}:5432/")


def test_the_zone_of_an_address_is_encoded_for_libpq_which_decodes_it_and_not_for_the_driver_which_does_not() -> None:
    server = endpoint("fe80::1%eth0")
    url = libpq_url(server, "go-labs-tst", APP, "x")
    assert "@[fe80::1%25eth0]:5432/" in url
    assert conninfo_to_dict(url)["host"] == "fe80::1%eth0"
    assert jdbc_url(server, "go-labs-tst", APP, "x").startswith("jdbc:postgresql://[fe80::1%eth0]:5432/")


@pytest.mark.parametrize("folder", ["/run/postgresql", "/srv/a:b/sockets"])
def test_a_socket_folder_is_a_host_to_libpq(folder: str) -> None:
    url = libpq_url(endpoint(folder, ssl_mode="disable"), "go-labs-tst", APP, "x")
    assert conninfo_to_dict(url)["host"] == folder


def test_the_driver_is_told_how_to_reach_a_socket_and_asks_for_no_tls_there() -> None:
    url = jdbc_url(endpoint("/run/postgresql/", port=6432), "go-labs-tst", APP, "x")
    assert url.startswith("jdbc:postgresql://localhost:6432/go-labs-tst?")
    assert parse_qs(urlsplit(url.removeprefix("jdbc:")).query) == {
        "user": [APP],
        "password": ["x"],
        "sslmode": ["disable"],
        "socketFactory": ["org.newsclub.net.unix.AFUNIXSocketFactory$FactoryArg"],
        "socketFactoryArg": ["/run/postgresql/.s.PGSQL.6432"],
    }


@pytest.mark.parametrize("ssl_mode", ["disable", "require", "verify-ca", "verify-full"])
def test_the_ssl_mode_is_in_both_urls(ssl_mode: str) -> None:
    server = endpoint(ssl_mode=ssl_mode)
    assert conninfo_to_dict(libpq_url(server, "d", APP, "x"))["sslmode"] == ssl_mode
    assert jdbc_url(server, "d", APP, "x").endswith(f"&sslmode={ssl_mode}")
