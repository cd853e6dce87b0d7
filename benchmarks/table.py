"""Results -> Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .statistics import Summary, duration, factor, mebibytes, summarise
from .values import Entrant, Measurement, Results, Scenario

YARDSTICKS = ("psql", "psql-script")
"""What ratios are to: the first of them that was measured."""
SCALING = ("golabs-pulumi", "pulumi")
"""Whose growth from 50 to 100 services is told."""

_TITLES = {
    Scenario.FRESH: "From nothing",
    Scenario.SAME: "No change",
    Scenario.RESET: "Reset: drop and rebuild",
    Scenario.ADDED: "One service added",
}


def render(results: Results) -> str:
    """The whole document: facts, a table a scenario, memory, and what to know of each contender."""
    parts = [_head(results)]
    for scenario, title in _TITLES.items():
        parts.append(f"### {title}\n\n{_legend(results, scenario)}\n\n{_times(results, scenario)}")
    parts.append(
        "### Peak memory from nothing\n\nMiB, the sum over the command's process tree, in a run of its own.\n\n"
        + _memory(results)
    )
    parts += [_section("Growth", _scaling(results)), _section("Notes", _notes(results))]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(results: Results) -> str:
    lines = [f"- {name}: {value}" for name, value in results.facts.items()]
    for entrant in results.entrants:
        lines.append(
            f"- {entrant.label}: {entrant.version}"
            if entrant.missing is None
            else f"- {entrant.label}: not installed; {entrant.missing}"
        )
    return "\n".join(lines)


def _legend(results: Results, scenario: Scenario) -> str:
    base = _yardstick(results, scenario)
    label = next((entrant.label for entrant in results.entrants if entrant.key == base), None)
    text = "Seconds by number of services: median of whole commands (fastest–slowest)"
    return f"{text}, × {label}." if label else f"{text}."


def _yardstick(results: Results, scenario: Scenario) -> str | None:
    measured = {one.contender for one in results.measurements if one.scenario is scenario and one.seconds}
    return next((key for key in YARDSTICKS if key in measured), None)


def _times(results: Results, scenario: Scenario) -> str:
    base = _yardstick(results, scenario)
    rows = []
    for entrant in _present(results):
        cells = []
        for size in results.sizes:
            own = results.find(entrant.key, size, scenario)
            reference = results.find(base, size, scenario) if base and base != entrant.key else None
            cells.append(_cell(own, summarise(reference.seconds) if reference else None))
        rows.append([entrant.label, *cells])
    return _table(["", *map(_number, results.sizes)], rows)


def _cell(measurement: Measurement | None, base: Summary | None) -> str:
    if measurement is None:
        return "–"
    if measurement.error is not None:
        return "failed"
    summary = summarise(measurement.seconds)
    if summary is None:
        return "–"
    spread = f"({duration(summary.low)}–{duration(summary.high)})" if summary.count > 1 else "(n=1)"
    times = f" {factor(summary.times(base))}×" if base else ""
    return f"**{duration(summary.median)}** {spread}{times}"


def _memory(results: Results) -> str:
    rows = []
    for entrant in _present(results):
        found = [results.find(entrant.key, size, Scenario.FRESH) for size in results.sizes]
        cells = ["–" if one is None or one.peak_bytes is None else mebibytes(one.peak_bytes) for one in found]
        rows.append([entrant.label, *cells])
    return _table(["", *map(_number, results.sizes)], rows)


def _scaling(results: Results) -> Iterator[str]:
    for entrant in results.entrants:
        if entrant.key in SCALING:
            small, large = (results.find(entrant.key, size, Scenario.FRESH) for size in (50, 100))
            before, after = (summarise(one.seconds) if one else None for one in (small, large))
            if before and after:
                yield f"{entrant.label}: 100 services take {factor(after.times(before))}× the time of 50."


def _notes(results: Results) -> Iterator[str]:
    for entrant in _present(results):
        for note in entrant.notes:
            yield f"{entrant.label}: {note}."
        same = [one for one in results.measurements if one.contender == entrant.key and one.wrote is not None]
        if same:
            what = "writes to the catalogs again" if any(one.wrote for one in same) else "writes nothing"
            yield f"{entrant.label}: with no change it {what} (seen in the catalogs' row versions)."
    for one in results.measurements:
        if one.error is not None:
            words = " ".join(one.error.split())[:300]
            yield f"{one.contender}, {one.size} services, {one.scenario}: failed: {words}"


def _present(results: Results) -> list[Entrant]:
    return [entrant for entrant in results.entrants if entrant.missing is None]


def _section(title: str, lines: Iterator[str]) -> str:
    listed = [f"- {line}" for line in lines]
    return "\n".join([f"### {title}", "", *listed]) if listed else ""


def _number(value: int) -> str:
    return f"{value:,}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, aligned, *rows))
