"""Terraform with the provider cyrilgdn/postgresql, which is the one that the Pulumi provider is built from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from .contenders import GivenPasswords, Session, ask, find_program
from .ground import Ground
from .values import DATABASE, ENVIRONMENT, PEER_SIZES, Command, Scenario, Service, names, password_of

PROVIDER = "registry.terraform.io/cyrilgdn/postgresql"
_REQUIRED = """
terraform {
  required_providers {
    postgresql = { source = "cyrilgdn/postgresql" }
  }
}
"""
_MAIN = (
    _REQUIRED
    + f"""
variable "server" {{ type = object({{ host = string, port = number, username = string, password = string }}) }}
variable "services" {{ type = set(string) }}
variable "passwords" {{ type = map(string) }}

provider "postgresql" {{
  host     = var.server.host
  port     = var.server.port
  username = var.server.username
  password = var.server.password
  database = "postgres"
  sslmode  = "disable"
}}

resource "postgresql_role" "migration" {{
  for_each    = var.services
  name        = "${{each.key}}_migration_{ENVIRONMENT}_user"
  login       = true
  password    = var.passwords["${{each.key}}_migration_{ENVIRONMENT}_user"]
  search_path = [each.key]
}}

resource "postgresql_role" "app" {{
  for_each    = var.services
  name        = "${{each.key}}_app_{ENVIRONMENT}_user"
  login       = true
  password    = var.passwords["${{each.key}}_app_{ENVIRONMENT}_user"]
  search_path = [each.key]
}}

resource "postgresql_database" "this" {{
  name     = "{DATABASE}"
  template = "template0"
  encoding = "UTF8"
}}

resource "postgresql_grant" "public_database" {{
  database    = postgresql_database.this.name
  role        = "public"
  object_type = "database"
  privileges  = []
}}

resource "postgresql_grant" "public_schema" {{
  database    = postgresql_database.this.name
  role        = "public"
  schema      = "public"
  object_type = "schema"
  privileges  = []
}}

resource "postgresql_schema" "service" {{
  for_each = var.services
  name     = each.key
  owner    = postgresql_role.migration[each.key].name
  database = postgresql_database.this.name
}}

resource "postgresql_grant" "migration_database" {{
  for_each    = var.services
  database    = postgresql_database.this.name
  role        = postgresql_role.migration[each.key].name
  object_type = "database"
  privileges  = ["CONNECT", "TEMPORARY"]
}}

resource "postgresql_grant" "app_database" {{
  for_each    = var.services
  database    = postgresql_database.this.name
  role        = postgresql_role.app[each.key].name
  object_type = "database"
  privileges  = ["CONNECT"]
}}

locals {{
  relations = {{ table = ["SELECT", "INSERT", "UPDATE", "DELETE"], sequence = ["SELECT", "USAGE"] }}
  inside    = merge({{ schema = ["USAGE"] }}, local.relations)
  granted = {{
    for pair in setproduct(var.services, keys(local.inside)) : join("-", pair) => {{ service = pair[0], kind = pair[1] }}
  }}
  later = {{ for name, entry in local.granted : name => entry if entry.kind != "schema" }}
}}

resource "postgresql_grant" "app_inside" {{
  for_each    = local.granted
  database    = postgresql_database.this.name
  schema      = postgresql_schema.service[each.value.service].name
  role        = postgresql_role.app[each.value.service].name
  object_type = each.value.kind
  privileges  = local.inside[each.value.kind]
}}

resource "postgresql_default_privileges" "app" {{
  for_each    = local.later
  database    = postgresql_database.this.name
  schema      = postgresql_schema.service[each.value.service].name
  owner       = postgresql_role.migration[each.value.service].name
  role        = postgresql_role.app[each.value.service].name
  object_type = each.value.kind
  privileges  = local.inside[each.value.kind]
}}
"""
)


@dataclass
class TerraformSession(GivenPasswords):
    """One configuration with its local state; `terraform init` was run."""

    program: Path
    folder: Path
    ground: Ground

    def configure(self, listed: Sequence[Service]) -> None:
        endpoint = self.ground.endpoint
        values = {
            "server": {
                "host": endpoint.host,
                "port": endpoint.port,
                "username": endpoint.admin_user,
                "password": self.ground.password,
            },
            "services": names(listed),
            "passwords": {user: password_of(user) for service in listed for user in service.users},
        }
        (self.folder / "terraform.tfvars.json").write_text(json.dumps(values), encoding="utf-8")

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        first = (self._terraform("destroy"),) if scenario is Scenario.RESET else ()
        return (*first, self._terraform("apply"))

    def _terraform(self, verb: str) -> Command:
        argv = (str(self.program), verb, "-auto-approve", "-input=false", "-no-color")
        return Command(argv, self.folder, _environ(self.folder))


def _environ(folder: Path) -> dict[str, str]:
    """An empty CLI configuration, so that providers come from the default folders, or else from the registry."""
    return {"TF_CLI_CONFIG_FILE": str(folder / "terraform.rc"), "CHECKPOINT_DISABLE": "1"}


def _initialise(program: Path, folder: Path, text: str) -> str:
    """Runs `terraform init`; gives the provider's version. Raises RuntimeError where the provider can't be had."""
    (folder / "main.tf").write_text(text, encoding="utf-8")
    (folder / "terraform.rc").touch()
    ask(program, "init", "-input=false", "-no-color", environ=_environ(folder), cwd=folder)
    printed = json.loads(ask(program, "version", "-json", environ=_environ(folder), cwd=folder))
    return f"{printed['terraform_version']}, provider postgresql {printed['provider_selections'][PROVIDER]}"


@dataclass(frozen=True)
class Terraform:
    """`terraform apply` and `terraform destroy`."""

    key: str = "terraform"
    label: str = "Terraform"
    sizes: tuple[int, ...] = PEER_SIZES
    install: str = (
        "https://developer.hashicorp.com/terraform/install (or BENCH_TERRAFORM=/path/to/terraform); it fetches the provider "
        f"itself, or finds it in ~/.terraform.d/plugins/{PROVIDER}/VERSION/linux_amd64"
    )
    notes: tuple[str, ...] = (
        "sends passwords in clear; a reset is destroy and apply; terraform init was run before, off the clock",
    )
    accepted: tuple[str, ...] = ()
    quiet: bool = False

    @cached_property
    def _program(self) -> Path | None:
        return find_program("terraform", "BENCH_TERRAFORM")

    def version(self) -> str | None:
        if self._program is None:
            return None
        with TemporaryDirectory() as folder:
            try:
                return _initialise(self._program, Path(folder), _REQUIRED)
            except RuntimeError:
                return None

    def open(self, ground: Ground, folder: Path) -> Session:
        if self._program is None:
            raise AssertionError("only what has a version is opened")
        _initialise(self._program, folder, _MAIN)
        return TerraformSession(self._program, folder, ground)
