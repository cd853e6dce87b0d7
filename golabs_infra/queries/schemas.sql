-- Every schema but the server's own, with its owner, and whether the admin may act as that.
SELECT nspname::text AS name, pg_get_userbyid(nspowner)::text AS owner,
       pg_has_role(current_user, nspowner, 'USAGE') AS administered
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY nspname
