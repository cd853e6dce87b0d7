-- Default privileges on tables and sequences in the given schemas, but for what owners have of their own.
SELECT pg_get_userbyid(d.defaclrole)::text AS owner, n.nspname::text AS schema,
       CASE d.defaclobjtype WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
       CASE WHEN a.grantee = 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END AS grantee,
       array_agg(a.privilege_type ORDER BY a.privilege_type) AS privileges
FROM pg_default_acl d
JOIN pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL aclexplode(d.defaclacl) a
WHERE n.nspname = ANY (%(schemas)s) AND d.defaclobjtype IN ('r', 'S') AND a.grantee <> d.defaclrole
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4
