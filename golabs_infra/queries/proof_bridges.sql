-- What ties one schema's table to another schema: triggers that run its functions, tables that inherit or are partitions,
-- foreign keys. `other` is the schema at the far end, `target` what it leads to there.
SELECT 'trigger' AS kind, n.nspname::text AS schema, c.relname::text AS relation, t.tgname::text AS name,
       f.nspname::text AS other, p.proname::text AS target, false AS partition
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
SELECT 'foreign key', n.nspname::text, c.relname::text, k.conname::text, f.nspname::text, p.relname::text, false
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = k.confrelid JOIN pg_namespace f ON f.oid = p.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND f.oid <> n.oid
ORDER BY 1, 2, 3, 4
