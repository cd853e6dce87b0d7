"""Decides, before anything is changed, what an engine may take over: the right server, known users, their passwords.

Pure: it compares settings, what an earlier run remembers, and what the server shows. Both engines ask it, so both
refuse the same things with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from pydantic import SecretStr

from .endpoint import Endpoint
from .errors import AdoptionError, ConfigError, Fault, IdentityError, PolicyError, ServerConnectionError
from .inspection import MINIMUM_VERSION, PUBLIC_CLOSED_VERSION, Cluster
from .names import parse_user_name
from .policy import Policy
from .settings import Settings, password_faults
from .stackfile import NAMESPACE

OUTDATED_STATE = "the stack's state speaks of a database that is not on"
"""How the Pulumi program begins to say that a disposable stack has to be refreshed first; `golabs up` then does."""


@dataclass(frozen=True)
class Memory:
    """What an earlier run left behind: in the stack's state (pulumi), or in files (direct).

    `managed` are the users that it has provisioned; `generated` the generated passwords that the engine's state
    holds; `passwords` what else is known of each user, the likelier first. `holds_database` tells whether the
    engine's state takes the database for made.
    """

    system_identifier: str | None = None
    managed: frozenset[str] = frozenset()
    generated: Mapping[str, SecretStr] = field(default_factory=dict)
    passwords: Mapping[str, tuple[SecretStr, ...]] = field(default_factory=dict)
    holds_database: bool = False


class Origin(Enum):
    """Where a user's password comes from."""

    CONFIGURED = "configured"
    KEPT = "kept"
    GENERATED = "generated"


@dataclass(frozen=True)
class Password:
    """A user's password; `value` is None where the engine generates it, or holds the one it generated before.

    `generated_before` tells that the engine's state holds a generated one, used or not.
    """

    origin: Origin
    value: SecretStr | None
    generated_before: bool = False


@dataclass(frozen=True)
class Decision:
    """What an engine is to do: each user's password, what to tell the user, and whether its memory is outdated.

    `outdated` is only ever true in disposable environments, where another server or a lost database is no obstacle.
    """

    passwords: Mapping[str, Password]
    warnings: tuple[str, ...]
    removed_services: tuple[str, ...]
    outdated: bool


def decide(
    settings: Settings, endpoint: Endpoint, cluster: Cluster, memory: Memory, proves: Callable[[str, SecretStr], bool]
) -> Decision:
    """Raises IdentityError, PolicyError, AdoptionError or ConfigError where the run must not begin."""
    check_rights(settings, endpoint, cluster)
    outdated = is_outdated(settings, endpoint, cluster, memory)
    removed = removed_services(settings, cluster, memory)
    faults, warnings = password_faults(settings.passwords, settings.environment, settings.policy, cluster.roles)
    if faults:
        raise ConfigError(faults, where=settings.source)
    passwords = choose_passwords(settings, cluster, memory, proves)
    if settings.policy.forgets:
        warnings += [
            f"the service {service!r} is not in the configuration any more: it is forgotten, and its schema and users "
            f"are left in place on {endpoint.address}"
            for service in removed
        ]
    return Decision(passwords, (*settings.warnings, *warnings), removed, outdated)


def check_destroy(policy: Policy, environment: str) -> None:
    """Refuses to destroy a guarded environment, before anything is looked at. Raises PolicyError."""
    if policy.protects:
        raise PolicyError(
            f"{environment} is guarded: destroy is refused, and nothing was touched",
            where=f"golabs destroy {environment}",
            mend="there is no switch for it; a DBA who means it drops the database by hand",
        )


def check_reset(policy: Policy, environment: str) -> None:
    """Refuses to drop and make again what is not disposable, before anything is looked at. Raises PolicyError."""
    if not policy.drops:
        raise PolicyError(
            f"{environment} is {policy.name}, not disposable: reset is refused, and nothing was touched",
            where=f"golabs reset {environment}",
            mend=f"golabs up {environment} converges it and keeps its data",
        )


def check_rights(settings: Settings, endpoint: Endpoint, cluster: Cluster) -> None:
    """Refuses servers and admins that can't do the work at all."""
    where = f"{cluster.admin}@{endpoint.address}"
    if cluster.version_number < MINIMUM_VERSION:
        raise AdoptionError(
            [Fault("version", f"PostgreSQL {cluster.version} is too old", "use PostgreSQL 13 or later")], where=where
        )
    if cluster.in_recovery:
        raise AdoptionError([Fault("server", "it is a read-only replica", "name the primary's host")], where=where)
    if absent := _absent_extensions(settings, cluster):
        raise AdoptionError(absent, where=where)
    if cluster.superuser:
        return
    lacking = [
        word
        for word, has in (("CREATEROLE", cluster.create_role), ("CREATEDB", cluster.create_database))
        if not has and not (word == "CREATEDB" and cluster.database_exists)
    ]
    faults = []
    if lacking:
        faults.append(
            Fault("admin", f"it lacks {' and '.join(lacking)}", f'ALTER ROLE "{cluster.admin}" {" ".join(lacking)}')
        )
    if not cluster.inherits:
        what = "it is NOINHERIT, and so can't act on what the services' users own"
        faults.append(Fault("admin", what, f'ALTER ROLE "{cluster.admin}" INHERIT'))
    if cluster.database_exists and not cluster.owns_database:
        statement = f'ALTER DATABASE "{settings.database}" OWNER TO "{cluster.admin}"'
        faults.append(Fault(settings.database, f"it belongs to {cluster.database_owner}, not to the admin", statement))
    if cluster.version_number < PUBLIC_CLOSED_VERSION:
        statement = f'in "{settings.database}", as a superuser: REVOKE ALL ON SCHEMA public FROM PUBLIC'
        faults.append(
            Fault(
                "schema public",
                f"below PostgreSQL 15 only a superuser can close it (this is {cluster.version})",
                f"use a superuser as adminUser; or, {statement}, and upgrade",
            )
        )
    if faults:
        raise AdoptionError(faults, where=where)


