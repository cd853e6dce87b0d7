"""Mutations: memberships, attributes, logins, passwords, and ownership."""

from __future__ import annotations

from .breaking import (
    BILLING,
    BILLING_OWNER,
    CATALOG,
    CI,
    MIDDLEMAN,
    ORDER,
    ORDER_OWNER,
    REPORTING,
    TST,
    Mutation,
    broken,
)


def by_role() -> list[Mutation]:
    """Memberships, attributes, logins and passwords."""
    group = "role billing_app_tst_user"
    members = [
        broken(
            "a member of another service's app user",
            f"GRANT {BILLING} TO {ORDER}",
            found={f"membership/{ORDER}/{BILLING}": group},
        ),
        broken(
            "a member of the own migration user",
            f"GRANT {BILLING_OWNER} TO {BILLING}",
            found={f"membership/{BILLING}/{BILLING_OWNER}": f"role {BILLING_OWNER}"},
        ),
        broken(
            "a member through a third role",
            f"GRANT {BILLING} TO middleman",
            f"GRANT middleman TO {ORDER}",
            found={f"membership/{ORDER}/middleman": "role middleman", f"membership/middleman/{BILLING}": group},
            role=MIDDLEMAN,
        ),
        broken(
            "a member that may only SET ROLE",
            f"GRANT {BILLING} TO {ORDER} WITH INHERIT FALSE, SET TRUE",
            found={f"membership/{ORDER}/{BILLING}": group},
            since=16,
        ),
        broken(
            "a member that may only inherit",
            f"GRANT {BILLING} TO {ORDER} WITH INHERIT TRUE, SET FALSE",
            found={f"membership/{ORDER}/{BILLING}": group},
            since=16,
        ),
        broken(
            "a member that may only make members",
            f"GRANT {BILLING} TO {ORDER} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
            found={f"membership/{ORDER}/{BILLING}": group},
            since=16,
        ),
        broken(
            "a member of an empty role",
            f"GRANT middleman TO {ORDER}",
            found={f"membership/{ORDER}/middleman": "role middleman"},
            role=MIDDLEMAN,
        ),
        broken(
            "a member of a role that holds something",
            "GRANT SELECT ON billing.invoice TO middleman",
            f"GRANT middleman TO {ORDER}",
            found={
                f"membership/{ORDER}/middleman": "role middleman",
                "privilege/middleman/SELECT": "table billing.invoice",
            },
            role=MIDDLEMAN,
        ),
        broken(
            "a member of a superuser",
            "CREATE ROLE boss SUPERUSER",
            f"GRANT boss TO {ORDER}",
            found={f"membership/{ORDER}/boss": "role boss"},
            after=("DROP ROLE boss",),
        ),
        broken(
            "a member of the admin",
            f"GRANT postgres TO {ORDER}",
            found={f"membership/{ORDER}/postgres": "role postgres"},
        ),
        *(
            broken(
                f"a member of {name}",
                f"GRANT {name} TO {ORDER}",
                found={f"membership/{ORDER}/{name}": f"role {name}"},
            )
            for name in ("pg_read_all_data", "pg_write_all_data", "pg_execute_server_program", "pg_read_server_files")
        ),
        broken(
            "a member of another environment's user",
            f"GRANT billing_app_ci_user TO {BILLING}",
            found={f"membership/{BILLING}/billing_app_ci_user": "role billing_app_ci_user"},
        ),
        broken(
            "a stranger that gets at the server's files",
            "GRANT pg_execute_server_program TO reporting",
            found={"membership/reporting/pg_execute_server_program": "role pg_execute_server_program"},
            role=REPORTING,
        ),
        broken(
            "a stranger in an app user",
            f"GRANT {BILLING} TO reporting",
            found={f"membership/reporting/{BILLING}": group},
            role=REPORTING,
        ),
        broken(
            "a stranger in a migration user",
            f"GRANT {BILLING_OWNER} TO reporting",
            found={f"membership/reporting/{BILLING_OWNER}": f"role {BILLING_OWNER}"},
            role=REPORTING,
        ),
        broken(
            "a stranger that reads everything and may connect",
            f"GRANT CONNECT ON DATABASE {TST} TO reporting",
            "GRANT pg_read_all_data TO reporting",
            found={
                "membership/reporting/pg_read_all_data": "role pg_read_all_data",
                "privilege/reporting/CONNECT": "database go-labs-tst",
            },
            role=REPORTING,
        ),
    ]
    attributes = [
        broken(f"{word} for an app user", f"ALTER ROLE {BILLING} {word}", found={f"attribute/{BILLING}/{word}": group})
        for word in ("SUPERUSER", "BYPASSRLS", "REPLICATION", "CREATEROLE", "CREATEDB", "NOINHERIT")
    ] + [
        broken(
            "SUPERUSER for a migration user",
            f"ALTER ROLE {BILLING_OWNER} SUPERUSER",
            found={f"attribute/{BILLING_OWNER}/SUPERUSER": f"role {BILLING_OWNER}"},
        ),
        broken(
            "a stranger that makes roles, below 16",
            "ALTER ROLE reporting CREATEROLE",
            found={"attribute/reporting/CREATEROLE": "role reporting"},
            role=REPORTING,
            below=16,
        ),
    ]
    logins = [
        broken("a closed login", f"ALTER ROLE {BILLING} NOLOGIN", found={f"login/{BILLING}/NOLOGIN": group}),
        broken(
            "a password that is over",
            f"ALTER ROLE {BILLING} VALID UNTIL '2020-01-01'",
            found={f"login/{BILLING}/EXPIRED": group},
        ),
        broken(
            "a password that will be over",
            f"ALTER ROLE {BILLING} VALID UNTIL '2999-01-01'",
            found={f"login/{BILLING}/EXPIRES": group},
        ),
        broken("no password", f"ALTER ROLE {BILLING} PASSWORD NULL", found={f"login/{BILLING}/NO PASSWORD": group}),
        broken(
            "another password",
            f"ALTER ROLE {BILLING} PASSWORD 'another-one'",
            found={f"login/{BILLING}/WRONG PASSWORD": group},
        ),
        broken(
            "another password of a migration user",
            f"ALTER ROLE {BILLING_OWNER} PASSWORD 'another-one'",
            found={f"login/{BILLING_OWNER}/WRONG PASSWORD": f"role {BILLING_OWNER}"},
        ),
        broken(
            "connection limit 0",
            f"ALTER ROLE {BILLING} CONNECTION LIMIT 0",
            found={f"connection-limit/{BILLING}/0": group},
        ),
        broken(
            "connection limit 7",
            f"ALTER ROLE {BILLING} CONNECTION LIMIT 7",
            found={f"connection-limit/{BILLING}/7": group},
        ),
        broken(
            "a dropped user",
            f"DROP OWNED BY {CATALOG}",
            f"DROP ROLE {CATALOG}",
            found={f"missing-user/{CATALOG}": f"role {CATALOG}"},
            by_up=True,
        ),
    ]
    return [*members, *attributes, *logins]


