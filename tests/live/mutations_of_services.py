"""Mutations: default privileges, settings, rights taken away, and ways around privileges."""

from __future__ import annotations

from .breaking import BILLING, BILLING_OWNER, CI, ORDER, ORDER_OWNER, REPORTING, TST, Mutation, broken


def in_the_future() -> list[Mutation]:
    """Default privileges and settings."""

    def later(name: str, action: str, identity: str, where: str) -> Mutation:
        return broken(
            name, f"ALTER DEFAULT PRIVILEGES FOR ROLE {action}", found={identity: f"default privileges on {where}"}
        )

    inside = "in schema billing"
    defaults = [
        later(
            "later tables to another service",
            f"{BILLING_OWNER} IN SCHEMA billing GRANT SELECT ON TABLES TO {ORDER}",
            f"default-privilege/{BILLING_OWNER}/{ORDER}/SELECT",
            f"tables {inside}",
        ),
        later(
            "later tables to PUBLIC",
            f"{BILLING_OWNER} IN SCHEMA billing GRANT SELECT ON TABLES TO PUBLIC",
            f"default-privilege/{BILLING_OWNER}/PUBLIC/SELECT",
            f"tables {inside}",
        ),
        later(
            "later tables of every schema to another service",
            f"{BILLING_OWNER} GRANT SELECT ON TABLES TO {ORDER}",
            f"default-privilege/{BILLING_OWNER}/{ORDER}/SELECT",
            "tables",
        ),
        later(
            "later sequences to PUBLIC",
            f"{BILLING_OWNER} GRANT USAGE ON SEQUENCES TO PUBLIC",
            f"default-privilege/{BILLING_OWNER}/PUBLIC/USAGE",
            "sequences",
        ),
        later(
            "later functions by name to another service",
            f"{BILLING_OWNER} IN SCHEMA billing GRANT EXECUTE ON FUNCTIONS TO {ORDER}",
            f"default-privilege/{BILLING_OWNER}/{ORDER}/EXECUTE",
            f"functions {inside}",
        ),
        later(
            "later truncating to the own app user",
            f"{BILLING_OWNER} IN SCHEMA billing GRANT TRUNCATE ON TABLES TO {BILLING}",
            f"default-privilege/{BILLING_OWNER}/{BILLING}/TRUNCATE",
            f"tables {inside}",
        ),
        later(
            "later handing on",
            f"{BILLING_OWNER} IN SCHEMA billing GRANT SELECT ON TABLES TO {BILLING} WITH GRANT OPTION",
            f"default-privilege/{BILLING_OWNER}/{BILLING}/SELECT",
            f"tables {inside}",
        ),
        later(
            "a superuser's later tables to another service",
            f"postgres IN SCHEMA billing GRANT SELECT ON TABLES TO {ORDER}",
            f"default-privilege/postgres/{ORDER}/SELECT",
            f"tables {inside}",
        ),
        later(
            "another migration user's later tables here",
            f"{ORDER_OWNER} IN SCHEMA billing GRANT SELECT ON TABLES TO {ORDER}",
            f"default-privilege/{ORDER_OWNER}/{ORDER}/SELECT",
            f"tables {inside}",
        ),
        later(
            "the app user's later reading taken",
            f"{BILLING_OWNER} IN SCHEMA billing REVOKE SELECT ON TABLES FROM {BILLING}",
            f"missing-default-privilege/{BILLING_OWNER}/{BILLING}/SELECT",
            f"tables {inside}",
        ),
        later(
            "the app user's later sequences taken",
            f"{BILLING_OWNER} IN SCHEMA billing REVOKE ALL ON SEQUENCES FROM {BILLING}",
            f"missing-default-privilege/{BILLING_OWNER}/{BILLING}/SELECT+USAGE",
            f"sequences {inside}",
        ),
        later(
            "an owner that will lack its own",
            f"{BILLING_OWNER} REVOKE SELECT, INSERT ON TABLES FROM {BILLING_OWNER}",
            f"missing-default-privilege/{BILLING_OWNER}/{BILLING_OWNER}/INSERT+SELECT",
            "tables",
        ),
    ]
    here = f"role {BILLING} in database go-labs-tst"
    settings = [
        broken(
            "search_path of a role",
            f"ALTER ROLE {BILLING} SET search_path TO evil",
            found={f"setting/{BILLING}/search_path": f"role {BILLING}"},
        ),
        broken(
            "search_path of a role lost",
            f"ALTER ROLE {BILLING} RESET ALL",
            found={f"setting/{BILLING}/search_path": f"role {BILLING}"},
            after=(f"ALTER ROLE {BILLING} SET work_mem TO '16MB'",),
        ),
        broken(
            "search_path of a role here",
            f"ALTER ROLE {BILLING} IN DATABASE {TST} SET search_path TO evil",
            found={f"setting/{BILLING}/search_path": here},
        ),
        broken(
            "search_path of the database",
            f"ALTER DATABASE {TST} SET search_path TO evil",
            found={"setting/database/search_path": "database go-labs-tst"},
        ),
        broken(
            "search_path of everybody",
            "ALTER ROLE ALL SET search_path TO evil",
            found={"setting/all/search_path": "all roles"},
        ),
        *(
            broken(
                f"{name} of a role",
                f"ALTER ROLE {BILLING} SET {name} TO {value}",
                found={f"setting/{BILLING}/{name}": f"role {BILLING}"},
            )
            for name, value in (
                ("default_transaction_read_only", "on"),
                ("row_security", "off"),
                ("session_replication_role", "replica"),
                ("statement_timeout", "'1s'"),
                ("idle_in_transaction_session_timeout", "'1s'"),
                ("lock_timeout", "'1s'"),
            )
        ),
        broken(
            "another role from the beginning",
            f"GRANT {BILLING_OWNER} TO {BILLING}",
            f"ALTER ROLE {BILLING} SET role TO {BILLING_OWNER}",
            found={
                f"setting/{BILLING}/role": f"role {BILLING}",
                f"membership/{BILLING}/{BILLING_OWNER}": f"role {BILLING_OWNER}",
            },
        ),
        broken(
            "statement_timeout of the database",
            f"ALTER DATABASE {TST} SET statement_timeout TO '1s'",
            found={"setting/database/statement_timeout": "database go-labs-tst"},
        ),
    ]
    return [*defaults, *settings]


