"""What the numbers were measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from .ground import Ground


def facts(ground: Ground) -> dict[str, str]:
    """Date, machine and server, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{cores} cores of {_processor()}, {psutil.virtual_memory().total / 1024**3:.0f} GiB memory",
        "system": f"{platform.system()}, Python {platform.python_version()}",
        "server": f"PostgreSQL {ground.version} on the same machine, default durability (fsync on)",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
