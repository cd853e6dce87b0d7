-- Settings of roles, of the environment's database, and of both; empty where they hold for all roles or all databases.
SELECT coalesce(r.rolname::text, '') AS role, coalesce(d.datname::text, '') AS database, s.setconfig AS settings
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE s.setdatabase = 0 OR d.datname = current_database()
ORDER BY 1, 2
