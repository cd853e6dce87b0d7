"""What an environment's policy refuses: to destroy, to reset, to lose or rename a service, and plans that would lose more.

Pure: each check is told what is to be done and raises PolicyError before it is begun. What a policy permits stands in
`policy`; both engines ask here.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from .errors import PolicyError
from .inspection import Cluster
from .names import parse_user_name
from .policy import Policy
from .settings import Settings
from .stackfile import NAMESPACE


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


def check_losses(policy: Policy, environment: str, losses: Sequence[str]) -> None:
    """Refuses a plan for a guarded environment that would delete or replace what nobody asked to lose, and lists it."""
    if policy.protects and losses:
        listed = "".join(f"\n  - {loss}" for loss in losses)
        raise PolicyError(
            f"the plan would delete or replace what {environment}, which is guarded, has to keep; nothing was changed"
            f"{listed}",
            where=f"golabs up {environment}",
            mend="put back what was changed in the configuration since the last up (git diff shows it), and preview",
        )


def removed_services(settings: Settings, cluster: Cluster, managed: frozenset[str]) -> tuple[str, ...]:
    """Services that an earlier run provisioned (it `managed` their users) and the configuration no longer has.

    Raises PolicyError where the environment is guarded, or where it is not disposable and one was renamed.
    """
    configured = {service.name for service in settings.services}
    parsed = (parse_user_name(user) for user in managed)
    removed = tuple(sorted({parts.service for parts in parsed if parts} - configured))
    renamed = _renamed(removed, _new_services(settings, cluster, managed))
    if renamed and not settings.policy.drops:
        old, new = renamed
        database = settings.database
        raise PolicyError(
            f"{old} looks renamed to {new}: that would make an empty schema {new}, and leave {old} with its data and "
            f"its users behind in {database}. Nothing was changed",
            where=f"{settings.source}: {NAMESPACE}services",
            mend=f"put {old} back. To move on from it: keep both lines, up, have {new} take over the data, then "
            f"golabs retire {settings.environment} {old}. If the two have nothing to do with each other, "
            + (f"add {new} beside {old}" if settings.policy.protects else f"up without {new} first, then with it"),
        )
    if removed and settings.policy.protects:
        raise PolicyError(
            f"{', '.join(removed)} {'is' if len(removed) == 1 else 'are'} not in the configuration any more, and "
            f"{settings.environment} is guarded: nothing of it is dropped or forgotten",
            where=f"{settings.source}: {NAMESPACE}services",
            mend=f"put the line back: {removed[0]} (to close its logins and keep its data: "
            f"golabs retire {settings.environment} {removed[0]})",
        )
    return removed


def check_logins(settings: Settings, managed: frozenset[str]) -> None:
    """Refuses a configuration that does not name a second login any more which an earlier run has made, where things are
    kept: as without a pull after somebody's `golabs rotate`. It would open the older login again. Raises PolicyError."""
    configured = {service.name for service in settings.services}
    parsed = ((name, parse_user_name(name)) for name in managed - set(settings.users))
    lost = sorted(name for name, parts in parsed if parts and parts.login == "twin" and parts.service in configured)
    if lost and not settings.policy.drops:
        raise PolicyError(
            f"{', '.join(lost)} {'is' if len(lost) == 1 else 'are'} not in the configuration any more: the older login, "
            "which this one has taken the place of, would be opened again. Nothing was changed",
            where=f"{settings.source}: {NAMESPACE}logins",
            mend="put it back as golabs rotate has written it (git pull; git log -p shows it)",
        )


def _new_services(settings: Settings, cluster: Cluster, managed: frozenset[str]) -> tuple[str, ...]:
    """Services of the configuration that neither the server nor an earlier run knows a user of."""
    known = managed | cluster.roles.keys()
    return tuple(service.name for service in settings.services if known.isdisjoint(settings.users_of(service.name)))


def _renamed(removed: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, str] | None:
    """A service that left and a new one that came at once: the two whose names are most alike."""
    for old in removed:
        if near := difflib.get_close_matches(old, added, n=1):
            return old, near[0]
    return (removed[0], added[0]) if removed and added else None


def check_extensions(settings: Settings, held: frozenset[str]) -> None:
    """Refuses to drop a guarded stack's extension; an engine would, only after other changes. Raises PolicyError."""
    removed = sorted(held - {name for service in settings.services for name in service.extensions})
    if removed and settings.policy.protects:
        raise PolicyError(
            f"no service asks for the extension {removed[0]!r} any more, and {settings.environment} is guarded: nothing "
            "of it is dropped or forgotten",
            where=f"{settings.source}: {NAMESPACE}services",
            mend=f"put it back into a service's list: extensions: [{', '.join(removed)}]",
        )
