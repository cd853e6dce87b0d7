"""A change -> SQL. Here and in `statement` alone something is quoted: identifiers and literals are composed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import singledispatch
from itertools import groupby

from psycopg import sql
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from .changes import (
    WITH_GRANT_OPTION,
    AllowConnections,
    AlterDatabaseOwner,
    AlterRole,
    AlterSchemaOwner,
    BorrowMembership,
    Change,
    CreateDatabase,
    CreateExtension,
    CreateRole,
    CreateSchema,
    DropDatabase,
    DropOwned,
    DropRole,
    DropSchema,
    GrantDefaultPrivileges,
    GrantPrivileges,
    RenameDatabase,
    ReturnMembership,
    RevokeDefaultPrivileges,
    RevokePrivileges,
    SetPassword,
)
from .model import PUBLIC, DefaultPrivileges, Grant, Role
from .names import parse_user_name


def batches(changes: Iterable[Change], database: str) -> Iterator[tuple[list[Change], list[Composed]]]:
    """Changes with the statements that make them, in order: grants that stand side by side and differ in the grantee
    alone are one statement, for each on its own would write the object's whole list of privileges again."""
    for _, group in groupby(changes, key=_alike):
        together = list(group)
        if isinstance(first := together[0], GrantPrivileges):
            grantees = [change.grant.grantee for change in together if isinstance(change, GrantPrivileges)]
            yield together, [_grant(first.grant, grantees, database)]
        else:
            yield together, [statement for change in together for statement in statements(change, database)]


def _alike(change: Change) -> object:
    """Equal for grants that can be made together, and for nothing else."""
    return replace(change.grant, grantee="") if isinstance(change, GrantPrivileges) else id(change)


@singledispatch
def repeatable(change: Change, database: str) -> list[str]:
    """The lines of a psql script that makes a change of an environment from nothing, or finds it made already."""
    return as_text(statements(change, database))


@repeatable.register
def _(change: CreateDatabase, database: str) -> list[str]:
    (create,) = statements(change, database)
    return _unless("SELECT FROM pg_catalog.pg_database WHERE datname = {}", change.name, create)


@repeatable.register
def _(change: CreateRole, database: str) -> list[str]:
    role, variable = change.role, verifier_variable(change.role.name)
    create = _compose("CREATE ROLE {} WITH {} VALID UNTIL 'infinity'", Identifier(role.name), _attributes(role))
    # For one that is there already, only what every admin of it may name.
    login, limit = SQL("LOGIN" if role.login else "NOLOGIN"), SQL(f"CONNECTION LIMIT {role.connection_limit:d}")
    again = _compose("ALTER ROLE {} WITH {} {}", Identifier(role.name), login, limit)
    return [
        *_unless("SELECT FROM pg_catalog.pg_roles WHERE rolname = {}", role.name, create),
        *as_text([again, *_membership(role), *_settings(role, Role(role.name, role.login, ()))]),
        f"\\if :{{?{variable}}}",
        *as_text(statements(SetPassword(role.name, None), database)),
        "\\endif",
    ]


@repeatable.register
def _(change: BorrowMembership, database: str) -> list[str]:
    asked = _compose("SELECT NOT pg_catalog.pg_has_role(current_user, {}, 'USAGE') AS borrowed", Literal(change.role))
    return [f"{asked.as_string()} \\gset", "\\if :borrowed", *as_text(statements(change, database)), "\\endif"]


@repeatable.register
def _(change: ReturnMembership, database: str) -> list[str]:
    return ["\\if :borrowed", *as_text(statements(change, database)), "\\endif"]


@repeatable.register(CreateSchema | CreateExtension)
def _(change: CreateSchema | CreateExtension, database: str) -> list[str]:
    what = "SCHEMA" if isinstance(change, CreateSchema) else "EXTENSION"
    return [
        text.replace(f"CREATE {what}", f"CREATE {what} IF NOT EXISTS", 1)
        for text in as_text(statements(change, database))
    ]


