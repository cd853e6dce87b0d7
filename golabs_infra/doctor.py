"""`golabs doctor`: what of an environment works, what does not, and how to mend it. Looks only; prints nothing."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .adoption import check_rights
from .errors import GolabsError
from .runs import Run


@dataclass(frozen=True)
class Check:
    """One thing looked at. `problem` is None where it works; an advice is no failure."""

    name: str
    detail: str
    problem: GolabsError | None = None
    advice: bool = False

    @property
    def verdict(self) -> str:
        """`ok`, `advice` or `fails`."""
        return "ok" if self.problem is None else "advice" if self.advice else "fails"


def examine(run: Run) -> Iterator[Check]:
    """Every check in order; one that fails does not stop those that don't depend on it."""
    yield Check("python", platform.python_version())
    yield _toolchain(run)
    yield _attempt("engine", lambda: f"{run.chosen.engine}: {run.chosen.reason}")
    configuration = _attempt("configuration", lambda: _settings(run))
    yield configuration
    if configuration.problem is not None:
        return
    for warning in run.settings.warnings:
        yield Check("configuration", warning, GolabsError(warning), advice=True)
    server = _attempt("server", lambda: _server(run))
    yield server
    if server.problem is None:
        yield _attempt("admin rights", lambda: _rights(run))
        yield from _sessions(run)
        yield _attempt("database", lambda: _database(run))


def _attempt(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, look())
    except GolabsError as error:
        return Check(name, "", error)


def _toolchain(run: Run) -> Check:
    toolchain = run.toolchain
    if toolchain.complete:
        plugins = ", ".join(plugin.label for plugin in toolchain.plugins)
        return Check("pulumi", f"{toolchain.cli}; plugins {plugins}")
    problem = GolabsError(f"not found: {toolchain.missing_in_words}", mend="golabs setup")
    return Check("pulumi", "", problem, advice=run.embedded)


def _settings(run: Run) -> str:
    settings = run.settings
    services = ", ".join(service.name for service in settings.services) or "none"
    return f"{settings.source}: policy {settings.policy.name}; services {services}"


def _server(run: Run) -> str:
    cluster = run.cluster
    return f"{run.endpoint.address}, PostgreSQL {cluster.version}, system identifier {cluster.system_identifier}"


def _rights(run: Run) -> str:
    cluster = run.cluster
    check_rights(run.settings, run.endpoint, cluster)
    return f"{cluster.admin} is a superuser" if cluster.superuser else f"{cluster.admin} has CREATEROLE and CREATEDB"


def _sessions(run: Run) -> Iterator[Check]:
    cluster = run.cluster
    if run.settings.policy.drops and not (cluster.superuser or cluster.signal_backend):
        problem = GolabsError(
            f"{cluster.admin} may not end sessions, so destroy fails while somebody is connected",
            mend=f'GRANT pg_signal_backend TO "{cluster.admin}"',
        )
        yield Check("ending sessions", "", problem, advice=True)


def _database(run: Run) -> str:
    cluster = run.cluster
    if not cluster.database_exists:
        return f"{run.settings.database} does not exist yet: golabs up {run.environment}"
    users = sum(1 for user in run.settings.users if user in cluster.roles)
    return (
        f"{run.settings.database} exists, owned by {cluster.database_owner}; {users} of {len(run.settings.users)} users"
    )
