-- What in the schema public the given users can reach while they have USAGE there: extensions, relations that one of them
-- owns or may read or write, and routines that are no extension's own and that one of them may execute.
WITH users AS (
    SELECT r.oid FROM pg_roles r WHERE r.rolname = ANY (%(users)s) AND has_schema_privilege(r.oid, to_regnamespace('public')::oid, 'USAGE')
)
SELECT 'EXTENSION' AS kind, e.extname::text AS name, '' AS arguments, pg_get_userbyid(e.extowner)::text AS owner
FROM pg_extension e
WHERE e.extnamespace = to_regnamespace('public') AND EXISTS (SELECT FROM users)
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                      WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END,
       c.relname::text, '', pg_get_userbyid(c.relowner)::text
FROM pg_class c
WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND NOT (c.relkind = 'S' AND EXISTS (
      SELECT FROM pg_depend d
      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
  ))
  AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e'
  )
  AND EXISTS (
      SELECT FROM users u
      WHERE CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(u.oid, c.oid, 'USAGE, SELECT, UPDATE')
                 ELSE has_any_column_privilege(u.oid, c.oid, 'SELECT, INSERT, UPDATE')
                      OR has_table_privilege(u.oid, c.oid, 'DELETE') END
  )
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
       p.proname::text, pg_get_function_identity_arguments(p.oid), pg_get_userbyid(p.proowner)::text
FROM pg_proc p
WHERE p.pronamespace = to_regnamespace('public')
  AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.objsubid = 0 AND e.deptype = 'e'
  )
  AND EXISTS (SELECT FROM users u WHERE has_function_privilege(u.oid, p.oid, 'EXECUTE'))
UNION ALL
SELECT CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.typname::text, '', pg_get_userbyid(t.typowner)::text
FROM pg_type t
WHERE t.typnamespace = to_regnamespace('public')
  AND (t.typtype IN ('d', 'e', 'r')
       OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
  AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.objsubid = 0 AND e.deptype = 'e'
  )
  AND EXISTS (SELECT FROM users u WHERE has_type_privilege(u.oid, t.oid, 'USAGE'))
ORDER BY 1, 2, 3
