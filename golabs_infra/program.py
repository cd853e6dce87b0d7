"""The Pulumi program: config -> settings -> decision -> components -> exports. Called by `__main__.py`.

It looks at the server and at the stack's own state before it declares anything, so that whatever must stop a run stops
it with nothing changed. Errors reach the user as pulumi.RunError, without a traceback.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pulumi.runtime.config as engine_config
import pulumi_postgresql as postgresql
import pulumi_random as random
from pydantic import SecretStr

from . import connections
from .adoption import OUTDATED_STATE, Decision, Memory, Origin, Password, decide
from .components import Database, DatabaseArgs, ServiceSchema, ServiceSchemaArgs
from .config_keys import STRUCTURED_KEYS, from_json
from .direct import DirectEngine
from .endpoint import Endpoint
from .errors import (
    TRACEBACK_VARIABLE,
    AdoptionError,
    DefectError,
    EngineError,
    Fault,
    GolabsError,
    IdentityError,
    PolicyError,
    system_error,
)
from .identity import note_identity
from .inspection import Cluster, PasswordProver, look_at, look_inside
from .model import PUBLIC_SCHEMA, Desired, expand
from .names import Login, UserKind, login_name, parse_user_name, rebuilt_name
from .passwords import generate
from .pending import settle_pending
from .policy import CONFIRMATION_VARIABLE, wrong_confirmation
from .project import Project
from .pulumi_command import DRIVEN_VARIABLE
from .recollection import recall_passwords
from .script import write_scripts
from .settings import Settings, read_settings
from .stackfile import NAMESPACE, RawConfig, raw_config_of_engine
from .target import resolve_endpoint

SALT_BYTES = 32
CONNECT_TIMEOUT_S = 15
MAX_CONNECTIONS = 8
_NO_ORGANIZATION = "organization"
"""What backends without organizations call theirs; not every one of them takes it in a stack's name."""
_PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8)
"""After each attempt to read the state: the engine writes it meanwhile, and in a folder it can be seen half-written."""
_PROVIDER = "pulumi:providers:postgresql"
_ROLE = "postgresql:index/role:Role"
_DATABASE = "postgresql:index/database:Database"
_EXTENSION = "postgresql:index/extension:Extension"
_RANDOM_PASSWORD = "random:index/randomPassword:RandomPassword"  # noqa: S105  (a type's name)


def run() -> None:
    """Declares the stack. Raises pulumi.RunError with one readable message."""
    if os.environ.get(DRIVEN_VARIABLE):
        pulumi.log.debug = _unheard  # the SDK waits for the engine to take each, four times a resource
    gc.disable()  # the program ends with its run, and looking for garbage takes a fifth of a large stack's time
    with _readable():
        _run(Project(Path(pulumi.get_root_directory() or os.getcwd()).resolve()))


@contextmanager
def _readable() -> Iterator[None]:
    """What stops a run is a message of the engine's, and no traceback."""
    try:
        yield
    except GolabsError as error:
        raise pulumi.RunError(str(error)) from None
    except OSError as error:
        raise pulumi.RunError(str(system_error(error))) from None
    except pulumi.RunError:
        raise
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        raise pulumi.RunError(str(DefectError(error))) from None


def _unheard(
    msg: str, resource: pulumi.Resource | None = None, stream_id: int | None = None, ephemeral: bool | None = None
) -> None:
    """A debugging message that nobody would see."""


