"""Removes every file that runs on an environment have left here, once the environment is gone. Both engines ask it."""

from __future__ import annotations

from pathlib import Path

from .connections import remove_files
from .errors import GolabsError
from .identity import forget_identity
from .pending import forget_pending
from .project import Project
from .proofs import forget_proofs
from .script import remove_scripts


def forget_environment(project: Project, environment: str) -> list[Path]:
    """Removes what holds passwords first. Gives the connection files that are gone. Raises GolabsError."""
    try:
        removed = remove_files(project, environment)
        forget_pending(project, environment)
        forget_proofs(project, environment)
        forget_identity(project, environment)
        remove_scripts(project, environment)
    except GolabsError as error:
        raise GolabsError(f"the environment is gone, and {error.what}", where=error.where, mend=error.mend) from error
    return removed
