"""Ways to break the isolation or the services' rights, each a few statements of a superuser, and what must be found.

The environment is tst with `realistic` migrations, beside another one, ci, on the same server.
"""

from __future__ import annotations

from dataclasses import dataclass

TST, CI = '"go-labs-tst"', '"go-labs-ci"'
BILLING, BILLING_OWNER = "billing_app_tst_user", "billing_migration_tst_user"
ORDER, ORDER_OWNER = "order_app_tst_user", "order_migration_tst_user"
CATALOG = "catalog_app_tst_user"

REPORTING = ("CREATE ROLE reporting LOGIN", "DROP ROLE reporting")
MIDDLEMAN = ("CREATE ROLE middleman", "DROP ROLE middleman")


@dataclass(frozen=True)
class Mutation:
    """Statements in the environment's database, and the findings' ids and objects, all of them.

    `role` makes and drops a role of the mutation's own; `after` drops what else the offered SQL is not meant to drop;
    `by_up`: an `up` mends it and no SQL; `leaves`: rules that find what the SQL has made useless, until `after`; `since` and `below` are PostgreSQL's majors.
    """

    name: str
    statements: tuple[str, ...]
    found: frozenset[tuple[str, str]]
    role: tuple[str, str] | None = None
    after: tuple[str, ...] = ()
    by_up: bool = False
    since: int = 0
    below: int = 99
    leaves: tuple[str, ...] = ()


def broken(
    name: str,
    *statements: str,
    found: dict[str, str | tuple[str, ...]],
    role: tuple[str, str] | None = None,
    after: tuple[str, ...] = (),
    by_up: bool = False,
    since: int = 0,
    below: int = 99,
    leaves: tuple[str, ...] = (),
) -> Mutation:
    """A mutation; `found` has an object, or several, by id."""
    pairs = {
        (identity, each)
        for identity, objects in found.items()
        for each in (objects if isinstance(objects, tuple) else (objects,))
    }
    return Mutation(name, statements, frozenset(pairs), role, after, by_up, since, below, leaves)


def granted(
    name: str, statement: str, object_: str, privileges: str, grantee: str = ORDER, role: tuple[str, str] | None = None
) -> Mutation:
    """One GRANT that is one finding."""
    return broken(name, statement, found={f"privilege/{grantee}/{privileges}": object_}, role=role)
