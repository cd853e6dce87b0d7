"""Passwords of users that exist: proven by logging in, kept, and never changed unasked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier, Literal
from pydantic import SecretStr

from golabs_infra.connecting import LoginAnswer, connect_admin, try_login
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError
from golabs_infra.inspection import PasswordProver, look_at
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.project import Project

from . import tools
from .catalog import row_versions
from .conftest import OwnServer
from .passwords import LEGACY, passwords, verifiers
from .tools import DATABASE, engine

# ---- users that exist already, where nothing may be reset


@pytest.fixture(params=["dev", "prd"])
def existing(request: pytest.FixtureRequest, server: Endpoint) -> str:
    """An environment with a database and users that somebody else made, and a row in a table."""
    environment: str = request.param
    app, migration = (tools.user("billing", kind, environment) for kind in ("app", "migration"))
    tools.as_superuser(
        server,
        f'CREATE DATABASE "go-labs-{environment}"',
        f"CREATE ROLE {migration} LOGIN PASSWORD '{LEGACY.replace(chr(39), chr(39) * 2)}'",
        f"CREATE ROLE {app} LOGIN PASSWORD 'the-app-of-old'",
    )
    tools.as_superuser(
        server,
        f"CREATE SCHEMA billing AUTHORIZATION {migration}",
        f"SET ROLE {migration}; CREATE TABLE billing.t (id int); INSERT INTO billing.t VALUES (7)",
        database=f"go-labs-{environment}",
    )
    return environment


RIGHT = {"billing": {"migration": LEGACY, "app": "the-app-of-old"}}


def test_an_existing_user_with_an_unknown_password_is_an_error_that_changes_nothing(
    server: Endpoint, project: Project, existing: str
) -> None:
    before = row_versions(server, f"go-labs-{existing}")
    for run in (engine(project, server, existing).preview, engine(project, server, existing).up):
        with pytest.raises(AdoptionError) as caught:
            run()
        for kind in ("migration", "app"):
            assert tools.user("billing", kind, existing) in str(caught.value)
            assert f"golabs set-password {existing} billing {kind}; or set a new one: golabs rotate" in str(
                caught.value
            )
        assert len(caught.value.faults) == 2
    assert row_versions(server, f"go-labs-{existing}") == before
    assert sorted(tools.files(project)) == ["Pulumi.yaml"]


@pytest.mark.parametrize("kind", ["migration", "app"])
def test_an_existing_user_with_a_wrong_configured_password_is_an_error_that_changes_nothing(
    server: Endpoint, project: Project, existing: str, kind: str
) -> None:
    before = row_versions(server, f"go-labs-{existing}")
    wrong = {"billing": {**RIGHT["billing"], kind: "Guessed-wrongly.2026"}}
    with pytest.raises(AdoptionError, match="the configured password is not the one that it has") as caught:
        engine(project, server, existing, passwords=wrong).up()
    (fault,) = caught.value.faults
    assert fault.where == tools.user("billing", kind, existing)
    assert "Guessed-wrongly" not in str(caught.value)
    assert row_versions(server, f"go-labs-{existing}") == before


def test_existing_users_are_adopted_with_the_configured_password_and_keep_it(
    server: Endpoint, project: Project, existing: str
) -> None:
    stored = verifiers(server)
    outcome = engine(project, server, existing, passwords=RIGHT).up()
    assert any("has it already" in warning for warning in outcome.warnings)
    assert engine(project, server, existing, passwords=RIGHT).up().changes == ()
    after = verifiers(server)
    assert {user: after[user] for user in stored} == stored
    assert tools.can_log_in(project, environment=existing)
    with tools.login(project, "billing", "app", existing) as session:
        assert session.execute("SELECT id FROM t").fetchone() == (7,)
    assert passwords(project, existing)[tools.user("billing", "migration", existing)] == LEGACY


def test_existing_users_are_adopted_with_the_connection_file(server: Endpoint, project: Project, existing: str) -> None:
    engine(project, server, existing, passwords=RIGHT).up()
    project.identity_file(existing).unlink()  # as on another machine that got the connection files
    stored = verifiers(server)
    assert engine(project, server, existing).up().changes == ()
    assert verifiers(server) == stored
    assert tools.can_log_in(project, environment=existing)


def test_a_connection_file_with_a_stale_password_is_an_error_that_changes_nothing(
    server: Endpoint, project: Project, existing: str
) -> None:
    engine(project, server, existing, passwords=RIGHT).up()
    tools.as_superuser(server, f"ALTER ROLE {tools.user('billing', 'app', existing)} PASSWORD 'rotated-elsewhere'")
    before = row_versions(server, f"go-labs-{existing}")
    with pytest.raises(AdoptionError, match="the one in its connection file is not the one that it has"):
        engine(project, server, existing).up()
    assert row_versions(server, f"go-labs-{existing}") == before


def test_a_service_added_over_users_that_exist_needs_their_passwords_too(server: Endpoint, project: Project) -> None:
    tools.as_superuser(server, "CREATE ROLE order_app_prd_user LOGIN PASSWORD 'in-use-for-years'")
    engine(project, server, "prd", services=["billing"]).up()
    engine(project, server, "prd", services=["billing"]).up()
    stored = verifiers(server)
    for given in (None, {"order": {"app": "Another-than.it-has-2026"}}):
        with pytest.raises(AdoptionError, match="order_app_prd_user"):
            engine(project, server, "prd", services=["billing", "order"], passwords=given).up()
    assert verifiers(server) == stored
    right = {"order": {"app": "in-use-for-years"}}
    engine(project, server, "prd", services=["billing", "order"], passwords=right).up()
    assert verifiers(server)["order_app_prd_user"] == stored["order_app_prd_user"]
    assert tools.can_log_in(project, ["billing", "order"], "prd")


def test_an_existing_md5_password_is_proven_and_kept(server: Endpoint, project: Project) -> None:
    with connect_admin(server) as admin:
        admin.execute("SET password_encryption TO md5")
        admin.execute("CREATE ROLE billing_app_dev_user LOGIN PASSWORD 'the-app-of-old'")
    stored = verifiers(server)
    assert stored["billing_app_dev_user"].startswith("md5")
    with pytest.raises(AdoptionError):
        engine(project, server, "dev", passwords={"billing": {"app": "not-the-one-it-has"}}).up()
    engine(project, server, "dev", passwords={"billing": {"app": "the-app-of-old"}}).up()
    assert verifiers(server)["billing_app_dev_user"] == stored["billing_app_dev_user"]


# ---- what a login proves, for an admin that may not read verifiers


@pytest.mark.parametrize("state", ["as it is", "NOLOGIN", "CONNECTION LIMIT 0", "no CONNECT", "closed database"])
def test_a_login_tells_right_from_wrong_passwords_whatever_else_is_refused(
    server: Endpoint, project: Project, state: str
) -> None:
    engine(project, server, services=["billing"]).up()
    user = "billing_app_tst_user"
    right = SecretStr(tools.record(project, "billing")["users"]["app"]["password"])
    if state == "no CONNECT":
        tools.as_superuser(server, f'REVOKE CONNECT ON DATABASE "{DATABASE}" FROM {user}')
    elif state == "closed database":
        tools.as_superuser(server, f'ALTER DATABASE "{DATABASE}" ALLOW_CONNECTIONS false')
    elif state != "as it is":
        tools.as_superuser(server, f"ALTER ROLE {user} {state}")
    for database in (DATABASE, "never-made"):
        assert try_login(server, database, user, right) is LoginAnswer.ACCEPTED
        assert try_login(server, database, user, SecretStr("wrong")) is LoginAnswer.WRONG_PASSWORD
        assert try_login(server, database, "nobody", right) is LoginAnswer.WRONG_PASSWORD


def test_a_superusers_look_and_an_admins_login_prove_the_same(provisioned: Endpoint, project: Project) -> None:
    admin = tools.with_admin(provisioned)
    for endpoint in (provisioned, admin):
        cluster = look_at(endpoint, "tst", DATABASE, passwords(project))
        prover = PasswordProver(endpoint, DATABASE, cluster)
        for user, password in passwords(project).items():
            assert prover(user, SecretStr(password))
            assert not prover(user, SecretStr(password.swapcase()))
            assert not prover(user, SecretStr(password + " "))


@contextmanager
def trusting(server: OwnServer) -> Iterator[None]:
    """A server that asks nobody but its superuser for a password."""
    hba = server.data / "pg_hba.conf"
    whole = hba.read_text(encoding="utf-8")
    try:
        hba.write_text(
            "host all postgres 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n", encoding="utf-8"
        )
        tools.as_superuser(server.endpoint, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")
        yield
    finally:
        hba.write_text(whole, encoding="utf-8")
        tools.as_superuser(server.endpoint, "SELECT pg_reload_conf()", "SELECT pg_sleep(0.2)")


@pytest.mark.parametrize("state", ["LOGIN", "NOLOGIN", "LOGIN CONNECTION LIMIT 0"])
def test_where_no_password_is_asked_a_login_proves_nothing(second: OwnServer, project: Project, state: str) -> None:
    server = second.endpoint
    admin = tools.with_admin(server)
    tools.as_superuser(
        server,
        'CREATE DATABASE "go-labs-dev" OWNER deployer',
        'REVOKE CONNECT ON DATABASE "go-labs-dev" FROM PUBLIC',
        f"CREATE ROLE billing_app_dev_user PASSWORD 'the-app-of-old' {state}",
    )
    with trusting(second):
        before = row_versions(server, "go-labs-dev")
        guess = {"billing": {"app": "any-guess-would-do"}}
        for database in ("go-labs-dev", "postgres", "never-made"):
            answer = try_login(admin, database, "billing_app_dev_user", SecretStr("any-guess-would-do"))
            assert answer is LoginAnswer.NO_PASSWORD_ASKED
        with pytest.raises(AdoptionError, match="billing_app_dev_user"):
            engine(project, admin, "dev", services=["billing"], passwords=guess).up()
        assert row_versions(server, "go-labs-dev") == before
        # A superuser looks at the verifier, which no pg_hba.conf changes.
        with pytest.raises(AdoptionError, match="billing_app_dev_user"):
            engine(project, server, "dev", services=["billing"], passwords=guess).up()


# ---- passwords that are not ASCII

UNUSUAL = [
    "pässwörd-größe",
    "пароль-2026",
    "密码很安全吗",
    "パスワード",
    "한국어비밀번호",
    "סיסמה",
    "كلمةالسر",
    "🔐🐘🔑",
    "e\u0301 combined",
    "\u00e9 composed",
    "no\u00a0break\u00a0space",
    "soft\u00adhyphen",
    "zero\u200bwidth\u200bspace",
    "zero\u200djoiner",
    "ligature \ufb01",
    "full\uff57idth",
    "roman \u2168 and \u00b2",
    "\u212bngstr\u00f6m",
    "mixed סיסמה direction",
    "ends with סיסמה 1",
    "\u0627\u0661",
    "control\u0080character",
    "private\ue000use",
    "unassigned\u0378",
    "later than 3.2: \u0221\u1e9e",
    "tone \u0340\u0341 marks",
    "alef symbol \u2135",
    "arabic form \ufe70",
    "compatibility \U0002f868",
    "object\ufffcreplacement",
    "\u3000",
    "\u200b",
    "\u00ad",
    " leading and trailing ",
    "ends in space\u2003",
    "'quoted'\"\\",
    "percent %s %(x)s %%",
    "{braces} $1 ${HOME} `x`",
    "new\nline\ttab",
    "#: @/?&=+;",
    "ÿ" * 60,
    "x" * 900,
    "SCRAM-SHA-256$4096:c2FsdA==$AAAA:BBBB",
    "md5" + "0" * 32,
]


@pytest.mark.parametrize("password", UNUSUAL, ids=ascii)
def test_a_verifier_computed_here_lets_the_password_in(server: Endpoint, password: str) -> None:
    user = "billing_app_dev_user"
    endpoint = replace(server, admin_user=user, admin_password=SecretStr(password))
    tools.as_superuser(server, f"CREATE ROLE {user} LOGIN PASSWORD '{scram_verifier(password, random_salt())}'")
    with connect_admin(endpoint) as session:
        assert session.execute("SELECT current_user").fetchone() == (user,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            make_conninfo(
                host=server.host, port=server.port, dbname="postgres", user=user, password="another " + password[:50]
            )
        )


def test_unusual_passwords_of_adopted_users_are_proven_kept_and_written_so_that_they_work(
    server: Endpoint, project: Project
) -> None:
    unusual = [
        "p\u00e4ssw\u00f6rd",
        "\u05e1\u05d9\u05e1\u05de\u05d4",
        "\U0001f510\U0001f418",
        "zero\u200bwidth",
        "no\u00a0break",
        "control\u0080",
        " leading and trailing ",
        "'quoted'\"\\",
        "percent %s %(x)s %%41",
        "new\nline\ttab\rreturn",
        "#: @/?&=+;",
        "- yes: [no]",
        "0123456789",
        "null",
        "x" * 900,
    ]
    given = {f"s{number}": {"app": password} for number, password in enumerate(unusual)}
    with connect_admin(server) as admin:
        for service, users in given.items():
            user, password = Identifier(tools.user(service, "app", "dev")), Literal(users["app"])
            admin.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(user, password))
    stored = verifiers(server)
    engine(project, server, "dev", services=given, passwords=given).up()
    assert {user: verifier for user, verifier in verifiers(server).items() if user in stored} == stored
    assert tools.can_log_in(project, given, "dev")
    # Now from the connection files alone.
    project.identity_file("dev").unlink()
    assert engine(project, server, "dev", services=given).up().changes == ()
    written = {service: tools.record(project, service, "dev")["users"]["app"]["password"] for service in given}
    assert written == {service: users["app"] for service, users in given.items()}
