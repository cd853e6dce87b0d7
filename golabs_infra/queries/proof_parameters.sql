-- Configuration parameters that somebody has been granted, from PostgreSQL 15 on.
SELECT p.parname::text AS name, CASE WHEN e.grantee = 0 THEN 'public' ELSE pg_get_userbyid(e.grantee)::text END AS grantee,
       pg_get_userbyid(e.grantor)::text AS grantor,
       array_agg(e.privilege_type::text ORDER BY e.privilege_type) AS privileges,
       array_agg(e.privilege_type::text ORDER BY e.privilege_type) FILTER (WHERE e.is_grantable) AS grantable
FROM pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) e
GROUP BY p.parname, e.grantee, e.grantor
ORDER BY 1, 2, 3
