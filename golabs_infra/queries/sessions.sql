-- The sessions on a database but our own, and whether the admin may end them by the rules of DROP DATABASE ... (FORCE).
SELECT a.pid, coalesce(a.usename::text, '') AS user_name, coalesce(a.application_name, '') AS application,
       coalesce(a.client_addr::text, '') AS client,
       me.rolsuper OR (
           NOT coalesce(r.rolsuper, true)
           AND (pg_has_role(me.oid, a.usesysid, 'USAGE') OR pg_has_role(me.oid, 'pg_signal_backend', 'USAGE'))
       ) AS endable
FROM pg_stat_activity a
JOIN pg_roles me ON me.rolname = current_user
LEFT JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.datname = %(database)s AND a.pid <> pg_backend_pid() AND a.usesysid IS NOT NULL
ORDER BY a.usename, a.pid
