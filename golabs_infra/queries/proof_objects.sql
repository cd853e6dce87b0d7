-- Everything in the database that has an owner or a list of privileges, with one row for each grantee and grantor. Of what
-- PostgreSQL or an extension brought, only what was granted since then. A column comes where it has privileges of its own.
WITH namespaces AS (
    SELECT n.oid, n.nspname::text AS name, n.nspname IN ('pg_catalog', 'information_schema') AS theirs
    FROM pg_namespace n WHERE n.nspname !~ '^pg_(toast|temp)'
), objects AS (
    SELECT 'pg_namespace'::regclass AS class, n.oid, 0 AS part, 'schema' AS kind, '' AS schema, n.nspname::text AS name,
           '' AS detail, n.nspowner AS owner, coalesce(n.nspacl, acldefault('n', n.nspowner)) AS acl,
           s.theirs AS system,
           false AS definer, false AS follows
    FROM pg_namespace n JOIN namespaces s ON s.oid = n.oid
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, 0,
           CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                          WHEN 'f' THEN 'foreign table' ELSE 'table' END,
           s.name, c.relname::text, '', c.relowner,
           coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relowner)),
           s.theirs AND c.oid < 16384,
           c.relkind = 'v' AND NOT coalesce(c.reloptions::text ~* 'security_invoker=(true|on|1|yes)', false),
           c.relkind = 'S' AND EXISTS (
               SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjsubid > 0
                                         AND d.deptype IN ('a', 'i'))
    FROM pg_class c JOIN namespaces s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND (NOT s.theirs OR c.relacl IS NOT NULL OR c.oid >= 16384)
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, a.attnum, 'column', s.name, c.relname::text, a.attname::text, c.relowner, a.attacl,
           s.theirs AND c.oid < 16384, false, true
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN namespaces s ON s.oid = c.relnamespace
    WHERE a.attacl IS NOT NULL AND NOT a.attisdropped
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, 0,
           CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           s.name, p.proname::text,
           CASE p.prokind WHEN 'a' THEN pg_get_function_identity_arguments(p.oid) ELSE oidvectortypes(p.proargtypes) END,
           p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)),
           s.theirs AND p.oid < 16384, p.prosecdef, false
    FROM pg_proc p JOIN namespaces s ON s.oid = p.pronamespace
    WHERE (NOT s.theirs OR p.proacl IS NOT NULL OR p.oid >= 16384) AND NOT EXISTS ( -- a range type's own, which the server gives to itself
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, 0, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, s.name, t.typname::text, '',
           t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)), s.theirs AND t.oid < 16384, false, false
    FROM pg_type t JOIN namespaces s ON s.oid = t.typnamespace
    WHERE (t.typtype IN ('d', 'e', 'r') OR t.typtype = 'c' AND EXISTS (
              SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
      AND (NOT s.theirs OR t.typacl IS NOT NULL OR t.oid >= 16384)
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, f.oid, 0, 'foreign server', '', f.srvname::text, '', f.srvowner,
           coalesce(f.srvacl, acldefault('S', f.srvowner)), false, false, false
    FROM pg_foreign_server f
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, f.oid, 0, 'foreign data wrapper', '', f.fdwname::text, '', f.fdwowner,
           coalesce(f.fdwacl, acldefault('F', f.fdwowner)), false, false, false
    FROM pg_foreign_data_wrapper f
    UNION ALL
    SELECT 'pg_language'::regclass, l.oid, 0, 'language', '', l.lanname::text, '', l.lanowner, l.lanacl, true, false, false
    FROM pg_language l WHERE l.lanacl IS NOT NULL
    UNION ALL
    SELECT 'pg_largeobject'::regclass, o.oid, 0, 'large object', '', o.oid::text, '', o.lomowner,
           coalesce(o.lomacl, acldefault('L', o.lomowner)), false, false, false
    FROM pg_largeobject_metadata o
    UNION ALL
    SELECT 'pg_tablespace'::regclass, t.oid, 0, 'tablespace', '', t.spcname::text, '', t.spcowner,
           coalesce(t.spcacl, acldefault('t', t.spcowner)), false, false, false
    FROM pg_tablespace t
), since AS (
    SELECT o.*, e.deptype IS NOT NULL AS extension,
           CASE WHEN o.system OR e.deptype IS NOT NULL
                THEN coalesce(i.initprivs, acldefault(CASE o.kind WHEN 'schema' THEN 'n' WHEN 'sequence' THEN 's'
                                                           WHEN 'function' THEN 'f' WHEN 'procedure' THEN 'f'
                                                           WHEN 'aggregate' THEN 'f' WHEN 'type' THEN 'T'
                                                           WHEN 'domain' THEN 'T' WHEN 'language' THEN 'l'
                                                           WHEN 'foreign data wrapper' THEN 'F'
                                                           WHEN 'foreign server' THEN 'S' WHEN 'column' THEN 'c'
                                                           ELSE 'r' END::"char", o.owner)) END AS initially
    FROM objects o
    LEFT JOIN pg_depend e ON e.classid = o.class AND e.objid = o.oid AND e.objsubid = 0 AND e.deptype = 'e'
    LEFT JOIN pg_init_privs i ON i.classoid = o.class AND i.objoid = o.oid AND i.objsubid = o.part
)
SELECT o.kind, o.schema, o.name, o.detail, pg_get_userbyid(o.owner)::text AS owner, o.system OR o.extension AS brought,
       o.definer, o.follows,
       CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
       pg_get_userbyid(a.grantor)::text AS grantor,
       array_agg(a.privilege_type::text ORDER BY a.privilege_type) FILTER (WHERE a.privilege_type IS NOT NULL) AS privileges,
       array_agg(a.privilege_type::text ORDER BY a.privilege_type) FILTER (WHERE a.is_grantable) AS grantable
FROM since o
LEFT JOIN LATERAL (
    SELECT x.* FROM aclexplode(o.acl) x
    WHERE o.initially IS NULL OR NOT EXISTS (
        SELECT FROM aclexplode(o.initially) y
        WHERE y.grantee = x.grantee AND y.privilege_type = x.privilege_type AND (y.is_grantable OR NOT x.is_grantable))
      AND NOT ('information_schema' IN (o.schema, o.name) AND o.system  -- what initdb grants there is remembered nowhere
               AND x.grantee = 0 AND x.privilege_type IN ('SELECT', 'USAGE'))
) a ON true
WHERE a.grantee IS NOT NULL OR NOT (o.system OR o.extension)
GROUP BY o.class, o.oid, o.part, o.kind, o.schema, o.name, o.detail, o.owner, o.system, o.extension, o.definer, o.follows,
         a.grantee, a.grantor
ORDER BY o.schema, o.kind, o.name, o.detail
