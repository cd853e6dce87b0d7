"""What the server and the admin can't do of the work, found before anything is changed, with the statement that mends it.

Pure. `takeover` looks at what is there already; here it is about the server, the admin's own rights, and dropping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from .endpoint import Endpoint
from .errors import AdoptionError, ApplyError, Fault
from .inspection import MINIMUM_VERSION, PUBLIC_CLOSED_VERSION, Cluster
from .sessions import Session, in_words
from .settings import Settings
from .stackfile import NAMESPACE
from .statement import remedy
from .wording import counted, some


def check_server(endpoint: Endpoint, cluster: Cluster) -> None:
    """Refuses servers that nobody could do the work on. Raises AdoptionError."""
    where = whereabouts(cluster, endpoint)
    if cluster.version_number < MINIMUM_VERSION:
        raise AdoptionError(
            [Fault("version", f"PostgreSQL {cluster.version} is too old", "use PostgreSQL 13 or later")], where=where
        )
    if cluster.in_recovery:
        raise AdoptionError([Fault("server", "it is a read-only replica", "name the primary's host")], where=where)
    if cluster.read_only:  # which the Pulumi provider would not keep to
        what = "somebody has made it read-only, or the admin (default_transaction_read_only)"
        reset = remedy("ALTER ROLE {} RESET default_transaction_read_only", cluster.admin)
        raise AdoptionError(
            [Fault("server", what, f"ask who has, and why; where it was set on the admin: {reset}")], where=where
        )


def check_valid(settings: Settings, endpoint: Endpoint, cluster: Cluster) -> None:
    """Refuses a database that is half dropped. Raises ApplyError, which says what a person can do."""
    if not cluster.invalid_database:
        return
    database, environment = settings.database, settings.environment
    drop = remedy("DROP DATABASE {}", database)
    raise ApplyError(
        "the database is invalid: a DROP DATABASE that was interrupted has left it half dropped. PostgreSQL lets nobody in, "
        "and can only drop it. Nothing was changed",
        where=f"{database} on {endpoint.address}",
        mend=f"golabs up {environment}, which drops it and makes it again, empty"
        if settings.policy.drops
        else f"have a backup at hand; then, as its owner or a superuser: {drop} then restore it from the backup, and "
        f"golabs up {environment}",
    )


def check_rights(settings: Settings, endpoint: Endpoint, cluster: Cluster) -> None:
    """Refuses servers and admins that can't do the work at all. Raises AdoptionError."""
    check_server(endpoint, cluster)
    if faults := rights_faults(settings, cluster):
        raise AdoptionError(faults, where=whereabouts(cluster, endpoint))


def check_rebuild(settings: Settings, endpoint: Endpoint, cluster: Cluster) -> None:
    """Refuses to make a new database in the place of the old one where the admin can't. Raises AdoptionError."""
    check_rights(settings, endpoint, cluster)
    if cluster.superuser:
        return
    faults: list[Fault] = []
    if not cluster.create_database:
        faults.append(_lacking(cluster, ["CREATEDB"]))
    if cluster.version_number < PUBLIC_CLOSED_VERSION:
        what = f"a reset makes a new database, where below PostgreSQL 15 only a superuser can close it (this is {cluster.version})"
        faults.append(Fault("schema public", what, "reset with a superuser as adminUser"))
    if faults:
        raise AdoptionError(faults, where=whereabouts(cluster, endpoint))


def check_drop(
    endpoint: Endpoint,
    database: str,
    cluster: Cluster,
    users: Sequence[str],
    sessions: Iterable[Session],
    ties: Mapping[str, tuple[str, ...]],
) -> None:
    """Refuses to drop a database and users where the server would refuse half-way. Raises AdoptionError.

    `sessions` are those on the database, `ties` what keeps users from being dropped: other databases mostly.
    """
    check_server(endpoint, cluster)
    faults = [] if (lack := unadministered(cluster, users)) is None else [lack]
    if users and not (cluster.superuser or cluster.create_role):
        faults.append(_lacking(cluster, ["CREATEROLE"]))
    there = cluster.database_exists or cluster.invalid_database
    if there and not (cluster.superuser or cluster.owns_database):
        faults.append(_not_owner(cluster, database))
    if held := [session for session in sessions if not session.endable]:
        grant = f"; or, as a superuser: {remedy('GRANT pg_signal_backend TO {}', cluster.admin)}"
        mend = "close them" + ("; only a superuser may end a superuser's" if cluster.signal_backend else grant)
        what = f"{cluster.admin} may not end the sessions that are open on it: {in_words(held)}"
        faults.append(Fault(database, what, mend))
    faults += tie_faults(cluster, ties)
    if faults:
        raise AdoptionError(faults, where=whereabouts(cluster, endpoint))


