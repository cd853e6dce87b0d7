"""Faults of the list of services and of accepted findings: each with its path and its mend."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..support import make_settings
from .configurations import faults_of, only_fault, secret

# ---- services


def test_missing_services_are_told() -> None:
    assert only_fault("tst", services=None) == (
        "services: no services are given | add 'services:' with a line '- billing' below it"
    )


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("billing", "'billing'"),
        ("billing,order", "'billing,order'"),
        (5, "5"),
        ("5", "5"),
        ({"billing": {}}, "a mapping"),
        ('{"billing": {}}', "a mapping"),
        (True, "true"),
        ("[billing", "'[billing'"),
        ("[" * 100_000, f"'{'[' * 76}..."),
    ],
)
def test_services_that_are_no_list_are_told(value: object, seen: str) -> None:
    assert only_fault("tst", services=value) == (
        f"services: {seen} is not a list | write a list, such as services: [billing]"
    )


@pytest.mark.parametrize(("entry", "seen"), [(5, "5"), (None, "null"), (True, "true"), (["a"], "a list"), (1.5, "1.5")])
def test_an_entry_that_is_no_service_is_told_with_its_index(entry: object, seen: str) -> None:
    assert only_fault("tst", services=["billing", entry]) == (
        f"services[1]: {seen} is not a name or a mapping of keys | write [billing]"
    )


@pytest.mark.parametrize("name", ["Billing", "1st", "bill-ing", "", "bílling", "billing "])
@pytest.mark.parametrize("wrap", [str, lambda name: {"name": name}], ids=["plain", "mapping"])
def test_a_bad_service_name_is_told(name: str, wrap: Callable[[str], object]) -> None:
    assert only_fault("tst", services=["order", wrap(name)]) == (
        f"services[1]: {name!r} is not a service name"
        " | use lower-case letters, digits and underscores, starting with a letter, such as 'billing'"
    )


def test_a_bad_service_name_with_a_password_is_told_and_no_more() -> None:
    values = {"services": ["Billing"], "passwords": {"Billing": {"app": secret("x")}}}
    assert only_fault("prd", **values).startswith("services[0]: 'Billing' is not a service name | ")


@pytest.mark.parametrize("name", ["public", "information_schema", "extensions", "pg_stat"])
def test_a_reserved_schema_name_is_told(name: str) -> None:
    assert only_fault("tst", services=[name]) == (
        f"services[0]: '{name}' is a reserved name | choose another name for the service, such as 'service_{name}'"
    )


def test_a_user_name_over_63_bytes_is_told() -> None:
    assert make_settings("tst", services=["a" * 44]).users[0] == f"{'a' * 44}_migration_tst_user"
    assert only_fault("tst", services=["a" * 47]) == (
        f"services[0]: the user name '{'a' * 47}_migration_tst_user' has 66 bytes; PostgreSQL takes 63"
        " | shorten the service's name by 3 characters"
    )


def test_a_service_given_twice_is_told_with_both_places() -> None:
    assert faults_of("tst", services=["billing", "order", {"name": "billing"}, "billing"]) == [
        "services[2]: 'billing' is given twice, first as services[0] | keep one of the two",
        "services[3]: 'billing' is given twice, first as services[0] | keep one of the two",
    ]


SERVICE_KEYS = "connectionLimit, extensions, idleInTransactionTimeout, name, retired, statementTimeout"


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"connectionLimit": 0}, "connectionLimit: 0 is less than 1 | write connectionLimit: 50"),
        ({"connectionLimit": -1}, "connectionLimit: -1 is less than 1 | write connectionLimit: 50"),
        ({"connectionLimit": 300_000}, "connectionLimit: 300000 is more than 262143 | write connectionLimit: 50"),
        ({"connectionLimit": "many"}, "connectionLimit: 'many' is not a whole number | write connectionLimit: 50"),
        ({"extensions": "pg_trgm"}, "extensions: 'pg_trgm' is not a list | write extensions: [pg_trgm]"),
        ({"extensions": None}, "extensions: null is not a list | write extensions: [pg_trgm]"),
        (
            {"extensions": ["pg_trgm", "Bad Name"]},
            "extensions: a list holds 'Bad Name', which is no extension's name | write extensions: [pg_trgm]",
        ),
        (
            {"extensions": [{"name": "x"}]},
            "extensions: a list holds a mapping, which is no extension's name | write extensions: [pg_trgm]",
        ),
        (
            {"extensions": [5]},
            "extensions: a list holds 5, which is no extension's name | write extensions: [pg_trgm]",
        ),
        ({"retired": "yes"}, "retired: 'yes' is neither true nor false | write retired: true"),
        ({"retired": 1}, "retired: 1 is neither true nor false | write retired: true"),
        ({"retired": 0}, "retired: 0 is neither true nor false | write retired: true"),
        ({"retired": None}, "retired: null is neither true nor false | write retired: true"),
        (
            {"statementTimout": "30s"},
            f"statementTimout: unknown key; the nearest known one is 'statementTimeout' | use one of {SERVICE_KEYS}",
        ),
        (
            {"statement_timeout": "30s"},
            f"statement_timeout: unknown key; the nearest known one is 'statementTimeout' | use one of {SERVICE_KEYS}",
        ),
        ({"owner": "me"}, f"owner: unknown key | use one of {SERVICE_KEYS}"),
        ({5: "x"}, f"5: unknown key | use one of {SERVICE_KEYS}"),
    ],
)
def test_a_bad_option_of_a_service_is_told(keys: dict[str, object], fault: str) -> None:
    assert only_fault("tst", services=["order", {"name": "billing", **keys}]) == f"services[1].{fault}"


@pytest.mark.parametrize("key", ["statementTimeout", "idleInTransactionTimeout"])
@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (30, "30"),
        ("30", "'30'"),
        ("5m", "'5m'"),
        ("1.5h", "'1.5h'"),
        ("s", "'s'"),
        ("-5s", "'-5s'"),
        ("", "''"),
        ("30 seconds", "'30 seconds'"),
        ("9" * 5000 + "s", f"'{'9' * 76}..."),
    ],
)
def test_an_unreadable_duration_is_told_with_the_units(key: str, value: object, seen: str) -> None:
    assert only_fault("tst", services=[{"name": "billing", key: value}]) == (
        f"services[0].{key}: {seen} is not a duration: a whole number and one of ms, s, min, h, d"
        f" | write {key}: {'30s' if key == 'statementTimeout' else '60s'}"
    )


@pytest.mark.parametrize("value", ["0s", "0ms", "25d", "2147483648ms", "999999999999h"])
def test_a_duration_that_postgresql_cant_hold_is_told(value: str) -> None:
    assert only_fault("tst", services=[{"name": "billing", "statementTimeout": value}]) == (
        f"services[0].statementTimeout: '{value}' is not a duration between 1ms and 24d | write statementTimeout: 30s"
    )


@pytest.mark.parametrize("name", [5, None, True, ["billing"]])
def test_a_name_that_is_no_string_is_told(name: object) -> None:
    fault = only_fault("tst", services=[{"name": name}])
    assert fault.startswith("services[0].name: ")
    assert fault.endswith(" is not a string | write name: billing")


def test_a_service_without_a_name_is_told() -> None:
    assert faults_of("tst", services=[{"connectionLimit": 5}, {"billing": None}]) == [
        "services[0].name: is missing | write name: billing",
        f"services[1].billing: unknown key | use one of {SERVICE_KEYS}",
        "services[1].name: is missing | write name: billing",
    ]


# ---- accepted findings


ACCEPTED_KEYS = "id, note, object, until"


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("F1", "[0]: 'F1' is not a mapping of keys | write [{id: ..., object: ..., note: ...}]"),
        ({"object": "o", "note": "n"}, "[0].id: is missing | write id: the id that golabs verify prints"),
        ({"id": "i", "note": "n"}, "[0].object: is missing | write object: the object that golabs verify prints"),
        ({"id": "i", "object": "o"}, "[0].note: is missing | write note: why it is accepted"),
        (
            {"id": "i", "object": "o", "note": "n", "untill": "x"},
            f"[0].untill: unknown key; the nearest known one is 'until' | use one of {ACCEPTED_KEYS}",
        ),
        (
            {"id": 5, "object": "o", "note": "n"},
            "[0].id: 5 is not a string | write id: the id that golabs verify prints",
        ),
    ],
)
def test_a_bad_entry_of_accepted_findings_is_told(entry: object, fault: str) -> None:
    assert only_fault("tst", accepted=[entry]) == f"accepted{fault}"


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("tomorrow", "'tomorrow'"),
        ("2027-02-30", "'2027-02-30'"),
        ("31.01.2027", "'31.01.2027'"),
        ("2027-1-31", "'2027-1-31'"),
        ("20270131", "'20270131'"),
        ("86400", "'86400'"),
        ("2027-01-31T10:00:00Z", "'2027-01-31T10:00:00Z'"),
        ("2027-01-31 10:00:00 +0000 UTC", "'2027-01-31 10:00:00 +0000 UTC'"),
        ("", "''"),
        (20270131, "20270131"),
        (True, "true"),
    ],
)
def test_what_is_no_date_is_told(value: object, seen: str) -> None:
    entry = {"id": "i", "object": "o", "note": "n", "until": value}
    assert only_fault("tst", accepted=[entry]) == f"accepted[0].until: {seen} is not a date | write until: 2027-01-31"


@pytest.mark.parametrize("value", ["x", 5, {"id": "i"}, True])
def test_accepted_findings_that_are_no_list_are_told(value: object) -> None:
    fault = only_fault("tst", accepted=value)
    assert fault.startswith("accepted: ")
    assert fault.endswith(" is not a list | write a list, such as accepted: [{id: ..., object: ..., note: ...}]")
