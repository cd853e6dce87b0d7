"""`golabs doctor`: what it finds is a failure only where it stands in the way of the engine that was asked for."""

from __future__ import annotations

import os

import pytest

from golabs_infra import doctor
from golabs_infra.endpoint import Endpoint
from golabs_infra.engines import EngineChoice
from golabs_infra.project import Project
from golabs_infra.runs import Run

from ..support import write_stack

BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
"""The environment of somebody without the Pulumi CLI."""


@pytest.mark.parametrize(("engine", "verdict"), [("direct", "advice"), ("auto", "fails"), ("pulumi", "fails")])
def test_a_missing_cli_is_no_failure_where_the_direct_engine_is_asked_for(
    server: Endpoint, project: Project, engine: str, verdict: str
) -> None:
    write_stack(project, "dev", server, services=["billing"])
    checks = list(
        doctor.examine(Run(project, "dev", EngineChoice(engine), {**os.environ, "PULUMI_HOME": "/nonexistent", **BARE}))
    )
    (pulumi,) = [check for check in checks if check.name == "pulumi"]
    assert (pulumi.verdict, pulumi.problem is not None and pulumi.problem.mend) == (verdict, "golabs setup")
    if engine == "direct":
        assert [check for check in checks if check.verdict == "fails"] == []