def by_owner() -> list[Mutation]:
    """Ownership moved."""

    def moved(name: str, statement: str, object_: str, owner: str) -> Mutation:
        return broken(name, f"ALTER {statement} OWNER TO {owner}", found={f"owner/{owner}": object_})

    return [
        moved("a table to another service", "TABLE billing.invoice", "table billing.invoice", ORDER_OWNER),
        moved(
            "an identity column's table to the own app user",
            "TABLE billing.customer",
            "table billing.customer",
            BILLING,
        ),
        moved("a foreign server to a user", "SERVER archive", "foreign server archive", BILLING_OWNER),
        moved("a table to the own app user", "TABLE billing.parent", "table billing.parent", BILLING),
        moved("a table to a superuser", "TABLE billing.parent", "table billing.parent", "postgres"),
        moved(
            "a partition to another service", "TABLE billing.event_2026_a", "table billing.event_2026_a", ORDER_OWNER
        ),
        moved("a view to another service", "VIEW billing.customer_name", "view billing.customer_name", ORDER_OWNER),
        moved("a view to a superuser", "VIEW billing.customer_name", "view billing.customer_name", "postgres"),
        moved(
            "a materialized view to another service",
            "MATERIALIZED VIEW billing.revenue",
            "materialized view billing.revenue",
            ORDER_OWNER,
        ),
        moved("a sequence to another service", "SEQUENCE billing.ticket", "sequence billing.ticket", ORDER),
        moved(
            "a function to another service",
            "FUNCTION billing.doubled(integer)",
            "function billing.doubled(integer)",
            ORDER_OWNER,
        ),
        moved(
            "a definer's function to a superuser", "FUNCTION billing.purge()", "function billing.purge()", "postgres"
        ),
        moved(
            "a procedure to another service",
            "PROCEDURE billing.archive(date)",
            "procedure billing.archive(date)",
            ORDER_OWNER,
        ),
        moved("a type to another service", "TYPE billing.mood", "type billing.mood", ORDER_OWNER),
        moved("a domain to another service", "DOMAIN billing.amount", "domain billing.amount", ORDER_OWNER),
        moved("a schema to another service", "SCHEMA billing", "schema billing", ORDER_OWNER),
        moved("the database to a migration user", f"DATABASE {TST}", "database go-labs-tst", BILLING_OWNER),
        moved("schema public owned by an app user", "SCHEMA public", "schema public", BILLING),
        moved("the extensions' schema to an app user", "SCHEMA extensions", "schema extensions", BILLING),
        moved("another environment's database", f"DATABASE {CI}", "database go-labs-ci", BILLING_OWNER),
        broken(
            "a schema of an app user's own",
            f"CREATE SCHEMA mine AUTHORIZATION {BILLING}",
            found={f"owner/{BILLING}": "schema mine"},
            after=("DROP SCHEMA mine",),
        ),
    ]
