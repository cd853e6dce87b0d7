-- The environment's users: those of the given names, and every other one that follows its naming convention.
SELECT rolname::text AS name, rolcanlogin AS login, rolsuper AS superuser, rolcreatedb AS create_database,
       rolcreaterole AS create_role, rolreplication AS replication, rolbypassrls AS bypass_row_level_security,
       rolinherit AS inherit, rolconnlimit AS connection_limit,
       rolvaliduntil IS NOT NULL AND rolvaliduntil <> 'infinity' AS expires,
       rolconfig AS settings, s.setconfig AS settings_in_database,
       (SELECT array_agg(ARRAY[pg_get_userbyid(m.roleid)::text, g.rolname::text] ORDER BY m.roleid, m.grantor)
        FROM pg_auth_members m LEFT JOIN pg_roles g ON g.oid = m.grantor WHERE m.member = r.oid) AS memberships,
       pg_has_role(current_user, r.oid, 'USAGE') AS admin_is_member
FROM pg_roles r
LEFT JOIN pg_db_role_setting s
    ON s.setrole = r.oid AND s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = %(database)s)
WHERE rolname = ANY (%(names)s) OR rolname LIKE %(pattern)s
ORDER BY rolname
