-- What keeps the given users from being dropped with the environment's database: the other databases that they own, have
-- privileges on, or have anything in; and what they are tied to that is in no database.
SELECT pg_get_userbyid(s.refobjid)::text AS name, array_agg(DISTINCT t.tie ORDER BY t.tie) AS ties
FROM pg_shdepend s
CROSS JOIN LATERAL (
    SELECT CASE WHEN s.classid = 'pg_database'::regclass THEN s.objid WHEN s.dbid <> 0 THEN s.dbid END AS database
) at
LEFT JOIN pg_database d ON d.oid = at.database
CROSS JOIN LATERAL (
    SELECT coalesce('database ' || d.datname, pg_describe_object(s.classid, s.objid, s.objsubid)) AS tie
) t
WHERE s.refclassid = 'pg_authid'::regclass AND s.deptype <> 'p'
  AND s.refobjid IN (SELECT r.oid FROM pg_roles r WHERE r.rolname = ANY (%(users)s))
  AND (d.oid IS NULL OR d.datname NOT IN (%(database)s, %(rebuilt)s))
GROUP BY s.refobjid
ORDER BY 1
