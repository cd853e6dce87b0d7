-- Every role of the server. `expired` is empty where the password never expires.
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolinherit AS inherit, r.rolcreaterole AS create_role,
       r.rolcreatedb AS create_database, r.rolcanlogin AS login, r.rolreplication AS replication,
       r.rolbypassrls AS bypass_row_level_security, r.rolconnlimit AS connection_limit,
       CASE WHEN r.rolvaliduntil < 'infinity' THEN r.rolvaliduntil <= now() END AS expired
FROM pg_roles r
ORDER BY r.rolname
