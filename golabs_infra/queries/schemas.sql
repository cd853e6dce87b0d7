-- Every schema but the server's own, with its owner.
SELECT nspname::text AS name, pg_get_userbyid(nspowner)::text AS owner
FROM pg_namespace
WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY nspname
