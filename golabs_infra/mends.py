"""The SQL that mends what a proof has found: statements as text, valid for a superuser in the environment's database.

Which finding gets which statement is the rules' business; only `sql` quotes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from .evidence import CatalogObject, DefaultEntry, Entry, Membership
from .model import PUBLIC
from .statement import quoted, remedy

_GRANT_CLAUSE = {
    "view": "TABLE",
    "materialized view": "TABLE",
    "foreign table": "TABLE",
    "column": "TABLE",
    "aggregate": "FUNCTION",
    "domain": "TYPE",
}
"""What GRANT calls a kind of object, where it is not the kind's own word."""


def words(privileges: Iterable[str]) -> str:
    """Privileges as a statement and a finding list them: in alphabetical order."""
    return ", ".join(sorted(privileges))


_ALTER_CLAUSE = {"foreign server": "SERVER"}
"""What ALTER calls a kind of object, where it is not the kind's own word."""

UNKNOWN = "unknown (OID="
"""How PostgreSQL calls a role that is gone and still in a list of privileges."""


def grantee_word(name: str) -> str:
    """A grantee as findings name it; a role that is called PUBLIC is quoted."""
    return "PUBLIC" if name == PUBLIC else f'"{name}"' if name == "PUBLIC" else name


def _to(name: str) -> tuple[str, tuple[str, ...]]:
    """The placeholder for a grantee, and what goes into it."""
    return ("PUBLIC", ()) if name == PUBLIC else ("{}", (name,))


def _escaped(arguments: str) -> str:
    """A routine's arguments as the server writes them, for a template; each quoted name on one line."""
    one_line = re.sub(r'"(?:[^"]|"")*"', lambda found: quoted(found[0][1:-1].replace('""', '"')), arguments)
    return one_line.replace("{", "{{").replace("}", "}}")


def _named(item: CatalogObject) -> tuple[str, tuple[str | tuple[str, ...], ...]]:
    """An object after its kind's word: the placeholder and the names."""
    if item.kind == "large object":
        return item.name, ()
    if item.kind == "parameter":
        return "{}", (tuple(item.name.split(".")),)
    arguments = f"({_escaped(item.detail)})" if item.kind in ("function", "procedure", "aggregate") else ""
    return "{}" + arguments, ((item.schema, item.name) if item.schema else item.name,)


def _on(item: CatalogObject, privileges: Iterable[str]) -> tuple[str, tuple[str | tuple[str, ...], ...]]:
    """`SELECT ON TABLE {}`, for columns `SELECT ({}) ON TABLE {}`."""
    kind = _GRANT_CLAUSE.get(item.kind, item.kind.upper())
    placeholder, names = _named(item)
    if item.kind == "column":
        listed = ", ".join(f"{word} ({{}})" for word in sorted(privileges))
        return f"{listed} ON {kind} {placeholder}", (*(item.detail for _ in privileges), *names)
    return f"{words(privileges)} ON {kind} {placeholder}", names


def revoke(item: CatalogObject, entry: Entry, privileges: Collection[str]) -> tuple[str, ...]:
    """Takes privileges that one entry gives. What a third role has handed on goes with that role's right to do so; where
    it had that from elsewhere, such as a column's from the table's, only it can take it back."""
    if entry.grantee.startswith(UNKNOWN):
        return ()  # nothing that names it is a statement
    root = _root(item, entry, privileges)
    clause, names = _on(item, privileges)
    if root is entry and item.owner and entry.grantor != item.owner:
        from_, who = _to(entry.grantee)
        take = remedy(f"REVOKE {clause} FROM {from_} CASCADE", *names, *who)
        return (remedy("SET ROLE {}", entry.grantor), take, "RESET ROLE;")
    if root is not entry:
        from_, who = _to(root.grantee)
        return (remedy(f"REVOKE GRANT OPTION FOR {clause} FROM {from_} CASCADE", *names, *who),)
    from_, who = _to(entry.grantee)
    cascade = " CASCADE" if entry.grantable & set(privileges) else ""
    return (remedy(f"REVOKE {clause} FROM {from_}{cascade}", *names, *who),)


def revoke_grant_option(item: CatalogObject, entry: Entry, privileges: Collection[str]) -> tuple[str, ...]:
    """Takes the right to hand privileges on, with what was handed on."""
    clause, names = _on(item, privileges)
    from_, who = _to(_root(item, entry, privileges).grantee)
    return (remedy(f"REVOKE GRANT OPTION FOR {clause} FROM {from_} CASCADE", *names, *who),)


def _root(item: CatalogObject, entry: Entry, privileges: Collection[str]) -> Entry:
    """The owner's own grant that an entry came of: itself, or the first of those who handed it on."""
    seen = {entry.grantee}
    while entry.grantor != item.owner and item.owner:
        giver = next(
            (
                each
                for each in item.entries
                if each.grantee == entry.grantor and each.grantable & set(privileges) and each.grantee not in seen
            ),
            None,
        )
        if giver is None:
            break
        entry = giver
        seen.add(entry.grantee)
    return entry


def grant(item: CatalogObject, grantee: str, privileges: Iterable[str]) -> tuple[str, ...]:
    """Gives privileges on an object."""
    clause, names = _on(item, list(privileges))
    to, who = _to(grantee)
    return (remedy(f"GRANT {clause} TO {to}", *names, *who),)


def change_owner(item: CatalogObject, owner: str) -> tuple[str, ...]:
    """Gives an object to another owner."""
    placeholder, names = _named(item)
    kind = _ALTER_CLAUSE.get(item.kind, item.kind.upper())
    return (remedy(f"ALTER {kind} {placeholder} OWNER TO {{}}", *names, owner),)


def close_default(entry: DefaultEntry, privileges: Collection[str]) -> tuple[str, ...]:
    """Takes default privileges."""
    cascade = " CASCADE" if entry.grantable & set(privileges) else ""
    return (
        _default(entry.owner, entry.schema, f"REVOKE {{}} FROM {{}}{cascade}", entry.kind, entry.grantee, privileges),
    )


def open_default(owner: str, schema: str, kind: str, grantee: str, privileges: Collection[str]) -> tuple[str, ...]:
    """Gives default privileges."""
    return (_default(owner, schema, "GRANT {} TO {}", kind, grantee, privileges),)


def _default(owner: str, schema: str, action: str, kind: str, grantee: str, privileges: Collection[str]) -> str:
    to, who = _to(grantee)
    where, names = (" IN SCHEMA {}", (schema,)) if schema else ("", ())
    what = action.format(f"{words(privileges)} ON {kind.upper()}", to)
    return remedy(f"ALTER DEFAULT PRIVILEGES FOR ROLE {{}}{where} {what}", owner, *names, *who)


def leave(membership: Membership) -> str:
    """Ends a membership, as its grantor gave it."""
    by, names = (" GRANTED BY {}", (membership.grantor,)) if membership.grantor is not None else ("", ())
    return remedy(f"REVOKE {{}} FROM {{}}{by} CASCADE", membership.group, membership.member, *names)
