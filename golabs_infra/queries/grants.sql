-- What everyone but the owner may do on the database and on the given schemas, and on every relation in them that is
-- no extension's own. What may be handed on comes a second time, with its grant option.
-- A relation that nobody was granted anything on comes as one row without a grantee.
WITH objects AS (
    SELECT 'database' AS kind, '' AS schema, '' AS relation, datdba AS owner, coalesce(datacl, acldefault('d', datdba)) AS acl
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'schema', nspname::text, '', nspowner, coalesce(nspacl, acldefault('n', nspowner))
    FROM pg_namespace WHERE nspname = ANY (%(schemas)s)
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname::text, c.relname::text, c.relowner,
           coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (
          SELECT FROM pg_depend e
          WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e'
      )
)
SELECT o.kind, o.schema, o.relation,
       CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
       array_agg(DISTINCT p.privilege ORDER BY p.privilege) FILTER (WHERE p.privilege IS NOT NULL) AS privileges
FROM objects o
LEFT JOIN LATERAL aclexplode(o.acl) a ON a.grantee <> o.owner
LEFT JOIN LATERAL (
    SELECT a.privilege_type AS privilege UNION ALL SELECT a.privilege_type || ' WITH GRANT OPTION' WHERE a.is_grantable
) p ON true
GROUP BY o.kind, o.schema, o.relation, a.grantee
ORDER BY 1, 2, 3, 4