def as_text(composed: Iterable[Composed]) -> list[str]:
    """Statements as lines of a script."""
    return [f"{statement.as_string()};" for statement in composed]


def _unless(exists: str, name: str, create: Composed) -> list[str]:
    """A line that has psql run a statement where a query finds no row for the name."""
    condition = _compose(f"SELECT {{}} WHERE NOT EXISTS ({exists})", Literal(create.as_string()), Literal(name))
    return [f"{condition.as_string()} \\gexec"]


@singledispatch
def statements(change: Change, database: str) -> list[Composed]:
    """The statements of one change, in order; `database` is the environment's, for grants on it."""
    raise AssertionError(f"no SQL for {type(change).__name__}")


@statements.register
def _(change: CreateDatabase, database: str) -> list[Composed]:
    return [_compose("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", Identifier(change.name))]


@statements.register
def _(change: AllowConnections, database: str) -> list[Composed]:
    return [_compose("ALTER DATABASE {} ALLOW_CONNECTIONS true", Identifier(change.database))]


@statements.register
def _(change: RenameDatabase, database: str) -> list[Composed]:
    return [_compose("ALTER DATABASE {} RENAME TO {}", Identifier(change.name), Identifier(change.to))]


@statements.register
def _(change: AlterDatabaseOwner, database: str) -> list[Composed]:
    return [_compose("ALTER DATABASE {} OWNER TO CURRENT_USER", Identifier(change.database))]


@statements.register
def _(change: DropDatabase, database: str) -> list[Composed]:
    return [_compose("DROP DATABASE {} WITH (FORCE)", Identifier(change.name))]


@statements.register
def _(change: CreateRole, database: str) -> list[Composed]:
    role = change.role
    create = _compose(
        "CREATE ROLE {} WITH PASSWORD {} VALID UNTIL 'infinity' {}",
        Identifier(role.name),
        _password(role.name, change.verifier),
        _attributes(role),
    )
    return [create, *_membership(role), *_settings(role, Role(role.name, role.login, ()))]


@statements.register
def _(change: AlterRole, database: str) -> list[Composed]:
    role, current = change.role, change.current.role
    result: list[Composed] = []
    if differing := _differing_attributes(role, current):
        result.append(_compose("ALTER ROLE {} WITH {}", Identifier(role.name), SQL(" ").join(differing)))
    if change.current.expires:
        result.append(_compose("ALTER ROLE {} VALID UNTIL 'infinity'", Identifier(role.name)))
    for name in change.current.overridden:
        template = "ALTER ROLE {} IN DATABASE {} RESET {}"
        result.append(_compose(template, Identifier(role.name), Identifier(database), Identifier(name)))
    for group, grantor in change.current.strange_memberships(role):
        granted_by = _compose(" GRANTED BY {}", Identifier(grantor)) if grantor is not None else SQL("")
        result.append(_compose("REVOKE {} FROM {}{} CASCADE", Identifier(group), Identifier(role.name), granted_by))
    if change.current.lacks_membership(role):
        result += _membership(role)
    return result + _settings(role, current)


@statements.register
def _(change: SetPassword, database: str) -> list[Composed]:
    return [_compose("ALTER ROLE {} PASSWORD {}", Identifier(change.role), _password(change.role, change.verifier))]


@statements.register
def _(change: BorrowMembership, database: str) -> list[Composed]:
    return [_compose("GRANT {} TO CURRENT_USER", Identifier(change.role))]


@statements.register
def _(change: ReturnMembership, database: str) -> list[Composed]:
    return [_compose("REVOKE {} FROM CURRENT_USER", Identifier(change.role))]


@statements.register
def _(change: CreateSchema, database: str) -> list[Composed]:
    if change.schema.owner is None:
        return [_compose("CREATE SCHEMA {}", Identifier(change.schema.name))]
    return [
        _compose("CREATE SCHEMA {} AUTHORIZATION {}", Identifier(change.schema.name), Identifier(change.schema.owner))
    ]


