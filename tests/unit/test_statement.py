"""Statements as text: one line each, whatever names hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golabs_infra.statement import call, filled, quoted, remedy


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("billing", '"billing"'),
        ('a "b"', '"a ""b"""'),
        ("Größe {} %s", '"Größe {} %s"'),
        ("a\nb", 'U&"a\\+00000ab"'),
        ('a\r"\\', 'U&"a\\+00000d""\\\\"'),
        ("\u202eevil", 'U&"\\+00202eevil"'),
    ],
)
def test_a_name_is_an_identifier_of_one_line(name: str, written: str) -> None:
    assert quoted(name) == written
    assert remedy("DROP TABLE {}", name) == f"DROP TABLE {written};"
    assert remedy("DROP TABLE {}", ("x", name)) == f'DROP TABLE "x".{written};'


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_no_name_ends_a_line_or_the_identifier(name: str) -> None:
    written = quoted(name)
    assert written.isprintable()
    inside = written.removeprefix("U&")[1:-1]
    assert '"' not in inside.replace('""', "")


def test_a_question_has_its_names_as_literals() -> None:
    assert call("has_table_privilege", ("a'b", 'c"'), "SELECT") == (
        "SELECT pg_catalog.has_table_privilege('\"a''b\".\"c\"\"\"', 'SELECT')"
    )
    assert filled("SELECT {}", "it's") == "SELECT 'it''s'"
