"""Every form of connection file is read by what it is made for, and that logs in with it, also with odd passwords."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier, Literal

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.formats_login import ExportFormat
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.project import Project

from ..support import unwarned
from . import readers, tools
from .tools import engine, user

ODD = [
    "p w",
    " begins with a space",
    "it's",
    'say "so"',
    "back\\slash",
    "two\\\\of them",
    "ends with one\\",
    "a:b::c",
    "# not a comment #x",
    "$HOME $x $1 $$",
    "100%s %40",
    "`id`",
    "a&b=c;d|e",
    "pässwörd ✓🔑",
    "tab\there",
    "'\"'\"'",
    "!important",
    "~root",
    "[x]{y}(z)<q>",
    "x" * 500,
    "=+/?@",
    "*",
]
ENDS_WITH_SPACE = "ends with a space "
LINES = "two\nlines"
SPLIT = "it's $5"
PLACEHOLDER = "${HOME}"


def adopt(server: Endpoint, project: Project, form: ExportFormat, passwords: list[str]) -> dict[str, str]:
    """An environment whose users were there before it, with these passwords, exported; gives their names by file stem."""
    services = [f"s{index}" for index in range((len(passwords) + 1) // 2)]
    padded = [*passwords, "filler"][: 2 * len(services)]
    names = [(service, kind) for service in services for kind in ("migration", "app")]
    with connect_admin(server) as admin:
        for (service, kind), password in zip(names, padded, strict=True):
            verifier = scram_verifier(password, random_salt(), iterations=4096)
            statement = SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            admin.execute(statement.format(Identifier(user(service, kind)), Literal(verifier)))
    given: dict[str, dict[str, str]] = {service: {} for service in services}
    for (service, kind), password in zip(names, padded, strict=True):
        given[service][kind] = password
    direct = engine(project, server, services=services, passwords=given)
    direct.up()
    direct.export(form, unwarned)
    return {f"{service}-{kind}": user(service, kind) for service, kind in names}


def folder(project: Project) -> Path:
    """Where the files are."""
    return project.output_folder("tst")


def test_psql_logs_in_by_the_password_file(server: Endpoint, project: Project) -> None:
    users = adopt(server, project, ExportFormat.PGPASS, [*ODD, ENDS_WITH_SPACE])
    variables = {
        "PGPASSFILE": str(folder(project) / "pgpass"),
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGDATABASE": tools.DATABASE,
    }
    for name in users.values():
        assert readers.psql({**variables, "PGUSER": name}) == name


def test_psql_logs_in_by_the_service_file(server: Endpoint, project: Project) -> None:
    users = adopt(server, project, ExportFormat.PGSERVICE, ODD)
    for stem, name in users.items():
        variables = {"PGSERVICEFILE": str(folder(project) / "pg_service.conf"), "PGSERVICE": f"{stem}-tst"}
        assert readers.psql(variables) == name


def test_shells_and_python_dotenv_read_the_same_and_psql_logs_in_by_it(server: Endpoint, project: Project) -> None:
    users = adopt(server, project, ExportFormat.DOTENV, [*ODD, ENDS_WITH_SPACE, LINES])
    for stem, name in users.items():
        file = folder(project) / f"{stem}.env"
        by_shell = readers.shell(file)
        assert readers.python_dotenv(file) == by_shell
        assert readers.psql({key: value for key, value in by_shell.items() if key.startswith("PG")}) == name
        assert readers.url(by_shell["DATABASE_URL"]) == name


def test_readers_that_know_no_quotes_read_what_golabs_generates(server: Endpoint, project: Project) -> None:
    direct = engine(project, server)
    direct.up()
    for file in direct.export(ExportFormat.DOTENV, unwarned):
        read = readers.no_quotes(file)
        assert read == readers.shell(file)
        assert readers.url(read["DATABASE_URL"]) == read["PGUSER"]


def test_the_jdbc_driver_logs_in_by_the_properties(server: Endpoint, project: Project) -> None:
    users = adopt(server, project, ExportFormat.JDBC, [*ODD, ENDS_WITH_SPACE])
    for stem in users:
        service, kind = stem.split("-")
        with (folder(project) / f"{stem}.properties").open("a", encoding="ascii") as file:
            file.write(f"jdbcUrl={tools.record(project, service)['users'][kind]['jdbcUrl']}\n")  # that of the record
    found = readers.jdbc(folder(project) / f"{stem}.properties" for stem in users)
    assert found == [name for name in users.values() for _way in range(3)]


def test_secrets_hold_what_logs_in(server: Endpoint, project: Project) -> None:
    users = adopt(server, project, ExportFormat.K8S, [*ODD, ENDS_WITH_SPACE, LINES, SPLIT, PLACEHOLDER])
    found = [data for file in sorted(folder(project).glob("*-secret.yaml")) for data in readers.secrets(file)]
    assert sorted(data["username"] for data in found) == sorted(users.values())
    for data in found:
        assert readers.url(data["uri"]) == data["username"]
        variables = {"PGHOST": data["host"], "PGPORT": data["port"], "PGDATABASE": data["database"]}
        variables |= {"PGUSER": data["username"], "PGPASSWORD": data["password"], "PGSSLMODE": data["sslmode"]}
        assert readers.psql(variables) == data["username"]


@pytest.mark.parametrize("form", [form for form in ExportFormat if form is not ExportFormat.YAML])
def test_an_exported_form_is_private_and_follows_the_passwords(
    server: Endpoint, project: Project, form: ExportFormat
) -> None:
    direct = engine(project, server, services=["billing"])
    direct.up()
    before = {file: file.read_text(encoding="utf-8") for file in direct.export(form, unwarned)}
    assert before
    assert {stat.S_IMODE(file.stat().st_mode) for file in before} == {0o600}
    new = {"billing": {"migration": "another-one-1", "app": "another-one-2"}}
    engine(project, server, services=["billing", "order"], passwords=new).up()
    for file, text in before.items():
        assert file.read_text(encoding="utf-8") != text
    assert tools.can_log_in(project, ["billing", "order"])
    engine(project, server, services=["order"]).up()
    left = "".join(file.read_text(encoding="utf-8") for file in folder(project).iterdir() if file.suffix != ".sql")
    assert "another-one" not in left
    assert "billing" not in left
    engine(project, server, services=["order"]).destroy()
    assert not folder(project).exists()
