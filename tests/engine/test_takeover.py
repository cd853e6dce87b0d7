"""What the real engine would lose or silently change is told before it begins; what a failed run has left is mended."""

from __future__ import annotations

import re

import pytest

from golabs_infra.endpoint import Endpoint

from ..live.by_hand import APP, DATABASE, MIGRATION, PASSWORDS, make_by_hand
from ..live.catalog import row_versions
from ..live.tools import statements_in
from .checkout import Checkout
from .database import can_work, create_admin, databases, execute, login, migrate, rows, users, verifiers

FOREIGN = (
    f"ALTER ROLE {APP} SUPERUSER",
    f"ALTER ROLE {APP} VALID UNTIL '2099-01-01'",
    "CREATE ROLE readers",
    f"GRANT readers TO {MIGRATION}",
    "CREATE TABLE billing.by_the_dba (id int)",
    "CREATE FUNCTION public.touch(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION vector WITH SCHEMA public",
)


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_findings_stop_plain_pulumi_and_golabs_before_anything_and_their_sql_settles_them(
    checkout: Checkout, server: Endpoint, environment: str
) -> None:
    database = f"go-labs-{environment}"

    def of_this(statement: str) -> str:
        return statement.replace("dev_user", f"{environment}_user")

    make_by_hand(server, database)
    execute(server, *map(of_this, FOREIGN), database=database)
    checkout.services(environment, {"name": "billing", "extensions": ["vector"]})
    checkout.init(environment)
    checkout.point_at(environment, server)
    secure = {kind: checkout.secure(environment, text) for kind, text in PASSWORDS["billing"].items()}
    checkout.set_keys(environment, passwords={"billing": secure})
    before = row_versions(server, database), verifiers(server)
    for refused in (
        checkout.preview(environment, fails=True),
        checkout.confirmed_up(environment, fails=True),
        checkout.golabs("up", environment, fails=True, variables={"GOLABS_CONFIRM": database}),
    ):
        assert "5 obstacles" in refused.text, refused
        assert of_this(f"{APP}: it has SUPERUSER, and its password expires") in refused.text
        assert of_this(f"{MIGRATION}: it is a member of readers") in refused.text
        assert "schema billing: 1 object in it belongs to postgres" in refused.text
        assert "extension vector: it is in the schema public" in refused.text
        assert "schema public: services reach 1 object in it" in refused.text
        assert (row_versions(server, database), verifiers(server)) == before
    told = checkout.golabs("doctor", environment, fails=True)
    assert told.text.count("error: takeover:") == 5, told

    execute(server, *statements_in(refused.text), database=database)
    checkout.confirmed_up(environment)
    checkout.unchanged(environment, "--refresh")
    record = checkout.connections(environment)["billing"]
    with login(record, "app") as session:
        assert session.execute("SELECT note FROM invoice ORDER BY id").fetchall() == [("a",), ("b",)]
    with login(record, "migration") as session:
        session.execute("ALTER TABLE by_the_dba ADD COLUMN note text")
        session.execute("CREATE TABLE item (at vector(2))")