def _absent_extensions(settings: Settings, cluster: Cluster) -> list[Fault]:
    """Extensions that services ask for and the server has no files of."""
    return [
        Fault(
            f"{NAMESPACE}services ({service.name}): extensions",
            f"the server has no extension {name!r}",
            "install its package there (postgresql-contrib has the common ones), or take it out of the list",
        )
        for service in settings.services
        for name in service.extensions
        if name not in cluster.available_extensions
    ]


def is_outdated(settings: Settings, endpoint: Endpoint, cluster: Cluster, memory: Memory) -> bool:
    """Whether the memory speaks of another server, or of a database that is gone: an error unless disposable."""
    known = memory.system_identifier
    if known is None or (known == cluster.system_identifier and cluster.database_exists):
        return False
    if settings.policy.drops:
        return True
    if known != cluster.system_identifier:
        raise IdentityError(
            f"this is another server: the stack belongs to system identifier {known}, and {endpoint.address} "
            f"is {cluster.system_identifier}. Nothing was changed",
            where=f"{settings.source}: {NAMESPACE}host",
            mend=f"point host and port back at the stack's server; for a new server, make a new stack: "
            f"pulumi stack init <name>, with golabs-infra:policy {settings.policy.name}",
        )
    raise IdentityError(
        f"the database {settings.database!r}, which this stack provisioned, is gone from {endpoint.address}. "
        "Nothing was changed",
        where=f"{settings.source}: {settings.database}",
        mend=f'restore it from a backup; an empty one can be had on purpose with CREATE DATABASE "{settings.database}"',
    )


def removed_services(settings: Settings, cluster: Cluster, memory: Memory) -> tuple[str, ...]:
    """Services that an earlier run provisioned and the configuration no longer has. Raises PolicyError if guarded."""
    configured = {service.name for service in settings.services}
    parsed = (parse_user_name(user) for user in memory.managed)
    removed = tuple(sorted({parts.service for parts in parsed if parts} - configured))
    if removed and settings.policy.protects:
        raise PolicyError(
            f"{', '.join(removed)} {'is' if len(removed) == 1 else 'are'} not in the configuration any more, and "
            f"{settings.environment} is guarded: nothing of it is dropped or forgotten",
            where=f"{settings.source}: {NAMESPACE}services",
            mend=f"put the line back: {removed[0]} (with 'retired: true' to close its logins and keep its data)",
        )
    return removed


def choose_passwords(
    settings: Settings, cluster: Cluster, memory: Memory, proves: Callable[[str, SecretStr], bool]
) -> dict[str, Password]:
    """Where each user's password comes from. Raises AdoptionError for every existing login that would be reset."""
    faults: list[Fault] = []
    chosen: dict[str, Password] = {}
    for user in settings.users:
        try:
            password = _choose(user, settings, cluster, memory, proves)
            chosen[user] = replace(password, generated_before=user in memory.generated)
        except _UnknownPasswordError as unknown:
            parts = parse_user_name(user)
            path = f"{NAMESPACE}passwords.{parts.service}.{parts.kind}" if parts else user
            faults.append(
                Fault(
                    user,
                    unknown.args[0],
                    f"give the password that its clients use: pulumi config set --secret --path '{path}' "
                    f"--stack {settings.environment}",
                )
            )
        except ServerConnectionError as error:
            faults.append(Fault(user, f"its password can't be proven: {error.what}", error.mend))
    if faults:
        raise AdoptionError(faults, where=settings.environment)
    return chosen


class _UnknownPasswordError(Exception):
    """An existing login whose password is not known, where none may be reset."""


def _choose(
    user: str, settings: Settings, cluster: Cluster, memory: Memory, proves: Callable[[str, SecretStr], bool]
) -> Password:
    exists = user in cluster.roles
    free = not exists or settings.policy.resets_passwords
    configured = settings.passwords.get(user)
    if configured is not None:
        # For a user that we manage, a new configured password is a rotation that was asked for.
        if free or user in memory.managed or proves(user, configured):
            return Password(Origin.CONFIGURED, configured)
        raise _UnknownPasswordError("it exists already, and the configured password is not the one that it has")
    generated = memory.generated.get(user)
    known = memory.passwords.get(user, ())
    if generated is not None:
        # A configured password that was taken out again is still the one that the user has: no way back by itself.
        in_use = user in memory.managed and generated in (known[:1] or (generated,))
        if free or in_use or proves(user, generated):
            return Password(Origin.GENERATED, None)
    if exists and len(set(known)) > 1:  # they tell different things: the one that clients use now is worth most
        known = tuple(sorted(known, key=lambda password: not proves(user, password)))
    for password in known:
        if free or proves(user, password):
            return Password(Origin.KEPT, password)
    if free:
        return Password(Origin.GENERATED, None)
    seen = "the one in its connection file is not the one that it has" if known else "its password is not known"
    raise _UnknownPasswordError(f"it exists already and {seen}; no existing login's password is reset unasked")
