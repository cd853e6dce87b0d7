-- What the server is and what the admin may do there. One row.
SELECT current_setting('server_version_num')::int AS version_number,
       current_setting('server_version') AS version,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       current_user::text AS admin,
       me.rolsuper AS superuser,
       me.rolcreatedb AS create_database,
       me.rolcreaterole AS create_role,
       me.rolinherit AS inherits,
       pg_has_role(current_user, 'pg_signal_backend', 'USAGE') AS signal_backend,
       pg_is_in_recovery() AS in_recovery,
       current_setting('default_transaction_read_only')::boolean AS read_only,
       (SELECT coalesce(array_agg(name::text), '{}') FROM pg_available_extensions) AS available_extensions,
       (SELECT coalesce(array_agg(DISTINCT v.name::text), '{}') FROM pg_available_extension_versions v
        WHERE v.superuser AND NOT v.trusted AND NOT EXISTS (  -- the managed servers' own kind of superuser may, too
            SELECT FROM pg_roles managed
            WHERE managed.rolname IN ('rds_superuser', 'cloudsqlsuperuser', 'azure_pg_admin')
              AND pg_has_role(current_user, managed.oid, 'USAGE')
        )) AS superuser_extensions,
       (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS tls_version,
       d.datname IS NOT NULL AND d.datconnlimit <> -2 AS database_exists,
       coalesce(d.datconnlimit = -2, false) AS invalid_database,  -- as an interrupted DROP DATABASE leaves it
       pg_encoding_to_char(d.encoding)::text AS encoding,
       pg_get_userbyid(d.datdba)::text AS database_owner,
       coalesce(pg_has_role(current_user, d.datdba, 'USAGE'), false) AS owns_database,
       coalesce(d.datallowconn, false) AS allows_connections,
       EXISTS (SELECT FROM pg_database r WHERE r.datname = %(rebuilt)s) AS unfinished_reset
FROM pg_roles me
LEFT JOIN pg_database d ON d.datname = %(database)s
WHERE me.rolname = current_user
