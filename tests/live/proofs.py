"""An environment that was provisioned and migrated, and `golabs` on it, for the tests of `verify` and `drift`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from golabs_infra import cli
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import REPOSITORY, direct_engine, write_stack
from .tools import as_superuser, migrate, with_admin

SERVICES = ["billing", "catalog", "order"]
READ = "GRANT SELECT ON billing.invoice TO order_app_{0}_user"
SCHEMA = json.loads((REPOSITORY / "docs" / "verify.schema.json").read_text(encoding="utf-8"))


@dataclass
class Stack:
    """An environment that was provisioned and migrated, and `golabs` on it."""

    project: Project
    server: Endpoint
    admin: Endpoint
    environment: str
    capture: pytest.CaptureFixture[str]

    @property
    def database(self) -> str:
        return f"go-labs-{self.environment}"

    def write(self, **values: Any) -> None:
        """The stack's file anew."""
        config = {"services": SERVICES, **values}
        write_stack(self.project, self.environment, self.admin, **config)

    def up(self) -> None:
        """Provisions."""
        direct_engine(self.project, self.environment).up()

    def golabs(self, command: str, *words: str) -> tuple[int, str, str]:
        """Runs the command; gives its exit code, standard output and standard error."""
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(["--project", str(self.project.root), command, self.environment, *words])
        shown = self.capture.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    def break_it(self, *statements: str) -> None:
        """As the superuser, in the environment's database; `{0}` is the environment."""
        texts = [each.format(self.environment) for each in statements]
        as_superuser(self.server, *texts, database=self.database)

    def report(self) -> dict[str, Any]:
        """What `verify --json` says, which keeps to the documented schema."""
        _, out, _ = self.golabs("verify", "--json")
        document: dict[str, Any] = json.loads(out)
        jsonschema.validate(document, SCHEMA)
        return document


def provision(
    project: Project, server: Endpoint, environment: str, capture: pytest.CaptureFixture[str], limited: bool = False
) -> Stack:
    """A stack whose admin is the superuser, or the least that will do."""
    stack = Stack(project, server, with_admin(server) if limited else server, environment, capture)
    stack.write()
    stack.up()
    migrate(project, SERVICES, environment)
    return stack
