-- Tables with row security, and their policies: for whom, for which command, and whether it lets no row pass at all.
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relforcerowsecurity AS forced,
       coalesce(json_agg(json_build_object(
           'name', p.polname, 'permissive', p.polpermissive,
           'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                    WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           'closed', coalesce(pg_get_expr(coalesce(p.polqual, p.polwithcheck), p.polrelid) IN ('false', '(1 = 0)', '(0 = 1)', '(NOT true)'), false),
           'roles', ARRAY(SELECT CASE WHEN r = 0 THEN 'public' ELSE pg_get_userbyid(r)::text END FROM unnest(p.polroles) r)
       ) ORDER BY p.polname) FILTER (WHERE p.oid IS NOT NULL), '[]') AS policies
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_policy p ON p.polrelid = c.oid
WHERE c.relrowsecurity AND NOT c.relispartition  -- whoever reads the parent is asked there
  AND n.nspname !~ '^pg_'
GROUP BY n.nspname, c.relname, c.relforcerowsecurity
ORDER BY 1, 2
