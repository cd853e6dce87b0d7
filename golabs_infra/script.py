"""psql scripts: what builds an environment from nothing, and what a preview would send. No password is in them.

A script of the first kind can be run again: it finds what is there and changes nothing of it. Where a verifier goes,
there is a psql variable, `<service>_<kind>_verifier`; without it a user's password is left as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from .changes import Change
from .config_keys import unknown_service
from .connections import known_passwords, read_records
from .errors import GolabsError
from .files import remove_private, write_private
from .inspection import Cluster, Live
from .model import Desired, expand
from .names import DATABASE_SCRIPT
from .passwords import new_verifier
from .plan import plan, plan_database, service_of
from .project import Project
from .settings import Settings
from .sql import as_text, batches, repeatable, verifier_variable
from .statement import STOP_ON_ERROR, connect_to

_MADE = "Made by: golabs sql"
_QUIET = "SET client_min_messages TO warning;"
_NOTHING = Live(
    Cluster(
        version_number=130000,
        version="13",
        system_identifier="",
        admin="",
        superuser=False,
        create_database=True,
        create_role=True,
        signal_backend=False,
        in_recovery=False,
        read_only=False,
        available_extensions=frozenset(),
        database_exists=False,
        database_owner=None,
        owns_database=False,
        allows_connections=False,
    )
)
"""An empty server, of the oldest version and with the least of admins: what suits it suits every other."""


def build_scripts(desired: Desired) -> dict[str, str]:
    """The scripts that build an environment by service, after that of the database itself (`database`)."""
    database = desired.database.name
    # A relation in each schema: a run after migrations grants what later users need on the tables that are there.
    relations = frozenset((grant.kind, grant.schema, "any") for grant in desired.grants)
    changes = plan(desired, replace(_NOTHING, relations=relations), dict.fromkeys(role.name for role in desired.roles))
    parts: dict[str, list[Change]] = {"": [], **{service.name: [] for service in desired.services}}
    for change in changes:
        parts[service_of(change)].append(change)
    create = [line for change in plan_database(desired, _NOTHING) for line in repeatable(change, database)]
    return {
        service or DATABASE_SCRIPT: "\n".join(
            [
                *(_heading(desired, service) if service else _database_heading(desired)),
                STOP_ON_ERROR,
                *([] if service else create),
                connect_to(database),
                _QUIET,
                "BEGIN;",
                *(line for change in part for line in repeatable(change, database)),
                "COMMIT;",
                "",
            ]
        )
        for service, part in parts.items()
    }


def script_file(project: Project, environment: str, service: str) -> Path:
    """`output/<env>/<service>.sql`."""
    return project.output_folder(environment) / f"{service}.sql"


def write_scripts(project: Project, desired: Desired) -> list[Path]:
    """Writes the scripts that are not as they should be, and removes those of other services. Gives the paths."""
    environment = desired.environment
    texts = {script_file(project, environment, name): text for name, text in build_scripts(desired).items()}
    try:
        for path, text in texts.items():
            if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != text:
                write_private(path, text, durable=False)
        for path in set(_scripts(project, environment)) - set(texts):
            path.unlink()
    except OSError as error:
        raise GolabsError(
            f"the SQL script can't be written: {error.strerror}",
            where=str(error.filename),
            mend=f"free space or mend permissions there, then: golabs sql {environment}",
        ) from error
    return list(texts)


def environment_script(project: Project, settings: Settings, service: str | None, *, with_verifiers: bool) -> str:
    """One script of everything, or of one service; writes the files too. No server is asked.

    Raises UsageError where there is no such service, GolabsError where a verifier needs a password that is not known.
    """
    desired = expand(settings)
    texts = build_scripts(desired)
    if service is not None and service not in {each.name for each in desired.services}:
        names = [each.name for each in desired.services]
        raise unknown_service(service, names, where=settings.source, or_else="leave --service out")
    write_scripts(project, desired)
    chosen = [each for each in desired.services if service in (None, each.name)]
    users = [role.name for each in chosen for role in each.roles if role.name not in settings.closed]
    users = users if with_verifiers else []
    known = {**known_passwords(read_records(project, desired.environment)), **settings.passwords} if users else {}
    if unknown := [user for user in users if user not in known]:
        raise GolabsError(
            f"no password is known for {', '.join(unknown)}",
            where=settings.source,
            mend=f"golabs up {desired.environment} first; or leave --verifiers out",
        )
    given = [f"\\set {verifier_variable(user)} '{new_verifier(known[user])}'" for user in users]
    return "\n".join([*given, *(text for name, text in texts.items() if service in (None, name))]).rstrip()


def remove_scripts(project: Project, environment: str) -> None:
    """Removes the scripts of an environment that is gone, and their folder if nothing else is in it. Raises GolabsError."""
    for path in _scripts(project, environment):
        remove_private(path)
    with contextlib.suppress(OSError):
        project.output_folder(environment).rmdir()


def _scripts(project: Project, environment: str) -> list[Path]:
    """The scripts that are there and that are ours, as their first line says."""
    paths = project.output_folder(environment).glob("*.sql")
    return [
        path for path in paths if path.is_file() and _MADE in path.read_bytes().partition(b"\n")[0].decode("latin-1")
    ]


def change_script(changes: Iterable[Change], database: str) -> str:
    """What a run would send for these changes, in its order, with a comment before each service's."""
    listed = list(changes)
    outside = [change for change in listed if change.outside]
    inside = [change for change in listed if not change.outside]
    lines = [f"-- {database}: {'what up would send' if listed else 'nothing to change'}", STOP_ON_ERROR]
    lines += [line for _, composed in batches(outside, database) for line in as_text(composed)]
    if inside:
        lines += [connect_to(database), "BEGIN;", *_by_service(inside, database), "COMMIT;"]
    return "\n".join(lines)


def _by_service(changes: Iterable[Change], database: str) -> Iterator[str]:
    for service, part in groupby(batches(changes, database), key=lambda batch: _title(batch[0], database)):
        yield f"-- {service}"
        for _, composed in part:
            yield from as_text(composed)


def _title(together: list[Change], database: str) -> str:
    services = {service_of(change) for change in together}
    return (services.pop() if len(services) == 1 else "") or database


def _database_heading(desired: Desired) -> list[str]:
    return [
        f"-- The database {desired.database.name}, closed to PUBLIC. {_MADE} {desired.environment}",
        f"-- Run it first, as the admin: psql -X -d postgres -f {DATABASE_SCRIPT}.sql; it can be run again.",
    ]


def _heading(desired: Desired, service: str) -> list[str]:
    (model,) = (each for each in desired.services if each.name == service)
    variables = [verifier_variable(role.name) for role in model.roles]
    return [
        f"-- The service {service} in {desired.database.name}: its users, its schema, who may do what. "
        f"{_MADE} {desired.environment}",
        f"-- Run it after {DATABASE_SCRIPT}.sql, as the admin: psql -X -d postgres -f {service}.sql; it can be run again.",
        "-- Passwords: " + " ".join(f"-v {variable}='SCRAM-SHA-256$...'" for variable in variables),
        "-- A user whose verifier is not given keeps the password that it has; a new one has none, and can't log in.",
    ]
