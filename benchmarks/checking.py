"""Proves that a command did what its time is counted for: by catalog queries and logins of this module's own, and by
our engine, which must find nothing left to change. No contender wins by doing less."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg
from psycopg import sql

from golabs_infra.connecting import connect_admin

from .ground import Ground
from .model import differences
from .values import DATABASE, Service, names

_COUNTS = """
    SELECT (SELECT count(*) FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
            WHERE n.nspname = ANY(%(schemas)s) AND r.rolname = ANY(%(owners)s)),
           (SELECT count(*) FROM pg_roles WHERE rolname = ANY(%(users)s) AND rolcanlogin AND NOT rolsuper),
           (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'service%%')"""
_DML = "SELECT bool_and(has_table_privilege(%s, %s, wanted)) FROM unnest(ARRAY['SELECT','INSERT','UPDATE','DELETE']) AS w(wanted)"


class CheckError(Exception):
    """What should be there is not."""


def check(
    ground: Ground, listed: Sequence[Service], password: Callable[[str], str], accepted: Sequence[str] = ()
) -> None:
    """Raises CheckError unless exactly these services are there, whole. `accepted`: differences that are known."""
    endpoint = ground.endpoint
    with connect_admin(endpoint, DATABASE) as admin:
        count = len(listed)
        found = admin.execute(
            _COUNTS,
            {
                "schemas": names(listed),
                "owners": [service.migration_user for service in listed],
                "users": [user for service in listed for user in service.users],
            },
        ).fetchone()
        if found != (count, 2 * count, count):
            raise CheckError(f"schemas, users, all schemas: {found}, not {(count, 2 * count, count)}")
        last = listed[-1]
        with admin.transaction(force_rollback=True):
            # In a transaction that is rolled back: a table that the migration user makes must be the app user's to use.
            table = sql.Identifier(last.name, "check")
            admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(last.migration_user)))
            admin.execute(sql.SQL("CREATE TABLE {} ()").format(table))
            if admin.execute(_DML, [last.app_user, table.as_string()]).fetchone() != (True,):
                raise CheckError(f"{last.app_user} may not use a new table of {last.migration_user}")
    for user in last.users:
        _log_in(ground, user, password(user))
    left = [text for text in differences(endpoint, listed) if not any(part in text for part in accepted)]
    if left:
        raise CheckError(f"the engine would still change {len(left)} things: {'; '.join(left[:5])}")


def _log_in(ground: Ground, user: str, password: str) -> None:
    endpoint = ground.endpoint
    try:
        psycopg.connect(
            host=endpoint.host, port=endpoint.port, dbname=DATABASE, user=user, password=password, connect_timeout=10
        ).close()
    except psycopg.OperationalError as error:
        raise CheckError(f"{user} can't log in: {error}") from error
