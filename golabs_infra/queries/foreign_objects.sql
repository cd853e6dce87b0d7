-- What in the given schemas belongs to somebody else than the owner given with each: relations (but for what follows
-- their owner: indexes, a column's own sequence), routines, types and domains. No extension's or range type's own.
WITH expected AS (
    SELECT n.oid, n.nspname::text AS schema, e.owner
    FROM unnest(%(schemas)s::text[], %(owners)s::text[]) AS e (schema, owner)
    JOIN pg_namespace n ON n.nspname = e.schema
), objects AS (
    SELECT 'pg_class'::regclass AS class, c.oid, c.relnamespace AS namespace, c.relowner AS owner,
           CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
                          WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS kind,
           c.relname::text AS name, '' AS arguments
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')
      AND NOT (c.relkind = 'S' AND EXISTS (
          SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      ))
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, p.pronamespace, p.proowner,
           CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
           p.proname::text, pg_get_function_identity_arguments(p.oid)
    FROM pg_proc p
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, t.typnamespace, t.typowner,
           CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.typname::text, ''
    FROM pg_type t
    WHERE t.typtype IN ('d', 'e', 'r')
)
SELECT x.schema, o.kind, o.name, o.arguments, pg_get_userbyid(o.owner)::text AS owner,
       pg_has_role(current_user, o.owner, 'USAGE') AS administered
FROM objects o
JOIN expected x ON x.oid = o.namespace
WHERE pg_get_userbyid(o.owner) <> x.owner
  AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = o.class AND e.objid = o.oid AND e.objsubid = 0
        AND (e.deptype = 'e' OR e.deptype = 'i' AND o.class = 'pg_proc'::regclass)  -- an extension's; a range type's
  )
ORDER BY x.schema, o.kind, o.name, o.arguments
