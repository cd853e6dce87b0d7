"""Forms of connection files as text: what is in each, and that a value which one can't hold is refused in one message."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from golabs_infra.connections import Record, build_records
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import GolabsError
from golabs_infra.formats import files_of, forms_among, render
from golabs_infra.formats_login import ExportFormat

from .catalogs import make_desired
from .connection_records import endpoint

SCHEMA = jsonschema.Draft202012Validator(
    json.loads(Path(__file__).with_name("secret-v1.schema.json").read_text(encoding="utf-8"))
)
OTHERS = [form for form in ExportFormat if form is not ExportFormat.YAML]
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
PASSWORD = "pencil"
APP = "billing_app_tst_user"


def records_of(*services: str, password: str = PASSWORD, server: Endpoint | None = None) -> list[Record]:
    """Records of services in tst, every user with this password."""
    desired = make_desired("tst", services=list(services))
    return build_records(desired, server or endpoint(), {role.name: password for role in desired.roles})


def files(form: ExportFormat, *services: str, password: str = PASSWORD, **server: Any) -> dict[str, str]:
    """The files of a form, for billing unless said otherwise."""
    given = replace(endpoint(), **server)
    records = records_of(*(services or ["billing"]), password=password, server=given)
    return render(form, records, {"/certs/ca.pem": CERTIFICATE})


def data(document: dict[str, Any]) -> dict[str, str]:
    """What a Secret holds."""
    return {name: base64.b64decode(value, validate=True).decode() for name, value in document["data"].items()}


# ---- the texts


def test_an_environment_file_has_the_variables_of_libpq_and_a_url() -> None:
    assert files(ExportFormat.DOTENV, port=6432)["billing-app.env"] == (
        "# Written by golabs; holds passwords. Made again by: golabs export tst --format dotenv\n"
        "PGHOST=db.example.org\nPGPORT=6432\nPGDATABASE=go-labs-tst\n"
        f"PGUSER={APP}\nPGPASSWORD=pencil\nPGSSLMODE=require\n"
        f"DATABASE_URL=postgresql://{APP}:pencil@db.example.org:6432/go-labs-tst?sslmode=require\n"
    )


def test_the_password_file_has_a_line_for_each_user() -> None:
    assert files(ExportFormat.PGPASS, "billing", "order")["pgpass"].splitlines()[1:] == [
        f"db.example.org:5432:go-labs-tst:{service}_{kind}_tst_user:pencil"
        for service in ("billing", "order")
        for kind in ("migration", "app")
    ]


def test_colons_and_backslashes_are_escaped_in_the_password_file() -> None:
    line = files(ExportFormat.PGPASS, password=r"a:b\c", host="::1")["pgpass"].splitlines()[2]
    assert line == rf"\:\:1:5432:go-labs-tst:{APP}:a\:b\\c"


@pytest.mark.parametrize("folder", ["/tmp", "/run/postgresql", "/var/run/postgresql"])  # noqa: S108  (names only)
def test_a_default_socket_folder_is_localhost_too_in_the_password_file(folder: str) -> None:
    lines = files(ExportFormat.PGPASS, host=folder)["pgpass"].splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == [folder, "localhost"] * 2


def test_another_socket_folder_is_itself_alone_in_the_password_file() -> None:
    lines = files(ExportFormat.PGPASS, host="/srv/sockets")["pgpass"].splitlines()[1:]
    assert [line.split(":")[0] for line in lines] == ["/srv/sockets"] * 2


def test_the_service_file_has_a_section_for_each_user() -> None:
    text = files(ExportFormat.PGSERVICE, ssl_mode="verify-full", ssl_root_cert="/certs/ca.pem")["pg_service.conf"]
    assert text.split("\n\n")[2] == (
        f"[billing-app-tst]\nhost=db.example.org\nport=5432\ndbname=go-labs-tst\nuser={APP}\npassword=pencil\n"
        "sslmode=verify-full\nsslrootcert=/certs/ca.pem\n"
    )


def test_the_properties_have_the_names_of_the_driver_and_those_of_spring() -> None:
    text = files(ExportFormat.JDBC, password="pä🔑 w\\ ", host="::1")["billing-app.properties"]
    url = "jdbc:postgresql://[::1]:5432/go-labs-tst?sslmode=require"
    password = r"p\u00e4\ud83d\udd11 w\\\u0020"
    assert text.splitlines()[1:] == [
        *(f"url={url}", f"user={APP}", f"password={password}"),
        *(
            f"spring.datasource.url={url}",
            f"spring.datasource.username={APP}",
            f"spring.datasource.password={password}",
        ),
    ]
    assert text.isascii()


def test_the_properties_say_what_a_socket_needs() -> None:
    text = files(ExportFormat.JDBC, host="/srv/sockets")["billing-app.properties"]
    assert "junixsocket-core" in text
    assert "socketFactoryArg=%2Fsrv%2Fsockets%2F.s.PGSQL.5432" in text


@pytest.mark.parametrize("service", ["billing", "a", "a_b", "a__", "x" * 36])
@pytest.mark.parametrize("given", [{}, {"ssl_mode": "verify-full", "ssl_root_cert": "/certs/ca.pem"}, {"host": "::1"}])
def test_secrets_are_as_kubernetes_takes_them(service: str, given: dict[str, str]) -> None:
    (text,) = files(ExportFormat.K8S, service, **given).values()
    documents = list(yaml.safe_load_all(text))
    assert len(documents) == 2
    for document in documents:
        SCHEMA.validate(document)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", document["metadata"]["name"])
        for label in document["metadata"]["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", label)
        assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in document["data"])


def test_the_schema_tells_a_secret_from_what_is_none() -> None:
    SCHEMA.check_schema(SCHEMA.schema)
    for wrong in ({"kind": "Secret", "surplus": 1}, {"kind": "ConfigMap"}, {"kind": "Secret", "data": {"a": 1}}):
        with pytest.raises(jsonschema.ValidationError):
            SCHEMA.validate({"apiVersion": "v1", **wrong})


def test_a_secret_has_the_root_certificate_and_no_path_of_it() -> None:
    (text,) = files(ExportFormat.K8S, ssl_mode="verify-full", ssl_root_cert="/certs/ca.pem").values()
    _, app = (data(document) for document in yaml.safe_load_all(text))
    assert app == {
        "type": "postgresql",
        "provider": "golabs-infra",
        "host": "db.example.org",
        "port": "5432",
        "database": "go-labs-tst",
        "dbname": "go-labs-tst",
        "schema": "billing",
        "username": APP,
        "user": APP,
        "password": PASSWORD,
        "sslmode": "verify-full",
        "uri": f"postgresql://{APP}:pencil@db.example.org:5432/go-labs-tst?sslmode=verify-full",
        "jdbc-uri": f"jdbc:postgresql://db.example.org:5432/go-labs-tst?user={APP}&password=pencil&sslmode=verify-full",
        "ca.crt": CERTIFICATE,
    }


def test_no_pod_has_a_socket_folder() -> None:
    with pytest.raises(GolabsError, match="/srv/sockets is a socket folder, which no pod has"):
        files(ExportFormat.K8S, host="/srv/sockets")


@pytest.mark.parametrize("form", [ExportFormat.DOTENV, ExportFormat.PGSERVICE, ExportFormat.JDBC])
def test_ssl_mode_and_root_certificate_are_in_every_form_that_has_room_for_them(form: ExportFormat) -> None:
    for text in files(form, ssl_mode="verify-ca", ssl_root_cert="/certs/ca.pem").values():
        assert "verify-ca" in text
        assert "certs/ca.pem" in text.replace("%2F", "/")


@pytest.mark.parametrize("form", OTHERS)
def test_the_login_is_the_one_of_the_record_and_older_ones_are_left_out(form: ExportFormat) -> None:
    (record,) = records_of("billing")
    user = record["users"]["app"]
    twin = {**user, "username": "billing_app_tst_twin", "others": [{"username": APP, "password": "older-one"}]}
    text = "".join(render(form, [{**record, "users": {**record["users"], "app": twin}}], {}).values())
    if form is ExportFormat.K8S:
        text = "".join(value for document in yaml.safe_load_all(text) for value in data(document).values())
    assert "billing_app_tst_twin" in text
    # A password file is looked up by a login's name, so that a name which is still good must be found there.
    assert ("older-one" in text) is (form is ExportFormat.PGPASS)


def test_of_two_passwords_of_one_login_a_password_file_has_that_of_the_connection_file() -> None:
    (record,) = records_of("billing")
    user = record["users"]["app"]
    killed = {**user, "others": [{"username": user["username"], "password": "about-to-be"}]}
    text = "".join(render(ExportFormat.PGPASS, [{**record, "users": {**record["users"], "app": killed}}], {}).values())
    assert "about-to-be" not in text
    assert text.count(f":{user['username']}:") == 1


# ---- what a form can't hold

REFUSED = [
    *((ExportFormat.DOTENV, password) for password in ("it's $5", "`'", "a\rb", "${HOME}", "\\\\$", "$\\")),
    *((ExportFormat.PGPASS, password) for password in ("a\nb", "a\r")),
    *((ExportFormat.PGSERVICE, password) for password in ("a\nb", "a ", "a\t", "a\u00e0", "x" * 1013)),
    (ExportFormat.JDBC, "${HOME}"),
]


@pytest.mark.parametrize(("form", "password"), REFUSED)
def test_a_password_that_a_form_cannot_hold_is_refused_with_the_user_the_form_and_the_mend(
    form: ExportFormat, password: str
) -> None:
    with pytest.raises(GolabsError) as caught:
        files(form, password=password)
    assert caught.value.where == f"--format {form}"
    assert caught.value.what.startswith("the password of billing_migration_tst_user ")
    assert caught.value.mend.startswith("golabs rotate tst billing --user migration")
    assert password not in caught.value.what.replace("${", "") or len(password) < 3


def test_a_service_file_holds_a_password_up_to_the_length_of_its_lines() -> None:
    assert "x" * 1012 in files(ExportFormat.PGSERVICE, password="x" * 1012)["pg_service.conf"]


def test_a_path_that_a_form_cannot_hold_is_refused_with_the_key_to_mend() -> None:
    for form, path in ((ExportFormat.PGSERVICE, "/certs/ca "), (ExportFormat.DOTENV, "/certs/it's $5")):
        with pytest.raises(GolabsError, match=r"sslRootCert, /certs/.* nothing was written in this form") as caught:
            files(form, ssl_root_cert=path)
        assert "golabs-infra:sslRootCert" in caught.value.mend


# ---- names of files


@pytest.mark.parametrize("form", OTHERS)
def test_the_files_of_a_form_are_known_by_their_names_and_those_of_others_are_not(form: ExportFormat) -> None:
    names = files(form, "billing", "a_b")
    found = files_of(
        form, [*names, "notes.txt", "billing.env", "billing-connections.yaml", "billing.sql", "x.properties"]
    )
    assert found.keys() == names.keys()
    assert set(found.values()) in ({"billing", "a_b"}, {""})
    assert forms_among(names) == [form]
    assert forms_among(["billing-connections.yaml", "database.sql"]) == []


@pytest.mark.parametrize("form", OTHERS)
def test_an_environment_without_services_has_no_files(form: ExportFormat) -> None:
    assert render(form, [], {}) == {}
