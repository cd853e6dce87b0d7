"""The component of an environment's database: the database itself, closed to PUBLIC, and its extensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_postgresql as postgresql

from ..model import DatabaseModel
from ..policy import Policy
from ..takeover import ENCODING
from .options import options


@dataclass(frozen=True)
class DatabaseArgs:
    """What the component needs. `roles` are all users of all services: the database must go before any of them.

    `owner` is who it is to be given to; None leaves its owner as it is, which for a new one is the admin.
    """

    model: DatabaseModel
    policy: Policy
    provider: postgresql.Provider
    roles: Sequence[postgresql.Role]
    exists: bool
    owner: str | None = None


class Database(pulumi.ComponentResource):
    """`go-labs-<env>` with the schema `extensions`, if a service asks for one. Outputs: `name`."""

    def __init__(self, name: str, args: DatabaseArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("golabs:postgresql:Database", name, None, opts)
        self._args = args
        model = args.model
        self.database = postgresql.Database(
            name,
            name=model.name,
            encoding=ENCODING,
            owner=args.owner,
            opts=options(
                args.policy,
                parent=self,
                provider=args.provider,
                depends_on=args.roles,
                import_=model.name if args.exists else None,
                # Another encoding is told as a finding; the engine would make a new, empty database. A limit that the DBA
                # has set is the DBA's.
                ignore_changes=["encoding", "connectionLimit"],
            ),
        )
        self.resources: list[pulumi.CustomResource] = [self.database]
        schemas: dict[str, pulumi.CustomResource] = {}
        for schema in model.schemas:
            schemas[schema.name] = self._add(
                postgresql.Schema(
                    f"{name}-{schema.name}", name=schema.name, database=self.database.name, opts=self._inside()
                )
            )
        for grant in model.grants:
            resource_name = f"{name}-public-{grant.kind}" + (f"-{grant.schema}" if grant.schema else "")
            self._add(
                postgresql.Grant(
                    resource_name,
                    database=self.database.name,
                    object_type=grant.kind,
                    schema=grant.schema or None,
                    role=grant.grantee,
                    privileges=list(grant.privileges),
                    opts=self._inside(*filter(None, [schemas.get(grant.schema)])),
                )
            )
        for extension in model.extensions:
            self._add(
                postgresql.Extension(
                    f"{name}-extension-{extension.name}",
                    name=extension.name,
                    schema=extension.schema,
                    database=self.database.name,
                    opts=self._inside(*filter(None, [schemas.get(extension.schema)])),
                )
            )
        self.name = self.database.name
        self.register_outputs({"name": self.name})

    def _add(self, resource: pulumi.CustomResource) -> pulumi.CustomResource:
        self.resources.append(resource)
        return resource

    def _inside(self, *depends_on: pulumi.Resource) -> pulumi.ResourceOptions:
        args = self._args
        return options(args.policy, parent=self, provider=args.provider, inside=self.database, depends_on=depends_on)
