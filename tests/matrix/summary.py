"""What a test run has shown of the matrix: its table, and the line that every run ends with.

The reports of all processes come together in the one that started them, which loads no conftest.py below `tests`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .cells import Result, account, table

SHOWN, AT, VERSION = "matrix", "cell", "version"
"""The properties by which a test's report tells them."""


def summarize(reporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of `make matrix`, and the line that tells on which versions tests have run."""
    results: dict[tuple[int, str, str], list[Result]] = {}
    versions: dict[int, str] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reporter.getreports(outcome):
            properties = dict(getattr(report, "user_properties", ()))  # a file that failed to load has none
            if AT not in properties:
                continue
            why = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
            shown = Result("failed" if outcome == "error" else outcome, why or str(properties.get(SHOWN, "")))
            results.setdefault(properties[AT], []).append(shown)
            if VERSION in properties:
                versions[properties[AT][0]] = str(properties[VERSION])
    if config.getoption("--matrix") and results:
        text = table(results, versions)
        reporter.section("matrix")
        reporter.write(text)
        if (file := config.getoption("--matrix-report")) is not None:
            Path(file).write_text(text, encoding="utf-8")
    reporter.write_line(f"matrix of PostgreSQL versions: {account(results, versions)}")
