"""Mutations: privileges granted, with and without the right to hand them on."""

from __future__ import annotations

from .breaking import BILLING, BILLING_OWNER, ORDER, ORDER_OWNER, REPORTING, TST, Mutation, broken, granted


def every_grant() -> list[Mutation]:
    """Grants into a service's schema, to another service's user, to PUBLIC, to a stranger, and too much to its own."""
    invoice = "table billing.invoice"
    into = [
        granted("usage of a schema", f"GRANT USAGE ON SCHEMA billing TO {ORDER}", "schema billing", "USAGE"),
        granted("create in a schema", f"GRANT CREATE ON SCHEMA billing TO {ORDER}", "schema billing", "CREATE"),
        *(
            granted(f"{word} on a table", f"GRANT {word} ON billing.invoice TO {ORDER}", invoice, word)
            for word in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
        ),
        granted(
            "everything on a table to another migration user",
            f"GRANT SELECT, UPDATE ON billing.invoice TO {ORDER_OWNER}",
            invoice,
            "SELECT+UPDATE",
            ORDER_OWNER,
        ),
        granted(
            "select on a view",
            f"GRANT SELECT ON billing.customer_name TO {ORDER}",
            "view billing.customer_name",
            "SELECT",
        ),
        granted(
            "select on a materialized view",
            f"GRANT SELECT ON billing.revenue TO {ORDER}",
            "materialized view billing.revenue",
            "SELECT",
        ),
        granted(
            "select on a partition",
            f"GRANT SELECT ON billing.event_2026_a TO {ORDER}",
            "table billing.event_2026_a",
            "SELECT",
        ),
        granted(
            "select on a foreign table",
            f"GRANT SELECT ON billing.archive TO {ORDER}",
            "foreign table billing.archive",
            "SELECT",
        ),
        granted(
            "select on a column",
            f"GRANT SELECT (name) ON billing.customer TO {ORDER}",
            "column billing.customer.name",
            "SELECT",
        ),
        granted(
            "update of a column with an odd name",
            f'GRANT UPDATE ("a ""quoted"" column") ON billing."line item" TO {ORDER}',
            'column billing."line item"."a ""quoted"" column"',
            "UPDATE",
        ),
        granted(
            "usage of a sequence",
            f"GRANT USAGE ON SEQUENCE billing.ticket TO {ORDER}",
            "sequence billing.ticket",
            "USAGE",
        ),
        granted(
            "an identity column's sequence",
            f"GRANT SELECT ON SEQUENCE billing.customer_id_seq TO {ORDER}",
            "sequence billing.customer_id_seq",
            "SELECT",
        ),
        granted(
            "a function by name",
            f"GRANT EXECUTE ON FUNCTION billing.doubled(integer) TO {ORDER}",
            "function billing.doubled(integer)",
            "EXECUTE",
        ),
        granted(
            "a procedure by name",
            f"GRANT EXECUTE ON PROCEDURE billing.archive(date) TO {ORDER}",
            "procedure billing.archive(date)",
            "EXECUTE",
        ),
        granted("a type by name", f"GRANT USAGE ON TYPE billing.mood TO {ORDER}", "type billing.mood", "USAGE"),
        granted("a schema to PUBLIC", "GRANT USAGE ON SCHEMA billing TO PUBLIC", "schema billing", "USAGE", "PUBLIC"),
        granted("a table to PUBLIC", "GRANT SELECT ON billing.invoice TO PUBLIC", invoice, "SELECT", "PUBLIC"),
        granted(
            "a column to PUBLIC",
            "GRANT SELECT (total) ON billing.invoice TO PUBLIC",
            "column billing.invoice.total",
            "SELECT",
            "PUBLIC",
        ),
        granted(
            "a sequence to PUBLIC",
            "GRANT UPDATE ON SEQUENCE billing.ticket TO PUBLIC",
            "sequence billing.ticket",
            "UPDATE",
            "PUBLIC",
        ),
    ]
    own = [
        *(
            granted(
                f"{word} to the own app user", f"GRANT {word} ON billing.invoice TO {BILLING}", invoice, word, BILLING
            )
            for word in ("TRUNCATE", "REFERENCES", "TRIGGER")
        ),
        broken(
            "MAINTAIN to the own app user",
            f"GRANT MAINTAIN ON billing.invoice TO {BILLING}",
            found={f"privilege/{BILLING}/MAINTAIN": invoice},
            since=17,
        ),
        granted(
            "update of a sequence to the own app user",
            f"GRANT UPDATE ON SEQUENCE billing.ticket TO {BILLING}",
            "sequence billing.ticket",
            "UPDATE",
            BILLING,
        ),
        granted(
            "references on a column to the own app user",
            f"GRANT REFERENCES (id) ON billing.invoice TO {BILLING}",
            "column billing.invoice.id",
            "REFERENCES",
            BILLING,
        ),
        granted(
            "create to the own app user",
            f"GRANT CREATE ON SCHEMA billing TO {BILLING}",
            "schema billing",
            "CREATE",
            BILLING,
        ),
    ]
    strangers = [
        granted(
            "a table to a stranger",
            "GRANT SELECT ON billing.invoice TO reporting",
            invoice,
            "SELECT",
            "reporting",
            REPORTING,
        ),
        granted(
            "a schema to a stranger",
            "GRANT USAGE ON SCHEMA billing TO reporting",
            "schema billing",
            "USAGE",
            "reporting",
            REPORTING,
        ),
        granted(
            "the database to a stranger",
            f"GRANT CONNECT ON DATABASE {TST} TO reporting",
            "database go-labs-tst",
            "CONNECT",
            "reporting",
            REPORTING,
        ),
    ]
    shared = [
        granted(
            f"{word} on the database to PUBLIC",
            f"GRANT {word} ON DATABASE {TST} TO PUBLIC",
            "database go-labs-tst",
            word,
            "PUBLIC",
        )
        for word in ("CONNECT", "TEMPORARY", "CREATE")
    ] + [
        granted(
            "temporary tables to an app user",
            f"GRANT TEMPORARY ON DATABASE {TST} TO {BILLING}",
            "database go-labs-tst",
            "TEMPORARY",
            BILLING,
        ),
        granted(
            "schemas to a migration user",
            f"GRANT CREATE ON DATABASE {TST} TO {BILLING_OWNER}",
            "database go-labs-tst",
            "CREATE",
            BILLING_OWNER,
        ),
        *(
            granted(
                f"schema public opened for {word}",
                f"GRANT {word} ON SCHEMA public TO PUBLIC",
                "schema public",
                word,
                "PUBLIC",
            )
            for word in ("CREATE", "USAGE")
        ),
        granted(
            "schema public to an app user",
            f"GRANT USAGE ON SCHEMA public TO {BILLING}",
            "schema public",
            "USAGE",
            BILLING,
        ),
        granted(
            "a table of public to an app user",
            f"GRANT SELECT ON public.spatial_ref_sys TO {BILLING}",
            "table public.spatial_ref_sys",
            "SELECT",
            BILLING,
        ),
        granted(
            "create among the extensions",
            "GRANT CREATE ON SCHEMA extensions TO PUBLIC",
            "schema extensions",
            "CREATE",
            "PUBLIC",
        ),
        granted(
            "a DBA's schema to PUBLIC",
            "GRANT USAGE ON SCHEMA monitoring TO PUBLIC",
            "schema monitoring",
            "USAGE",
            "PUBLIC",
        ),
        granted(
            "a DBA's table to an app user",
            f"GRANT SELECT ON monitoring.sample TO {BILLING}",
            "table monitoring.sample",
            "SELECT",
            BILLING,
        ),
        granted(
            "a file function of the server",
            f"GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {BILLING}",
            "function pg_catalog.pg_read_file(text)",
            "EXECUTE",
            BILLING,
        ),
        granted(
            "the server's password hashes",
            f"GRANT SELECT ON pg_authid TO {BILLING}",
            "table pg_catalog.pg_authid",
            "SELECT",
            BILLING,
        ),
        granted(
            "a function of the server to PUBLIC",
            "GRANT EXECUTE ON FUNCTION pg_ls_dir(text) TO PUBLIC",
            "function pg_catalog.pg_ls_dir(text)",
            "EXECUTE",
            "PUBLIC",
        ),
        granted(
            "a foreign server",
            f"GRANT USAGE ON FOREIGN SERVER archive TO {BILLING}",
            "foreign server archive",
            "USAGE",
            BILLING,
        ),
        granted(
            "a foreign data wrapper",
            f"GRANT USAGE ON FOREIGN DATA WRAPPER nowhere TO {BILLING_OWNER}",
            "foreign data wrapper nowhere",
            "USAGE",
            BILLING_OWNER,
        ),
        granted(
            "a large object", f"GRANT SELECT ON LARGE OBJECT 4711 TO {BILLING}", "large object 4711", "SELECT", BILLING
        ),
        broken(
            "a parameter",
            f"GRANT SET ON PARAMETER session_replication_role TO {BILLING}",
            found={f"privilege/{BILLING}/SET": "parameter session_replication_role"},
            since=15,
        ),
        broken(
            "a parameter of the whole server",
            f"GRANT ALTER SYSTEM ON PARAMETER log_statement TO {BILLING_OWNER}",
            found={f"privilege/{BILLING_OWNER}/ALTER SYSTEM": "parameter log_statement"},
            since=15,
        ),
    ]
    return [*into, *own, *strangers, *shared]


