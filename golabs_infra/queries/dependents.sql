-- What in other schemas depends on what is in one: views, foreign keys, defaults, policies, triggers, routines, types and
-- tables that inherit. A function whose body is a string depends on nothing that the server knows of.
WITH own AS (
    SELECT oid FROM pg_namespace WHERE nspname = %(schema)s
), inside AS (
    SELECT 'pg_class'::regclass AS class, c.oid FROM pg_class c JOIN own ON own.oid = c.relnamespace
    WHERE c.relkind NOT IN ('i', 'I', 't')
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid FROM pg_proc p JOIN own ON own.oid = p.pronamespace
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN own ON own.oid = t.typnamespace
), found AS (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid,
           CASE d.classid
               WHEN 'pg_class'::regclass THEN (SELECT c.relnamespace FROM pg_class c WHERE c.oid = d.objid)
               WHEN 'pg_proc'::regclass THEN (SELECT p.pronamespace FROM pg_proc p WHERE p.oid = d.objid)
               WHEN 'pg_type'::regclass THEN (SELECT t.typnamespace FROM pg_type t WHERE t.oid = d.objid)
               WHEN 'pg_constraint'::regclass THEN (SELECT c.connamespace FROM pg_constraint c WHERE c.oid = d.objid)
               ELSE (SELECT c.relnamespace FROM pg_class c WHERE c.oid = r.relation)
           END AS namespace,
           r.view
    FROM inside i
    JOIN pg_depend d ON d.refclassid = i.class AND d.refobjid = i.oid
    LEFT JOIN LATERAL (
        SELECT w.ev_class AS relation, true AS view FROM pg_rewrite w
        WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
        UNION ALL
        SELECT a.adrelid, false FROM pg_attrdef a WHERE d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
        UNION ALL
        SELECT t.tgrelid, false FROM pg_trigger t WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        UNION ALL
        SELECT p.polrelid, false FROM pg_policy p WHERE d.classid = 'pg_policy'::regclass AND p.oid = d.objid
    ) r ON true
    WHERE d.deptype IN ('n', 'a', 'i', 'P', 'S')
)
SELECT CASE WHEN f.view
            THEN (SELECT pg_describe_object('pg_class'::regclass, w.ev_class, 0) FROM pg_rewrite w WHERE w.oid = f.objid)
            ELSE pg_describe_object(f.classid, f.objid, 0) END AS name,
       array_agg(DISTINCT pg_describe_object(f.refclassid, f.refobjid, 0)) AS needs
FROM found f
JOIN pg_namespace n ON n.oid = f.namespace
WHERE n.nspname <> %(schema)s AND n.nspname !~ '^pg_'
GROUP BY 1
ORDER BY 1
