-- Who, but for the given users, reaches the database or its schema public through PUBLIC alone, and owns or was granted
-- something in there.
WITH here AS (
    SELECT oid, datdba, coalesce(datacl, acldefault('d', datdba)) AS acl FROM pg_database WHERE datname = current_database()
), others AS (
    SELECT r.oid, r.rolname::text AS name
    FROM pg_roles r, here
    WHERE r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> current_user AND NOT r.rolname = ANY (%(users)s)
      AND NOT pg_has_role(r.oid, here.datdba, 'USAGE')
      AND EXISTS (
          SELECT FROM pg_shdepend s
          WHERE s.dbid = here.oid AND s.refclassid = 'pg_authid'::regclass AND pg_has_role(r.oid, s.refobjid, 'USAGE')
      )
)
SELECT 'DATABASE' AS kind, o.name
FROM others o, here
WHERE has_database_privilege(o.oid, here.oid, 'CONNECT') AND NOT EXISTS (
    SELECT FROM aclexplode(here.acl) a
    WHERE a.privilege_type = 'CONNECT' AND a.grantee <> 0 AND pg_has_role(o.oid, a.grantee, 'USAGE')
)
UNION ALL
SELECT 'SCHEMA', o.name
FROM others o, pg_namespace n
WHERE n.nspname = 'public' AND has_schema_privilege(o.oid, n.oid, 'USAGE') AND NOT EXISTS (
    SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    WHERE a.privilege_type = 'USAGE' AND a.grantee <> 0 AND pg_has_role(o.oid, a.grantee, 'USAGE')
) AND EXISTS (
    SELECT FROM pg_class c
    WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_table_privilege(o.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
)
ORDER BY 1, 2