def handed_on() -> list[Mutation]:
    """Grant options, and grants that somebody else than the owner has made."""
    invoice = "table billing.invoice"
    return [
        broken(
            "a grant option to the own app user",
            f"GRANT SELECT ON billing.invoice TO {BILLING} WITH GRANT OPTION",
            found={f"grant-option/{BILLING}/SELECT": invoice},
        ),
        broken(
            "a grant option on the schema",
            f"GRANT USAGE ON SCHEMA billing TO {BILLING} WITH GRANT OPTION",
            found={f"grant-option/{BILLING}/USAGE": "schema billing"},
        ),
        broken(
            "a grant option on the database",
            f"GRANT CONNECT ON DATABASE {TST} TO {BILLING} WITH GRANT OPTION",
            found={f"grant-option/{BILLING}/CONNECT": "database go-labs-tst"},
        ),
        broken(
            "a grant option to another service",
            f"GRANT SELECT ON billing.invoice TO {ORDER} WITH GRANT OPTION",
            found={f"privilege/{ORDER}/SELECT": invoice},
        ),
        broken(
            "a privilege that the own app user has handed on",
            f"GRANT SELECT ON billing.invoice TO {BILLING} WITH GRANT OPTION",
            f"SET ROLE {BILLING}",
            f"GRANT SELECT ON billing.invoice TO {ORDER}",
            "RESET ROLE",
            found={f"grant-option/{BILLING}/SELECT": invoice, f"privilege/{ORDER}/SELECT": invoice},
        ),
        broken(
            "a privilege that a stranger has handed on to PUBLIC",
            "GRANT USAGE ON SCHEMA billing TO reporting",
            "GRANT SELECT ON billing.invoice TO reporting WITH GRANT OPTION",
            "SET ROLE reporting",
            "GRANT SELECT ON billing.invoice TO PUBLIC",
            "RESET ROLE",
            found={
                "privilege/reporting/USAGE": "schema billing",
                "privilege/reporting/SELECT": invoice,
                "privilege/PUBLIC/SELECT": invoice,
            },
            role=REPORTING,
        ),
        broken(
            "what the app user is to have, handed on by a stranger alone",
            "GRANT USAGE ON SCHEMA billing TO reporting",
            "GRANT SELECT ON billing.invoice TO reporting WITH GRANT OPTION",
            "SET ROLE reporting",
            f"GRANT SELECT ON billing.invoice TO {BILLING}",
            "RESET ROLE",
            f"REVOKE SELECT ON billing.invoice FROM {BILLING}",
            found={"privilege/reporting/USAGE": "schema billing", "privilege/reporting/SELECT": invoice},
            role=REPORTING,
        ),
        broken(
            "a column that was handed on by the right to the table",
            f"GRANT SELECT ON billing.customer TO {BILLING} WITH GRANT OPTION",
            f"SET ROLE {BILLING}",
            "GRANT SELECT (name) ON billing.customer TO reporting",
            "RESET ROLE",
            found={
                f"grant-option/{BILLING}/SELECT": "table billing.customer",
                "privilege/reporting/SELECT": "column billing.customer.name",
            },
            role=REPORTING,
        ),
        broken(
            "a chain of two strangers",
            "CREATE ROLE second",
            "GRANT USAGE ON SCHEMA billing TO reporting, second",
            "GRANT SELECT ON billing.invoice TO reporting WITH GRANT OPTION",
            "SET ROLE reporting",
            "GRANT SELECT ON billing.invoice TO second WITH GRANT OPTION",
            "SET ROLE second",
            f"GRANT SELECT ON billing.invoice TO {ORDER}",
            "RESET ROLE",
            found={
                "privilege/reporting/USAGE": "schema billing",
                "privilege/second/USAGE": "schema billing",
                "privilege/reporting/SELECT": invoice,
                "privilege/second/SELECT": invoice,
                f"privilege/{ORDER}/SELECT": invoice,
            },
            role=REPORTING,
            after=("DROP ROLE second",),
        ),
    ]