def taken_away() -> list[Mutation]:
    """Rights that services need."""
    invoice = "table billing.invoice"

    def lacking(name: str, statement: str, object_: str, privileges: str, user: str = BILLING) -> Mutation:
        return broken(
            name, f"REVOKE {statement} FROM {user}", found={f"missing-privilege/{user}/{privileges}": object_}
        )

    return [
        lacking("reading a table", "SELECT ON billing.invoice", invoice, "SELECT"),
        lacking(
            "all of a partition",
            "ALL ON billing.event_2026_a",
            "table billing.event_2026_a",
            "DELETE+INSERT+SELECT+UPDATE",
        ),
        lacking("reading a view", "SELECT ON billing.customer_name", "view billing.customer_name", "SELECT"),
        lacking("writing through a view", "UPDATE ON billing.customer_name", "view billing.customer_name", "UPDATE"),
        lacking("a materialized view", "SELECT ON billing.revenue", "materialized view billing.revenue", "SELECT"),
        lacking("a foreign table", "SELECT ON billing.archive", "foreign table billing.archive", "SELECT"),
        lacking("a table with an odd name", 'DELETE ON billing."line item"', 'table billing."line item"', "DELETE"),
        lacking("a view with an odd name", 'SELECT ON billing."Größe {}"', 'view billing."Größe {}"', "SELECT"),
        lacking("a sequence", "USAGE ON SEQUENCE billing.ticket", "sequence billing.ticket", "USAGE"),
        lacking("the schema", "USAGE ON SCHEMA billing", "schema billing", "USAGE"),
        lacking("the database", f"CONNECT ON DATABASE {TST}", "database go-labs-tst", "CONNECT"),
        lacking(
            "the database of a migration user",
            f"ALL ON DATABASE {TST}",
            "database go-labs-tst",
            "CONNECT+TEMPORARY",
            BILLING_OWNER,
        ),
        lacking("an owner's own table", "SELECT, UPDATE ON billing.invoice", invoice, "SELECT+UPDATE", BILLING_OWNER),
        lacking("an owner's own schema", "CREATE ON SCHEMA billing", "schema billing", "CREATE", BILLING_OWNER),
        broken(
            "row security that hides all",
            "ALTER TABLE billing.invoice ENABLE ROW LEVEL SECURITY",
            found={f"row-security/{BILLING}": invoice},
        ),
        broken(
            "a policy that lets nothing pass",
            "CREATE POLICY nothing ON billing.tenant AS RESTRICTIVE USING (false)",
            found={f"row-security/{BILLING}": "table billing.tenant"},
        ),
        broken(
            "row security that hides all, from the owner too",
            "ALTER TABLE billing.invoice ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE billing.invoice FORCE ROW LEVEL SECURITY",
            found={f"row-security/{BILLING}": invoice, f"row-security/{BILLING_OWNER}": invoice},
            after=("ALTER TABLE billing.invoice NO FORCE ROW LEVEL SECURITY",),
        ),
        broken(
            "an extension elsewhere",
            "ALTER EXTENSION vector SET SCHEMA monitoring",
            found={"extension/vector/monitoring": "extension vector"},
        ),
        broken(
            "the database as a template",
            f"ALTER DATABASE {TST} IS_TEMPLATE true",
            found={"database/TEMPLATE": "database go-labs-tst"},
        ),
        broken(
            "the database without connections",
            f"ALTER DATABASE {TST} CONNECTION LIMIT 0",
            found={"database/CONNECTION LIMIT": "database go-labs-tst"},
            after=(f"ALTER DATABASE {TST} CONNECTION LIMIT 200",),
        ),
    ]


