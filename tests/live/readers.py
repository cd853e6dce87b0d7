"""The programs and libraries that read connection files in their various forms, each logging in with what it has read."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import psycopg
import yaml
from dotenv import dotenv_values

from golabs_infra.server_binaries import find_programs

from ..jars import JUNIXSOCKET, POSTGRESQL, jar, java

_WHO = "SELECT current_user"
_SOURCE = Path(__file__).with_name("Login.java")


def psql(environment: Mapping[str, str], *options: str, program: Path | None = None) -> str:
    """Who psql is logged in as; nothing of this machine's own settings helps it. `program`: another psql than the wheel's."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    done = subprocess.run(
        [program or find_programs(18)["psql"], "--no-psqlrc", "--no-password", "-At", "-c", _WHO, *options],
        env={**bare, "HOME": "/nonexistent", "PGCONNECT_TIMEOUT": "20", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def python_dotenv(file: Path) -> dict[str, str]:
    """What python-dotenv reads."""
    return {name: value or "" for name, value in dotenv_values(file).items()}


def shell(file: Path) -> dict[str, str]:
    """What `set -a; . file` gives to the programs that a shell starts."""
    script = 'set -a; . "$1"; set +a; exec env -0'
    done = subprocess.run(
        ["sh", "-eu", "-c", script, "sh", file], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True
    )
    found = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    return {name: value for name, value in found.items() if name not in ("PATH", "PWD", "OLDPWD", "SHLVL", "_")}


def no_quotes(file: Path) -> dict[str, str]:
    """What a reader gets that takes everything after the first = as it stands, as `docker run --env-file` does."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def jdbc(files: Iterable[Path]) -> list[str]:
    """Who PostgreSQL's driver is logged in as with each properties file, in each way that it can be used (two or three)."""
    path = ":".join(str(jar(each)) for each in (POSTGRESQL, *JUNIXSOCKET))
    command = [java(), "-Dfile.encoding=UTF-8", "-cp", path, str(_SOURCE), *(str(file) for file in files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def secrets(file: Path) -> list[dict[str, str]]:
    """The data of the Secrets in a file, decoded as the kubelet does when it mounts them."""
    documents = yaml.safe_load_all(file.read_text(encoding="utf-8"))
    return [
        {name: base64.b64decode(value, validate=True).decode() for name, value in document["data"].items()}
        for document in documents
    ]


def url(text: str) -> str:
    """Who a URL logs in as."""
    with psycopg.connect(text) as session:
        row = session.execute(_WHO).fetchone()
        assert row is not None
        return str(row[0])
