-- Who else has been granted something on a schema, on anything in it, or on what will be made in it; and who is a member
-- of the given users and may act as them. Not the users themselves, superusers, or admins that make users; PUBLIC, as
-- `public`, without what it has on every routine and type from the beginning.
WITH own AS (
    SELECT oid, nspacl FROM pg_namespace WHERE nspname = %(schema)s
), granted AS (
    SELECT nspacl AS acl, true AS closed FROM own
    UNION ALL
    SELECT c.relacl, true FROM pg_class c JOIN own ON own.oid = c.relnamespace
    UNION ALL
    SELECT a.attacl, true FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN own ON own.oid = c.relnamespace
    UNION ALL
    SELECT p.proacl, false FROM pg_proc p JOIN own ON own.oid = p.pronamespace
    UNION ALL
    SELECT t.typacl, false FROM pg_type t JOIN own ON own.oid = t.typnamespace
    UNION ALL
    SELECT d.defaclacl, d.defaclobjtype IN ('r', 'S') FROM pg_default_acl d JOIN own ON own.oid = d.defaclnamespace
), others AS (
    SELECT r.oid, r.rolname::text AS name FROM pg_roles r
    WHERE NOT r.rolsuper AND NOT r.rolcreaterole AND r.rolname <> current_user AND NOT r.rolname = ANY (%(users)s)
    UNION ALL
    SELECT 0, 'public'
)
SELECT o.name, array_agg(DISTINCT e.privilege_type ORDER BY e.privilege_type) AS privileges, NULL AS member_of
FROM granted g
CROSS JOIN LATERAL aclexplode(g.acl) e
JOIN others o ON o.oid = e.grantee AND (g.closed OR o.oid <> 0)
GROUP BY o.name
UNION ALL
SELECT o.name, NULL, array_agg(DISTINCT pg_get_userbyid(m.roleid)::text ORDER BY pg_get_userbyid(m.roleid)::text)
FROM pg_auth_members m
JOIN others o ON o.oid = m.member
WHERE pg_get_userbyid(m.roleid) = ANY (%(users)s)
  AND (coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true) -- PostgreSQL 16 and later have the options
       OR coalesce((to_jsonb(m) ->> 'set_option')::boolean, true))
GROUP BY o.name
ORDER BY 1, 3 NULLS FIRST