def test_a_database_that_a_failed_destroy_has_closed_is_opened_again_by_plain_pulumi(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    migrate(checkout.connections("tst")["billing"])
    execute(server, 'ALTER DATABASE "go-labs-tst" ALLOW_CONNECTIONS false')
    shown = checkout.preview("tst")
    assert "up opens it again" in shown.text, shown
    assert rows(server, "SELECT datallowconn FROM pg_database WHERE datname = 'go-labs-tst'") == [(False,)]
    checkout.up("tst")
    can_work(checkout.connections("tst")["billing"])
    checkout.unchanged("tst", "--refresh")


def test_an_admin_who_may_end_no_sessions_is_told_before_destroy_touches_anything(
    checkout: Checkout, server: Endpoint
) -> None:
    admin = create_admin(server, "provisioner", "CREATEDB CREATEROLE")
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", admin)
    up = checkout.up("tst")
    assert 'GRANT pg_signal_backend TO "provisioner"' in up.text, up
    with login(checkout.connections("tst")["billing"], "app") as session:
        refused = checkout.golabs("destroy", "tst", "--yes", fails=True)
        assert "provisioner may not end the sessions that are open on it: billing_app_tst_user (1)" in refused.text
        assert session.execute("SELECT 1").fetchone() == (1,)
        assert rows(server, "SELECT datallowconn FROM pg_database WHERE datname = 'go-labs-tst'") == [(True,)]
        execute(server, *statements_in(refused.text))
        checkout.golabs("destroy", "tst", "--yes")
    assert databases(server) == set()
    assert users(server) == set()


@pytest.mark.parametrize("rights", ["superuser", "provisioner"])
def test_a_removed_service_goes_with_what_others_have_granted_its_users_and_what_they_own_elsewhere(
    checkout: Checkout, server: Endpoint, rights: str
) -> None:
    admin = server
    if rights == "provisioner":
        admin = create_admin(server, "provisioner", "CREATEDB CREATEROLE", ["pg_signal_backend"])
    checkout.services("tst", "billing", "catalog")
    checkout.init("tst")
    checkout.point_at("tst", admin)
    checkout.up("tst")
    for record in checkout.connections("tst").values():
        migrate(record)
    # An admin who is no superuser is told of a table in another's schema before; see tests/live/test_admin.py.
    table = ["CREATE TABLE billing.of_catalog (id int)"] if rights == "superuser" else []
    execute(
        server,
        "GRANT SELECT ON billing.invoice TO catalog_app_tst_user",
        "GRANT CREATE ON SCHEMA billing TO catalog_migration_tst_user",
        "SET ROLE catalog_migration_tst_user",
        *table,
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO billing_app_tst_user",
        database="go-labs-tst",
    )
    checkout.services("tst", "billing")
    checkout.preview("tst")
    assert len(users(server)) == 4, "a preview changes nothing"
    checkout.up("tst")
    assert users(server) == {"billing_app_tst_user", "billing_migration_tst_user"}
    assert rows(server, "SELECT count(*) FROM pg_namespace WHERE nspname = 'catalog'", "go-labs-tst") == [(0,)]
    can_work(checkout.connections("tst")["billing"])
    checkout.unchanged("tst", "--refresh")


def test_a_database_of_another_encoding_is_never_replaced_by_an_empty_one(checkout: Checkout, server: Endpoint) -> None:
    execute(
        server, "CREATE DATABASE \"go-labs-tst\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
    )
    execute(server, "CREATE TABLE public.kept (id int)", database="go-labs-tst")
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    told = checkout.up("tst")
    assert "its encoding is LATIN1, not UTF8" in told.text, told
    assert rows(server, "SELECT count(*) FROM public.kept", "go-labs-tst") == [(0,)]
    checkout.unchanged("tst", "--refresh")
    execute(server, f'ALTER DATABASE "go-labs-tst" RENAME TO "{DATABASE}"')
    checkout.init("dev")
    checkout.point_at("dev", server)
    refused = checkout.up("dev", fails=True)
    assert "its encoding is LATIN1, not UTF8, which only a new database can have" in refused.text, refused


def test_a_user_who_owns_a_disposable_database_loses_it_to_the_admin(checkout: Checkout, server: Endpoint) -> None:
    make_by_hand(server, "go-labs-tst")
    execute(server, 'ALTER DATABASE "go-labs-tst" OWNER TO billing_migration_tst_user')
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", server)
    checkout.up("tst")
    owner = "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = 'go-labs-tst'"
    assert rows(server, owner) == [("postgres",)]
    checkout.unchanged("tst", "--refresh")


def test_a_rename_is_refused_and_another_rule_for_new_passwords_replaces_none(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("prd", "billing", "order")
    checkout.init("prd")
    checkout.point_at("prd", server)
    checkout.confirmed_up("prd")
    before = row_versions(server, "go-labs-prd"), verifiers(server)
    checkout.services("prd", "billing", "orders")
    for refused in (checkout.preview("prd", fails=True), checkout.confirmed_up("prd", fails=True)):
        assert "order looks renamed to orders" in refused.text, refused
    checkout.services("prd", "billing", "order")
    module = checkout.root / "golabs_infra" / "passwords.py"
    text, count = re.subn(r"GENERATED_LENGTH = \d+", "GENERATED_LENGTH = 40", module.read_text())
    assert count == 1
    module.write_text(text)
    checkout.confirmed_up("prd", "--expect-no-changes")
    assert (row_versions(server, "go-labs-prd"), verifiers(server)) == before


def test_golabs_up_of_a_guarded_stack_lists_what_the_plan_would_lose_and_stops(
    checkout: Checkout, server: Endpoint
) -> None:
    """The stack was not guarded at its last up, so nothing in its state protects it yet."""
    stack = checkout.project.stack_file("staging")
    stack.write_text(checkout.project.stack_file("dev").read_text())
    checkout.services("staging", "billing")
    checkout.set_keys("staging", policy="keep")
    checkout.init("staging")
    checkout.point_at("staging", server)
    checkout.up("staging")
    before = row_versions(server, "go-labs-staging"), verifiers(server)
    checkout.set_keys("staging", policy="guarded")
    program = checkout.root / "golabs_infra" / "components" / "service.py"
    text = program.read_text()
    assert text.count("ignore_changes=_RULES") == 1
    program.write_text(text.replace(", ignore_changes=_RULES", "").replace("length=GENERATED_LENGTH", "length=40"))
    refused = checkout.golabs("up", "staging", fails=True, variables={"GOLABS_CONFIRM": "go-labs-staging"})
    assert "the plan would delete or replace what staging, which is guarded, has to keep" in refused.text, refused
    assert "RandomPassword billing-app" in refused.text
    assert (row_versions(server, "go-labs-staging"), verifiers(server)) == before


def test_what_the_provider_would_take_away_or_stumble_over_is_left_or_told_before(
    checkout: Checkout, server: Endpoint
) -> None:
    make_by_hand(server)
    execute(server, f'ALTER DATABASE "{DATABASE}" CONNECTION LIMIT 40')
    execute(server, "DROP SCHEMA public", database=DATABASE)
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    secure = {kind: checkout.secure("dev", text) for kind, text in PASSWORDS["billing"].items()}
    checkout.set_keys("dev", passwords={"billing": secure})
    before = row_versions(server, DATABASE), verifiers(server)
    refused = checkout.up("dev", fails=True)
    assert "schema public: there is none, and the provider, which is to close it, wants one" in refused.text, refused
    assert (row_versions(server, DATABASE), verifiers(server)) == before
    execute(server, "CREATE SCHEMA public", database=DATABASE)
    checkout.up("dev")
    limit = f"SELECT datconnlimit FROM pg_database WHERE datname = '{DATABASE}'"
    assert rows(server, limit) == [(40,)], "the DBA's limit stays"
    checkout.unchanged("dev", "--refresh")
