"""What people and migrations do to a database behind the engine's back, in plain SQL; and what can be seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from psycopg import sql
from pydantic import SecretStr

from golabs_infra.connecting import connect_admin
from golabs_infra.connections import Record
from golabs_infra.endpoint import Endpoint

MIGRATIONS = """
CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);
CREATE TABLE invoice (id bigserial PRIMARY KEY, total numeric(12,2) NOT NULL, note text);
CREATE TABLE line (id bigint GENERATED ALWAYS AS IDENTITY, invoice bigint REFERENCES invoice, PRIMARY KEY (id));
CREATE TABLE event (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE event_rest PARTITION OF event DEFAULT;
CREATE VIEW open_invoice AS SELECT id, total FROM invoice WHERE note IS NULL;
CREATE MATERIALIZED VIEW total AS SELECT sum(total) AS sum FROM invoice;
CREATE SEQUENCE number START 1000;
CREATE TYPE state AS ENUM ('open', 'paid');
CREATE FUNCTION double(value numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT value * 2';
CREATE PROCEDURE pay(which bigint) LANGUAGE sql AS 'UPDATE invoice SET note = ''paid'' WHERE id = which';
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := NEW.note; RETURN NEW; END';
CREATE TRIGGER touched BEFORE UPDATE ON invoice FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO schema_migrations VALUES (20260101000000, false);
INSERT INTO invoice (total) VALUES (10), (20.5);
INSERT INTO event VALUES ('2026-05-05', 'made'), ('2030-01-01', 'later');
"""
"""What a migration tool leaves in a service's schema after a while."""


def login(record: Record, kind: str) -> psycopg.Connection[Any]:
    """A session of one of a service's users, by the URL of its connection file."""
    return psycopg.connect(record["users"][kind]["url"], autocommit=True, connect_timeout=10)


def migrate(record: Record, statements: str = MIGRATIONS) -> None:
    """Runs migrations as the service's migration user."""
    with login(record, "migration") as session:
        session.execute(statements.encode())


def can_work(record: Record) -> None:
    """The app user of a migrated service can do its work."""
    with login(record, "app") as session:
        session.execute("INSERT INTO invoice (total) VALUES (1)")
        session.execute("UPDATE invoice SET note = 'x' WHERE id = (SELECT max(id) FROM invoice)")
        session.execute("SELECT nextval('number'), double(2), (SELECT count(*) FROM open_invoice)")
        session.execute("INSERT INTO event VALUES ('2026-07-07', 'app')")
        session.execute("DELETE FROM event WHERE what = 'app'")


def passwords(records: Mapping[str, Record]) -> dict[str, str]:
    """Every password of connection records, by user."""
    return {user["username"]: user["password"] for record in records.values() for user in record["users"].values()}


def execute(endpoint: Endpoint, *statements: str, database: str | None = None) -> None:
    """Statements of the admin, each by itself."""
    with connect_admin(endpoint, database) as admin:
        for statement in statements:
            admin.execute(statement.encode())


def rows(endpoint: Endpoint, query: str, database: str | None = None) -> list[tuple[Any, ...]]:
    """What a query of the admin gives."""
    with connect_admin(endpoint, database) as admin:
        return admin.execute(query.encode()).fetchall()


def databases(endpoint: Endpoint) -> set[str]:
    """The databases that are not the server's own."""
    return {name for (name,) in rows(endpoint, "SELECT datname FROM pg_database WHERE datname LIKE 'go-labs-%'")}


def users(endpoint: Endpoint) -> set[str]:
    """The roles that follow our naming convention."""
    return {name for (name,) in rows(endpoint, r"SELECT rolname FROM pg_roles WHERE rolname LIKE '%\_user'")}


def verifiers(endpoint: Endpoint) -> dict[str, str]:
    """What the server stores of our users' passwords."""
    return dict(rows(endpoint, r"SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE '%\_user'"))


def create_admin(endpoint: Endpoint, name: str, attributes: str, memberships: Sequence[str] = ()) -> Endpoint:
    """A further admin with a password, and the endpoint to use it."""
    password = "Admin4Tests_" + "z" * 12
    with connect_admin(endpoint) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} {}").format(
                sql.Identifier(name),
                sql.Literal(password),
                sql.SQL(attributes),
            )
        )
        for group in memberships:
            admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name)))
    return replace(endpoint, admin_user=name, admin_password=SecretStr(password))


def works(record: Record, kind: str) -> bool:
    """Whether the login that clients are to use is let in."""
    try:
        login(record, kind).close()
    except psycopg.OperationalError:
        return False
    return True