@statements.register
def _(change: AlterSchemaOwner, database: str) -> list[Composed]:
    owner = SQL("CURRENT_USER") if change.schema.owner is None else Identifier(change.schema.owner)
    return [_compose("ALTER SCHEMA {} OWNER TO {}", Identifier(change.schema.name), owner)]


@statements.register
def _(change: CreateExtension, database: str) -> list[Composed]:
    return [
        _compose(
            "CREATE EXTENSION {} WITH SCHEMA {}", Identifier(change.extension.name), Identifier(change.extension.schema)
        )
    ]


@statements.register
def _(change: GrantPrivileges, database: str) -> list[Composed]:
    return [_grant(change.grant, [change.grant.grantee], database)]


@statements.register
def _(change: RevokePrivileges, database: str) -> list[Composed]:
    grant = change.grant
    return [
        _compose(template, _words(privileges), _object(grant, database), _grantee(grant.grantee))
        for template, privileges in _revocations("REVOKE {} ON {} FROM {}", grant.privileges)
    ]


@statements.register
def _(change: GrantDefaultPrivileges, database: str) -> list[Composed]:
    return [_default_privileges(change.entry, "GRANT {} ON {} TO {}")]


@statements.register
def _(change: RevokeDefaultPrivileges, database: str) -> list[Composed]:
    return [
        _default_privileges(replace(change.entry, privileges=privileges), template)
        for template, privileges in _revocations("REVOKE {} ON {} FROM {}", change.entry.privileges)
    ]


@statements.register
def _(change: DropSchema, database: str) -> list[Composed]:
    return [_compose("DROP SCHEMA {} CASCADE", Identifier(change.name))]


@statements.register
def _(change: DropRole, database: str) -> list[Composed]:
    return [_compose("DROP ROLE {}", Identifier(change.name))]


@statements.register
def _(change: DropOwned, database: str) -> list[Composed]:
    return [_compose("DROP OWNED BY {} CASCADE", Identifier(change.role))]


def _compose(template: str, *parts: Composable) -> Composed:
    return SQL(template).format(*parts)


def _grant(grant: Grant, grantees: Iterable[str], database: str) -> Composed:
    names = SQL(", ").join(_grantee(name) for name in grantees)
    return _compose("GRANT {} ON {} TO {}", _words(grant.privileges), _object(grant, database), names)


def verifier_variable(user: str) -> str:
    """The psql variable that holds a user's verifier in a script: `billing_app_verifier`, `billing_app_twin_verifier`."""
    parts = parse_user_name(user)
    if parts is None:
        raise AssertionError(f"{user} is no user of a service")
    return f"{parts.service}_{parts.kind}_{'' if parts.login == 'user' else 'twin_'}verifier"


def _password(user: str, verifier: str | None) -> Composable:
    """The verifier, or where it is not known the psql variable of it: no server takes that for a password."""
    return SQL(f":'{verifier_variable(user)}'") if verifier is None else Literal(verifier)


