"""Stacks for the tests of `golabs retire`, and what their users may still do."""

from __future__ import annotations

from typing import Any

import pytest

from golabs_infra import cli
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..support import direct_engine, write_stack
from .tools import (
    migrate,
    user,
    with_admin,
)

USERS = (user("billing", "migration", "dev"), user("billing", "app", "dev"))
DATABASE = "go-labs-dev"


class Stack:
    """dev on a server, written in its file with comments, and `golabs` on it with the direct engine."""

    def __init__(self, project: Project, server: Endpoint, admin: Endpoint, environment: str = "dev") -> None:
        self.project, self.server, self.admin, self.environment = project, server, admin, environment
        self.file = project.stack_file(environment)
        write_stack(project, environment, admin)
        listed = "  golabs-infra:services: # ours\n    - billing # the oldest\n    - order\n\n# the end\n"
        self.file.write_text(self.file.read_text(encoding="utf-8") + listed, encoding="utf-8")

    def golabs(self, command: str, *words: str) -> int:
        """Runs the command; gives its exit code."""
        arguments = ["--project", str(self.project.root), command, self.environment, *words, "--engine", "direct"]
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        code = ended.value.code
        assert isinstance(code, int)
        return code

    def up(self) -> None:
        """Provisions, migrates."""
        direct_engine(self.project, self.environment).up()
        migrate(self.project, ["billing", "order"], self.environment)


@pytest.fixture(autouse=True)
def confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)


@pytest.fixture(params=["superuser", "least privileged"], name="each_stack")
def stack_on_each_version(request: pytest.FixtureRequest, each_server: Endpoint, project: Project) -> Stack:
    """The same on each version, by a superuser and by an admin with CREATEROLE and CREATEDB."""
    admin = each_server if request.param == "superuser" else with_admin(each_server)
    return Stack(project, each_server, admin)


@pytest.fixture(name="stack")
def stack_on_the_newest(server: Endpoint, project: Project) -> Stack:
    found = Stack(project, server, server)
    found.up()
    return found


def rights(server: Endpoint, database: str = DATABASE) -> list[Any]:
    """Every privilege that the two users have anywhere in the database, what they own aside."""
    query = """
        SELECT 'database', acl.privilege_type FROM pg_database d, aclexplode(d.datacl) acl, pg_roles r
        WHERE d.datname = current_database() AND acl.grantee = r.oid AND r.rolname = ANY (%(users)s)
        UNION ALL
        SELECT n.nspname, acl.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) acl, pg_roles r
        WHERE acl.grantee = r.oid AND acl.grantee <> n.nspowner AND r.rolname = ANY (%(users)s)
        UNION ALL
        SELECT c.relname, acl.privilege_type FROM pg_class c, aclexplode(c.relacl) acl, pg_roles r
        WHERE acl.grantee = r.oid AND acl.grantee <> c.relowner AND r.rolname = ANY (%(users)s)
        UNION ALL
        SELECT 'default', acl.privilege_type FROM pg_default_acl c, aclexplode(c.defaclacl) acl, pg_roles r
        WHERE acl.grantee = r.oid AND acl.grantee <> c.defaclrole AND r.rolname = ANY (%(users)s)
    """
    with connect_admin(server, database) as connection:
        return connection.execute(query.encode(), {"users": list(USERS)}).fetchall()


def logins(server: Endpoint) -> list[bool]:
    with connect_admin(server) as connection:
        found = connection.execute(
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = ANY (%s)", [list(USERS)]
        ).fetchall()
        return [login for (login,) in found]


def rights_of_everybody(server: Endpoint) -> list[Any]:
    """What PUBLIC may do in the schema billing, on it and on its relations."""
    query = """
        SELECT n.nspname, acl.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) acl
        WHERE n.nspname = 'billing' AND acl.grantee = 0
        UNION ALL
        SELECT c.relname, acl.privilege_type FROM pg_class c, aclexplode(c.relacl) acl
        WHERE c.relnamespace = 'billing'::regnamespace AND acl.grantee = 0
    """
    with connect_admin(server, DATABASE) as connection:
        return connection.execute(query.encode()).fetchall()


def without_plain_secrets(text: str, project: Project) -> str:
    """prd's admin password encrypted, as a guarded stack must have it."""
    from pydantic import SecretStr

    from golabs_infra.stack_editing import StackDocument

    document = StackDocument.open(project, "prd")
    crypter = document.unlock({"PULUMI_CONFIG_PASSPHRASE": "of our own"})
    plain = document.get("adminPassword")
    document.set_secret(("adminPassword",), SecretStr(str(plain)), crypter)
    return document.text()
