"""Fixtures of every ring. A real PostgreSQL is started once a session, and emptied before each test that uses it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.toolchain import find_toolchain

from .browser.chromium import chromium_version
from .faults import ledger
from .matrix.summary import summarize
from .sql_ascii import sql_ascii  # noqa: F401 - a fixture
from .standby import standby  # noqa: F401 - a fixture
from .strategies import USUAL_EXAMPLES
from .support import REPOSITORY, home_in_memory, make_project, running_server, wipe
from .tls import encrypted, tls, tls_admin, tls_keys  # noqa: F401 - fixtures

# A shell that starts the tests in the background has them ignore Ctrl-C, which every process that they start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy makes any example slow: that is no reason to fail, nor to give up drawing.
settings.register_profile(
    "ci",
    max_examples=USUAL_EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("explore", settings.get_profile("ci"), max_examples=2000, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
set_hypothesis_home_dir(REPOSITORY / ".pytest_cache" / "hypothesis")  # it keeps Unicode's tables there


def pytest_addoption(parser: pytest.Parser) -> None:
    """Here, as only the conftest.py of `testpaths` is read early enough to bring options."""
    group = parser.getgroup("matrix of PostgreSQL versions, admins and engines")
    group.addoption("--matrix", action="store_true", help="run all of it, not only what every run does, and print it")
    group.addoption("--matrix-report", metavar="FILE", help="write its table to a file too")
    group = parser.getgroup("faults: killed runs, lost servers, full disks")
    group.addoption("--faults", action="store_true", help="cause all of them, not only what every run does")
    group.addoption("--faults-report", metavar="FILE", help="put the table between its marks in a Markdown file")


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The session's server, PostgreSQL 18; most tests want `server`, which is empty."""
    with home_in_memory(tmp_path_factory.mktemp("postgresql")) as home, running_server(home) as endpoint:
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


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> ledger.Faults:
    """Takes down the faults that a test has caused, once it has asserted what must hold."""
    return ledger.Faults(request.node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The lines that tell on which versions of PostgreSQL tests ran, and whether they had the real Pulumi CLI and a
    browser."""
    summarize(terminalreporter, config)
    ledger.summarize(terminalreporter, config)
    terminalreporter.write_line(f"real Pulumi engine: {_account(terminalreporter, 'engine', _pulumi_version)}")
    terminalreporter.write_line(f"browser: {_account(terminalreporter, 'browser', chromium_version)}")


def _pulumi_version() -> str:
    cli = find_toolchain(os.environ).cli
    version = subprocess.run([str(cli), "version"], capture_output=True, text=True, check=False).stdout.strip()
    return f"pulumi v{version.removeprefix('v')}"


def _account(reporter: pytest.TerminalReporter, ring: str, version: Callable[[], str]) -> str:
    """Whether the tests of a ring ran, which needs something that not every machine has: its version, or why not."""

    def reports(outcome: str) -> list[pytest.TestReport]:
        return [report for report in reporter.getreports(outcome) if report.nodeid.startswith(f"tests/{ring}/")]

    passed, failed, skipped = len(reports("passed")), len(reports("failed") + reports("error")), reports("skipped")
    if passed or failed:
        counts = f"{passed} passed, {failed} failed" if failed else f"{passed} tests passed"
        return f"ran: {counts} ({version()})"
    if skipped:
        reason = skipped[0].longrepr[2] if isinstance(skipped[0].longrepr, tuple) else "every test was skipped"
        return f"did not run: {reason.removeprefix('Skipped: ')}"
    return f"did not run: no test of tests/{ring} was selected"
