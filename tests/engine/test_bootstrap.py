"""A fresh clone brought up with plain pulumi commands on the embedded server, exactly as the README tells a newcomer."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

from ..support import free_port
from .checkout import SERVICES, Checkout
from .database import login

NEWCOMER = 'eval "$(golabs env tst)" && pulumi up --stack tst --yes'


def test_a_fresh_clone_comes_up_by_the_two_commands_of_the_readme_and_stays_clean(checkout: Checkout) -> None:
    _make_clone(checkout)
    shell = {
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout.root),  # the copy's own code, not that of the environment that it borrows
    }

    refused = checkout.run(["bash", "-c", NEWCOMER], variables=shell, fails=True)
    assert "the embedded PostgreSQL does not run" in refused.text
    assert "golabs server start" in refused.text

    checkout.golabs("server", "start", "--port", str(free_port()))
    came_up = checkout.run(["bash", "-c", NEWCOMER], variables=shell)
    assert "40 created" in came_up.out
    again = checkout.run(
        ["bash", "-c", 'eval "$(golabs env tst)" && pulumi up --stack tst --yes --expect-no-changes --skip-preview'],
        variables=shell,
    )
    assert "40 unchanged" in again.out

    records = checkout.connections("tst")
    assert sorted(records) == sorted(SERVICES)
    assert stat.S_IMODE(checkout.project.output_folder("tst").stat().st_mode) == 0o700
    for file in checkout.project.output_folder("tst").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    for service, record in records.items():
        for kind in ("migration", "app"):
            with login(record, kind) as session:
                row = session.execute("SELECT current_database(), current_schema(), current_user").fetchone()
                assert row == ("go-labs-tst", service, record["users"][kind]["username"])
    status = checkout.run(["git", "status", "--porcelain"])
    assert not status.out, f"the bootstrap changed what git sees:\n{status.out}"


def _make_clone(checkout: Checkout) -> None:
    """Makes the copy a git repository in which everything is committed."""

    def git(*words: str) -> None:
        author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        subprocess.run(["git", *author, *words], cwd=checkout.root, check=True, capture_output=True)

    git("init", "--quiet")
    (checkout.root / ".git" / "info" / "exclude").write_text("/.venv\n")  # a link here, a folder in a real clone
    git("add", "--all")
    git("commit", "--quiet", "--message", "as cloned")
