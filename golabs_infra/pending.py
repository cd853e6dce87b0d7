"""Passwords that a run has generated and that no connection file has yet: a file, written before a server knows them.

A run that is killed so loses none. It is removed as soon as the connection files hold what it held.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
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
    """Writes passwords down, by user. Raises GolabsError."""
    path = _file(project, environment)
    try:
        write_private(path, json.dumps({user: password.get_secret_value() for user, password in passwords.items()}))
    except OSError as error:
        raise GolabsError(
            f"new passwords can't be written down: {error.strerror}; nothing was changed",
            where=str(path),
            mend="free space or mend permissions there, and run this again",
        ) from error


def forget_pending(project: Project, environment: str) -> None:
    """Removes the file. Raises GolabsError."""
    remove_private(_file(project, environment))


def _file(project: Project, environment: str) -> Path:
    return project.private_folder / "pending" / f"{environment}.json"
