-- Every database of the server with its owner, and what each grantee may do there.
SELECT d.datname::text AS name, pg_get_userbyid(d.datdba)::text AS owner,
       d.datallowconn AND d.datconnlimit <> -2 AS allows_connections,
       d.datistemplate AS is_template, d.datconnlimit AS connection_limit,
       CASE WHEN e.grantee = 0 THEN 'public' ELSE pg_get_userbyid(e.grantee)::text END AS grantee,
       pg_get_userbyid(e.grantor)::text AS grantor,
       array_agg(e.privilege_type::text ORDER BY e.privilege_type) FILTER (WHERE e.privilege_type IS NOT NULL) AS privileges,
       array_agg(e.privilege_type::text ORDER BY e.privilege_type) FILTER (WHERE e.is_grantable) AS grantable
FROM pg_database d
LEFT JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) e ON true
GROUP BY d.oid, d.datname, d.datdba, d.datallowconn, d.datistemplate, d.datconnlimit, e.grantee, e.grantor
ORDER BY d.datname, 6, 7