def _run(project: Project) -> None:
    settings = read_settings(read_engine_config(pulumi.get_stack(), project))
    _check_confirmation(settings)
    endpoint = resolve_endpoint(settings, project)
    state = _read_state()
    memory = _remember(settings, project, state)
    desired = expand(settings)
    cluster = look_at(endpoint, settings.environment, settings.database, settings.users)
    live = look_inside(endpoint, cluster, desired)
    prover = PasswordProver(endpoint, settings.database, cluster)
    decision = decide(settings, endpoint, cluster, memory, prover, live, desired)
    if live is not None and PUBLIC_SCHEMA not in live.schemas:
        raise AdoptionError(
            [
                Fault(
                    "schema public",
                    "there is none, and the provider, which is to close it, wants one",
                    "CREATE SCHEMA public",
                )
            ],
            where=f"{settings.database} on {endpoint.address}",
        )
    if decision.outdated and memory.holds_database:
        raise IdentityError(
            f"{OUTDATED_STATE} {endpoint.address} (another server, or dropped)",
            where=settings.source,
            mend=f"golabs up {settings.environment}; or have the state forget it, then up again: "
            f"pulumi state delete --all --yes --stack {settings.environment}",
        )
    if cluster.database_exists and not cluster.allows_connections:
        _open_database(project, settings, endpoint)
    if settings.policy.drops and (cluster.unfinished_reset or cluster.invalid_database):
        _drop_leftovers(project, settings, endpoint, cluster)
    if settings.policy.drops and decision.removed_services and cluster.database_exists:
        _release(project, settings, endpoint, decision.removed_services)
    decision = _with_passwords_made(settings, decision)
    for warning in (*decision.warnings, *_moved_server(settings, endpoint, state)):
        pulumi.log.warn(warning)
    declare(project, settings, endpoint, cluster, decision)


def read_engine_config(stack: str, project: Project) -> RawConfig:
    """The configuration of our namespace as the engine gives it to the program."""
    given: Mapping[str, Any] = engine_config.CONFIG.get() or engine_config.get_config_env()
    secret = engine_config._SECRET_KEYS.get() or set(engine_config.get_config_secret_keys_env())
    values: dict[str, object] = {}
    for name, value in given.items():
        if name.startswith(NAMESPACE):
            key = name.removeprefix(NAMESPACE)
            values[key] = from_json(value) if key in STRUCTURED_KEYS else value
    keys = frozenset(name.removeprefix(NAMESPACE) for name in secret if name.startswith(NAMESPACE))
    return raw_config_of_engine(stack, values, keys, project)


def declare(project: Project, settings: Settings, endpoint: Endpoint, cluster: Cluster, decision: Decision) -> None:
    """Declares every resource and the stack's outputs; has the connection files written when all is done."""
    desired, policy = expand(settings), settings.policy
    existing = frozenset(cluster.roles)
    provider = _declare_provider(settings, endpoint, cluster)
    salt = random.RandomBytes("verifier-salt", length=SALT_BYTES, opts=pulumi.ResourceOptions(protect=policy.protects))
    services = [
        ServiceSchema(
            service.name,
            ServiceSchemaArgs(service, policy, provider, decision.passwords, salt.base64, existing),
            opts=pulumi.ResourceOptions(protect=policy.protects),
        )
        for service in desired.services
    ]
    database = Database(
        settings.database,
        DatabaseArgs(
            desired.database,
            policy,
            provider,
            [role for service in services for role in (*service.roles.values(), *service.twins)],
            cluster.database_exists,
            cluster.admin if cluster.database_owner in cluster.roles else None,
        ),
        opts=pulumi.ResourceOptions(protect=policy.protects),
    )
    for service in services:
        service.provision(database.database)
    resources = [*database.resources, *(resource for service in services for resource in service.resources)]
    clear = pulumi.Output.all(**{user: text for service in services for user, text in service.passwords.items()})
    records = clear.apply(lambda passwords: connections.build_records(desired, endpoint, passwords))
    removed = decision.removed_services if policy.drops else ()
    settled = None if policy.drops else settings.users
    _write_at_the_end(project, desired, cluster, records, resources, removed, settled)
    pulumi.export("database", settings.database)
    # The stack belongs to the server once the database is there: a first `up` that fails earlier can be run again.
    identity = pulumi.Output.from_input(cluster.system_identifier)
    pulumi.export(
        "systemIdentifier", identity if cluster.database_exists else database.database.id.apply(lambda _: identity)
    )
    by_service = records.apply(lambda listed: {record["service"]: record for record in listed})
    pulumi.export("connections", pulumi.Output.secret(by_service))


