"""Names: what may be called how, and that no two things are called the same."""

from __future__ import annotations

from itertools import product

import pytest

from golabs_infra.names import (
    MAX_NAME_BYTES,
    RESERVED_SERVICES,
    USER_KINDS,
    UserName,
    database_name,
    environment_name_problem,
    parse_user_name,
    service_name_problem,
    user_name,
)

PARTS = ("a", "app", "migration", "user", "tst", "go1")
TRICKY_SERVICES = ["_".join(words) for length in (1, 2, 3) for words in product(PARTS, repeat=length)] + [
    "a_",
    "a__app",
]
TRICKY_ENVIRONMENTS = ["tst", "dev", "a", "app", "user", "migration", "go1", "a-b", "tst-app", "a-", "user-user"]


def test_database_and_users_are_called_as_the_design_says() -> None:
    assert database_name("tst") == "go-labs-tst"
    assert user_name("billing", "migration", "tst") == "billing_migration_tst_user"
    assert user_name("billing", "app", "prd") == "billing_app_prd_user"
    assert USER_KINDS == ("migration", "app")


@pytest.mark.parametrize("name", ["billing", "b", "order2", "a_b", "b_", "a__b", "user", "table", "pgx", "publicity"])
def test_a_service_name_is_lower_case_letters_digits_and_underscores(name: str) -> None:
    assert service_name_problem(name, "tst") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Billing",
        "1a",
        "_a",
        "a-b",
        "a b",
        "a.b",
        "é",
        "bílling",
        "billing\n",
        " billing",
        'a"b',
        "a;b",
        "a\0",
        "a٣",
    ],
)
def test_any_other_service_name_is_told_with_the_rule(name: str) -> None:
    assert service_name_problem(name, "tst") == (
        f"{name!r} is not a service name",
        "use lower-case letters, digits and underscores, starting with a letter, such as 'billing'",
    )


@pytest.mark.parametrize("name", [*sorted(RESERVED_SERVICES), "pg", "pg_catalog", "pg_toast", "pg_", "pg_1", "pg__x"])
def test_a_reserved_schema_name_is_told_with_a_name_that_can_be_had(name: str) -> None:
    problem = service_name_problem(name, "tst")
    assert problem == (
        f"{name!r} is a reserved name",
        f"choose another name for the service, such as 'service_{name}'",
    )
    assert service_name_problem(f"service_{name}", "tst") is None


def test_the_schemas_of_postgresql_and_our_own_are_reserved() -> None:
    assert {"public", "information_schema", "extensions", "database"} == RESERVED_SERVICES


@pytest.mark.parametrize("environment", ["tst", "prd", "e2e-1", "a" * 46])
def test_a_user_name_may_have_63_bytes_and_not_one_more(environment: str) -> None:
    longest = MAX_NAME_BYTES - len(f"_migration_{environment}_user")
    assert longest > 0
    assert len(user_name("b" * longest, "migration", environment)) == 63
    assert service_name_problem("b" * longest, environment) is None
    assert service_name_problem("b" * (longest + 1), environment) == (
        f"the user name '{'b' * (longest + 1)}_migration_{environment}_user' has 64 bytes; PostgreSQL takes 63",
        "shorten the service's name by 1 character",
    )
    problem = service_name_problem("b" * (longest + 2), environment)
    assert problem is not None
    assert problem[1] == "shorten the service's name by 2 characters"


@pytest.mark.parametrize("environment", ["tst", "prd", "e2e", "eu-west-1", "a-", "a" * 46])
def test_an_environment_name_is_lower_case_letters_digits_and_hyphens(environment: str) -> None:
    assert environment_name_problem(environment) is None


@pytest.mark.parametrize("environment", ["", "Tst", "1a", "-a", "a_b", "a.b", "a b", "tst\n", "é", "org/tst"])
def test_any_other_environment_name_is_told_with_the_rule(environment: str) -> None:
    assert environment_name_problem(environment) == (
        f"{environment!r} can't name an environment: it becomes a part of database and user names",
        "name the stack with lower-case letters, digits and hyphens, starting with a letter, such as 'tst'",
    )


def test_an_environment_name_that_leaves_no_room_for_a_service_is_told() -> None:
    assert environment_name_problem("a" * 47) == (
        f"'{'a' * 47}' is too long to be a part of user names of 63 bytes",
        "choose a shorter stack name",
    )


def test_a_user_name_is_read_back_into_the_parts_it_was_made_of() -> None:
    for service, kind, environment in product(TRICKY_SERVICES, USER_KINDS, TRICKY_ENVIRONMENTS):
        assert parse_user_name(user_name(service, kind, environment)) == UserName(service, kind, environment)


def test_no_two_services_of_any_two_environments_share_a_user_or_a_database() -> None:
    parts = list(product(TRICKY_SERVICES, USER_KINDS, TRICKY_ENVIRONMENTS))
    assert len({user_name(*each) for each in parts}) == len(parts)
    assert len({database_name(environment) for environment in TRICKY_ENVIRONMENTS}) == len(TRICKY_ENVIRONMENTS)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "postgres",
        "billing_app_tst",
        "billing_owner_tst_user",
        "Billing_app_tst_user",
        "billing_app_TST_user",
        "billing_app__user",
        "_app_tst_user",
        "app_tst_user",
        "billing_app_tst_user2",
        "billing_app_tst_user\n",
        "x billing_app_tst_user",
    ],
)
def test_a_name_of_another_convention_has_no_parts(name: str) -> None:
    assert parse_user_name(name) is None
