"""psql as a DBA would run it, from the PostgreSQL that the embedded server comes with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from golabs_infra.endpoint import Endpoint
from golabs_infra.server_binaries import find_programs


def psql(endpoint: Endpoint, script: str | Path, *options: str) -> str:
    """Runs a script, text or file, as the admin on its database; gives what psql wrote. Fails the test if psql did."""
    done = attempt(endpoint, script, *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def attempt(endpoint: Endpoint, script: str | Path, *options: str) -> subprocess.CompletedProcess[str]:
    """The same, whatever comes of it."""
    source = ["-f", str(script)] if isinstance(script, Path) else []
    return subprocess.run(
        [find_programs(18)["psql"], "--no-psqlrc", "--quiet", "-d", endpoint.admin_database, *source, *options],
        input=script if isinstance(script, str) else None,
        env={
            **os.environ,
            "PGHOST": endpoint.host,
            "PGPORT": str(endpoint.port),
            "PGUSER": endpoint.admin_user,
            "PGPASSWORD": endpoint.admin_password.get_secret_value(),
            "PGSSLMODE": endpoint.ssl_mode,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