def rights_faults(settings: Settings, cluster: Cluster) -> list[Fault]:
    """What the server and the admin lack for the work, each with the statement that mends it."""
    faults = _absent_extensions(settings, cluster)
    if cluster.superuser:
        return faults
    lacking = [
        word
        for word, has in (("CREATEROLE", cluster.create_role), ("CREATEDB", cluster.create_database))
        if not has and not (word == "CREATEDB" and cluster.database_exists)
    ]
    if lacking:
        faults.append(_lacking(cluster, lacking))
    if not cluster.inherits:
        what = "it is NOINHERIT, and so can't act on what the services' users own"
        faults.append(Fault("admin", what, f"as a superuser: {remedy('ALTER ROLE {} INHERIT', cluster.admin)}"))
    if (cluster.database_exists or cluster.invalid_database) and not cluster.owns_database:
        faults.append(_not_owner(cluster, settings.database))
    if cluster.version_number < PUBLIC_CLOSED_VERSION and not cluster.database_exists:
        faults.append(_public_fault(cluster, settings.database))
    return faults


def _lacking(cluster: Cluster, attributes: Sequence[str]) -> Fault:
    statement = remedy(f"ALTER ROLE {{}} {' '.join(attributes)}", cluster.admin)
    return Fault("admin", f"it lacks {' and '.join(attributes)}", f"as a superuser: {statement}")


def _public_fault(cluster: Cluster, database: str) -> Fault:
    """Below 15 the schema public of a new database belongs to the superuser that made the server."""
    return Fault(
        "schema public",
        f"below PostgreSQL 15 only a superuser can close it in a new database (this is {cluster.version})",
        f"{remedy('CREATE DATABASE {} TEMPLATE template0', database)} and in it, as a superuser: "
        f"{remedy('ALTER SCHEMA public OWNER TO {}', cluster.admin)}",
    )


def _not_owner(cluster: Cluster, database: str) -> Fault:
    statement = remedy("ALTER DATABASE {} OWNER TO {}", database, cluster.admin)
    what = f"it belongs to {cluster.database_owner}, not to the admin {cluster.admin}"
    return Fault(database, what, f"as a superuser: {statement}")


def _absent_extensions(settings: Settings, cluster: Cluster) -> list[Fault]:
    """Extensions that services ask for and the server has no files of."""
    return [
        Fault(
            f"{NAMESPACE}services ({service.name}): extensions",
            f"the server has no extension {name!r}",
            "install its package there (postgresql-contrib has the common ones), or take it out of the list",
        )
        for service in settings.services
        for name in service.extensions
        if name not in cluster.available_extensions
    ]


def tie_faults(cluster: Cluster, ties: Mapping[str, tuple[str, ...]]) -> list[Fault]:
    """What keeps each user from being dropped."""
    return [
        Fault(
            user,
            f"it owns something, or has privileges, in {', '.join(found)} too, and so can't be dropped",
            f"there, after a look at what it is: {remedy('REASSIGN OWNED BY {} TO {}', user, cluster.admin)} "
            f"{remedy('DROP OWNED BY {}', user)}",
        )
        for user, found in sorted(ties.items())
    ]


def unadministered(cluster: Cluster, users: Iterable[str]) -> Fault | None:
    """The users that the admin may neither alter nor drop: from 16 on those that somebody else made."""
    lacking = sorted(
        name
        for name in users
        if (role := cluster.roles.get(name)) is not None and not role.administered and not role.role.superuser
    )
    if not lacking or not cluster.create_role:  # without CREATEROLE that is what is told
        return None
    grant = "GRANT " + ", ".join("{}" for _ in lacking) + " TO {} WITH ADMIN OPTION"
    statement = remedy(grant, *lacking, cluster.admin)
    what = f"it has no ADMIN OPTION on {counted(len(lacking), 'user')} of the environment: {some(lacking)}"
    return Fault("admin", what, f"as a superuser, or as who made them: {statement}")


def unsignalled(cluster: Cluster) -> str:
    """What an admin who may not end sessions has to know of a disposable environment."""
    return (
        f"{cluster.admin} may not end sessions, so that destroy and reset fail while somebody is connected; to settle "
        f"it, as a superuser: {remedy('GRANT pg_signal_backend TO {}', cluster.admin)}"
    )


def whereabouts(cluster: Cluster, endpoint: Endpoint) -> str:
    """The admin and the server, as errors name them."""
    return f"{cluster.admin}@{endpoint.address}"
