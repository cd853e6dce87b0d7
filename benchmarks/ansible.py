"""Ansible with the collection community.postgresql: one task a kind of object, looping over the services."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from .contenders import GivenPasswords, Session, ask, find_program
from .ground import Ground
from .values import DATABASE, ENVIRONMENT, Command, Scenario, Service, names, password_of

_MODULE = "community.postgresql.postgresql_"
_MIGRATION = f"{{{{ item }}}}_migration_{ENVIRONMENT}_user"
_APP = f"{{{{ item }}}}_app_{ENVIRONMENT}_user"


def provision() -> list[dict[str, Any]]:
    """The tasks that build everything, and change nothing where it is there."""
    in_schema = {"schema": "{{ item }}", "objs": "ALL_IN_SCHEMA", "roles": _APP}
    later = {"type": "default_privs", "schema": "{{ item }}", "roles": _APP, "target_roles": _MIGRATION}
    dml, sequence = "SELECT,INSERT,UPDATE,DELETE", "SELECT,USAGE"
    return [
        _task("database", "db", name=DATABASE, template="template0", encoding="UTF8"),
        _each("migration users", "user", **_user(_MIGRATION)),
        _each("app users", "user", **_user(_APP)),
        _inside("database is closed to PUBLIC", "privs", type="database", privs="ALL", roles="PUBLIC", state="absent"),
        _inside(
            "schema public is closed to PUBLIC",
            "privs",
            type="schema",
            objs="public",
            privs="ALL",
            roles="PUBLIC",
            state="absent",
        ),
        _each("schemas", "schema", login_db=DATABASE, name="{{ item }}", owner=_MIGRATION),
        _on("migration users on the database", type="database", privs="CONNECT,TEMPORARY", roles=_MIGRATION),
        _on("app users on the database", type="database", privs="CONNECT", roles=_APP),
        _on("app users on their schemas", type="schema", objs="{{ item }}", privs="USAGE", roles=_APP),
        _on("app users on tables", type="table", privs=dml, **in_schema),
        _on("app users on sequences", type="sequence", privs=sequence, **in_schema),
        _on("app users on later tables", objs="TABLES", privs=dml, **later),
        _on("app users on later sequences", objs="SEQUENCES", privs=sequence, **later),
    ]


def drop() -> list[dict[str, Any]]:
    """The task of a reset that comes before the others; the users stay."""
    return [_task("no database", "db", name=DATABASE, state="absent", force=True)]


def _task(title: str, module: str, /, **arguments: object) -> dict[str, Any]:
    return {"name": title, f"{_MODULE}{module}": arguments}


def _inside(title: str, module: str, /, **arguments: object) -> dict[str, Any]:
    return _task(title, module, login_db=DATABASE, **arguments)


def _each(title: str, module: str, /, **arguments: object) -> dict[str, Any]:
    return {**_task(title, module, **arguments), "loop": "{{ services }}"}


def _on(title: str, /, **arguments: object) -> dict[str, Any]:
    return _each(title, "privs", login_db=DATABASE, **arguments)


def _user(name: str) -> dict[str, object]:
    return {
        "name": name,
        "password": "{{ passwords['" + name.replace("{{ item }}", "' + item + '") + "'] }}",
        "configuration": {"search_path": "{{ item }}"},
        "quote_configuration_values": False,
    }


def playbook(tasks: list[dict[str, Any]]) -> str:
    """A play on this machine, whose modules reach the server by libpq's variables."""
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "tasks": tasks,
    }
    return yaml.safe_dump([play], sort_keys=False)


@dataclass
class AnsibleSession(GivenPasswords):
    """Two playbooks and the variables for both."""

    program: Path
    folder: Path
    ground: Ground

    def configure(self, listed: Sequence[Service]) -> None:
        passwords = {user: password_of(user) for service in listed for user in service.users}
        variables = {
            "services": names(listed),
            "passwords": passwords,
            "ansible_python_interpreter": str(self.program.parent / "python"),
        }
        (self.folder / "variables.json").write_text(json.dumps(variables), encoding="utf-8")
        (self.folder / "up.yaml").write_text(playbook(provision()), encoding="utf-8")
        (self.folder / "drop.yaml").write_text(playbook(drop()), encoding="utf-8")

    def commands(self, scenario: Scenario) -> tuple[Command, ...]:
        books = ("drop.yaml", "up.yaml") if scenario is Scenario.RESET else ("up.yaml",)
        environ = {**self.ground.libpq_environ, "ANSIBLE_LOCALHOST_WARNING": "False", "ANSIBLE_NOCOLOR": "True"}
        environ["ANSIBLE_HOME"] = str(self.folder / "home")
        argv = (str(self.program), "-i", "localhost,", "-e", "@variables.json", *books)
        return (Command(argv, self.folder, environ),)


@dataclass(frozen=True)
class Ansible:
    """`ansible-playbook`."""

    key: str = "ansible"
    label: str = "Ansible"
    sizes: tuple[int, ...] = (3,)
    install: str = (
        "python3 -m venv ~/.local/share/bench-ansible && ~/.local/share/bench-ansible/bin/pip install ansible "
        "psycopg2-binary, or BENCH_ANSIBLE=/path/to/ansible-playbook"
    )
    notes: tuple[str, ...] = ("sends passwords in clear",)
    accepted: tuple[str, ...] = ()
    quiet: bool = False

    @cached_property
    def _program(self) -> Path | None:
        return find_program("ansible-playbook", "BENCH_ANSIBLE", "~/.local/share/bench-ansible/bin", "~/.local/bin")

    def version(self) -> str | None:
        if self._program is None:
            return None
        core = ask(self._program, "--version").splitlines()[0].partition("core ")[2].rstrip("]")
        listed = json.loads(ask(self._program.parent / "ansible-galaxy", "collection", "list", "--format", "json"))
        found = [entry["community.postgresql"] for entry in listed.values() if "community.postgresql" in entry]
        return f"core {core}, community.postgresql {found[0]['version']}" if found else None

    def open(self, ground: Ground, folder: Path) -> Session:
        if self._program is None:
            raise AssertionError("only what has a version is opened")
        return AnsibleSession(self._program, folder, ground)
