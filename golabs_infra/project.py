"""Where things are: the project's folder, and the files and folders in it that other modules put theirs into.

`find_project` walks up from a folder to the `Pulumi.yaml` of golabs-infra; it reads nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import UsageError

PROJECT_NAME = "golabs-infra"
_NAME_LINE = re.compile(rf"""^name:\s*(["']?){PROJECT_NAME}\1\s*(#.*)?$""", re.MULTILINE)


@dataclass(frozen=True)
class Project:
    """The paths of one checkout."""

    root: Path

    def stack_file(self, environment: str) -> Path:
        """The stack's tracked configuration, `Pulumi.<env>.yaml`."""
        return self.root / f"Pulumi.{environment}.yaml"

    @property
    def project_file(self) -> Path:
        """`Pulumi.yaml`."""
        return self.root / "Pulumi.yaml"

    @property
    def private_folder(self) -> Path:
        """What this machine keeps and git never sees: the embedded server, tst's state, server identities."""
        return self.root / ".golabs"

    @property
    def state_folder(self) -> Path:
        """The default backend folder of the tst stack."""
        return self.private_folder / "state"

    @property
    def state_url(self) -> str:
        """The same as a backend's URL. Without `metadata=skip` the engine keeps a note beside each state file, which it
        does not write in one step: a run that is killed then leaves a note that hides the whole state."""
        return f"{self.state_folder.as_uri()}?metadata=skip"

    @property
    def server_home(self) -> Path:
        """The embedded PostgreSQL's folder."""
        return self.private_folder / "postgres"

    def identity_file(self, environment: str) -> Path:
        """Which server this environment was last applied to from this checkout."""
        return self.private_folder / "identities" / f"{environment}.json"

    def output_folder(self, environment: str) -> Path:
        """Where the connection files of an environment are written."""
        return self.root / "output" / environment

    def relative(self, path: Path) -> str:
        """A path as its reader can use it: from the checkout's folder where that is the current one, else whole."""
        try:
            is_here = Path.cwd() == self.root.resolve()
        except OSError:  # the current folder was removed
            is_here = False
        return str(path.relative_to(self.root)) if is_here and path.is_relative_to(self.root) else str(path)


def find_project(start: Path) -> Project:
    """The project that `start` lies in. Raises UsageError where there is none."""
    here = start.absolute()
    for folder in (here, *here.parents):
        file = folder / "Pulumi.yaml"
        if file.is_file() and _NAME_LINE.search(file.read_text(encoding="utf-8", errors="replace")):
            return Project(folder)
    raise UsageError(
        f"no Pulumi.yaml of {PROJECT_NAME} here or above",
        where=str(start),
        mend=f"change into a checkout of {PROJECT_NAME} first, or name it with --project FOLDER",
    )
