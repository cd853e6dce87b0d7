"""What the fault suite has shown: each fault that a test has caused, how the command ended, and how long it took.

A test records what it has asserted, by the fixture `faults`; the reports of all processes come together in the one that
started them, which counts. `make faults` writes the table into the documentation; every run ends with the line of totals.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

RECORDED = "fault"
"""The property by which a test's report tells one fault."""
BEGIN, END = "<!-- faults: begin -->\n", "<!-- faults: end -->\n"
EVERY_RUN = 3
"""How many points of a series are in every run; `--faults` has all of them."""


@dataclass(frozen=True)
class Fault:
    """One fault that was caused, and what came of it. `ending` is as a user sees it: the exit code and the message's first line."""

    kind: str
    engine: str
    ending: str
    seconds: float


class Faults:
    """Takes down the faults of one test, after it has asserted what must hold."""

    def __init__(self, node: pytest.Item) -> None:
        self._node = node

    def record(self, kind: str, engine: str, ending: str, seconds: float) -> None:
        """One fault: what was done ("kill -9 of `up`"), to which engine, how the command ended, after how many seconds."""
        fault = Fault(kind, engine, ending, round(seconds, 2))
        self._node.user_properties.append((RECORDED, json.dumps(asdict(fault))))


def points(config: pytest.Config, number: int, few: int = EVERY_RUN) -> list[int]:
    """Which of so many points a run takes, from 0: all with `--faults`, else a few, spread from the first to the last."""
    if config.getoption("--faults") or number <= few:
        return list(range(number))
    return [round((at + 0.5) * number / few - 0.5) for at in range(few)]


def table(faults: Iterable[Fault]) -> str:
    """Markdown: a row for each fault and engine, with how often it was caused, how it ended, and the slowest command."""
    groups: dict[tuple[str, str], list[Fault]] = {}
    for fault in faults:
        groups.setdefault((fault.kind, fault.engine), []).append(fault)
    lines = ["| fault | engine | times | how the command ended | slowest |", "| --- | --- | ---: | --- | ---: |"]
    for (kind, engine), caused in sorted(groups.items()):
        endings = "; ".join(_counted([fault.ending for fault in caused]))
        slowest = max(fault.seconds for fault in caused)
        lines.append(f"| {kind} | {engine} | {len(caused)} | {endings} | {slowest:.1f} s |")
    return "\n".join(lines) + "\n"


def _counted(endings: Sequence[str]) -> list[str]:
    counts = {ending: endings.count(ending) for ending in sorted(set(endings))}
    return list(counts) if len(counts) == 1 else [f"{ending} ({count}×)" for ending, count in counts.items()]


def summarize(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The line of totals; with `--faults` the table too, and into the file of `--faults-report` if nothing went wrong."""
    recorded: list[Fault] = []
    failed: list[str] = []
    skipped: dict[str, None] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.getreports(outcome):
            if outcome in {"failed", "error"}:
                failed.append(str(getattr(report, "nodeid", report)))
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                skipped[report.longrepr[2].removeprefix("Skipped: ")] = None
            if outcome == "passed" and report.when == "call":
                recorded += _recorded(report.user_properties)
    if config.getoption("--faults") and recorded:
        reporter.section("faults")
        reporter.write(table(recorded))
        if (file := config.getoption("--faults-report")) is not None:
            reporter.write_line(_written(Path(file), table(recorded), failed, skipped))
    kinds = len({(fault.kind, fault.engine) for fault in recorded})
    told = f"{len(recorded)} caused, of {kinds} kinds" if recorded else "did not run: no test of them was selected"
    reporter.write_line(f"faults: {told}")


def _recorded(properties: Iterable[tuple[str, object]]) -> list[Fault]:
    return [Fault(**json.loads(str(value))) for name, value in properties if name == RECORDED]


def _written(file: Path, text: str, failed: Sequence[str], skipped: Mapping[str, None]) -> str:
    """Puts the table between its marks in a page; a run with failures or gaps writes nothing, and says so."""
    if failed or skipped:
        return f"{file}: not written: {len(failed)} failed; skipped: {'; '.join(skipped) or 'none'}"
    page = file.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    file.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")
    return f"{file}: written"