def ways_around() -> list[Mutation]:
    """What leads from one service to another without a privilege on it."""
    definer = "LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM billing.invoice'"
    return [
        broken(
            "a definer's function in another schema",
            f'CREATE FUNCTION "order".peek() RETURNS bigint {definer}',
            f'ALTER FUNCTION "order".peek() OWNER TO {BILLING_OWNER}',
            found={f"owner/{BILLING_OWNER}": "function order.peek()"},
            after=('DROP FUNCTION "order".peek()',),
        ),
        broken(
            "a superuser's definer function in a service's schema",
            f'CREATE FUNCTION "order".peek() RETURNS bigint {definer}',
            found={"owner/postgres": "function order.peek()"},
            after=('DROP FUNCTION "order".peek()',),
        ),
        broken(
            "a superuser's definer function among the extensions",
            f"CREATE FUNCTION extensions.peek() RETURNS bigint {definer}",
            found={"definer/postgres": "function extensions.peek()"},
            after=("DROP FUNCTION extensions.peek()",),
        ),
        broken(
            "a view of one service in another's schema",
            'CREATE VIEW "order".bills AS SELECT * FROM billing.invoice',
            f'ALTER VIEW "order".bills OWNER TO {BILLING_OWNER}',
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON "order".bills TO {ORDER}',
            found={f"owner/{BILLING_OWNER}": "view order.bills"},
            leaves=("untried",),
            after=('DROP VIEW "order".bills',),
        ),
        broken(
            "a superuser's view in a service's schema",
            'CREATE VIEW "order".bills AS SELECT * FROM billing.invoice',
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON "order".bills TO {ORDER}',
            found={"owner/postgres": "view order.bills"},
            leaves=("untried",),
            after=('DROP VIEW "order".bills',),
        ),
        broken(
            "a trigger of another service's",
            'CREATE TRIGGER spy AFTER INSERT ON billing.invoice FOR EACH ROW EXECUTE FUNCTION "order".touched()',
            found={"trigger/order": "trigger spy on billing.invoice"},
        ),
        broken(
            "a definer's function among the server's own",
            f"CREATE FUNCTION pg_catalog.peek() RETURNS bigint {definer}",
            found={"definer/postgres": "function pg_catalog.peek()"},
            after=("DROP FUNCTION pg_catalog.peek()",),
        ),
        broken(
            "a view among the server's own",
            "CREATE VIEW information_schema.bills AS SELECT * FROM billing.invoice",
            "GRANT SELECT ON information_schema.bills TO PUBLIC",
            found={"privilege/PUBLIC/SELECT": "view information_schema.bills"},
            after=("DROP VIEW information_schema.bills",),
        ),
        broken(
            "nothing but reading for everybody here",
            f"ALTER DATABASE {TST} SET default_transaction_read_only TO on",
            found={"setting/database/default_transaction_read_only": "database go-labs-tst"},
        ),
        broken(
            "an event trigger that a service can change",
            "CREATE FUNCTION \"order\".ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            f'ALTER FUNCTION "order".ev() OWNER TO {ORDER_OWNER}',
            'CREATE EVENT TRIGGER ev ON ddl_command_end EXECUTE FUNCTION "order".ev()',
            found={f"event-trigger/{ORDER_OWNER}": "event trigger ev"},
            after=('DROP FUNCTION "order".ev()',),
        ),
        broken(
            "a foreign key that deletes across schemas",
            'ALTER TABLE "order".invoice ADD CONSTRAINT across FOREIGN KEY (customer_id) REFERENCES billing.customer '
            "ON DELETE CASCADE",
            found={"foreign-key/billing": "constraint across on order.invoice"},
        ),
        broken(
            "a stranger that can put something among the extensions",
            "GRANT USAGE, CREATE ON SCHEMA extensions TO reporting",
            found={"privilege/reporting/CREATE+USAGE": "schema extensions"},
            role=REPORTING,
        ),
        broken(
            "the extensions' schema closed",
            "REVOKE USAGE ON SCHEMA extensions FROM PUBLIC",
            found={"missing-privilege/PUBLIC/USAGE": "schema extensions"},
        ),
        broken(
            "a tablespace",
            f"GRANT CREATE ON TABLESPACE pg_default TO {BILLING}",
            found={f"privilege/{BILLING}/CREATE": "tablespace pg_default"},
        ),
        broken(
            "a large object to a stranger",
            f"ALTER LARGE OBJECT 4711 OWNER TO {BILLING_OWNER}",
            "GRANT SELECT ON LARGE OBJECT 4711 TO reporting",
            found={"privilege/reporting/SELECT": "large object 4711"},
            role=REPORTING,
            after=("ALTER LARGE OBJECT 4711 OWNER TO postgres",),
        ),
        broken(
            "a policy that lets nobody insert",
            "CREATE POLICY nothing ON billing.tenant AS RESTRICTIVE FOR INSERT WITH CHECK (false)",
            found={f"row-security/{BILLING}": "table billing.tenant"},
        ),
        broken(
            "a partition in another schema",
            "CREATE TABLE \"order\".part PARTITION OF billing.event_2026 FOR VALUES IN ('x')",
            f'ALTER TABLE "order".part OWNER TO {ORDER_OWNER}',
            f'GRANT SELECT, INSERT, UPDATE, DELETE ON "order".part TO {ORDER}',
            found={"inheritance/billing": "table order.part"},
            after=('DROP TABLE "order".part',),
        ),
        broken(
            "a child in another schema",
            'ALTER TABLE "order".child INHERIT billing.parent',
            found={"inheritance/billing": "table order.child"},
        ),
        broken(
            "a foreign key to another schema",
            'ALTER TABLE "order".invoice ADD CONSTRAINT across FOREIGN KEY (customer_id) REFERENCES billing.customer',
            found={"foreign-key/billing": "constraint across on order.invoice"},
        ),
        broken(
            "another environment's database by name",
            f"GRANT CONNECT ON DATABASE {CI} TO {BILLING}",
            found={f"other-database/{BILLING}/CONNECT": "database go-labs-ci"},
        ),
        broken(
            "another environment's database by PUBLIC",
            f"GRANT CONNECT ON DATABASE {CI} TO PUBLIC",
            found={"other-database/PUBLIC/CONNECT": "database go-labs-ci"},
        ),
        broken(
            "another database by name",
            f"GRANT CREATE ON DATABASE postgres TO {BILLING}",
            found={f"other-database/{BILLING}/CREATE": "database postgres"},
        ),
    ]
