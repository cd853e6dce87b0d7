"""The example pipeline's file: pinned, without needless rights, prd behind its environment."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support import REPOSITORY

WORKFLOW = REPOSITORY / "examples" / "github-actions" / "databases.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    used = re.findall(r"uses: (.*)", TEXT)
    assert len(used) > 4
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used), used


def test_the_token_may_only_read_and_is_not_kept() -> None:
    assert yaml.safe_load(TEXT)["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in JOBS.values())
    checkouts = [step for job in JOBS.values() for step in job["steps"] if "checkout" in step.get("uses", "")]
    assert len(checkouts) == len(JOBS)
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", JOBS)
def test_a_job_with_secrets_waits_for_a_reviewer_and_runs_alone(name: str) -> None:
    job = JOBS[name]
    if "secrets." in str(job):
        assert job["environment"] in ("prd", "prd-preview")
        assert job["concurrency"] == "prd"
        assert job["if"] != JOBS["tst"]["if"]
    else:
        assert name == "tst"


def test_only_a_push_to_main_changes_prd_and_only_after_tst() -> None:
    changing = [name for name, job in JOBS.items() if "golabs up prd" in str(job)]
    assert changing == ["prd"]
    assert JOBS["prd"]["if"] == "github.event_name == 'push'"
    assert JOBS["prd"]["needs"] == "tst"
    assert yaml.safe_load(TEXT)[True] == {  # `on`, to YAML 1.1
        "pull_request": None,
        "push": {"branches": ["main"]},
        "schedule": [{"cron": "17 5 * * *"}],
    }
    assert "head.repo.full_name == github.repository" in JOBS["preview"]["if"]


def test_nothing_from_outside_is_put_into_a_script() -> None:
    assert not any("${{" in step.get("run", "") for job in JOBS.values() for step in job["steps"])
