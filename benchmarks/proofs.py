"""How long `golabs verify` takes: whole commands on an environment with migrations in it, and each of its two proofs.

    .venv/bin/python -m benchmarks.proofs [--sizes 3,10,100] [--repeat 5]

It writes results/proofs.json and results/proofs.md. Passwords have 4096 iterations, as `up` gives them; every service
has a table with an identity column, a partitioned table of two partitions, a view and a function.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from golabs_infra.connections import read_records

from .golabs import Checkout
from .ground import running_ground
from .machine import facts
from .values import ENVIRONMENT, services

RESULTS = Path(__file__).resolve().parent / "results"
MIGRATIONS = """
CREATE TABLE customer (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
CREATE TABLE event (day date NOT NULL, note text) PARTITION BY RANGE (day);
CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE event_other PARTITION OF event DEFAULT;
CREATE VIEW customer_name AS SELECT name FROM customer;
CREATE FUNCTION doubled(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
"""
COLUMNS = ("services", "pairs", "objects", "attempts", "command", "catalog proof", "live proof")


def measure(sizes: Sequence[int], repeat: int) -> dict[str, Any]:
    """Every size on a server of its own; each run must have proven the isolation."""
    found: dict[str, Any] = {"sizes": {}}
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder, running_ground(Path(folder)) as ground:
            found |= facts(ground)
            root = Path(folder) / "checkout"
            root.mkdir()
            checkout = Checkout(root, ground).make()
            checkout.configure(services(size))
            _golabs(root, "up", ENVIRONMENT, "--engine", "direct")
            for record in read_records(checkout.project, ENVIRONMENT):
                with psycopg.connect(record["users"]["migration"]["url"], autocommit=True) as session:
                    session.execute(MIGRATIONS.encode())
            ground.settle()
            found["sizes"][size] = [_run(root) for _ in range(repeat)]
    return found


def _run(root: Path) -> dict[str, Any]:
    began = time.monotonic()
    report = json.loads(_golabs(root, "verify", ENVIRONMENT, "--json"))
    seconds = time.monotonic() - began
    live, catalog = report["live"], report["catalog"]
    if not report["proven"] or live["undecided"]:
        raise SystemExit(f"the proof found something: {report['findings']} {report['warnings']}")
    numbers = {"pairs": live["pairs"], "objects": catalog["objects"], "attempts": live["attempts"]}
    return {**numbers, "command": seconds, "catalog proof": catalog["seconds"], "live proof": live["seconds"]}


def _golabs(root: Path, *words: str) -> str:
    """A command on the checkout; its standard output."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "PULUMI_", "PYTHON"))}
    command = [sys.executable, "-m", "golabs_infra", "--project", str(root), *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)
    if ran.returncode:
        raise SystemExit(f"{' '.join(words)} failed:\n{ran.stdout}\n{ran.stderr}")
    return ran.stdout


def table(found: dict[str, Any]) -> str:
    """Medians, with the fastest and the slowest run, in seconds."""
    lines = [f"| {' | '.join(COLUMNS)} |", "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for size, runs in found["sizes"].items():
        counts = [f"{int(statistics.median(run[name] for run in runs)):,}" for name in ("pairs", "objects", "attempts")]
        cells = [f"{int(size):,}", *counts, *(_seconds(runs, name) for name in COLUMNS[4:])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _seconds(runs: Sequence[dict[str, Any]], name: str) -> str:
    times = sorted(run[name] for run in runs)
    return f"**{statistics.median(times):.2f} s** ({times[0]:.2f}–{times[-1]:.2f})"


def main() -> None:
    """Measures, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", default="3,10,100")
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    found = measure([int(size) for size in asked.sizes.split(",")], asked.repeat)
    RESULTS.joinpath("proofs.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    told = "\n".join(f"- {found[key]}" for key in ("date", "machine", "system", "server"))
    text = f"# golabs verify\n\nMedian (fastest–slowest) of {asked.repeat} runs.\n\n{told}\n\n{table(found)}\n"
    RESULTS.joinpath("proofs.md").write_text(text, encoding="utf-8")
    sys.stdout.write(table(found) + "\n")


if __name__ == "__main__":
    main()
