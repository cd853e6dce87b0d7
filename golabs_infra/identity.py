"""Which server an environment was last applied to from this checkout: a file that every engine writes at the end.

The Pulumi engine has the same in its state; the direct engine, which has none, asks here, also after a run of Pulumi's.
"""

from __future__ import annotations

import json

from .errors import GolabsError
from .files import write_private
from .project import Project


def remember_server(project: Project, environment: str, system_identifier: str, database: str) -> None:
    """Notes the server's system identifier and the database that was provisioned there. Raises GolabsError."""
    path = project.identity_file(environment)
    identity = {"systemIdentifier": system_identifier, "database": database}
    try:
        write_private(path, json.dumps(identity) + "\n")
    except OSError as error:
        raise GolabsError(
            f"the file can't be written: {error.strerror}",
            where=str(path),
            mend=f"free space or mend permissions there, then: golabs up {environment}",
        ) from error
