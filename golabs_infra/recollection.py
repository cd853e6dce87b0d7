"""What is known of logins' passwords from earlier runs, whichever engine they were of: one reading of it for all who ask.

Which of several passwords a login really has, only the server knows; who asks here has them proven, or keeps them all.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import SecretStr

from . import connections
from .pending import recall_pending
from .project import Project


def recall_passwords(
    project: Project, environment: str, stated: Iterable[connections.Record] = ()
) -> dict[str, tuple[SecretStr, ...]]:
    """All of the passwords that each user may have, the likelier first: those that an engine's state tells (`stated`),
    those that a killed run has left, those in connection files. Raises GolabsError where a file can't be read."""
    pending = recall_pending(project, environment)
    sources = (
        connections.candidates(stated),
        {user: (password,) for user, password in pending.items()},
        connections.candidates(connections.read_records(project, environment)),
    )
    users = sorted({user for source in sources for user in source})
    return {user: tuple(dict.fromkeys(one for source in sources for one in source.get(user, ()))) for user in users}
