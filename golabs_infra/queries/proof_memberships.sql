-- Who is a member of whom, by whom, and what that gives: the privileges at once, SET ROLE, or the right to hand it on.
SELECT g.rolname::text AS group, m.rolname::text AS member, b.rolname::text AS grantor, a.admin_option AS administers,
       coalesce((to_jsonb(a) ->> 'inherit_option')::boolean, m.rolinherit) AS inherits, -- options since PostgreSQL 16
       coalesce((to_jsonb(a) ->> 'set_option')::boolean, true) AS becomes
FROM pg_auth_members a
JOIN pg_roles g ON g.oid = a.roleid
JOIN pg_roles m ON m.oid = a.member
LEFT JOIN pg_roles b ON b.oid = a.grantor
ORDER BY 1, 2, 3
