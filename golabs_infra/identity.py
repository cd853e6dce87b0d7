"""Which server an environment was last applied to from this checkout, and which users it has: a file of both engines.

The Pulumi engine has the same in its state; the direct engine, which has none, asks here, also after a run of Pulumi's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import GolabsError, IdentityError
from .files import remove_private, write_private
from .project import Project
from .settings import Settings


@dataclass(frozen=True)
class Identity:
    """A server by its system identifier (None: not known yet), and the users that the last run provisioned there."""

    system_identifier: str | None = None
    users: frozenset[str] = frozenset()


def recall_identity(project: Project, environment: str) -> Identity:
    """What the last run noted; empty where there was none. Raises GolabsError where the note can't be read."""
    path = project.identity_file(environment)
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return Identity(str(noted["systemIdentifier"]), frozenset(map(str, noted["users"])))
    except FileNotFoundError:
        return Identity()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GolabsError(
            f"the note of the server can't be read ({type(error).__name__})",
            where=str(path),
            mend=f"see that host and port are the right ones, remove the file, then: golabs up {environment}",
        ) from None


def check_same_server(project: Project, settings: Settings, address: str, found: str, left: str) -> None:
    """Raises IdentityError where the last run was on another server than the one of this system identifier.

    `left` says what was therefore not done.
    """
    known = recall_identity(project, settings.environment).system_identifier
    if known not in (None, found):
        raise IdentityError(
            f"this is another server: the last run was on system identifier {known}, and {address} is {found}; {left}",
            where=settings.source,
            mend=f"point host and port back; or take this one over first: golabs up {settings.environment}",
        )


def note_identity(
    project: Project, environment: str, system_identifier: str, database: str, users: Iterable[str]
) -> None:
    """Notes the server's system identifier, the database and the users provisioned there. Raises GolabsError."""
    path = project.identity_file(environment)
    noted = {"systemIdentifier": system_identifier, "database": database, "users": sorted(users)}
    try:
        write_private(path, json.dumps(noted) + "\n")
    except OSError as error:
        raise GolabsError(
            f"the file can't be written: {error.strerror}",
            where=str(path),
            mend=f"free space or mend permissions there, then: golabs up {environment}",
        ) from error


def forget_identity(project: Project, environment: str) -> None:
    """Removes the note, once nothing of the environment is looked after any more. Raises GolabsError."""
    remove_private(project.identity_file(environment))
