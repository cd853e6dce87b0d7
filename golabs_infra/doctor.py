"""`golabs doctor`: what of an environment works, what does not, and how to mend it. Looks only; prints nothing."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .adoption import Memory, takeover
from .engines import EngineChoice
from .errors import Fault, GolabsError
from .identity import recall_identity
from .inspection import look_inside
from .model import expand
from .rights import check_rights, check_valid, unsignalled
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

    def as_json(self) -> dict[str, str | None]:
        """The check for programs."""
        told = self.problem
        return {
            "name": self.name,
            "verdict": self.verdict,
            "detail": self.detail,
            "where": told.where if told else None,
            "problem": told.what if told else None,
            "mend": told.mend if told else None,
        }


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
        database = _attempt("database", lambda: _database(run))
        yield database
        if database.problem is None:
            yield from _takeover(run)


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
    return Check("pulumi", "", problem, advice=run.embedded or run.requested is EngineChoice.DIRECT)


def _settings(run: Run) -> str:
    settings = run.settings
    services = (
        ", ".join(f"{each.name} (retired)" if each.retired else each.name for each in settings.services) or "none"
    )
    return f"{settings.source}: policy {settings.policy.name}; services {services}"


def _server(run: Run) -> str:
    cluster, endpoint = run.cluster, run.endpoint
    encrypted = f"encrypted by {cluster.tls_version} ({endpoint.ssl_mode})" if cluster.tls_version else "not encrypted"
    known = f"PostgreSQL {cluster.version}, system identifier {cluster.system_identifier}"
    return f"{endpoint.address}, {known}; {encrypted}"


def _rights(run: Run) -> str:
    cluster = run.cluster
    check_rights(run.settings, run.endpoint, cluster)
    return f"{cluster.admin} is a superuser" if cluster.superuser else f"{cluster.admin} has CREATEROLE and CREATEDB"


def _sessions(run: Run) -> Iterator[Check]:
    cluster = run.cluster
    if run.settings.policy.drops and not (cluster.superuser or cluster.signal_backend):
        yield Check("ending sessions", "", GolabsError(unsignalled(cluster)), advice=True)


def _takeover(run: Run) -> Iterator[Check]:
    """What `up` would refuse to take over, and what it would warn of, each by itself."""
    identity = recall_identity(run.project, run.environment)
    memory = Memory(identity.system_identifier, identity.users)
    try:
        live = look_inside(run.endpoint, run.cluster, expand(run.settings))
    except GolabsError as error:
        yield Check("takeover", "", error)
        return
    obstacles, warnings = takeover(run.settings, run.cluster, memory, live)
    for fault in obstacles:
        yield Check("takeover", "", _error(fault))
    for warning in warnings:
        yield Check("takeover", "", GolabsError(warning), advice=True)
    if not obstacles and run.cluster.database_exists:
        yield Check("takeover", "nothing that is there stands in the way of an up (passwords are not tried here)")


def _error(fault: Fault) -> GolabsError:
    return GolabsError(fault.what, where=fault.where, mend=fault.mend)


def _database(run: Run) -> str:
    cluster = run.cluster
    check_valid(run.settings, run.endpoint, cluster)
    if not cluster.database_exists:
        return f"{run.settings.database} does not exist yet: golabs up {run.environment}"
    users = sum(1 for user in run.settings.users if user in cluster.roles)
    return (
        f"{run.settings.database} exists, owned by {cluster.database_owner}; {users} of {len(run.settings.users)} users"
    )
