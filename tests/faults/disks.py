"""File systems of a few pages, in the place of a folder: what is written there fails as on a disk that is full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def full_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of this size where a folder is, for a while; skips the test where none can be mounted."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system that is full")
    folder.mkdir(parents=True, exist_ok=True)
    mounted = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def grow(folder: Path, size: str) -> None:
    """Makes room there."""
    grown = _mount("-o", f"remount,size={size}", str(folder))
    assert grown.returncode == 0, grown.stderr


def _mount(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *words], capture_output=True, text=True, check=False)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody can write to, root neither, for a while; skips the test where that can't be had."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a folder read-only")
    folder.mkdir(parents=True, exist_ok=True)
    mounted = _mount("--bind", str(folder), str(folder))
    if mounted.returncode:
        pytest.skip(f"a folder can't be mounted here: {mounted.stderr.strip()}")
    try:
        remounted = _mount("-o", "remount,ro,bind", str(folder))
        assert remounted.returncode == 0, remounted.stderr
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
