-- The environment's users: those of the given names, and every other one that follows its naming convention.
SELECT rolname::text AS name, rolcanlogin AS login, rolsuper AS superuser, rolcreatedb AS create_database,
       rolcreaterole AS create_role, rolreplication AS replication, rolbypassrls AS bypass_row_level_security,
       rolinherit AS inherit, rolconnlimit AS connection_limit,
       rolvaliduntil IS NOT NULL AND rolvaliduntil <> 'infinity' AS expires,
       rolconfig AS settings,
       pg_has_role(current_user, oid, 'USAGE') AS admin_is_member
FROM pg_roles
WHERE rolname = ANY (%(names)s) OR rolname LIKE %(pattern)s
ORDER BY rolname
