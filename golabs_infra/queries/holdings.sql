-- What a schema holds, by kind: how many, and for what stores rows an estimate of them and the bytes with indexes and TOAST.
-- A relation that somebody is changing has no size here: asking for it would wait for that transaction.
WITH own AS (
    SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
), held AS (
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                          WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' ELSE 'table' END AS kind,
           CASE WHEN c.relkind IN ('r', 'm')
                THEN coalesce(nullif(pg_stat_get_live_tuples(c.oid), 0), greatest(c.reltuples, 0)::bigint) END AS rows,
           CASE WHEN c.relkind IN ('r', 'm') AND NOT EXISTS (
                    SELECT FROM pg_locks l
                    WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.mode = 'AccessExclusiveLock'
                      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
                ) THEN pg_total_relation_size(c.oid) END AS bytes
    FROM pg_class c JOIN own ON own.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, NULL, NULL
    FROM pg_proc p JOIN own ON own.oid = p.pronamespace
    UNION ALL
    SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, NULL, NULL
    FROM pg_type t JOIN own ON own.oid = t.typnamespace
    WHERE t.typtype IN ('d', 'e', 'r')
       OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c')
)
SELECT kind, count(*) AS number, sum(rows)::bigint AS rows,
       CASE WHEN bool_and(bytes IS NOT NULL) THEN sum(bytes)::bigint END AS bytes  -- none where one is not known
FROM held
GROUP BY kind
ORDER BY sum(bytes) DESC NULLS LAST, kind