def _revocations(template: str, privileges: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The statements' templates with their privileges. What may be handed on is taken back with all that was."""
    whole = tuple(word for word in privileges if not word.endswith(WITH_GRANT_OPTION))
    options = tuple(word.removesuffix(WITH_GRANT_OPTION) for word in privileges if word.endswith(WITH_GRANT_OPTION))
    option_only = tuple(word for word in options if word not in whole)
    result = [(f"{template} CASCADE" if options else template, whole)] if whole else []
    if option_only:
        result.append((f"{template} CASCADE".replace("REVOKE", "REVOKE GRANT OPTION FOR"), option_only))
    return result


def _words(words: Iterable[str]) -> Composed:
    """Privileges: key words of the model, never input."""
    return SQL(", ").join(SQL(word) for word in words)


def _grantee(name: str) -> Composable:
    return SQL("PUBLIC") if name == PUBLIC else Identifier(name)


def _object(grant: Grant, database: str) -> Composed:
    match grant.kind:
        case "database":
            return _compose("DATABASE {}", Identifier(database))
        case "schema":
            return _compose("SCHEMA {}", Identifier(grant.schema))
        case kind if grant.relation:
            template = "TABLE {}" if kind == "table" else "SEQUENCE {}"
            return _compose(template, Identifier(grant.schema, grant.relation))
        case kind:
            template = "ALL TABLES IN SCHEMA {}" if kind == "table" else "ALL SEQUENCES IN SCHEMA {}"
            return _compose(template, Identifier(grant.schema))


def _default_privileges(entry: DefaultPrivileges, action: str) -> Composed:
    objects = SQL("TABLES") if entry.kind == "table" else SQL("SEQUENCES")
    return _compose(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {}{} " + action,
        Identifier(entry.owner),
        _compose(" IN SCHEMA {}", Identifier(entry.schema)) if entry.schema else SQL(""),
        _words(entry.privileges),
        objects,
        _grantee(entry.grantee),
    )


def _attributes(role: Role) -> Composed:
    """A new role's attributes as key words. An admin who is no superuser may not even name SUPERUSER, REPLICATION or
    BYPASSRLS, which `CREATE ROLE` has off anyway."""
    return SQL(" ").join(
        [
            SQL("LOGIN" if role.login else "NOLOGIN"),
            SQL("CREATEDB" if role.create_database else "NOCREATEDB"),
            SQL("CREATEROLE" if role.create_role else "NOCREATEROLE"),
            SQL("INHERIT" if role.inherit else "NOINHERIT"),
            SQL(f"CONNECTION LIMIT {role.connection_limit:d}"),
        ]
    )


def _differing_attributes(role: Role, current: Role) -> list[Composable]:
    """Only what differs is named: each attribute has its own rule for who may name it."""
    result: list[Composable] = [
        SQL(word if wanted else f"NO{word}")
        for word, wanted, has in (
            ("LOGIN", role.login, current.login),
            ("CREATEDB", role.create_database, current.create_database),
            ("CREATEROLE", role.create_role, current.create_role),
            ("INHERIT", role.inherit, current.inherit),
            ("SUPERUSER", role.superuser, current.superuser),
            ("REPLICATION", role.replication, current.replication),
            ("BYPASSRLS", role.bypass_row_level_security, current.bypass_row_level_security),
        )
        if wanted != has
    ]
    if role.connection_limit != current.connection_limit:
        result.append(SQL(f"CONNECTION LIMIT {role.connection_limit:d}"))
    return result


def _membership(role: Role) -> list[Composed]:
    """Membership in the role that it acts as, if there is one."""
    return [_compose("GRANT {} TO {}", Identifier(role.acts_as), Identifier(role.name))] if role.acts_as else []


def _settings(role: Role, current: Role) -> list[Composed]:
    """Role-wide settings that differ. Timeouts are written as whole milliseconds, as the provider reads them."""
    result: list[Composed] = []
    if role.acts_as != current.acts_as:
        action = _compose("SET role TO {}", Identifier(role.acts_as)) if role.acts_as else SQL("RESET role")
        result.append(_compose("ALTER ROLE {} {}", Identifier(role.name), action))
    if role.search_path != current.search_path:
        path = sql.SQL(", ").join(Identifier(schema) for schema in role.search_path)
        result.append(_compose("ALTER ROLE {} SET search_path TO {}", Identifier(role.name), path))
    for name, wanted, has in (
        ("statement_timeout", role.statement_timeout, current.statement_timeout),
        (
            "idle_in_transaction_session_timeout",
            role.idle_in_transaction_session_timeout,
            current.idle_in_transaction_session_timeout,
        ),
    ):
        if wanted != has:
            action = (
                _compose("SET {} TO {}", Identifier(name), Literal(wanted))
                if wanted
                else _compose("RESET {}", Identifier(name))
            )
            result.append(_compose("ALTER ROLE {} {}", Identifier(role.name), action))
    return result
