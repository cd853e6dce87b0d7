"""Fixtures of the mocks ring: a stand-in for Pulumi's engine, and a bench that declares on it what a test asks for."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from golabs_infra.adoption import Decision
from golabs_infra.endpoint import Endpoint
from golabs_infra.inspection import Cluster
from golabs_infra.project import Project

with warnings.catch_warnings():
    # The provider's SDK warns of a deprecated name of its own each time that it is imported.
    warnings.filterwarnings("ignore", "postgresql.DefaultPrivileg has been deprecated", DeprecationWarning)
    from golabs_infra.program import declare

from .fake_engine import FakeEngine, Run
from .samples import ENDPOINT, a_cluster, a_decision, some_settings


@dataclass
class Bench:
    """Declares an environment on the engine, as the program does once it has looked at the server."""

    engine: FakeEngine
    project: Project
    records: dict[str, Run]

    def declared(self, environment: str = "tst", /, **values: Any) -> Run:
        """The record of a first `up`, which many tests look at."""
        return self.once(f"{environment} {sorted(values.items())}", lambda: self.declare(environment, **values))

    def once(self, key: str, make: Callable[[], Run]) -> Run:
        """A record that several tests look at: it is a value, so it is made once a session."""
        if key not in self.records:
            self.records[key] = make()
        return self.records[key]

    def declare(
        self,
        environment: str = "tst",
        /,
        *,
        preview: bool = False,
        cluster: Cluster | None = None,
        decision: Decision | None = None,
        endpoint: Endpoint = ENDPOINT,
        **values: Any,
    ) -> Run:
        """Three services on an empty server with generated passwords, unless said otherwise."""
        settings = some_settings(environment, **values)
        decided = decision or a_decision(settings)
        seen = cluster or a_cluster()
        return self.engine.run(
            lambda: declare(self.project, settings, endpoint, seen, decided), environment, preview=preview
        )


@pytest.fixture
def engine(project: Project) -> FakeEngine:
    """An engine whose stacks are empty."""
    return FakeEngine(project)


@pytest.fixture(scope="package", autouse=True)
def imports_are_no_garbage() -> Iterator[None]:
    """Spares the collector the provider's SDK, which it would go through again and again."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def records() -> dict[str, Run]:
    """What `declared` has made so far."""
    return {}


@pytest.fixture
def bench(engine: FakeEngine, project: Project, records: dict[str, Run]) -> Bench:
    """Declares environments, one after the other if need be."""
    return Bench(engine, project, records)
