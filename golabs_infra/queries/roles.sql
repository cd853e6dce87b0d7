-- The environment's users: those of the given names, and every other one that follows its naming convention.
SELECT r.rolname::text AS name, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolcreatedb AS create_database,
       r.rolcreaterole AS create_role, r.rolreplication AS replication, r.rolbypassrls AS bypass_row_level_security,
       r.rolinherit AS inherit, r.rolconnlimit AS connection_limit,
       r.rolvaliduntil IS NOT NULL AND r.rolvaliduntil <> 'infinity' AS expires,
       r.rolconfig AS settings, s.setconfig AS settings_in_database,
       (SELECT array_agg(ARRAY[pg_get_userbyid(m.roleid)::text, g.rolname::text] ORDER BY m.roleid, m.grantor)
        FROM pg_auth_members m LEFT JOIN pg_roles g ON g.oid = m.grantor WHERE m.member = r.oid) AS memberships,
       pg_has_role(current_user, r.oid, 'USAGE') AS admin_is_member,
       me.rolsuper OR CASE
           WHEN current_setting('server_version_num')::int >= 160000 THEN pg_has_role(me.oid, r.oid, 'USAGE WITH ADMIN OPTION')
           ELSE me.rolcreaterole AND NOT r.rolsuper
       END AS administered
FROM pg_roles r
JOIN pg_roles me ON me.rolname = current_user
LEFT JOIN pg_db_role_setting s
    ON s.setrole = r.oid AND s.setdatabase = (SELECT d.oid FROM pg_database d WHERE d.datname = %(database)s)
WHERE r.rolname = ANY (%(names)s) OR r.rolname LIKE ANY (%(patterns)s)
ORDER BY r.rolname
