"""Java libraries that tests need: fetched once by the machine's Maven, compared with the checksum that is written down here.

What was fetched stays in the virtual environment that the tests run in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FETCHED = Path(sys.prefix) / ".jars"

POSTGRESQL = (
    "org.postgresql:postgresql:42.7.14",
    "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c",
)
JUNIXSOCKET = (
    (
        "com.kohlschutter.junixsocket:junixsocket-common:2.11.1",
        "152680589a359acd73773e3e7d9d9842007b7b86d8f8e0f828e1f87a81ad5d6a",
    ),
    (
        "com.kohlschutter.junixsocket:junixsocket-native-common:2.11.1",
        "9aa0db38f76b499e36c2b56e7bf5472ceb19ad4d21ebe71b25d1bc81f0336040",
    ),
)
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_SECONDS = 180


def java() -> str:
    """The machine's Java. Skips the test where there is none."""
    found = shutil.which("java")
    if found is None:
        pytest.skip("there is no java here")
    return found


def jar(coordinates: tuple[str, str]) -> Path:
    """A library. Skips the test where it can't be fetched; fails it where something else was sent."""
    artifact, checksum = coordinates
    _, name, version = artifact.split(":")
    target = FETCHED / f"{name}-{version}.jar"
    if target.is_file() and _checksum(target) == checksum:
        return target
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip(f"{target.name} is not here, and there is no mvn to fetch it")
    FETCHED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FETCHED) as folder:
        words = [maven, "-q", "-B", _COPY, f"-Dartifact={artifact}", f"-DoutputDirectory={folder}"]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=False)
        fetched = Path(folder, target.name)
        if ended.returncode or not fetched.is_file():
            pytest.skip(f"{target.name} can't be fetched by mvn: {(ended.stdout + ended.stderr).strip()[:300]}")
        assert _checksum(fetched) == checksum, f"{target.name} is not the file that it should be"
        os.replace(fetched, target)
    return target


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
