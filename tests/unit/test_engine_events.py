"""What is made of the engine's events: steps as they end, each notice once, and the counts of a run."""

from __future__ import annotations

from typing import Any

import pytest

from golabs_infra.engine_events import EngineReport, Notice, Step

ROLE = "postgresql:index/role:Role"
URN = f"urn:pulumi:tst::golabs-infra::golabs:postgresql:ServiceSchema${ROLE}::billing-app"


def step_event(kind: str, operation: str, *, planning: bool) -> dict[str, Any]:
    """An event of a resource's operation, as the CLI writes it."""
    return {"sequence": 7, kind: {"metadata": {"op": operation, "urn": URN, "type": ROLE}, "planning": planning}}


def said(severity: str, message: str) -> dict[str, Any]:
    """An event of a diagnostic message."""
    return {"diagnosticEvent": {"severity": severity, "message": message, "color": "raw"}}


def test_an_operation_is_told_when_it_has_ended_and_a_planned_one_when_it_is_planned() -> None:
    report = EngineReport()
    step = Step("create", ROLE, "billing-app")
    assert report.take(step_event("resourcePreEvent", "create", planning=False)) is None
    assert report.take(step_event("resOutputsEvent", "create", planning=False)) == step
    assert report.take(step_event("resourcePreEvent", "create", planning=True)) == step
    assert report.take(step_event("resOutputsEvent", "create", planning=True)) is None
    assert report.steps == [step, step]
    assert (step.kind, step.symbol, step.is_internal) == ("Role", "+", False)


@pytest.mark.parametrize("operation", ["same", "read", "refresh", "discard-replaced"])
def test_what_changes_nothing_is_not_told(operation: str) -> None:
    assert EngineReport().take(step_event("resOutputsEvent", operation, planning=False)) is None


def test_a_notice_is_told_once_and_without_the_engines_colours() -> None:
    report = EngineReport()
    notice = Notice("error", "it lacks CREATEROLE")
    assert report.take(said("error", "<{%fg 1%}>error: it lacks CREATEROLE<{%reset%}>\n")) == notice
    assert report.take(said("error", "it lacks CREATEROLE")) is None
    assert report.take(said("info", "hello")) is None
    assert report.take(said("error", "update failed")) is not None
    assert report.errors == ["it lacks CREATEROLE"], "the engine's own echo is left out"


def test_an_operation_that_the_engine_invents_tomorrow_is_told_as_a_change() -> None:
    step = EngineReport().take(step_event("resOutputsEvent", "transmogrify", planning=False))
    assert isinstance(step, Step)
    assert step.symbol == "~"


def test_the_summary_counts_what_changed() -> None:
    report = EngineReport()
    for kind, content in (
        ("preludeEvent", {}),
        ("summaryEvent", {"resourceChanges": {"same": 3}}),
        ("cancelEvent", {}),
    ):
        assert report.take({kind: content}) is None
    assert report.summary == {"same": 3}
    report.take({"summaryEvent": {"resourceChanges": {"create": 1}}})
    assert report.summary == {"same": 3, "create": 1}
