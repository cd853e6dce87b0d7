"""Installs what is missing of the Pulumi toolchain, through Pulumi's own installers, where downloads are open.

Used by `golabs setup` alone. It gives up within seconds where the download server can't be reached.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .errors import EngineError
from .toolchain import Toolchain, find_toolchain, pulumi_home

INSTALLER_URL = "https://get.pulumi.com"
REACH_TIMEOUT_S = 5
INSTALL_TIMEOUT_S = 300


@dataclass(frozen=True)
class Outcome:
    """What became of one missing part: installed, or why not."""

    part: str
    problem: str | None


def install_missing(toolchain: Toolchain, environ: Mapping[str, str]) -> Iterator[Outcome]:
    """Tries to install every missing part, and says of each whether it is there now."""
    if toolchain.complete:
        return
    if problem := _unreachable():
        for part in toolchain.missing:
            yield Outcome(part, problem)
        return
    if toolchain.cli is None or toolchain.language is None:
        yield _install_cli(environ)
        toolchain = find_toolchain(environ)
    for plugin in toolchain.plugins:
        if plugin.path is None and toolchain.cli is not None:
            command = [str(toolchain.cli), "plugin", "install", "resource", plugin.name, f"v{plugin.version}"]
            yield Outcome(f"the plugin {plugin.label}", _failure(command, environ))


def _unreachable() -> str | None:
    try:
        with urllib.request.urlopen(INSTALLER_URL, timeout=REACH_TIMEOUT_S):
            return None
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        return f"{INSTALLER_URL} can't be reached from here ({reason})"


def _install_cli(environ: Mapping[str, str]) -> Outcome:
    from .stacks import install_cli

    part = "the Pulumi CLI"
    try:
        install_cli(pulumi_home(environ))
    except EngineError as error:
        return Outcome(part, error.what)
    return Outcome(part, None)


def _failure(command: list[str], environ: Mapping[str, str]) -> str | None:
    try:
        result = subprocess.run(  # noqa: S603  (Pulumi's own CLI, found by find_toolchain)
            command, env=dict(environ), capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end within {INSTALL_TIMEOUT_S} s"
    except OSError as error:
        return error.strerror
    if result.returncode == 0:
        return None
    words = result.stderr.strip() or result.stdout.strip()
    return words.splitlines()[-1] if words else f"exit code {result.returncode}"
