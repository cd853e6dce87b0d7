"""The component of one service: its two users, its schema, and what they may do in it, now and later.

The users are declared first and the schema after the database, because the database must be dropped before any of its
users: `provision` completes the component once the database is declared.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
import pulumi_postgresql as postgresql
import pulumi_random as random
from pydantic import SecretStr

from ..adoption import Origin, Password
from ..model import Role, ServiceModel
from ..names import USER_KINDS, UserKind
from ..passwords import GENERATED_LENGTH, derive_salt, scram_verifier
from ..policy import Policy
from .options import options

_RULES = ("length", "special", "minLower", "minUpper", "minNumeric")


@dataclass(frozen=True)
class ServiceSchemaArgs:
    """What the component needs. `salt` is the stack's random salt (base64); `existing` the users to import."""

    model: ServiceModel
    policy: Policy
    provider: postgresql.Provider
    passwords: Mapping[str, Password]
    salt: pulumi.Output[str]
    existing: frozenset[str]


class ServiceSchema(pulumi.ComponentResource):
    """A service's schema and users. Outputs after `provision`: `schema`, `migrationUser`, `appUser`."""

    def __init__(self, name: str, args: ServiceSchemaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("golabs:postgresql:ServiceSchema", name, None, opts)
        self._name = name
        self._args = args
        self.resources: list[pulumi.CustomResource] = []
        self.passwords: dict[str, pulumi.Output[str]] = {}
        """Each user's password in clear, a secret output, by user name."""
        self.roles: dict[UserKind, postgresql.Role] = {
            kind: self._declare_role(kind, role)
            for kind, role in zip(USER_KINDS, (args.model.migration, args.model.app), strict=True)
        }
        of = {role.name: kind for kind, role in zip(USER_KINDS, (args.model.migration, args.model.app), strict=True)}
        self.twins = [self._declare_role(of[twin.acts_as], twin) for twin in args.model.twins]

    def provision(self, database: postgresql.Database) -> None:
        """Declares the schema and every privilege, and registers the component's outputs."""
        model, name = self._args.model, self._name
        schema = postgresql.Schema(
            name,
            name=model.schema.name,
            owner=self.roles["migration"].name,
            database=database.name,
            drop_cascade=self._args.policy.drops,
            opts=self._inside(database),
        )
        grants: list[pulumi.Resource] = []
        for grant in model.grants:
            on_database = grant.kind == "database"
            kind: UserKind = "migration" if grant.grantee == model.migration.name else "app"
            resource = postgresql.Grant(
                f"{name}-{kind}-{grant.kind}",
                database=database.name,
                object_type=grant.kind,
                schema=None if on_database else schema.name,
                role=self.roles[kind].name,
                privileges=list(grant.privileges),
                opts=self._inside(database, *([] if on_database else [schema])),
            )
            self.resources.append(resource)
            if not on_database:
                grants.append(resource)
        for entry in model.default_privileges:
            self.resources.append(
                postgresql.DefaultPrivileges(
                    f"{name}-app-later-{entry.kind}",
                    database=database.name,
                    schema=schema.name,
                    owner=self.roles["migration"].name,
                    role=self.roles["app"].name,
                    object_type=entry.kind,
                    privileges=list(entry.privileges),
                    # After the grants: an admin who is no superuser borrows the same membership for both.
                    opts=self._inside(database, schema, *grants, delete_before_replace=True),
                )
            )
        self.resources.append(schema)
        self.register_outputs(
            {
                "schema": schema.name,
                "migrationUser": self.roles["migration"].name,
                "appUser": self.roles["app"].name,
            }
        )

    def _declare_role(self, kind: UserKind, role: Role) -> postgresql.Role:
        """A user; or a twin, once the user that it acts as is declared."""
        args = self._args
        name = f"{self._name}-{kind}" + ("-twin" if role.acts_as else "")
        acts_as = self.roles[kind].name if role.acts_as else None
        clear = self._password(name, args.passwords[role.name])
        self.passwords[role.name] = clear

        def verifier(parts: list[str]) -> str:
            password, salt = parts
            return scram_verifier(password, derive_salt(base64.b64decode(salt), role.name))

        resource = postgresql.Role(
            name,
            roles=None if acts_as is None else [acts_as],
            assume_role=acts_as,
            name=role.name,
            login=role.login,
            password=pulumi.Output.all(clear, args.salt).apply(verifier),  # secret, as the clear text is
            search_paths=list(role.search_path),
            connection_limit=role.connection_limit,
            statement_timeout=role.statement_timeout or None,
            idle_in_transaction_session_timeout=role.idle_in_transaction_session_timeout or None,
            superuser=role.superuser,
            create_database=role.create_database,
            create_role=role.create_role,
            replication=role.replication,
            bypass_row_level_security=role.bypass_row_level_security,
            inherit=role.inherit,
            opts=options(
                args.policy,
                parent=self,
                provider=args.provider,
                import_=role.name if role.name in args.existing else None,
            ),
        )
        self.resources.append(resource)
        return resource

    def _password(self, name: str, password: Password) -> pulumi.Output[str]:
        policy = self._args.policy
        in_use = password.origin is Origin.GENERATED
        # A protected resource can't be taken out of the stack: a rotated password leaves the generated one in it.
        if not in_use and not (policy.protects and password.generated_before):
            return pulumi.Output.secret(_clear(password.value))
        generated = random.RandomPassword(
            name,
            length=GENERATED_LENGTH,
            special=False,
            min_lower=1,
            min_upper=1,
            min_numeric=1,
            # Another rule for new passwords is no reason to replace one that clients use.
            opts=options(policy, parent=self, ignore_changes=_RULES),
        )
        self.resources.append(generated)
        return pulumi.Output.secret(generated.result if in_use else _clear(password.value))

    def _inside(
        self, database: postgresql.Database, *depends_on: pulumi.Resource, delete_before_replace: bool | None = None
    ) -> pulumi.ResourceOptions:
        return options(
            self._args.policy,
            parent=self,
            provider=self._args.provider,
            inside=database,
            depends_on=depends_on,
            delete_before_replace=delete_before_replace,
        )


def _clear(value: SecretStr | None) -> str:
    if value is None:
        raise AssertionError("only a generated password has no value")
    return value.get_secret_value()
