"""Findings in order, and what the configuration accepts of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from golabs_infra.config_keys import AcceptedFinding
from golabs_infra.findings import Finding, Severity, in_order, judge

TODAY = date(2026, 11, 23)
READS = Finding(
    id="privilege/reporting/SELECT",
    severity=Severity.HIGH,
    object="table billing.invoice",
    who="reporting",
    what="reporting has SELECT on table billing.invoice, and should not",
    cause="granted by postgres",
    statements=('REVOKE SELECT ON TABLE "billing"."invoice" FROM "reporting";',),
    service="billing",
)
RULES = replace(READS, id="attribute/x/SUPERUSER", severity=Severity.CRITICAL, object="role x", service="order")


def accepted(**values: Any) -> AcceptedFinding:
    """An entry of the configuration."""
    given: dict[str, Any] = {"id": READS.id, "object": READS.object, "note": "monthly report"}
    return AcceptedFinding.model_validate({**given, **values})


def test_the_worst_comes_first_and_each_once() -> None:
    low = replace(READS, severity=Severity.LOW, object="table a.a")
    assert in_order([low, READS, RULES, READS]) == [RULES, READS, low]
    assert [severity.rank for severity in Severity] == [0, 1, 2, 3]


def test_the_rule_is_the_first_part_of_the_id() -> None:
    assert (READS.rule, RULES.rule) == ("privilege", "attribute")


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"object": "table billing.*"},
        {"id": "privilege/reporting/*"},
        {"id": "*", "object": "*"},
        {"until": "2026-11-23"},
        {"until": "2027-01-31"},
    ],
)
def test_an_entry_accepts_what_it_names_to_the_end_of_its_day(values: dict[str, str]) -> None:
    ((judged,), warnings) = judge([READS], [accepted(**values)], TODAY)
    assert judged.accepted is not None
    assert judged.accepted.note == "monthly report"
    assert warnings == []


@pytest.mark.parametrize(
    "values",
    [
        {"id": "privilege/reporting/SELECT+UPDATE"},
        {"id": "privilege/reporting"},
        {"id": "PRIVILEGE/reporting/SELECT"},
        {"object": "table billing.invoices"},
        {"object": "billing.invoice"},
    ],
)
def test_an_entry_accepts_nothing_else_and_is_told_to_be_useless(values: dict[str, str]) -> None:
    ((judged,), (warning,)) = judge([READS], [accepted(**values)], TODAY)
    assert judged.accepted is None
    assert warning.startswith("accepted[0]: ")
    assert warning.endswith("is found no more: remove the entry")


def test_an_entry_whose_day_is_over_accepts_nothing_and_says_so() -> None:
    ((judged,), (warning,)) = judge([READS], [accepted(until="2026-11-22")], TODAY)
    assert judged.accepted is None
    assert warning == (
        "accepted[0]: privilege/reporting/SELECT on table billing.invoice was accepted until 2026-11-22, which is over: "
        "mend it, or give it another day"
    )


def test_an_entry_that_is_over_is_no_warning_where_another_one_still_accepts() -> None:
    entries = [accepted(until="2026-11-22"), accepted(note="again")]
    ((judged,), warnings) = judge([READS], entries, TODAY)
    assert judged.accepted == entries[1]
    assert len(warnings) == 1


def test_what_a_pattern_means_elsewhere_is_meant_literally_here() -> None:
    """A routine with arrays among its arguments can be accepted as it is shown."""
    shown = replace(READS, object="function billing.f(integer[], text[])", id="privilege/x?y/EXECUTE")
    ((judged,), warnings) = judge([shown], [accepted(id=shown.id, object=shown.object)], TODAY)
    assert judged.accepted is not None
    assert warnings == []
    ((judged,), _) = judge(
        [replace(shown, id="privilege/xzy/EXECUTE")], [accepted(id=shown.id, object=shown.object)], TODAY
    )
    assert judged.accepted is None
