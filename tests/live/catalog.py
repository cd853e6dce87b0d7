"""What is in the catalogs, as plain values: to compare two environments, or one before and after.

`snapshot` is normalised, so that neither the order of ACL entries, nor salts, nor the admin's own name matter, nor
whether an owner was granted what any owner may do, which is to hand on.
`row_versions` is not: it tells whether anything was written at all.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint

ADMIN = "<admin>"
"""Stands for every admin: the database's owner, the user that looks, and the server's first superuser."""

_SYSTEM = r"nspname !~ '^pg_' AND nspname <> 'information_schema'"

_ADMINS = """
SELECT rolname::text FROM pg_roles
WHERE oid = 10 OR rolname = current_user
   OR oid = (SELECT datdba FROM pg_database WHERE datname = current_database()) AND rolname !~ '_(app|migration)_.*_user$'
"""
_ROLES = """
SELECT r.rolname::text AS name, r.rolcanlogin, r.rolsuper, r.rolcreatedb, r.rolcreaterole, r.rolreplication,
       r.rolbypassrls, r.rolinherit, r.rolconnlimit,
       r.rolvaliduntil IS NOT NULL AND r.rolvaliduntil <> 'infinity' AS expires,
       (SELECT array_agg(s ORDER BY s) FROM unnest(r.rolconfig) s) AS settings,
       split_part(a.rolpassword, ':', 1) AS scheme
FROM pg_roles r JOIN pg_authid a ON a.oid = r.oid WHERE r.rolname !~ '^pg_'
"""
_MEMBERSHIPS = """
SELECT pg_get_userbyid(roleid)::text AS role, pg_get_userbyid(member)::text AS member FROM pg_auth_members
WHERE member >= 16384
"""
_SETTINGS = """
SELECT CASE setrole WHEN 0 THEN '' ELSE pg_get_userbyid(setrole)::text END AS name,
       (SELECT array_agg(s ORDER BY s) FROM unnest(setconfig) s) AS settings
FROM pg_db_role_setting WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_ACL = """
(SELECT array_agg(CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee)::text END || ' '
                  || e.privilege_type || CASE WHEN e.is_grantable AND e.grantee <> {owner} THEN ' with grant option' ELSE '' END
                  || CASE e.grantor WHEN {owner} THEN '' ELSE ' by ' || pg_get_userbyid(e.grantor) END)
 FROM aclexplode({acl}) e)
"""


def _acl(column: str, kind: str, owner: str) -> str:
    return _ACL.format(acl=f"coalesce({column}, acldefault({kind}, {owner}))", owner=owner)


_DATABASE = f"""
SELECT datname::text AS name, pg_get_userbyid(datdba)::text AS owner, pg_encoding_to_char(encoding)::text AS encoding,
       datallowconn, datconnlimit, {_acl("datacl", "'d'", "datdba")} AS acl
FROM pg_database WHERE datname = current_database()
"""
_SCHEMAS = f"""
SELECT nspname::text AS name, pg_get_userbyid(nspowner)::text AS owner, {_acl("nspacl", "'n'", "nspowner")} AS acl
FROM pg_namespace WHERE {_SYSTEM}
"""
_RELATION_KIND = """CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END"""
_RELATIONS = f"""
SELECT n.nspname || '.' || c.relname AS name, c.relkind::text AS kind, pg_get_userbyid(c.relowner)::text AS owner,
       {_acl("c.relacl", _RELATION_KIND, "c.relowner")} AS acl
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_SYSTEM} AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
"""
_COLUMNS = f"""
SELECT n.nspname || '.' || c.relname || '.' || t.attname AS name,
       {_ACL.format(acl="t.attacl", owner="c.relowner")} AS acl
FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_SYSTEM} AND t.attacl IS NOT NULL
"""
_FUNCTIONS = f"""
SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
       pg_get_userbyid(p.proowner)::text AS owner, {_acl("p.proacl", "'f'", "p.proowner")} AS acl
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE {_SYSTEM}
"""
_DEFAULTS = f"""
SELECT concat_ws(' ', pg_get_userbyid(d.defaclrole), n.nspname, d.defaclobjtype) AS name,
       {_ACL.format(acl="d.defaclacl", owner="d.defaclrole")} AS acl
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
"""
_EXTENSIONS = """
SELECT e.extname::text AS name, n.nspname::text AS schema, pg_get_userbyid(e.extowner)::text AS owner
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
"""
_SHARED = ("pg_authid", "pg_auth_members", "pg_database", "pg_db_role_setting", "pg_shdepend", "pg_shdescription")
_LOCAL = (
    "pg_namespace",
    "pg_class",
    "pg_proc",
    "pg_type",
    "pg_attribute",
    "pg_default_acl",
    "pg_extension",
    "pg_depend",
)


def snapshot(endpoint: Endpoint, database: str) -> dict[str, object]:
    """Everything that an environment consists of on its server, normalised. `endpoint` must be a superuser's.

    Roles with attributes, settings and memberships (but the admins', and what an admin is a member of); owners and
    ACLs of the database, schemas, relations, columns and functions; default privileges; extensions.
    """
    with connect_admin(endpoint, database) as connection:
        admins = {name for (name,) in connection.execute(_ADMINS.encode()).fetchall()}

        def rows(query: str) -> list[dict[str, Any]]:
            with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
                return [
                    {key: _normal(value, admins) for key, value in row.items()}
                    for row in cursor.execute(query.encode()).fetchall()
                ]

        return {
            "database": _by_name(rows(_DATABASE)),
            "roles": _by_name([row for row in rows(_ROLES) if row["name"] != ADMIN]),
            "memberships": sorted((row["role"], row["member"]) for row in rows(_MEMBERSHIPS) if row["member"] != ADMIN),
            "settings in the database": _by_name(rows(_SETTINGS)),
            "schemas": _by_name(rows(_SCHEMAS)),
            "relations": _by_name(rows(_RELATIONS)),
            "columns": _by_name(rows(_COLUMNS)),
            "functions": _by_name(rows(_FUNCTIONS)),
            "default privileges": _by_name([row for row in rows(_DEFAULTS) if row["acl"]]),
            "extensions": _by_name(rows(_EXTENSIONS)),
        }


def _normal(value: object, admins: set[str]) -> object:
    """Lists sorted; an admin's name, alone or as a part of an ACL entry, replaced."""
    if isinstance(value, list):
        return sorted(str(_normal(item, admins)) for item in value)
    if isinstance(value, str):
        return " ".join(ADMIN if word in admins else word for word in value.split(" "))
    return value


def _by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row.pop("name"): row for row in sorted(rows, key=lambda row: str(row["name"]))}


def row_versions(endpoint: Endpoint, database: str | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """The transaction that wrote each row of the catalogs: equal before and after means that nothing was written."""
    with connect_admin(endpoint, database) as connection:
        return {
            table: connection.execute(
                sql.SQL("SELECT xmin::text, ctid::text FROM {} ORDER BY ctid").format(sql.Identifier(table))
            ).fetchall()
            for table in (*_SHARED, *(_LOCAL if database else ()))
        }


def memberships(endpoint: Endpoint, member: str) -> list[tuple[Any, ...]]:
    """What a role is a member of, by whose grant and with which options. PostgreSQL 16 or later."""
    with connect_admin(endpoint) as connection:
        return connection.execute(
            "SELECT pg_get_userbyid(roleid)::text, pg_get_userbyid(grantor)::text, admin_option, inherit_option, "
            "set_option FROM pg_auth_members WHERE member = to_regrole(quote_ident(%s)) ORDER BY 1, 2",
            [member],
        ).fetchall()
