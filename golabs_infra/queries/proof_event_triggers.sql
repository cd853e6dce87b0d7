-- Event triggers, and who owns the function that each runs. No extension's own.
SELECT t.evtname::text AS name, n.nspname || '.' || p.proname AS function, pg_get_userbyid(p.proowner)::text AS owner,
       t.evtenabled <> 'D' AS enabled
FROM pg_event_trigger t
JOIN pg_proc p ON p.oid = t.evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.classid = 'pg_event_trigger'::regclass AND e.objid = t.oid AND e.deptype = 'e')
ORDER BY 1