def _declare_provider(settings: Settings, endpoint: Endpoint, cluster: Cluster) -> postgresql.Provider:
    """The explicit provider. In guarded stacks another host would be a replacement, which `protect` refuses.

    It runs in the project's folder and has the certificates' paths as they are configured: absolute ones in the state
    would be a change to whoever has the project in another folder.
    """
    files = settings.endpoint or endpoint
    client = (
        postgresql.ProviderClientcertArgs(cert=files.ssl_cert, key=files.ssl_key)
        if files.ssl_cert and files.ssl_key
        else None
    )
    guarded = settings.policy.protects
    password = endpoint.admin_password.get_secret_value()
    return postgresql.Provider(
        settings.database,
        host=endpoint.host,
        port=endpoint.port,
        username=endpoint.admin_user,
        password=pulumi.Output.secret(password) if password else None,
        database=endpoint.admin_database,
        sslmode=endpoint.ssl_mode,
        sslrootcert=files.ssl_root_cert,
        clientcert=client,
        superuser=cluster.superuser,
        connect_timeout=CONNECT_TIMEOUT_S,
        max_connections=MAX_CONNECTIONS,
        opts=pulumi.ResourceOptions(protect=guarded, replace_on_changes=["host", "port"] if guarded else None),
    )


def _write_at_the_end(
    project: Project,
    desired: Desired,
    cluster: Cluster,
    records: pulumi.Output[list[connections.Record]],
    resources: list[pulumi.CustomResource],
    removed: tuple[str, ...],
    settled: Collection[str] | None,
) -> None:
    """Writes the files of a run once every resource is there: never on preview, never after a failure."""
    if pulumi.runtime.is_dry_run():
        return

    def write(parts: list[Any]) -> None:
        with _readable():
            connections.write_files(project, desired.environment, parts[0], removed, warn=pulumi.log.warn)
            settle_pending(project, desired.environment, settled)
            write_scripts(project, desired)
            users = (role.name for role in desired.roles)
            note_identity(project, desired.environment, cluster.system_identifier, desired.database.name, users)

    pulumi.Output.all(records, *(resource.id for resource in resources)).apply(write)


def _with_passwords_made(settings: Settings, decision: Decision) -> Decision:
    """Makes the new passwords of a disposable stack here; its outputs keep them, and may lose them in a run that fails.

    RandomPassword keeps them in every case, and takes 65 ms of a processor for each, for a hash that nobody asks for.
    """
    if not settings.policy.drops:
        return decision
    passwords = {
        user: Password(Origin.KEPT, SecretStr(generate()))
        if password.origin is Origin.GENERATED and not password.generated_before
        else password
        for user, password in decision.passwords.items()
    }
    return replace(decision, passwords=passwords)


def _check_confirmation(settings: Settings) -> None:
    """`up` of a guarded environment wants the database's name; a preview never asks."""
    if not settings.policy.confirms_up or pulumi.runtime.is_dry_run():
        return
    if os.environ.get(CONFIRMATION_VARIABLE) != settings.database:
        wrong = wrong_confirmation(os.environ, settings.database)
        raise PolicyError(
            f"{settings.environment} is guarded and this run is not confirmed{wrong}; nothing was changed",
            where=settings.source,
            mend=f"read the preview, then: {CONFIRMATION_VARIABLE}={settings.database} pulumi up --stack "
            f"{settings.environment} (or golabs up {settings.environment}, which asks)",
        )


def _read_state() -> dict[str, dict[str, Any]]:
    """The resources of the stack's own state by URN, each with `type` and `outputs`; secrets in clear.

    Raises EngineError where the engine can't read it.
    """
    # On Pulumi Cloud a bare name is looked for in the user's default organization, which need not be the stack's.
    organization = pulumi.get_organization()
    stack = pulumi.get_stack()
    name = stack if organization in (None, "", _NO_ORGANIZATION) else f"{organization}/{stack}"
    for pause in _PAUSES_S:
        try:
            reply = pulumi.runtime.invoke("pulumi:pulumi:readStackResourceOutputs", {"stackName": name}).value
            return (reply or {}).get("outputs") or {}
        except Exception as error:  # pulumi has no class of its own for what the engine refuses
            refusal = error
            time.sleep(pause)
    raise EngineError(
        f"the stack's own state can't be read: {refusal}",
        where=name,
        mend=f"run it again; if it stays so: pulumi stack export --stack {name}",
    )


