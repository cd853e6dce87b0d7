"""Our own model of what is to be there, as this package's engine sees it: the statements that it would send, and what it
would still change after somebody else's run. The one module here that knows the engine's parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from golabs_infra.changes import Change
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.inspection import Cluster, Live, look_at, read_live
from golabs_infra.model import Desired, expand
from golabs_infra.names import rebuilt_name
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.plan import plan, plan_database, plan_rebuild
from golabs_infra.settings import read_settings
from golabs_infra.sql import as_text, batches
from golabs_infra.stackfile import RawConfig
from golabs_infra.wording import describe

from .values import DATABASE, ENVIRONMENT, Service, names, password_of


def desired(listed: Sequence[Service]) -> Desired:
    """The model of the services."""
    config = {"server": "embedded", "services": names(listed)}
    return expand(read_settings(RawConfig(ENVIRONMENT, config, "benchmarks", lambda: False)))


def changes(endpoint: Endpoint, listed: Sequence[Service]) -> tuple[list[Change], list[Change]]:
    """What the engine would change now: outside of the transaction, and in it."""
    wanted = desired(listed)
    cluster = _cluster(endpoint, wanted)
    live = Live(cluster)
    if cluster.database_exists:
        with connect_admin(endpoint, DATABASE) as connection:
            live = read_live(connection, cluster, wanted)
    new = [role.name for role in wanted.roles if role.name not in cluster.roles]
    verifiers = {user: scram_verifier(password_of(user), random_salt()) for user in new}
    return plan_database(wanted, Live(cluster)), plan(wanted, live, verifiers)


def script(endpoint: Endpoint, listed: Sequence[Service]) -> str:
    """The statements that `golabs up` would send now, as one psql script that begins on the admin database."""
    return _script(*changes(endpoint, listed))


def reset_script(endpoint: Endpoint, listed: Sequence[Service]) -> str:
    """The statements that `golabs reset` would send now: a new database takes the place of the old one, users stay."""
    wanted = desired(listed)
    cluster = _cluster(endpoint, wanted)
    create, swap = plan_rebuild(wanted, Live(cluster))
    inside = plan(wanted, Live(replace(cluster, database_exists=False)), {})
    built = _script(create, inside, rebuilt_name(DATABASE))
    return "\n".join([built, f'\\connect "{endpoint.admin_database}"', *_rendered(swap, DATABASE), ""])


def differences(endpoint: Endpoint, listed: Sequence[Service]) -> list[str]:
    """What the engine would still change, in words."""
    return [describe(change).text for listed in changes(endpoint, listed) for change in listed]


def _cluster(endpoint: Endpoint, wanted: Desired) -> Cluster:
    return look_at(endpoint, ENVIRONMENT, DATABASE, [role.name for role in wanted.roles])


def _script(outside: Sequence[Change], inside: Sequence[Change], database: str = DATABASE) -> str:
    connect = f'\\connect "{database}"'
    return "\n".join([*_rendered(outside, database), connect, "BEGIN;", *_rendered(inside, database), "COMMIT;", ""])


def _rendered(listed: Sequence[Change], database: str) -> list[str]:
    return [line for _, together in batches(listed, database) for line in as_text(together)]
