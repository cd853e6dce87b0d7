"""What the commands of `golabs` share: exit codes, options, and the checkout that a command is about."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from .cli_completion import environments
from .console import Screen
from .engines import EngineChoice
from .errors import UsageError
from .names import environment_name_problem
from .project import Project, find_project
from .runs import Run

EXIT_FAILED = 1
EXIT_FOUND = 2
EXIT_USAGE = 64

Environment = Annotated[
    str,
    typer.Argument(
        metavar="ENV", help="The stack's name, such as tst.", show_default=False, autocompletion=environments
    ),
]
Engine = Annotated[EngineChoice, typer.Option("--engine", help="Which engine does the work.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to standard error.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask (disposable and keep environments only).")]


@dataclass(frozen=True)
class Invocation:
    """What the options before the command say."""

    project_folder: Path | None

    @property
    def project(self) -> Project:
        """The checkout that the command is about."""
        if self.project_folder is not None:
            return find_project(self.project_folder.resolve())
        here = Path.cwd()
        try:
            return find_project(here)
        except UsageError:
            installed = Path(__file__).resolve().parent.parent
            if (installed / "Pulumi.yaml").is_file():
                return find_project(installed)
            raise

    def run(self, environment: str, engine: EngineChoice, *, asks_cli: bool = False) -> Run:
        """The command's view of an environment. Raises UsageError where nothing can be called so."""
        if problem := environment_name_problem(environment):
            raise UsageError(problem[0], where="ENV", mend=problem[1])
        return Run(self.project, environment, engine, os.environ, asks_cli)


def invocation(context: typer.Context) -> Invocation:
    """The options before the command."""
    found = context.find_object(Invocation)
    if found is None:
        raise AssertionError("the callback sets it before any command")
    return found


def show_version(asked: bool) -> None:
    """What `--version` does."""
    if asked:
        Screen().raw(f"golabs-infra {version('golabs-infra')} (Python {platform.python_version()})")
        raise typer.Exit
