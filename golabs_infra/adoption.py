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
from .errors import AdoptionError, ConfigError, Fault, IdentityError, ServerConnectionError
from .guarding import check_extensions, check_logins, removed_services
from .inspection import Cluster, Live
from .model import Desired, expand
from .names import parse_user_name
from .password_commands import known_or_new
from .rights import check_server, check_valid, rights_faults, unsignalled, whereabouts
from .settings import Settings, password_faults
from .stackfile import NAMESPACE
from .statement import remedy
from .takeover import Takeover

OUTDATED_STATE = "the stack's state speaks of a database that is not on"
"""How the Pulumi program begins to say that a disposable stack has to be refreshed first; `golabs up` then does."""


@dataclass(frozen=True)
class Memory:
    """What an earlier run left behind: in the stack's state (pulumi), or in files (direct).

    `managed` are the users that it has provisioned; `generated` the generated passwords that the engine's state
    holds; `passwords` what else is known of each user, the likelier first. `holds_database` tells whether the
    engine's state takes the database for made, `extensions` are those that it holds.
    """

    system_identifier: str | None = None
    managed: frozenset[str] = frozenset()
    generated: Mapping[str, SecretStr] = field(default_factory=dict)
    passwords: Mapping[str, tuple[SecretStr, ...]] = field(default_factory=dict)
    holds_database: bool = False
    extensions: frozenset[str] = frozenset()


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
    settings: Settings,
    endpoint: Endpoint,
    cluster: Cluster,
    memory: Memory,
    proves: Callable[[str, SecretStr], bool],
    live: Live | None = None,
    desired: Desired | None = None,
) -> Decision:
    """Raises IdentityError, PolicyError, AdoptionError or ConfigError where the run must not begin.

    `live` is what a look into the database has shown, None where nobody could look; `desired` the model of the settings.
    """
    check_server(endpoint, cluster)
    outdated = is_outdated(settings, endpoint, cluster, memory)
    if not settings.policy.drops:
        check_valid(settings, endpoint, cluster)
    removed = removed_services(settings, cluster, memory.managed)
    check_logins(settings, memory.managed)
    check_extensions(settings, memory.extensions)

    def has(user: str, password: SecretStr) -> bool:
        # Where only the one that it has is taken, `choose_passwords` tells of any other, and what to do about it.
        return user in cluster.roles and (not _may_set(user, settings, cluster, memory) or proves(user, password))

    faults, warnings = password_faults(settings.passwords, settings.environment, settings.policy, has)
    if faults:
        raise ConfigError(faults, where=settings.source)
    obstacles, found = takeover(settings, cluster, memory, live, desired)
    obstacles += rights_faults(settings, cluster)
    passwords, unknown = choose_passwords(settings, cluster, memory, proves)
    if obstacles or unknown:
        raise AdoptionError([*obstacles, *unknown], where=whereabouts(cluster, endpoint))
    if settings.policy.forgets:
        warnings += [
            f"the service {service!r} is not in the configuration any more: it is forgotten, and its schema and users "
            f"are left in place on {endpoint.address}"
            for service in removed
        ]
    if settings.policy.drops and not (cluster.superuser or cluster.signal_backend):
        warnings.append(unsignalled(cluster))
    return Decision(passwords, (*settings.warnings, *found, *warnings), removed, outdated)


def takeover(
    settings: Settings, cluster: Cluster, memory: Memory, live: Live | None, desired: Desired | None = None
) -> tuple[list[Fault], list[str]]:
    """What stands in the way of taking over what is there, and what should be known of it."""
    first = memory.system_identifier is None
    looked = Takeover(settings.policy, desired or expand(settings), cluster, live, memory.managed, first)
    findings = list(looked.findings())
    return [each.fault for each in findings if each.blocks], [each.warning for each in findings if not each.blocks]


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
    check_valid(settings, endpoint, cluster)
    raise IdentityError(
        f"the database {settings.database!r}, which this stack provisioned, is gone from {endpoint.address}. "
        "Nothing was changed",
        where=f"{settings.source}: {settings.database}",
        mend=f"restore it from a backup; an empty one can be had on purpose: "
        f"{remedy('CREATE DATABASE {}', settings.database)}",
    )


def choose_passwords(
    settings: Settings, cluster: Cluster, memory: Memory, proves: Callable[[str, SecretStr], bool]
) -> tuple[dict[str, Password], list[Fault]]:
    """Where each user's password comes from, and a fault for every existing login that would be reset."""
    faults: list[Fault] = []
    resets: dict[str, str] = {}
    chosen: dict[str, Password] = {}
    for user in settings.users:
        try:
            password = _choose(user, settings, cluster, memory, proves)
            chosen[user] = replace(password, generated_before=user in memory.generated)
        except _UnknownPasswordError as unknown:
            resets[user] = unknown.args[0]
        except ServerConnectionError as error:
            faults.append(Fault(user, f"its password can't be proven: {error.what}", error.mend))
    parsed = {user: parts for user in resets if (parts := parse_user_name(user))}
    unknown_of = [parts.service for parts in parsed.values()]
    faults += [
        Fault(user, resets[user], known_or_new(parts, alone=unknown_of.count(parts.service) == 1))
        for user, parts in parsed.items()
    ]
    return chosen, faults


class _UnknownPasswordError(Exception):
    """An existing login whose password is not known, where none may be reset."""


def _is_nobodys(user: str, settings: Settings, cluster: Cluster, memory: Memory) -> bool:
    """Whether it is the closed one of two logins that we manage, or is about to be: nobody logs in as it."""
    is_closed = user in settings.of_two & memory.managed and not cluster.roles[user].role.login
    return user in settings.closed or is_closed


def _is_free(user: str, settings: Settings, cluster: Cluster, memory: Memory) -> bool:
    """Whether a user may get any password: nobody has one that must go on working."""
    is_new = user not in cluster.roles
    return is_new or settings.policy.resets_passwords or _is_nobodys(user, settings, cluster, memory)


def _may_set(user: str, settings: Settings, cluster: Cluster, memory: Memory) -> bool:
    """Whether a user may get the configured password, whichever it has: for one that we manage, it is a rotation asked for."""
    return user in memory.managed or _is_free(user, settings, cluster, memory)


def _choose(
    user: str, settings: Settings, cluster: Cluster, memory: Memory, proves: Callable[[str, SecretStr], bool]
) -> Password:
    exists = user in cluster.roles
    free = _is_free(user, settings, cluster, memory)
    configured = settings.passwords.get(user)
    if configured is not None:
        if _may_set(user, settings, cluster, memory) or proves(user, configured):
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
