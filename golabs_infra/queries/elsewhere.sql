-- What keeps the given users from being dropped with the environment's database: the other databases that they own, have
-- privileges on, or have anything in.
SELECT pg_get_userbyid(s.refobjid)::text AS name, array_agg(DISTINCT d.datname::text ORDER BY d.datname::text) AS databases
FROM pg_shdepend s
JOIN pg_database d ON d.oid = CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid ELSE s.dbid END
WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype <> 'p'
  AND s.refobjid IN (SELECT r.oid FROM pg_roles r WHERE r.rolname = ANY (%(users)s))
  AND d.datname NOT IN (%(database)s, %(rebuilt)s)
GROUP BY s.refobjid
ORDER BY 1
