-- Every table-like object and sequence of the given schemas that is no extension's own: its kind (pg_class.relkind), its
-- owner, its columns (none for sequences), and whether reading it may reach another server: a foreign table, what has
-- one among its partitions or children, and a view of, or a rule with, one of these.
WITH RECURSIVE built_on (above, below) AS (
    SELECT inhparent, inhrelid FROM pg_inherits
    UNION
    SELECT w.ev_class, d.refobjid
    FROM pg_rewrite w
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    WHERE d.refobjid <> w.ev_class
), remote (oid) AS (
    SELECT oid FROM pg_class WHERE relkind = 'f'
    UNION
    SELECT b.above FROM remote r JOIN built_on b ON b.below = r.oid
)
SELECT c.relkind::text AS kind, n.nspname::text AS schema, c.relname::text AS name, pg_get_userbyid(c.relowner)::text AS owner,
       CASE WHEN c.relkind = 'S' THEN '{}'::text[] ELSE ARRAY (
           SELECT a.attname::text FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
       ) END AS columns,
       EXISTS (SELECT FROM remote r WHERE r.oid = c.oid) AS remote
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND NOT EXISTS (
      SELECT FROM pg_depend e
      WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.objsubid = 0 AND e.deptype = 'e'
  )
ORDER BY 2, 3
