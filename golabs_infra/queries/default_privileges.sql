-- Default privileges on tables and sequences in the given schemas, and in every schema at once (then the schema is
-- empty), but for what owners have of their own. What may be handed on comes a second time, with its grant option.
SELECT pg_get_userbyid(d.defaclrole)::text AS owner, coalesce(n.nspname::text, '') AS schema,
       CASE d.defaclobjtype WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
       CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
       array_agg(DISTINCT p.privilege ORDER BY p.privilege) AS privileges
FROM pg_default_acl d
LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL aclexplode(d.defaclacl) a
CROSS JOIN LATERAL (
    SELECT a.privilege_type AS privilege UNION ALL SELECT a.privilege_type || ' WITH GRANT OPTION' WHERE a.is_grantable
) p
WHERE (n.nspname = ANY (%(schemas)s) OR d.defaclnamespace = 0) AND d.defaclobjtype IN ('r', 'S')
  AND a.grantee <> d.defaclrole
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
