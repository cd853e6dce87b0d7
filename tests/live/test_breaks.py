"""What somebody changes by hand is seen by preview, mended by up, and gone for the next one; tables keep their rows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from golabs_infra.endpoint import Endpoint

from .tools import Upkeep


@pytest.fixture(scope="module")
def upkeep(postgresql: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Upkeep:
    """The environment that all of them share, provisioned by the superuser."""
    return Upkeep(postgresql, tmp_path_factory.mktemp("breaks"), lambda server: server)


@dataclass(frozen=True)
class Break:
    """What somebody does by hand, as a superuser in the environment's database."""

    name: str
    statements: str

    def __str__(self) -> str:
        return self.name


BREAKS = [
    Break("USAGE revoked from the app user", "REVOKE USAGE ON SCHEMA billing FROM billing_app_tst_user"),
    Break(
        "privileges revoked on a table, a partition, views and a sequence",
        "REVOKE SELECT ON billing.customer FROM billing_app_tst_user;"
        "REVOKE ALL ON billing.event_2026 FROM billing_app_tst_user;"
        "REVOKE ALL ON billing.customer_name FROM billing_app_tst_user;"
        "REVOKE ALL ON billing.revenue FROM billing_app_tst_user;"
        "REVOKE USAGE ON SEQUENCE billing.ticket FROM billing_app_tst_user",
    ),
    Break("CONNECT revoked from the app user", 'REVOKE CONNECT ON DATABASE "go-labs-tst" FROM billing_app_tst_user'),
    Break(
        "TEMPORARY revoked from the migration user",
        'REVOKE TEMPORARY ON DATABASE "go-labs-tst" FROM billing_migration_tst_user',
    ),
    Break("CONNECT granted to PUBLIC", 'GRANT CONNECT ON DATABASE "go-labs-tst" TO PUBLIC'),
    Break("everything on the database granted to PUBLIC", 'GRANT ALL ON DATABASE "go-labs-tst" TO PUBLIC'),
    Break("CREATE on the database granted", 'GRANT CREATE ON DATABASE "go-labs-tst" TO billing_migration_tst_user'),
    Break("TEMPORARY granted to the app user", 'GRANT TEMPORARY ON DATABASE "go-labs-tst" TO billing_app_tst_user'),
    Break("schema public opened", "GRANT ALL ON SCHEMA public TO PUBLIC"),
    Break("schema public opened to one user", "GRANT CREATE ON SCHEMA public TO billing_app_tst_user"),
    Break("a schema opened to PUBLIC", "GRANT USAGE ON SCHEMA billing TO PUBLIC"),
    Break(
        "more than DML granted to the app user",
        "GRANT CREATE ON SCHEMA billing TO billing_app_tst_user;"
        "GRANT TRUNCATE, TRIGGER ON billing.invoice TO billing_app_tst_user;"
        "GRANT UPDATE ON SEQUENCE billing.ticket TO billing_app_tst_user",
    ),
    Break("a schema opened to another service", "GRANT USAGE, CREATE ON SCHEMA billing TO catalog_app_tst_user"),
    Break("a table opened to PUBLIC", "GRANT SELECT ON billing.customer TO PUBLIC"),
    Break(
        "a table and a sequence opened to another service",
        "GRANT SELECT, UPDATE ON billing.customer TO catalog_app_tst_user;"
        "GRANT ALL ON SEQUENCE billing.ticket TO catalog_app_tst_user",
    ),
    Break(
        "all tables opened to a migration user", "GRANT ALL ON ALL TABLES IN SCHEMA billing TO order_migration_tst_user"
    ),
    Break(
        "privileges granted with grant option",
        "GRANT SELECT ON billing.customer TO billing_app_tst_user WITH GRANT OPTION",
    ),
    Break(
        "privileges handed on by somebody who was granted them",
        "GRANT SELECT ON billing.customer TO billing_app_tst_user WITH GRANT OPTION; SET ROLE billing_app_tst_user;"
        "GRANT SELECT ON billing.customer TO catalog_app_tst_user; RESET ROLE",
    ),
    Break(
        "CONNECT handed on by a user",
        'GRANT CONNECT ON DATABASE "go-labs-tst" TO billing_app_tst_user WITH GRANT OPTION;'
        'SET ROLE billing_app_tst_user; GRANT CONNECT ON DATABASE "go-labs-tst" TO PUBLIC; RESET ROLE',
    ),
    Break("the schema given to the admin", "ALTER SCHEMA billing OWNER TO postgres"),
    Break("the schema given to another service", "ALTER SCHEMA billing OWNER TO catalog_migration_tst_user"),
    Break("the schema given to the app user", "ALTER SCHEMA billing OWNER TO billing_app_tst_user"),
    Break("the database given to a user", 'ALTER DATABASE "go-labs-tst" OWNER TO billing_migration_tst_user'),
    Break("NOLOGIN", "ALTER ROLE billing_app_tst_user NOLOGIN"),
    Break("SUPERUSER", "ALTER ROLE billing_app_tst_user SUPERUSER"),
    Break(
        "other attributes",
        "ALTER ROLE billing_migration_tst_user CREATEDB CREATEROLE;"
        "ALTER ROLE billing_app_tst_user REPLICATION BYPASSRLS;"
        "ALTER ROLE billing_app_tst_user NOINHERIT",
    ),
    Break("a connection limit", "ALTER ROLE billing_app_tst_user CONNECTION LIMIT 0"),
    Break("a search_path", "ALTER ROLE billing_migration_tst_user SET search_path TO public, billing"),
    Break("no search_path", "ALTER ROLE billing_app_tst_user RESET ALL"),
    Break(
        "timeouts",
        "ALTER ROLE billing_app_tst_user SET statement_timeout TO '1s';"
        "ALTER ROLE billing_migration_tst_user SET idle_in_transaction_session_timeout TO 5",
    ),
    Break(
        "a search_path in this database only",
        'ALTER ROLE billing_migration_tst_user IN DATABASE "go-labs-tst" SET search_path TO public',
    ),
    Break(
        "an expiry in the past and another password",
        "ALTER ROLE billing_app_tst_user PASSWORD 'somebody-elses';"
        "ALTER ROLE billing_app_tst_user VALID UNTIL '2001-01-01'",
    ),
    Break("no password", "ALTER ROLE billing_migration_tst_user PASSWORD NULL"),
    Break("an expiry in the future", "ALTER ROLE billing_app_tst_user VALID UNTIL '2101-01-01'"),
    Break("membership in a role of the server", "GRANT pg_read_all_data TO billing_app_tst_user"),
    Break("membership in another service's user", "GRANT catalog_migration_tst_user TO billing_app_tst_user"),
    Break(
        "default privileges dropped",
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing REVOKE SELECT ON TABLES FROM billing_app_tst_user;"
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing REVOKE ALL ON SEQUENCES FROM billing_app_tst_user",
    ),
    Break(
        "default privileges added for PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing GRANT SELECT ON TABLES TO PUBLIC",
    ),
    Break(
        "default privileges added for another service",
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing "
        "GRANT ALL ON SEQUENCES TO catalog_app_tst_user",
    ),
    Break(
        "default privileges with grant option",
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA billing "
        "GRANT SELECT ON TABLES TO billing_app_tst_user WITH GRANT OPTION",
    ),
    Break(
        "default privileges in every schema",
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user GRANT SELECT ON TABLES TO catalog_app_tst_user",
    ),
    Break(
        "default privileges in another service's schema",
        "ALTER DEFAULT PRIVILEGES FOR ROLE billing_migration_tst_user IN SCHEMA catalog "
        "GRANT SELECT ON TABLES TO order_app_tst_user",
    ),
    Break(
        "an app user dropped",
        "DROP OWNED BY billing_app_tst_user; DROP ROLE billing_app_tst_user",
    ),
    Break(
        "several things at once",
        "REVOKE ALL ON ALL TABLES IN SCHEMA billing FROM billing_app_tst_user;"
        "ALTER ROLE catalog_app_tst_user NOLOGIN SUPERUSER CONNECTION LIMIT 3 VALID UNTIL '2001-01-01' PASSWORD 'x';"
        "ALTER SCHEMA catalog OWNER TO order_app_tst_user; GRANT ALL ON SCHEMA public TO order_app_tst_user",
    ),
]


@pytest.mark.parametrize("broken", BREAKS, ids=str)
def test_what_is_broken_by_hand_is_seen_and_mended(upkeep: Upkeep, broken: Break) -> None:
    upkeep.assert_seen_and_mended(broken.statements)
