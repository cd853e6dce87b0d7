-- Default privileges of every owner, in one schema or in all of them (then it is empty), and what was taken off the list
-- that every owner has from the beginning (`lost`).
SELECT pg_get_userbyid(d.defaclrole)::text AS owner, coalesce(n.nspname::text, '') AS schema,
       CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types'
                            WHEN 'n' THEN 'schemas' ELSE 'large objects' END AS kind,
       CASE WHEN e.grantee = 0 THEN 'public' ELSE pg_get_userbyid(e.grantee)::text END AS grantee,
       array_agg(DISTINCT e.privilege_type::text ORDER BY e.privilege_type::text) FILTER (WHERE NOT e.lost) AS privileges,
       array_agg(DISTINCT e.privilege_type::text ORDER BY e.privilege_type::text) FILTER (WHERE e.is_grantable AND NOT e.lost)
           AS grantable,
       array_agg(DISTINCT e.privilege_type::text ORDER BY e.privilege_type::text) FILTER (WHERE e.lost) AS lost
FROM pg_default_acl d
LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL (
    SELECT x.grantee, x.privilege_type, x.is_grantable, false AS lost FROM aclexplode(d.defaclacl) x
    UNION ALL
    SELECT y.grantee, y.privilege_type, false, true
    FROM aclexplode(acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole)) y
    WHERE d.defaclnamespace = 0 AND y.grantee = d.defaclrole AND NOT EXISTS (
        SELECT FROM aclexplode(d.defaclacl) x WHERE x.grantee = y.grantee AND x.privilege_type = y.privilege_type)
) e
GROUP BY d.oid, d.defaclrole, n.nspname, d.defaclobjtype, e.grantee
ORDER BY 1, 2, 3, 4
