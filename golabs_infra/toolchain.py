"""Finds the Pulumi CLI and its plugins, and says what plain `pulumi` commands need in their environment.

It imports no pulumi, so that looking for the toolchain costs nothing where it is not there. It installs nothing;
`golabs setup` does, through Pulumi's own installer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from .policy import DEMONSTRATION_ENVIRONMENT, TST_PASSPHRASE
from .project import Project

EXECUTABLE = "pulumi"
LANGUAGE_PLUGIN = "pulumi-language-python"
PROVIDERS = ("postgresql", "random")


@dataclass(frozen=True)
class Plugin:
    """A provider's plugin; `path` is None where it is missing, `on_path` tells an ambient one from an installed one."""

    name: str
    version: str
    path: Path | None
    on_path: bool

    @property
    def label(self) -> str:
        """Name and version, as `pulumi plugin install resource` takes them."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Toolchain:
    """What of the Pulumi engine is on this machine."""

    cli: Path | None
    language: Path | None
    plugins: tuple[Plugin, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not there, in words; empty where the Pulumi engine can run."""
        words = [] if self.cli else ["the Pulumi CLI"]
        words += [] if self.language else [f"the language host {LANGUAGE_PLUGIN}"]
        return (*words, *(f"the plugin {plugin.label}" for plugin in self.plugins if plugin.path is None))

    @property
    def missing_in_words(self) -> str:
        """The same as a phrase: "the Pulumi CLI and its plugins" where nothing is there."""
        if self.cli is None and not any(plugin.path for plugin in self.plugins):
            return "the Pulumi CLI and its plugins"
        return " and ".join(self.missing)

    @property
    def complete(self) -> bool:
        """Whether the Pulumi engine can run here."""
        return not self.missing


def pulumi_home(environ: Mapping[str, str]) -> Path:
    """Where Pulumi keeps its plugins: PULUMI_HOME, or ~/.pulumi."""
    return Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME") or Path.home()) / ".pulumi")


def find_toolchain(environ: Mapping[str, str]) -> Toolchain:
    """Looks on PATH, then where Pulumi's installer puts things."""
    home = pulumi_home(environ)
    path = environ.get("PATH", os.defpath)
    found = shutil.which(EXECUTABLE, path=path) or shutil.which(EXECUTABLE, path=str(home / "bin"))
    cli = Path(found) if found else None
    search = path if cli is None else f"{path}{os.pathsep}{cli.parent}"
    language = shutil.which(LANGUAGE_PLUGIN, path=search)
    plugins = tuple(_find_plugin(name, version(f"pulumi-{name}"), home, search) for name in PROVIDERS)
    return Toolchain(cli, Path(language) if language else None, plugins)


def _find_plugin(name: str, wanted: str, home: Path, search: str) -> Plugin:
    executable = f"pulumi-resource-{name}"
    installed = home / "plugins" / f"resource-{name}-v{wanted}" / executable
    ambient = shutil.which(executable, path=search)
    if ambient:
        return Plugin(name, wanted, Path(ambient), True)
    return Plugin(name, wanted, installed if os.access(installed, os.X_OK) else None, False)


def pulumi_variables(
    project: Project, environment: str, toolchain: Toolchain, environ: Mapping[str, str]
) -> dict[str, str]:
    """What has to be exported for plain `pulumi` commands on an environment; the user's own PULUMI_* variables win.

    Only tst has defaults for backend and passphrase: a folder of this checkout, and the published passphrase.
    """
    variables: dict[str, str] = {}
    if toolchain.cli is not None and shutil.which(EXECUTABLE, path=environ.get("PATH", os.defpath)) is None:
        variables["PATH"] = f"{toolchain.cli.parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    if environment == DEMONSTRATION_ENVIRONMENT:
        variables["PULUMI_BACKEND_URL"] = project.state_url
        if "PULUMI_CONFIG_PASSPHRASE_FILE" not in environ:
            variables["PULUMI_CONFIG_PASSPHRASE"] = TST_PASSPHRASE
    if any(plugin.on_path for plugin in toolchain.plugins):
        # Otherwise the engine asks its download server for plugins that are on PATH already.
        variables["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    variables["PULUMI_SKIP_UPDATE_CHECK"] = "true"
    return {name: value for name, value in variables.items() if name == "PATH" or name not in environ}
