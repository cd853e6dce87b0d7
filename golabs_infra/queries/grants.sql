-- What everyone but the owner may do on the database and on the given schemas, and on every relation in them.
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
)
SELECT o.kind, o.schema, o.relation,
       CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
       array_agg(a.privilege_type ORDER BY a.privilege_type) FILTER (WHERE a.privilege_type IS NOT NULL) AS privileges
FROM objects o LEFT JOIN LATERAL aclexplode(o.acl) a ON a.grantee <> o.owner
GROUP BY o.kind, o.schema, o.relation, a.grantee
ORDER BY 1, 2, 3, 4
