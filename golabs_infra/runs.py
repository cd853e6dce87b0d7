"""What a command needs to know of a stack before an engine runs: its file, policy, engine, settings and server.

It reads files and looks for the toolchain; it starts the embedded server when told to, and prints nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import SecretStr

from . import connections
from .config_keys import ADMIN_PASSWORD, SECRET_KEYS
from .direct import DirectEngine
from .endpoint import Endpoint
from .engines import Chosen, EngineChoice, choose_engine
from .errors import ConfigError, Fault, GolabsError
from .inspection import Cluster, look_at
from .names import database_name
from .password_commands import set_key
from .policy import POLICIES, Policy, policy_of
from .project import Project
from .settings import Settings, read_settings
from .stackfile import NAMESPACE, RawConfig, StackFile
from .target import resolve_endpoint
from .toolchain import Toolchain, find_toolchain

if TYPE_CHECKING:
    from .server import ServerStatus
    from .stacks import PulumiEngine


@dataclass(frozen=True)
class Run:
    """One command's view of one environment."""

    project: Project
    environment: str
    requested: EngineChoice
    environ: Mapping[str, str]
    asks_cli: bool = False
    """Whether the CLI, if it is there, may be asked for secrets also by what no engine is chosen for."""

    @cached_property
    def file(self) -> StackFile:
        """The stack's file."""
        return StackFile.read(self.project, self.environment)

    @cached_property
    def policy(self) -> Policy:
        """The stack's policy, which stands in its file in plain text."""
        declared = self.file.values.get("policy")
        try:
            return policy_of(self.environment, declared if isinstance(declared, str) and declared in POLICIES else None)
        except ValueError as error:
            mend = f"{set_key(self.environment, 'policy', 'keep')} (or disposable, or guarded)"
            raise ConfigError([Fault(f"{NAMESPACE}policy", str(error), mend)], where=self.file.path.name) from None

    @property
    def database(self) -> str:
        """`go-labs-<env>`."""
        return database_name(self.environment)

    @property
    def database_in_words(self) -> str:
        """The database and the server that it is on, for a question."""
        host, port = self.file.values.get("host"), self.file.values.get("port")
        where = "the embedded server" if self.embedded else f"{host}:{port}" if port else host
        return f"{self.database} on {where}"

    @property
    def embedded(self) -> bool:
        """Whether the stack lives on the embedded server."""
        return self.file.values.get("server") == "embedded"

    @cached_property
    def toolchain(self) -> Toolchain:
        """What there is of Pulumi."""
        return find_toolchain(self.environ)

    @cached_property
    def chosen(self) -> Chosen:
        """The engine and why."""
        return choose_engine(self.requested, self.environment, self.policy, self.embedded, self.toolchain)

    @property
    def is_direct(self) -> bool:
        """Whether the direct engine was chosen."""
        return self.chosen.engine is EngineChoice.DIRECT

    @cached_property
    def settings(self) -> Settings:
        """The validated settings; secrets of other providers than a passphrase are decrypted by the Pulumi CLI."""
        by_cli = self.asks_cli and self.toolchain.cli is not None
        if self.file.uses_passphrase or not self.file.has_secrets or (self.is_direct and not by_cli):
            return read_settings(self.file.decrypted(self.environ))
        return read_settings(
            RawConfig(self.environment, self.pulumi.config(), self.file.path.name, self.file.has_published_passphrase)
        )

    @property
    def settings_without_secrets(self) -> Settings:
        """The settings without any password, for what needs none: no passphrase is asked for, where it can be done."""
        if "environment" in self.file.document:  # Pulumi ESC may hold any key
            return self.settings
        values = {key: value for key, value in self.file.values.items() if key not in SECRET_KEYS}
        if ADMIN_PASSWORD in self.file.values:
            values[ADMIN_PASSWORD] = SecretStr("not asked for")
        return read_settings(RawConfig(self.environment, values, self.file.path.name, lambda: False))

    def check_configuration(self) -> None:
        """Raises every fault of the configuration at once, before an engine starts, where it can be read here."""
        if self.file.uses_passphrase or not self.file.has_secrets:
            _ = self.settings

    @property
    def endpoint(self) -> Endpoint:
        """The server. Raises ServerError where it is the embedded one and does not run."""
        return resolve_endpoint(self.settings, self.project)

    @cached_property
    def cluster(self) -> Cluster:
        """What the admin sees of the server, looked at once. Raises ServerConnectionError."""
        return look_at(self.endpoint, self.environment, self.database, self.settings.users)

    @cached_property
    def direct(self) -> DirectEngine:
        """The direct engine."""
        return DirectEngine(self.project, self.settings, self.endpoint)

    @cached_property
    def pulumi(self) -> PulumiEngine:
        """The Pulumi engine."""
        from .stacks import PulumiEngine

        return PulumiEngine(self.project, self.environment, self.toolchain, self.environ, disposable=self.policy.drops)

    def exported_records(self) -> list[connections.Record]:
        """The connection records of the stack's state, with what the configuration and the files have for open logins of the
        same users beside it: after a run that was killed one of those may be the good one."""
        records = self.pulumi.records()
        opened = self.settings.users_with_passwords
        with suppress(GolabsError):  # a file that can't be read is what it is written anew for
            written = connections.candidates(connections.read_records(self.project, self.environment))
            records = connections.keeping(records, {user: written[user] for user in opened if user in written})
        configured = self.settings.passwords
        return connections.keeping(records, {user: (configured[user],) for user in opened if user in configured})

    def start_server(self) -> ServerStatus | None:
        """Starts the embedded server if the stack lives there and it does not run; gives its status then."""
        if not self.embedded:
            return None
        from .server import EmbeddedServer

        server = EmbeddedServer(self.project.server_home)
        return None if server.status().running else server.start()
