"""Passwords that a run has generated and that no connection file has yet: a file, written before a server knows them.

A run that is killed so loses none. Each is forgotten as soon as a connection file holds it, or nobody can have it any more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from pydantic import SecretStr

from .errors import GolabsError
from .files import remove_private, write_private
from .project import Project


def recall_pending(project: Project, environment: str) -> dict[str, SecretStr]:
    """The passwords by user that a killed run has left. Raises GolabsError where the file can't be read."""
    path = _file(project, environment)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise GolabsError("the file can't be read", where=str(path), mend="move it out of the way") from error
    return {user: SecretStr(str(text)) for user, text in content.items()} if isinstance(content, dict) else {}


def note_pending(project: Project, environment: str, passwords: Mapping[str, SecretStr]) -> None:
    """Writes passwords down, by user, beside those of other users. Raises GolabsError."""
    try:
        _write(project, environment, {**recall_pending(project, environment), **passwords})
    except OSError as error:
        raise GolabsError(
            f"new passwords can't be written down: {error.strerror}; nothing was changed",
            where=str(_file(project, environment)),
            mend="free space or mend permissions there, and run this again",
        ) from error


def settle_pending(project: Project, environment: str, settled: Collection[str] | None) -> None:
    """Forgets the passwords of these users, which connection files hold now; None: of all. Raises GolabsError.

    Those of a service that the configuration does not have at the moment are written nowhere else, and stay.
    """
    known = {} if settled is None else recall_pending(project, environment)
    left = {user: password for user, password in known.items() if user not in (settled or ())}
    try:
        if not left:
            forget_pending(project, environment)
        elif left != known:
            _write(project, environment, left)
    except OSError as error:
        raise GolabsError(
            f"the file can't be changed: {error.strerror}; the connection files hold what it held",
            where=str(_file(project, environment)),
            mend=f"free space or mend permissions there, then: golabs up {environment}",
        ) from error


def forget_pending(project: Project, environment: str) -> None:
    """Removes the file. Raises GolabsError."""
    remove_private(_file(project, environment))


def _write(project: Project, environment: str, passwords: Mapping[str, SecretStr]) -> None:
    clear = {user: password.get_secret_value() for user, password in passwords.items()}
    write_private(_file(project, environment), json.dumps(clear))


def _file(project: Project, environment: str) -> Path:
    return project.private_folder / "pending" / f"{environment}.json"
