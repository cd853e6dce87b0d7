"""What the model says of roles and objects, laid out for the rules to look things up. Pure.

Users of services that are no longer in the configuration (a policy that keeps leaves them in place) are known too: what
their service had is no finding of its own, that they can still log in is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from .authority import TABLE_KINDS
from .config_keys import ServiceSettings
from .evidence import Evidence
from .model import PUBLIC, Desired, Role, ServiceModel, expand
from .names import login_name, parse_user_name, service_name_problem
from .settings import Settings

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
"""Schemas that everybody looks into."""


@dataclass(frozen=True)
class User:
    """A user of the environment: its service, and the role that it is to be. `leftover`: its service is gone, or it is a
    twin that the configuration does not name any more."""

    role: Role
    service: str
    leftover: bool

    @property
    def name(self) -> str:
        """The role's name."""
        return self.role.name


class Expectation:
    """The model of a stack's settings, on a server with these roles."""

    def __init__(self, settings: Settings, roles: Iterable[str]) -> None:
        self.settings = settings
        self.desired: Desired = expand(settings)
        known = {service.name for service in settings.services}
        parsed = [parts for name in roles if (parts := parse_user_name(name))]
        gone = sorted(
            {
                each.service
                for each in parsed
                if each.environment == settings.environment and not service_name_problem(each.service, each.environment)
            }
            - known
        )
        leftover = tuple(ServiceSettings(name=name) for name in gone)
        # A twin that the configuration does not name any more is a leftover, too.
        twins = {
            (each.service, each.kind)
            for each in parsed
            if each.login == "twin" and each.environment == settings.environment and each.service in {*known, *gone}
        }
        logins = {**dict.fromkeys(sorted(twins), ("user",)), **settings.logins}
        whole = settings.model_copy(update={"services": (*settings.services, *leftover), "logins": logins})
        self._services: dict[str, ServiceModel] = {service.name: service for service in expand(whole).services}
        self._gone = frozenset(gone)
        self._strays = frozenset(
            login_name(service, kind, settings.environment, "twin") for service, kind in twins - settings.logins.keys()
        )

    @property
    def database(self) -> str:
        """The database's name."""
        return self.desired.database.name

    @cached_property
    def users(self) -> Mapping[str, User]:
        """Every user of the environment, by name."""
        return {
            role.name: User(role, service.name, service.name in self._gone or role.name in self._strays)
            for service in self._services.values()
            for role in service.roles
        }

    def service_of(self, schema: str) -> ServiceModel | None:
        """The service whose schema it is; None for every other schema."""
        return self._services.get(schema)

    def is_gone(self, service: str) -> bool:
        """Whether a service is no longer in the configuration."""
        return service in self._gone

    @cached_property
    def _granted(self) -> Mapping[tuple[str, str, str], frozenset[str]]:
        grants = [*self.desired.database.grants, *(g for s in self._services.values() for g in s.grants)]
        return {(grant.kind, grant.schema, grant.grantee): frozenset(grant.privileges) for grant in grants}

    def privileges(self, kind: str, schema: str, grantee: str) -> frozenset[str]:
        """What a grantee is to have on an object of this kind; `schema` is a schema's own name for schemas."""
        return self._granted.get(("table" if kind in TABLE_KINDS else kind, schema, grantee), frozenset())

    @cached_property
    def defaults(self) -> Mapping[tuple[str, str, str, str], frozenset[str]]:
        """Default privileges by owner, schema, kind (`tables`, `sequences`) and grantee."""
        return {
            (entry.owner, entry.schema, f"{entry.kind}s", entry.grantee): frozenset(entry.privileges)
            for service in self._services.values()
            for entry in service.default_privileges
        }


def entered_schemas(evidence: Evidence, expectation: Expectation) -> frozenset[str]:
    """The schemas whose names PUBLIC or a service's user can use."""
    holders = {PUBLIC, *expectation.users}
    return SYSTEM_SCHEMAS | frozenset(
        item.name
        for item in evidence.objects
        if item.kind == "schema"
        and any("USAGE" in entry.privileges and entry.grantee in holders for entry in item.entries)
    )