def _remember(settings: Settings, project: Project, state: Mapping[str, dict[str, Any]]) -> Memory:
    """What the stack's own state, and files, remember of earlier runs."""
    outputs: dict[str, Any] = {}
    managed: set[str] = set()
    generated: dict[str, SecretStr] = {}
    for urn, resource in state.items():
        kind, values = resource["type"], resource["outputs"]
        if kind == "pulumi:pulumi:Stack":
            outputs = values
        elif kind == _ROLE and values.get("name"):
            managed.add(values["name"])
        elif kind == _RANDOM_PASSWORD:
            generated |= _generated_password(settings, urn, values)
    return Memory(
        system_identifier=outputs.get("systemIdentifier"),
        managed=frozenset(user for user in managed if parse_user_name(user)),
        generated=generated,
        passwords=recall_passwords(project, settings.environment, (outputs.get("connections") or {}).values()),
        holds_database=any(resource["type"] == _DATABASE for resource in state.values()),
        extensions=frozenset(
            resource["outputs"].get("name") for resource in state.values() if resource["type"] == _EXTENSION
        ),
    )


def _open_database(project: Project, settings: Settings, endpoint: Endpoint) -> None:
    """Lets connections to the database again, before the provider wants some: a destroy that failed has closed it.

    The engine takes that for done, as the state says so. It is never closed where nothing is dropped.
    """
    if pulumi.runtime.is_dry_run():
        pulumi.log.warn(f"{settings.database} allows no connections, after a destroy that failed: up opens it again")
    else:
        DirectEngine(project, settings, endpoint).open_database()
        pulumi.log.warn(f"{settings.database} allowed no connections, after a destroy that failed: it is open again")


def _drop_leftovers(project: Project, settings: Settings, endpoint: Endpoint, cluster: Cluster) -> None:
    """A reset that was killed has left the database that it was building, or a DROP DATABASE the old one half dropped:
    nothing else would ever drop them."""
    invalid = f"{settings.database} is half dropped, by a DROP DATABASE that was interrupted"
    left = f"{rebuilt_name(settings.database)} is there, of a reset that was interrupted"
    if not pulumi.runtime.is_dry_run():
        DirectEngine(project, settings, endpoint).drop_leftovers()
        left += ", or still at work then"
    after = "up drops it" if pulumi.runtime.is_dry_run() else "it was dropped"
    for told, is_so in ((left, cluster.unfinished_reset), (invalid, cluster.invalid_database)):
        if is_so:
            pulumi.log.warn(f"{told}: {after}")


def _release(project: Project, settings: Settings, endpoint: Endpoint, removed: tuple[str, ...]) -> None:
    """Frees the users that the engine is about to drop: it knows nothing of what others have granted them, or of what
    they own elsewhere, and would fail half-way."""
    engine = DirectEngine(project, settings, endpoint)
    engine.check_removed(removed)
    if not pulumi.runtime.is_dry_run():
        engine.release_removed(removed)


def _moved_server(settings: Settings, endpoint: Endpoint, state: Mapping[str, dict[str, Any]]) -> list[str]:
    """What to do where a guarded stack's own server answers under another address: the engine refuses to follow."""
    for urn, resource in state.items():
        known = resource["outputs"].get("host"), str(resource["outputs"].get("port"))
        if settings.policy.protects and resource["type"] == _PROVIDER and known != (endpoint.host, str(endpoint.port)):
            return [
                f"the stack's server answered at {known[0]}:{known[1]} before, and at {endpoint.address} now. It is the "
                f"same one; to have the stack follow: pulumi state unprotect --yes '{urn}' --stack "
                f"{settings.environment}, then up again"
            ]
    return []


def _generated_password(settings: Settings, urn: str, values: dict[str, Any]) -> dict[str, SecretStr]:
    """A generated password in the state, by the user that it was generated for (`<service>-<kind>`, or `...-twin`)."""
    name = urn.rpartition("::")[2]
    service, _, kind = name.removesuffix("-twin").rpartition("-")
    if kind not in ("migration", "app") or "result" not in values:
        return {}
    of: UserKind = "migration" if kind == "migration" else "app"
    login: Login = "twin" if name.endswith("-twin") else "user"
    return {login_name(service, of, settings.environment, login): SecretStr(values["result"])}
