"""SQL: the exact text of every change, whatever the names are, and never a password in clear."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from golabs_infra.changes import (
    AllowConnections,
    AlterDatabaseOwner,
    AlterRole,
    AlterSchemaOwner,
    BorrowMembership,
    Change,
    CreateDatabase,
    CreateExtension,
    CreateRole,
    CreateSchema,
    DropDatabase,
    DropOwned,
    DropRole,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    RenameDatabase,
    ReturnMembership,
    RevokeDefaultPrivileges,
    RevokePrivileges,
    SetPassword,
)
from golabs_infra.inspection import LiveRole
from golabs_infra.model import DefaultPrivileges, Extension, Grant, Role, Schema
from golabs_infra.passwords import scram_verifier
from golabs_infra.plan import plan
from golabs_infra.sql import statements
from golabs_infra.wording import describe

from .catalogs import make_desired, make_empty

DATABASE = "go-labs-tst"
ROLE = Role("u", login=True, search_path=("billing", "extensions"))
DML = ("DELETE", "INSERT", "SELECT", "UPDATE")
HOSTILE = 'a"; DROP TABLE x; --'
QUOTED = '"a""; DROP TABLE x; --"'


def text_of(change: Change, database: str = DATABASE) -> list[str]:
    """The statements of a change as they would stand in a file."""
    return [statement.as_string(None) for statement in statements(change, database)]


def altered(current: Role, wanted: Role, *, expires: bool = False) -> list[str]:
    """The statements that make a role what it should be."""
    return text_of(AlterRole(wanted, LiveRole(current, expires, True)))


SIMPLE: list[tuple[Change, list[str]]] = [
    (CreateDatabase(DATABASE), ["CREATE DATABASE \"go-labs-tst\" TEMPLATE template0 ENCODING 'UTF8'"]),
    (AllowConnections(DATABASE), ['ALTER DATABASE "go-labs-tst" ALLOW_CONNECTIONS true']),
    (AlterDatabaseOwner(DATABASE), ['ALTER DATABASE "go-labs-tst" OWNER TO CURRENT_USER']),
    (RenameDatabase("new", DATABASE), ['ALTER DATABASE "new" RENAME TO "go-labs-tst"']),
    (DropDatabase(DATABASE), ['DROP DATABASE "go-labs-tst" WITH (FORCE)']),
    (SetPassword("u", "SCRAM-SHA-256$x"), ["ALTER ROLE \"u\" PASSWORD 'SCRAM-SHA-256$x'"]),
    (BorrowMembership("u"), ['GRANT "u" TO CURRENT_USER']),
    (ReturnMembership("u"), ['REVOKE "u" FROM CURRENT_USER']),
    (CreateSchema(Schema("billing", "u")), ['CREATE SCHEMA "billing" AUTHORIZATION "u"']),
    (CreateSchema(Schema("extensions", None)), ['CREATE SCHEMA "extensions"']),
    (AlterSchemaOwner(Schema("billing", "u")), ['ALTER SCHEMA "billing" OWNER TO "u"']),
    (AlterSchemaOwner(Schema("extensions", None)), ['ALTER SCHEMA "extensions" OWNER TO CURRENT_USER']),
    (CreateExtension(Extension("pg_trgm", "extensions")), ['CREATE EXTENSION "pg_trgm" WITH SCHEMA "extensions"']),
    (DropSchema("billing"), ['DROP SCHEMA "billing" CASCADE']),
    (DropOwned("u"), ['DROP OWNED BY "u" CASCADE']),
    (DropRole("u"), ['DROP ROLE "u"']),
    (
        GrantPrivileges(Grant("database", "", "u", ("CONNECT", "TEMPORARY"))),
        ['GRANT CONNECT, TEMPORARY ON DATABASE "go-labs-tst" TO "u"'],
    ),
    (GrantPrivileges(Grant("schema", "billing", "u", ("USAGE",))), ['GRANT USAGE ON SCHEMA "billing" TO "u"']),
    (
        GrantPrivileges(Grant("table", "billing", "u", DML)),
        ['GRANT DELETE, INSERT, SELECT, UPDATE ON ALL TABLES IN SCHEMA "billing" TO "u"'],
    ),
    (
        GrantPrivileges(Grant("sequence", "billing", "u", ("SELECT", "USAGE"))),
        ['GRANT SELECT, USAGE ON ALL SEQUENCES IN SCHEMA "billing" TO "u"'],
    ),
    (
        RevokePrivileges(Grant("database", "", "public", ("CONNECT", "TEMPORARY"))),
        ['REVOKE CONNECT, TEMPORARY ON DATABASE "go-labs-tst" FROM PUBLIC'],
    ),
    (
        RevokePrivileges(Grant("schema", "public", "public", ("CREATE", "USAGE"))),
        ['REVOKE CREATE, USAGE ON SCHEMA "public" FROM PUBLIC'],
    ),
    (
        RevokePrivileges(Grant("table", "billing", "u", ("TRUNCATE",), "line item")),
        ['REVOKE TRUNCATE ON TABLE "billing"."line item" FROM "u"'],
    ),
    (
        RevokePrivileges(Grant("table", "billing", "u", ("SELECT WITH GRANT OPTION",), "t")),
        ['REVOKE GRANT OPTION FOR SELECT ON TABLE "billing"."t" FROM "u" CASCADE'],
    ),
    (
        RevokePrivileges(Grant("table", "billing", "u", ("SELECT", "SELECT WITH GRANT OPTION"), "t")),
        ['REVOKE SELECT ON TABLE "billing"."t" FROM "u" CASCADE'],
    ),
    (
        RevokePrivileges(Grant("table", "billing", "u", ("TRIGGER", "SELECT WITH GRANT OPTION"), "t")),
        [
            'REVOKE TRIGGER ON TABLE "billing"."t" FROM "u" CASCADE',
            'REVOKE GRANT OPTION FOR SELECT ON TABLE "billing"."t" FROM "u" CASCADE',
        ],
    ),
    (
        RevokePrivileges(Grant("sequence", "billing", "public", ("USAGE",), "id_seq")),
        ['REVOKE USAGE ON SEQUENCE "billing"."id_seq" FROM PUBLIC'],
    ),
    (
        GrantDefaultPrivileges(DefaultPrivileges("m", "billing", "table", "u", DML)),
        [
            'ALTER DEFAULT PRIVILEGES FOR ROLE "m" IN SCHEMA "billing" '
            'GRANT DELETE, INSERT, SELECT, UPDATE ON TABLES TO "u"'
        ],
    ),
    (
        RevokeDefaultPrivileges(DefaultPrivileges("m", "", "table", "public", ("SELECT",))),
        ['ALTER DEFAULT PRIVILEGES FOR ROLE "m" REVOKE SELECT ON TABLES FROM PUBLIC'],
    ),
    (
        RevokeDefaultPrivileges(
            DefaultPrivileges("m", "billing", "table", "u", ("INSERT", "SELECT WITH GRANT OPTION", "UPDATE"))
        ),
        [
            'ALTER DEFAULT PRIVILEGES FOR ROLE "m" IN SCHEMA "billing" '
            'REVOKE INSERT, UPDATE ON TABLES FROM "u" CASCADE',
            'ALTER DEFAULT PRIVILEGES FOR ROLE "m" IN SCHEMA "billing" '
            'REVOKE GRANT OPTION FOR SELECT ON TABLES FROM "u" CASCADE',
        ],
    ),
    (
        RevokeDefaultPrivileges(DefaultPrivileges("m", "billing", "sequence", "public", ("USAGE",))),
        ['ALTER DEFAULT PRIVILEGES FOR ROLE "m" IN SCHEMA "billing" REVOKE USAGE ON SEQUENCES FROM PUBLIC'],
    ),
]


@pytest.mark.parametrize(("change", "expected"), SIMPLE, ids=[type(change).__name__ for change, _ in SIMPLE])
def test_a_change_has_exactly_its_sql(change: Change, expected: list[str]) -> None:
    assert text_of(change) == expected


# ---- roles


def test_a_new_user_is_made_with_its_verifier_and_its_search_path() -> None:
    assert [" ".join(statement.split()) for statement in text_of(CreateRole(ROLE, "SCRAM-SHA-256$x"))] == [
        "CREATE ROLE \"u\" WITH PASSWORD 'SCRAM-SHA-256$x' VALID UNTIL 'infinity' "
        "LOGIN NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT -1",
        'ALTER ROLE "u" SET search_path TO "billing", "extensions"',
    ]


def test_a_new_user_gets_its_limits_in_milliseconds() -> None:
    limited = replace(ROLE, connection_limit=50, statement_timeout=30_000, idle_in_transaction_session_timeout=60_000)
    assert text_of(CreateRole(limited, "x")) == [
        "CREATE ROLE \"u\" WITH PASSWORD 'x' VALID UNTIL 'infinity' "
        "LOGIN NOCREATEDB NOCREATEROLE INHERIT CONNECTION LIMIT 50",
        'ALTER ROLE "u" SET search_path TO "billing", "extensions"',
        'ALTER ROLE "u" SET "statement_timeout" TO 30000',
        'ALTER ROLE "u" SET "idle_in_transaction_session_timeout" TO 60000',
    ]


def test_a_new_user_of_a_retired_service_cant_log_in() -> None:
    assert " NOLOGIN " in text_of(CreateRole(replace(ROLE, login=False), "x"))[0]


def test_what_only_a_superuser_may_name_is_not_named_for_a_new_user() -> None:
    made = text_of(CreateRole(ROLE, "x"))[0]
    assert [word for word in ("SUPERUSER", "REPLICATION", "BYPASSRLS") if word in made] == []


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"login": False}, "LOGIN"),
        ({"create_database": True}, "NOCREATEDB"),
        ({"create_role": True}, "NOCREATEROLE"),
        ({"inherit": False}, "INHERIT"),
        ({"connection_limit": 5}, "CONNECTION LIMIT -1"),
        ({"superuser": True}, "NOSUPERUSER"),
        ({"replication": True}, "NOREPLICATION"),
        ({"bypass_row_level_security": True}, "NOBYPASSRLS"),
        ({"login": False, "superuser": True, "connection_limit": 5}, "LOGIN NOSUPERUSER CONNECTION LIMIT -1"),
    ],
)
def test_an_attribute_that_differs_is_set_back_and_no_other_named(attributes: dict[str, Any], words: str) -> None:
    current = replace(ROLE, **attributes)
    assert [" ".join(statement.split()) for statement in altered(current, ROLE)] == [f'ALTER ROLE "u" WITH {words}']


def test_a_login_that_is_to_be_closed_is_closed() -> None:
    assert altered(ROLE, replace(ROLE, login=False)) == ['ALTER ROLE "u" WITH NOLOGIN']


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"search_path": ()}, 'SET search_path TO "billing", "extensions"'),
        ({"search_path": ("extensions", "billing")}, 'SET search_path TO "billing", "extensions"'),
        ({"statement_timeout": 5}, 'RESET "statement_timeout"'),
        ({"statement_timeout": -1}, 'RESET "statement_timeout"'),
        ({"idle_in_transaction_session_timeout": 5}, 'RESET "idle_in_transaction_session_timeout"'),
    ],
)
def test_a_setting_that_differs_is_set_back_alone(attributes: dict[str, Any], expected: str) -> None:
    current = replace(ROLE, **attributes)
    assert altered(current, ROLE) == [f'ALTER ROLE "u" {expected}']


def test_a_timeout_that_differs_is_written_in_milliseconds() -> None:
    assert altered(ROLE, replace(ROLE, statement_timeout=1500)) == ['ALTER ROLE "u" SET "statement_timeout" TO 1500']


def test_memberships_are_ended_as_their_grantor_and_settings_of_one_database_reset() -> None:
    memberships = (("readers", "dba"), ("orphaned", None))
    current = LiveRole(ROLE, False, True, memberships, overridden=("search_path", "statement_timeout"))
    assert text_of(AlterRole(ROLE, current)) == [
        'ALTER ROLE "u" IN DATABASE "go-labs-tst" RESET "search_path"',
        'ALTER ROLE "u" IN DATABASE "go-labs-tst" RESET "statement_timeout"',
        'REVOKE "readers" FROM "u" GRANTED BY "dba" CASCADE',
        'REVOKE "orphaned" FROM "u" CASCADE',
    ]


def test_an_expiry_is_ended_without_touching_anything_else() -> None:
    assert altered(ROLE, ROLE, expires=True) == ["ALTER ROLE \"u\" VALID UNTIL 'infinity'"]


# ---- quoting


def test_every_name_is_quoted_whatever_it_holds() -> None:
    role = replace(ROLE, name=HOSTILE, search_path=(HOSTILE,))
    changes: list[Change] = [
        CreateDatabase(HOSTILE),
        AllowConnections(HOSTILE),
        AlterDatabaseOwner(HOSTILE),
        DropDatabase(HOSTILE),
        RenameDatabase(HOSTILE, HOSTILE),
        CreateRole(role, "x"),
        AlterRole(
            role,
            LiveRole(
                replace(role, connection_limit=5, search_path=(), statement_timeout=3),
                expires=True,
                admin_is_member=True,
                memberships=((HOSTILE, HOSTILE), (HOSTILE, None)),
                overridden=("search_path",),
            ),
        ),
        SetPassword(HOSTILE, "x"),
        BorrowMembership(HOSTILE),
        ReturnMembership(HOSTILE),
        CreateSchema(Schema(HOSTILE, HOSTILE)),
        CreateSchema(Schema(HOSTILE, None)),
        AlterSchemaOwner(Schema(HOSTILE, HOSTILE)),
        CreateExtension(Extension(HOSTILE, HOSTILE)),
        GrantPrivileges(Grant("database", "", HOSTILE, ("CONNECT",))),
        GrantPrivileges(Grant("schema", HOSTILE, HOSTILE, ("USAGE",))),
        GrantPrivileges(Grant("table", HOSTILE, HOSTILE, ("SELECT",))),
        RevokePrivileges(Grant("table", HOSTILE, HOSTILE, ("SELECT",), HOSTILE)),
        RevokePrivileges(Grant("sequence", HOSTILE, HOSTILE, ("USAGE",), HOSTILE)),
        GrantDefaultPrivileges(DefaultPrivileges(HOSTILE, HOSTILE, "table", HOSTILE, ("SELECT",))),
        RevokeDefaultPrivileges(DefaultPrivileges(HOSTILE, HOSTILE, "sequence", HOSTILE, ("USAGE",))),
        DropSchema(HOSTILE),
        DropOwned(HOSTILE),
        DropRole(HOSTILE),
    ]
    assert {type(change) for change in changes} == set(Change.__subclasses__())
    for change in changes:
        for statement in text_of(change, HOSTILE):
            assert QUOTED in statement
            assert "DROP TABLE" not in statement.replace(QUOTED, "")


@pytest.mark.parametrize("name", ["Order", "user", "a b", "a.b", "ä", "{}", "%s", "{0}", "\\", "'"])
def test_a_name_stays_what_it_is_between_its_quotes(name: str) -> None:
    assert text_of(DropSchema(name)) == [f'DROP SCHEMA "{name}" CASCADE']


def test_a_verifier_is_a_literal_whatever_it_holds() -> None:
    assert text_of(SetPassword("u", "it's {} %s")) == ["ALTER ROLE \"u\" PASSWORD 'it''s {} %s'"]
    assert text_of(SetPassword("u", "a\\b")) == ["ALTER ROLE \"u\" PASSWORD  E'a\\\\b'"]


def test_only_the_pseudo_role_public_stands_without_quotes() -> None:
    assert text_of(GrantPrivileges(Grant("schema", "s", "PUBLIC", ("USAGE",)))) == [
        'GRANT USAGE ON SCHEMA "s" TO "PUBLIC"'
    ]
    assert text_of(GrantPrivileges(Grant("schema", "s", "public", ("USAGE",)))) == [
        'GRANT USAGE ON SCHEMA "s" TO PUBLIC'
    ]


# ---- whole plans


def test_no_sql_of_a_whole_plan_holds_a_password() -> None:
    canary = "c4n4ry-in-the-mine"
    desired = make_desired("tst")
    verifiers = {role.name: scram_verifier(canary, b"salt", 1) for role in desired.roles}
    changes = plan(desired, make_empty(desired), verifiers)
    text = "\n".join(statement for change in changes for statement in text_of(change))
    assert text.count("SCRAM-SHA-256$1:") == len(desired.roles)
    assert canary not in text


def test_the_sql_of_the_same_plan_is_the_same_to_the_byte() -> None:
    desired = make_desired("tst")
    verifiers = {role.name: "x" for role in desired.roles}
    texts = {
        "\n".join(
            statement for change in plan(desired, make_empty(desired), verifiers) for statement in text_of(change)
        )
        for _ in range(5)
    }
    assert len(texts) == 1


@pytest.mark.parametrize("change", [Change()])
def test_a_change_without_sql_or_words_is_a_mistake_in_the_program(change: Change) -> None:
    with pytest.raises(AssertionError, match="no SQL for Change"):
        statements(change, DATABASE)
    with pytest.raises(AssertionError, match="no words for Change"):
        describe(change)


def test_every_kind_of_change_has_words_of_one_line() -> None:
    role = LiveRole(replace(ROLE, superuser=True, search_path=()), True, True)
    changes = [change for change, _ in SIMPLE] + [CreateRole(ROLE, "x"), AlterRole(ROLE, role)]
    assert {type(change) for change in changes} == set(Change.__subclasses__())
    for change in changes:
        line = describe(change)
        assert line.symbol in ("+", "~", "-", "=", "o")
        assert line.text == line.text.strip() != ""
        assert "\n" not in line.text
