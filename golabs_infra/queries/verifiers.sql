-- The stored password verifiers of the given users; only a superuser may read them.
SELECT rolname::text AS name, rolpassword AS verifier FROM pg_authid WHERE rolname = ANY (%(names)s)
