"""Rules on the environment's database, the server's other ones, and what the database shares: extensions, schemas. Pure.

See docs/reference/findings.md for what each finding says.
"""

from __future__ import annotations

from collections.abc import Iterator

from .authority import Authority
from .evidence import CatalogObject, Database, Evidence
from .expectation import Expectation
from .findings import Finding, Severity
from .mends import grant, grantee_word, revoke, revoke_grant_option, words
from .model import PUBLIC
from .names import DATABASE_PREFIX
from .statement import remedy


def database_findings(evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    """Everything about databases, and what is missing in ours."""
    own = evidence.databases.get(expectation.database)
    if own is None:
        yield _of_the_database(
            expectation.database,
            "MISSING",
            "does not exist",
            "it was dropped, or no up has made it yet",
            "",
            "golabs up",
        )
    else:
        yield from _state(own)
        yield from _owner(own, evidence, expectation, authority)
        yield from _privileges(own, evidence, expectation, authority)
        if evidence.inside:
            yield from _missing(evidence, expectation)
    for database in evidence.databases.values():
        if database.name != expectation.database:
            yield from _another(database, evidence, expectation)


def _of_the_database(name: str, word: str, told: str, cause: str, mend: str, advice: str = "") -> Finding:
    return Finding(
        id=f"database/{word}",
        severity=Severity.HIGH,
        object=f"database {name}",
        who=name,
        what=f"database {name} {told}",
        cause=cause,
        statements=(remedy(mend, name),) if mend else (),
        advice=advice,
    )


def _state(own: Database) -> Iterator[Finding]:
    if own.is_template:
        told = "is a template: whoever has CREATEDB may copy it whole"
        yield _of_the_database(
            own.name, "TEMPLATE", told, "ALTER DATABASE ... IS_TEMPLATE true", "ALTER DATABASE {} IS_TEMPLATE false"
        )
    if not own.allows_connections:
        told, cause = "allows no connections", "ALTER DATABASE ... ALLOW_CONNECTIONS false"
        yield _of_the_database(own.name, "CLOSED", told, cause, "ALTER DATABASE {} ALLOW_CONNECTIONS true")
    if own.connection_limit == 0:
        told, cause = "takes no connection but a superuser's", "ALTER DATABASE ... CONNECTION LIMIT 0"
        yield _of_the_database(own.name, "CONNECTION LIMIT", told, cause, "ALTER DATABASE {} CONNECTION LIMIT -1")


def _owner(own: Database, evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    user = expectation.users.get(own.owner)
    if user is None and own.owner in authority.above:
        return
    # What the former owner is to have goes to the new one with all that it had.
    wanted = expectation.privileges("database", "", own.owner)
    yield Finding(
        id=f"owner/{own.owner}",
        severity=Severity.MEDIUM if user is None else Severity.CRITICAL,
        object=f"database {own.name}",
        who=own.owner,
        what=f"database {own.name} belongs to {own.owner}, who can undo every privilege on it",
        cause=f"{own.owner} made it, or it was given to {own.owner} by ALTER DATABASE ... OWNER TO",
        statements=(
            remedy("ALTER DATABASE {} OWNER TO {}", own.name, evidence.cluster.admin),
            *(grant(_as_object(own), own.owner, wanted) if wanted else ()),
        ),
        service=user.service if user is not None else "",
        beyond=user is None,  # whoever else owns it, does so on purpose
    )


def _as_object(database: Database) -> CatalogObject:
    return CatalogObject("database", "", database.name, database.owner, entries=database.entries)


def _privileges(own: Database, evidence: Evidence, expectation: Expectation, authority: Authority) -> Iterator[Finding]:
    item = _as_object(own)
    for entry in own.entries:
        user = expectation.users.get(entry.grantee)
        if entry.grantee == own.owner or (user is None and entry.grantee in authority.above):
            continue
        grantee = grantee_word(entry.grantee)
        expected = expectation.privileges("database", "", entry.grantee)
        if excess := entry.privileges - expected:
            everyone = ", that is every role of the server," if entry.grantee == PUBLIC else ""
            within = user is not None and "CREATE" not in excess
            yield Finding(
                id=f"privilege/{grantee}/{'+'.join(sorted(excess))}",
                severity=Severity.MEDIUM if within else Severity.HIGH,
                object=item.words,
                who=grantee,
                what=f"{grantee}{everyone} has {words(excess)} on {item.words}, and should not",
                cause=f"granted by {entry.grantor}{' WITH GRANT OPTION' if entry.grantable & excess else ''}",
                statements=revoke(item, entry, excess),
                service=user.service if user is not None else "",
            )
        if option := entry.grantable & expected:
            yield Finding(
                id=f"grant-option/{grantee}/{'+'.join(sorted(option))}",
                severity=Severity.MEDIUM,
                object=item.words,
                who=grantee,
                what=f"{grantee} may hand on {words(option)} on {item.words}, to whomever it likes",
                cause=f"granted by {entry.grantor} WITH GRANT OPTION",
                statements=revoke_grant_option(item, entry, option),
                service=user.service if user is not None else "",
            )
    for user in expectation.users.values():
        has = {word for entry in own.entries if entry.grantee == user.name for word in entry.privileges}
        lacking = expectation.privileges("database", "", user.name) - has
        if lacking and user.name in evidence.roles and not user.leftover and user.name != own.owner:
            yield Finding(
                id=f"missing-privilege/{user.name}/{'+'.join(sorted(lacking))}",
                severity=Severity.HIGH,
                object=item.words,
                who=user.name,
                what=f"{user.name} lacks {words(lacking)} on {item.words}, and should have it",
                cause="it was revoked",
                statements=grant(item, user.name, lacking),
                service=user.service,
            )


def _missing(evidence: Evidence, expectation: Expectation) -> Iterator[Finding]:
    owners = {item.name: item.owner for item in evidence.objects if item.kind == "schema"}
    for service in expectation.desired.services:
        if service.schema.name not in owners:
            yield Finding(
                id=f"missing-schema/{service.schema.name}",
                severity=Severity.HIGH,
                object=f"schema {service.schema.name}",
                who=service.migration.name,
                what=f"schema {service.schema.name} of {service.migration.name} does not exist",
                cause="it was dropped or renamed, or no up has made it yet",
                advice="golabs up",
                service=service.name,
            )
    present = {extension.name: extension.schema for extension in evidence.extensions}
    for extension in expectation.desired.database.extensions:
        schema = present.get(extension.name)
        if schema != extension.schema:
            seen = f"is in schema {schema}, where no service looks" if schema else "does not exist"
            services = [each.name for each in expectation.settings.services if extension.name in each.extensions]
            yield Finding(
                id=f"extension/{extension.name}/{schema or 'MISSING'}",
                severity=Severity.HIGH,
                object=f"extension {extension.name}",
                who=", ".join(services),
                what=f"extension {extension.name} {seen}; {', '.join(services)} needs it in schema {extension.schema}",
                cause="ALTER EXTENSION ... SET SCHEMA" if schema else "it was dropped, or no up has made it yet",
                statements=(remedy("ALTER EXTENSION {} SET SCHEMA {}", extension.name, extension.schema),)
                if schema
                else (),
                advice="" if schema else "golabs up",
            )


def _another(database: Database, evidence: Evidence, expectation: Expectation) -> Iterator[Finding]:
    """What our users have on another database: by name anywhere, by PUBLIC where it is an environment's."""
    environments = database.name.startswith(DATABASE_PREFIX) and database.allows_connections
    if database.owner in expectation.users:
        user = expectation.users[database.owner]
        yield Finding(
            id=f"owner/{user.name}",
            severity=Severity.CRITICAL if environments else Severity.MEDIUM,
            object=f"database {database.name}",
            who=user.name,
            what=f"database {database.name} belongs to {user.name}, who should own nothing outside of {user.service}",
            cause=f"it was given to {user.name} by ALTER DATABASE ... OWNER TO",
            statements=(remedy("ALTER DATABASE {} OWNER TO {}", database.name, evidence.cluster.admin),),
            service=user.service,
            beyond=True,
        )
    for entry in database.entries:
        holder = expectation.users.get(entry.grantee)
        everybody = entry.grantee == PUBLIC and environments
        if entry.grantee == database.owner or not (holder is not None or everybody):
            continue
        grantee = grantee_word(entry.grantee)
        every = ", and with it every user of this environment," if everybody else ""
        yield Finding(
            id=f"other-database/{grantee}/{'+'.join(sorted(entry.privileges))}",
            severity=Severity.CRITICAL if environments else Severity.MEDIUM,
            object=f"database {database.name}",
            who=grantee,
            what=f"{grantee}{every} has {words(entry.privileges)} on database {database.name}, which is not this environment's",
            cause=f"granted by {entry.grantor}",
            statements=revoke(_as_object(database), entry, entry.privileges),
            service=holder.service if holder is not None else "",
            beyond=everybody,
        )
