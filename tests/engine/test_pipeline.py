"""Each step of the example pipeline does what it is for.

The jobs are run as a runner would, step by step in a clean checkout, with the real Pulumi CLI; a second server stands for prd.
What only GitHub can do (approvals, whose secrets are whose) is asserted of the file, in the unit ring.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint

from ..live.tools import as_superuser
from ..support import REPOSITORY, free_port
from .checkout import PASSPHRASE, Checkout, own_environment

WORKFLOW = REPOSITORY / "examples" / "github-actions" / "databases.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, Any] = yaml.safe_load(TEXT)["jobs"]
_EXPRESSION = re.compile(r"\$\{\{ *secrets\.(\w+) *\}\}")


class Runner:
    """What GitHub's runner does with a job: its steps in order, each in a shell of its own, until one fails."""

    def __init__(self, checkout: Checkout, secrets: dict[str, str]) -> None:
        self._checkout = checkout
        self._secrets = secrets
        self.summary = checkout.root.parent / "summary.md"

    def clean(self) -> None:
        """The next job's machine knows nothing of the last one's."""
        for folder in (self._checkout.project.private_folder, self._checkout.root / "output"):
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, name: str, *, without: tuple[str, ...] = ()) -> tuple[int, str]:
        """Runs a job; gives its exit code and its log. `without`: variables that it lacks."""
        job, log = JOBS[name], ""
        self.summary.write_text("")
        for step in job["steps"]:
            if "run" not in step:
                continue
            given = {**job.get("env", {}), **step.get("env", {})}
            variables = {key: self._resolved(value) for key, value in given.items() if key not in without}
            code, printed = self._step(step["run"], variables)
            log += f"## {step['name']}\n{printed}"
            if code:
                return code, log
        return 0, log

    def _resolved(self, value: str) -> str:
        return _EXPRESSION.sub(lambda match: self._secrets[match[1]], value)

    def _step(self, script: str, variables: dict[str, str]) -> tuple[int, str]:
        assert "${{" not in script, "an expression in a script is an injection"
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=self._checkout.root,
            env={
                **self._checkout.environ,
                "CI": "true",
                "GITHUB_STEP_SUMMARY": str(self.summary),
                **variables,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return ended.returncode, ended.stdout


@pytest.fixture
def runner(checkout: Checkout, second_server: Endpoint) -> Runner:
    """prd's stack was made by hand, once, as the documentation says."""
    own_environment(checkout.root / ".venv")
    checkout.point_at("prd", second_server)
    checkout.golabs("env", "prd")
    checkout.golabs("server", "start", "--port", str(free_port()))
    checkout.golabs("server", "stop")
    return Runner(
        checkout, {"PULUMI_BACKEND_URL": checkout.own["PULUMI_BACKEND_URL"], "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE}
    )


def test_tst_is_provisioned_and_proven_without_any_secret(runner: Runner, checkout: Checkout) -> None:
    assert "secrets" not in str(JOBS["tst"])
    code, log = runner.run("tst")
    assert code == 0, log
    assert "isolated: 3 services, 6 pairs, proven twice" in log
    assert "<!doctype html>" in (checkout.root / "isolation.html").read_text().lower()


@pytest.mark.timeout(600)
def test_prd_is_previewed_then_provisioned_if_confirmed_and_compared_every_morning(
    runner: Runner, second_server: Endpoint
) -> None:
    code, log = runner.run("preview")
    assert code == 0, log
    assert "schema" in runner.summary.read_text()
    assert databases(second_server) == set()

    runner.clean()
    code, log = runner.run("prd", without=("GOLABS_CONFIRM",))
    assert code == 1, log
    assert "not confirmed; nothing was changed" in log
    assert databases(second_server) == set()

    runner.clean()
    code, log = runner.run("prd")
    assert code == 0, log
    assert "isolated: 3 services, 6 pairs, proven twice" in log
    assert databases(second_server) == {"go-labs-prd"}

    runner.clean()
    code, log = runner.run("drift")
    assert code == 0, log
    as_superuser(second_server, "GRANT order_app_prd_user TO billing_app_prd_user")
    runner.clean()
    code, log = runner.run("drift")
    assert code == 2, log
    assert "membership/billing_app_prd_user/order_app_prd_user" in log
    for password in (PASSPHRASE, second_server.admin_password.get_secret_value()):
        assert password not in log


def databases(server: Endpoint) -> set[str]:
    """Those that are ours."""
    with connect_admin(server) as admin:
        rows = admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'go-labs-%'").fetchall()
    return {name for (name,) in rows}
