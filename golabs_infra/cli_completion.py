"""What a shell completes: stacks of the checkout, the services of a stack, and their users. It reads files, and is silent about faults."""

from __future__ import annotations

from pathlib import Path

import typer

from .config_keys import service_names
from .errors import GolabsError
from .names import USER_KINDS
from .project import Project, find_project
from .stackfile import StackFile


def environments(context: typer.Context, incomplete: str) -> list[str]:
    """The stacks that have a file, `Pulumi.<env>.yaml`."""
    project = _project(context)
    if project is None:
        return []
    names = (path.name.removeprefix("Pulumi.").removesuffix(".yaml") for path in project.root.glob("Pulumi.*.yaml"))
    return sorted(name for name in names if name.startswith(incomplete))


def services(context: typer.Context, incomplete: str) -> list[str]:
    """The services of the stack that stands before it on the line."""
    # Before an option that has no value yet, words are left as they stand.
    environment = context.params.get("environment") or next(iter(context.args), None)
    project = _project(context)
    if project is None or not isinstance(environment, str):
        return []
    try:
        listed = StackFile.read(project, environment).values.get("services")
    except (GolabsError, OSError):
        return []
    return [name for name in service_names(listed) if name.startswith(incomplete)]


def users(context: typer.Context, incomplete: str) -> list[str]:
    """The kinds of user that every service has."""
    return [kind for kind in USER_KINDS if kind.startswith(incomplete)]


def _project(context: typer.Context) -> Project | None:
    """The checkout that the line names, or the one around."""
    named = context.parent.params.get("project") if context.parent is not None else None
    try:
        return find_project(Path(named) if named else Path.cwd())
    except (GolabsError, OSError):
        return None
