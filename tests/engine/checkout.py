"""A temporary copy of the project, used as its users use it: the real Pulumi CLI and `golabs`, each a process of its own.

A copy has its own backend, passphrase and Pulumi home, so that a run touches nothing of the machine's own stacks.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from golabs_infra import passphrase as passphrases
from golabs_infra.connections import Record, read_records
from golabs_infra.endpoint import Endpoint
from golabs_infra.policy import DEMONSTRATION_ENVIRONMENT, TST_PASSPHRASE
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer
from golabs_infra.stackfile import NAMESPACE
from golabs_infra.target import embedded_endpoint
from golabs_infra.toolchain import Toolchain, pulumi_variables

from ..support import REPOSITORY

PASSPHRASE = "the ring's own passphrase Kq7mZ2vX9bT4wR8n: it's \"quoted\" & long"
TIMEOUT_S = 180
SERVICES = ("billing", "catalog", "order")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    command: str
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that it printed."""
        return f"{self.out}\n{self.err}"

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"$ {self.command}\n[exit {self.code}]\n{self.out}\n{self.err}"


@dataclass(frozen=True)
class Checkout:
    """One copy, with what its commands find in their environment."""

    project: Project
    toolchain: Toolchain
    environ: Mapping[str, str]
    own: Mapping[str, str]
    """What the user of another stack than tst has exported: backend and passphrase."""

    @property
    def root(self) -> Path:
        """The copy's folder."""
        return self.project.root

    def run(
        self,
        command: Sequence[str],
        *,
        variables: Mapping[str, str] | None = None,
        typed: str = "",
        fails: bool | None = False,
    ) -> Ran:
        """Runs a command in the copy. `fails`: whether it must exit with an error; None where either will do."""
        ended = subprocess.run(
            command,
            cwd=self.root,
            env={**self.environ, **(variables or {})},
            input=typed,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        words = (
            " ".join(command).replace(str(self.toolchain.cli), "pulumi").replace(f"{sys.executable} -m", "python -m")
        )
        ran = Ran(words, ended.returncode, ended.stdout, ended.stderr)
        if fails is not None:
            assert (ran.code != 0) == fails, f"expected to {'fail' if fails else 'succeed'}:\n{ran}"
        assert "Traceback (most recent call last)" not in ran.text, f"a traceback reached the user:\n{ran}"
        return ran

    def pulumi(
        self,
        *words: str,
        stack: str | None = None,
        fails: bool | None = False,
        variables: Mapping[str, str] | None = None,
    ) -> Ran:
        """The plain CLI, never asking. `stack` brings `--stack` and what its users have in their environment."""
        command = [str(self.toolchain.cli), *words, "--non-interactive", "--color", "never"]
        if stack is not None:
            command += ["--stack", stack]
        return self.run(command, variables={**self.variables(stack), **(variables or {})}, fails=fails)

    def golabs(
        self,
        *words: str,
        fails: bool | None = False,
        typed: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> Ran:
        """The project's own command; the environment's passphrase and backend are exported as its users do."""
        return self.run(
            [sys.executable, "-m", "golabs_infra", *words],
            variables={**self.golabs_variables(words), **(variables or {})},
            typed=typed,
            fails=fails,
        )

    def golabs_variables(self, words: Sequence[str]) -> dict[str, str]:
        """What the user of another stack than tst has exported for `golabs`."""
        return {} if DEMONSTRATION_ENVIRONMENT in words else dict(self.own)

    def variables(self, stack: str | None) -> dict[str, str]:
        """What `golabs env` prints for the stack, the user's own passphrase and backend included."""
        own = {} if stack == DEMONSTRATION_ENVIRONMENT else self.own
        return {**pulumi_variables(self.project, stack or "", self.toolchain, {**self.environ, **own}), **own}

    @property
    def backend(self) -> Path:
        """The folder that keeps the state of the other stacks than tst."""
        return self.root.parent / "backend"

    # ---- the plain commands that stories are made of

    def up(
        self, stack: str, *words: str, fails: bool | None = False, variables: Mapping[str, str] | None = None
    ) -> Ran:
        """`pulumi up`, without the preview before it."""
        return self.pulumi("up", "--yes", "--skip-preview", *words, stack=stack, fails=fails, variables=variables)

    def confirmed_up(self, stack: str, *words: str, fails: bool | None = False) -> Ran:
        """`pulumi up` of a guarded environment, confirmed."""
        return self.up(stack, *words, fails=fails, variables={"GOLABS_CONFIRM": f"go-labs-{stack}"})

    def preview(self, stack: str, *words: str, fails: bool | None = False) -> Ran:
        """`pulumi preview`."""
        return self.pulumi("preview", *words, stack=stack, fails=fails)

    def unchanged(self, stack: str, *words: str) -> None:
        """Nothing to change, as the engine sees it."""
        self.preview(stack, *words, "--expect-no-changes")

    def destroy(self, stack: str, *words: str, fails: bool | None = False) -> Ran:
        """`pulumi destroy`, without the preview before it."""
        return self.pulumi("destroy", "--yes", "--skip-preview", *words, stack=stack, fails=fails)

    def init(self, stack: str) -> None:
        """The backend's folder and the stack in it."""
        folder = self.project.state_folder if stack == DEMONSTRATION_ENVIRONMENT else self.backend
        folder.mkdir(parents=True, exist_ok=True)
        self.pulumi("stack", "init", stack=stack)

    def state(self, stack: str, *words: str) -> Any:
        """`pulumi stack export`: the deployment."""
        return self.pulumi("stack", "export", *words, stack=stack).json["deployment"]

    def resources(self, stack: str) -> dict[str, Any]:
        """The resources in the state by URN, secrets in clear."""
        return {resource["urn"]: resource for resource in self.state(stack, "--show-secrets").get("resources", [])}

    def embedded(self) -> Endpoint:
        """The admin's endpoint on the copy's own embedded server."""
        return embedded_endpoint(EmbeddedServer(self.project.server_home), "tests")

    def connections(self, stack: str) -> dict[str, Record]:
        """The connection files that are there, by service."""
        return {record["service"]: record for record in read_records(self.project, stack)}

    def connection_texts(self, stack: str) -> dict[str, str]:
        """The connection files' names and texts."""
        return {name: text for name, text in self.output(stack).items() if not name.endswith(".sql")}

    def output(self, stack: str) -> dict[str, str]:
        """The names and texts of everything that a run has written for its users."""
        return {path.name: path.read_text() for path in sorted(self.project.output_folder(stack).glob("*"))}

    # ---- the stack's file

    def configure(self, stack: str, endpoint: Endpoint) -> None:
        """Points a stack at a server by `pulumi config set-all`, as the README says."""
        self.drop_keys(stack, "server")
        self.pulumi(
            "config",
            "set-all",
            *("--plaintext", f"host={endpoint.host}", "--plaintext", f"port={endpoint.port}"),
            *("--plaintext", f"adminUser={endpoint.admin_user}", "--plaintext", f"sslMode={endpoint.ssl_mode}"),
            *("--secret", f"adminPassword={endpoint.admin_password.get_secret_value()}"),
            stack=stack,
        )

    def point_at(self, stack: str, endpoint: Endpoint) -> None:
        """Points a stack at a server by writing its file, as `configure` does in half a second more."""
        self.drop_keys(stack, "server")
        self.set_keys(
            stack,
            host=endpoint.host,
            port=endpoint.port,
            adminUser=endpoint.admin_user,
            sslMode=endpoint.ssl_mode,
            adminPassword=self.secure(stack, endpoint.admin_password.get_secret_value()),
        )

    def secure(self, stack: str, text: str) -> dict[str, str]:
        """A value as it stands encrypted in the stack's file."""
        phrase = TST_PASSPHRASE if stack == DEMONSTRATION_ENVIRONMENT else PASSPHRASE
        document = self.document(stack)
        if "encryptionsalt" not in document:
            _, document["encryptionsalt"] = passphrases.create(phrase)
            self.write(stack, document)
        return {"secure": _unlocked(phrase, document["encryptionsalt"]).encrypt(text)}

    def document(self, stack: str) -> dict[str, Any]:
        """The stack's file, parsed."""
        content = yaml.safe_load(self.project.stack_file(stack).read_text()) or {}
        assert isinstance(content, dict)
        return content

    def set_keys(self, stack: str, **values: object) -> None:
        """Sets keys of our namespace in the stack's file."""
        document = self.document(stack)
        document.setdefault("config", {}).update({f"{NAMESPACE}{key}": value for key, value in values.items()})
        self.write(stack, document)

    def drop_keys(self, stack: str, *keys: str) -> None:
        """Removes keys of our namespace from the stack's file."""
        document = self.document(stack)
        for key in keys:
            document.get("config", {}).pop(f"{NAMESPACE}{key}", None)
        self.write(stack, document)

    def services(self, stack: str, *services: object) -> None:
        """Sets the list of services; takes the passwords of those that are left out along."""
        names = {service["name"] if isinstance(service, dict) else service for service in services}
        document = self.document(stack)
        document["config"][f"{NAMESPACE}services"] = list(services)
        passwords = document["config"].get(f"{NAMESPACE}passwords")
        if passwords is not None:
            kept = {name: entry for name, entry in passwords.items() if name in names}
            document["config"][f"{NAMESPACE}passwords"] = kept
        self.write(stack, document)

    def write(self, stack: str, document: Mapping[str, Any]) -> None:
        """Writes the stack's file."""
        self.project.stack_file(stack).write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


@cache
def _unlocked(phrase: str, salt: str) -> passphrases.PassphraseCrypter:
    crypter = passphrases.unlock(phrase, salt)
    assert crypter is not None, "the stack has another passphrase"
    return crypter


def make_checkout(folder: Path, toolchain: Toolchain) -> Checkout:
    """A copy of the project in `folder`, with a backend and a Pulumi home of its own."""
    root = folder / "golabs"
    copy_project(root)
    backend = folder / "backend"
    backend.mkdir()
    own = {"PULUMI_CONFIG_PASSPHRASE": PASSPHRASE, "PULUMI_BACKEND_URL": f"{backend.as_uri()}?metadata=skip"}
    return Checkout(Project(root), toolchain, _environ(pulumi_home(folder / "pulumi-home", toolchain)), own)


def copy_project(root: Path) -> None:
    """What git tracks, or would, but for the tests; the virtual environment is the one that the tests run in."""
    for name in _project_files():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, target)
    for compiled in (REPOSITORY / "golabs_infra").rglob("*.pyc"):  # each of many short processes would compile them
        target = root / compiled.relative_to(REPOSITORY)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(compiled, target)
    (root / ".venv").symlink_to(sys.prefix, target_is_directory=True)


def own_environment(folder: Path) -> None:
    """In place of the tests' own: one with the same packages and the copied project, which `make` takes for set up."""
    folder.unlink()
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    here = f"import site, sys; sys.path.insert(0, {str(folder.parent)!r}); site.addsitedir({sysconfig.get_path('purelib')!r})"
    (packages / "tests.pth").write_text(f"{here}\n", encoding="utf-8")
    command = folder / "bin" / "golabs"
    command.write_text(
        f"#!{folder}/bin/python\nimport sys\nfrom golabs_infra.__main__ import main\nsys.exit(main())\n",
        encoding="utf-8",
    )
    command.chmod(0o755)
    for stamp in (".runtime", ".development"):
        (folder / stamp).touch()


def _project_files() -> Iterator[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in sorted(set(listed.stdout.split("\0")) - {""}):
        if (REPOSITORY / name).is_file() and not name.startswith("tests/"):
            yield name


def pulumi_home(home: Path, toolchain: Toolchain) -> Path:
    """A Pulumi home of its own, where the user's CLI and plugins are found and the user's selected stacks are not."""
    home.mkdir()
    users = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for name in ("bin", "plugins"):
        if (users / name).is_dir():
            (home / name).symlink_to(users / name, target_is_directory=True)
    return home


def _environ(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not re.match(r"PULUMI_|GOLABS_|PG[A-Z]|PYTHON", name)}
    return {**kept, "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
