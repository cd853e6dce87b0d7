-- What ties one schema's table to another schema: triggers that run its functions, tables that inherit or are partitions,
-- foreign keys, and whatever else runs another schema's functions: views, rules, defaults, constraints, policies, indexes,
-- routines. `other` is the schema at the far end, `target` what it leads to there.
SELECT 'trigger' AS kind, n.nspname::text AS schema, c.relname::text AS relation, t.tgname::text AS name,
       f.nspname::text AS other, p.proname::text AS target, p.prosecdef AS strong
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace f ON f.oid = p.pronamespace
WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND f.oid <> n.oid AND f.nspname <> 'pg_catalog'
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
UNION ALL
SELECT 'inheritance', n.nspname::text, c.relname::text, '', f.nspname::text, p.relname::text, c.relispartition
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace f ON f.oid = p.relnamespace
WHERE f.oid <> n.oid AND c.relkind IN ('r', 'p', 'f')
UNION ALL
SELECT 'foreign key', n.nspname::text, c.relname::text, k.conname::text, f.nspname::text, p.relname::text,
       k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace f ON f.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND f.oid <> n.oid
UNION ALL
SELECT DISTINCT 'call', n.nspname::text, coalesce(c.relname::text, u.domain, u.name),
       u.kind || CASE WHEN u.name IS NULL OR coalesce(c.relname::text, u.domain) IS NULL THEN '' ELSE ' ' || u.name END,
       f.nspname::text, q.proname::text, q.prosecdef
FROM (
    SELECT d.refobjid AS function,
           CASE d.classid WHEN 'pg_rewrite'::regclass THEN CASE WHEN w.rulename = '_RETURN' THEN 'view' ELSE 'rule' END
                          WHEN 'pg_attrdef'::regclass THEN 'default' WHEN 'pg_constraint'::regclass THEN 'constraint'
                          WHEN 'pg_policy'::regclass THEN 'policy'
                          WHEN 'pg_class'::regclass THEN CASE WHEN d.objsubid > 0 THEN 'default' ELSE 'index' END
                          WHEN 'pg_type'::regclass THEN 'domain' ELSE 'routine' END AS kind,
           coalesce(w.ev_class, a.adrelid, nullif(k.conrelid, 0), p.polrelid, i.indrelid,
                    CASE WHEN d.objsubid > 0 THEN d.objid END) AS relation,
           coalesce(y.typnamespace, r.pronamespace) AS namespace,
           coalesce(nullif(w.rulename, '_RETURN'), k.conname, p.polname, x.relname, r.proname)::text AS name, y.typname::text AS domain
    FROM pg_depend d
    LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
    LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    LEFT JOIN pg_class x ON d.classid = 'pg_class'::regclass AND x.oid = d.objid AND d.objsubid = 0
    LEFT JOIN pg_index i ON i.indexrelid = x.oid
    LEFT JOIN pg_proc r ON d.classid = 'pg_proc'::regclass AND r.oid = d.objid
    LEFT JOIN pg_type y ON y.oid = coalesce(nullif(k.contypid, 0), CASE d.classid WHEN 'pg_type'::regclass THEN d.objid END)
    WHERE d.refclassid = 'pg_proc'::regclass AND d.deptype IN ('n', 'a')
) u
LEFT JOIN pg_class c ON c.oid = u.relation
JOIN pg_namespace n ON n.oid = coalesce(c.relnamespace, u.namespace)
JOIN pg_proc q ON q.oid = u.function JOIN pg_namespace f ON f.oid = q.pronamespace
WHERE f.oid <> n.oid AND f.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = q.oid AND e.deptype = 'e')
ORDER BY 1, 2, 3, 4
