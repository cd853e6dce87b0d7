"""Fixtures of every ring. A real PostgreSQL is started once a session, and emptied before each test that uses it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.toolchain import find_toolchain

from .support import make_project, running_server, wipe


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The session's server, PostgreSQL 18; most tests want `server`, which is empty."""
    with running_server(tmp_path_factory.mktemp("postgresql")) as endpoint:
        yield endpoint


@pytest.fixture
def server(postgresql: Endpoint) -> Endpoint:
    """The superuser's endpoint on a server without databases and roles of ours."""
    wipe(postgresql)
    return postgresql


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project folder."""
    return make_project(tmp_path / "project")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The line that tells whether the tests of the engine ring have had the real Pulumi CLI to run on."""
    terminalreporter.write_line(f"real Pulumi engine: {_engine_account(terminalreporter)}")


def _engine_account(reporter: pytest.TerminalReporter) -> str:
    def reports(outcome: str) -> list[pytest.TestReport]:
        return [report for report in reporter.getreports(outcome) if report.nodeid.startswith("tests/engine/")]

    passed, failed, skipped = len(reports("passed")), len(reports("failed") + reports("error")), reports("skipped")
    if passed or failed:
        cli = find_toolchain(os.environ).cli
        version = subprocess.run([str(cli), "version"], capture_output=True, text=True, check=False).stdout.strip()
        counts = f"{passed} passed, {failed} failed" if failed else f"{passed} tests passed"
        return f"ran: {counts} (pulumi v{version.removeprefix('v')})"
    if skipped:
        reason = skipped[0].longrepr[2] if isinstance(skipped[0].longrepr, tuple) else "every test was skipped"
        return f"did not run: {reason.removeprefix('Skipped: ')}"
    return "did not run: no test of tests/engine was selected"
