"""What earlier runs of either engine have left of an environment's logins: in connection files, in the stack's state.

For commands that change logins by themselves, or forget them; what an engine makes of its own memory at an `up` is told in `adoption`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import chain

from pydantic import SecretStr

from . import connections
from .adoption import Memory, is_outdated
from .errors import ApplyError, GolabsError
from .guarding import check_logins
from .identity import note_identity, recall_identity
from .inspection import Cluster
from .login_changes import LoginChanger
from .model import expand
from .project import Project
from .recollection import recall_passwords
from .runs import Run


@dataclass(frozen=True)
class Remembered:
    """Connection records by service, all passwords that a login may have, the likelier first, and the server's identity.

    `written` are the records that stand in files. `in_state` are the services that the stack's state has; none on the
    direct engine. `managed` are the users that were provisioned, `noted` those that this checkout's note has.
    """

    records: Mapping[str, connections.Record] = field(repr=False)
    written: Mapping[str, connections.Record] = field(repr=False)
    candidates: Mapping[str, tuple[SecretStr, ...]] = field(repr=False)
    system_identifier: str | None
    in_state: frozenset[str]
    managed: frozenset[str]
    noted: frozenset[str]


def remember(run: Run) -> Remembered:
    """Reads files and, on the Pulumi engine, the stack's outputs. Raises GolabsError where one of them can't be read."""
    written = {record["service"]: record for record in connections.read_records(run.project, run.environment)}
    identity = recall_identity(run.project, run.environment)
    if run.is_direct:
        stated: dict[str, connections.Record] = {}
        identifier, managed = identity.system_identifier, identity.users
    else:
        outputs = run.pulumi.outputs()
        stated = outputs.get("connections") or {}
        identifier = outputs.get("systemIdentifier")
        managed = frozenset(connections.candidates(stated.values()))
    return Remembered(
        {**stated, **written},
        written,
        recall_passwords(run.project, run.environment, stated.values()),
        identifier,
        frozenset(stated),
        managed,
        identity.users,
    )


def check_up_to_date(run: Run, remembered: Remembered, cluster: Cluster) -> None:
    """Refuses another server than the last run's, or one that its database is gone from; and a configuration that is
    older than the last change of logins. Raises GolabsError."""
    # A login that is on no server, as a kill may leave it in the note, is nobody's lost one.
    check_logins(run.settings, remembered.managed & cluster.roles.keys())
    if is_outdated(run.settings, run.endpoint, cluster, Memory(remembered.system_identifier)):
        raise ApplyError(
            f"this is not the server that the last run was on, or {run.database} is gone from it; nothing was changed",
            where=run.endpoint.address,
            mend=f"golabs up {run.environment}",
        )


def records_to_leave(run: Run) -> list[connections.Record]:
    """The connection records of an environment that is about to be forgotten, as the only memory of its passwords.

    They have the passwords that the server takes. Where it can't be asked, or takes none, they stay as they are, with all
    beside them that may be good. Raises GolabsError where files or state can't be read.
    """
    remembered, settings = remember(run), run.settings
    known: dict[str, list[SecretStr]] = {}
    for user in settings.users_with_passwords:
        configured = [settings.passwords[user]] if user in settings.passwords else []
        known[user] = [*configured, *remembered.candidates.get(user, ())]
    records = {record["service"]: record for record in connections.keeping(remembered.records.values(), known)}
    with suppress(GolabsError):
        changer = LoginChanger(settings, run.endpoint)
        cluster = changer.look()
        if remembered.system_identifier in (None, cluster.system_identifier):
            proven = changer.proven(cluster, known)
            clear = {user: password.get_secret_value() for user, password in proven.items()}
            desired = expand(settings)
            whole = [
                service
                for service in desired.services
                if service.name in records and clear.keys() >= {*chain.from_iterable(service.open_logins.values())}
            ]
            built = connections.build_records(replace(desired, services=tuple(whole)), run.endpoint, clear)
            records |= {record["service"]: record for record in built}
    return list(records.values())


def note_users(run: Run, users: frozenset[str]) -> None:
    """As ours, where an earlier run has provisioned the environment; a first `up` looks at all that is there."""
    known = recall_identity(run.project, run.environment)
    if known.system_identifier is not None and known.users != users:
        note_identity(run.project, run.environment, known.system_identifier, run.database, users)


@contextmanager
def alone(project: Project, environment: str) -> Iterator[None]:
    """No other change of logins from this checkout meanwhile. The lock ends with the process, however that ends."""
    path = project.private_folder / "rotations" / f"{environment}.lock"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GolabsError(
                "another golabs rotate is at work on it",
                where=environment,
                mend="wait for it to end, and run this again",
            ) from None
        yield
