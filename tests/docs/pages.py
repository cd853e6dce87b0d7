"""The pages of the documentation, and a copy of the project for each to be followed in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.server import EmbeddedServer
from golabs_infra.server_binaries import SHARED_FOLDER, find_programs
from golabs_infra.toolchain import Toolchain

from ..engine.checkout import copy_project, own_environment, pulumi_home
from ..support import REPOSITORY, free_port
from .blocks import Block, needs_of_page, read_page
from .shell import Shell

LIMIT_S = 240.0
"""How long one command of a page may take; most take less than a second."""
PREPARATIONS = {
    "own_server": ("`PGHOST`", "`PGPORT`", "`PGUSER`", "`PGPASSWORD`"),
    "answers_yes": ("shows what it would do, and asks",),
    "old_scripts": ("the folder of your old scripts",),
}
"""All that may be done for a page without being seen, as it stands for what only its reader has: a server, an answer, files.
Each is a function of prepare.sh, with the words by which a page that calls it says what it needs."""
ON_A_SERVER = frozenset({"own_server", "old_scripts"})
_NOT_THE_USERS = re.compile(r"PULUMI_|GOLABS_|PG[A-Z]|PYTHON|PYTEST|VIRTUAL_ENV|HYPOTHESIS|MAKE|MFLAGS")


@dataclass(frozen=True)
class Page:
    """One Markdown file, by its path from the project's folder."""

    name: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return REPOSITORY / self.name

    @property
    def blocks(self) -> list[Block]:
        """Its fenced blocks. Raises BlockError."""
        return read_page(self.path)

    @property
    def preparations(self) -> set[str]:
        """What is done for its reader without being seen."""
        return {told for block in self.blocks for told in block.directives.get("before", ())}

    @property
    def wants_pulumi(self) -> bool:
        """Whether all of it is for readers who have the Pulumi CLI."""
        return needs_of_page(self.path) == "pulumi"

    @property
    def has_commands(self) -> bool:
        """Whether there is anything to run."""
        return any(block.commands for block in self.blocks)


def pages() -> list[Page]:
    """README and everything in `docs` and `examples`."""
    found = [REPOSITORY / "README.md", *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/**/*.md")]
    return [Page(str(path.relative_to(REPOSITORY))) for path in sorted(found)]


@contextmanager
def followed(page: Page, folder: Path, server: Endpoint | None, toolchain: Toolchain) -> Iterator[Shell]:
    """A shell in a copy of the project, as somebody has it who follows the page; all that it started is ended."""
    project = Project(folder / "golabs")
    copy_project(project.root)
    own_environment(project.root / ".venv")
    _make_clone(project)
    given = folder / "given"
    for made in (folder / "home", given):
        made.mkdir()
    _remember_port(project, free_port())
    without = _path(project, toolchain)
    environ = {
        **{name: value for name, value in os.environ.items() if not _NOT_THE_USERS.match(name)},
        "HOME": str(folder / "home"),
        "TERM": "dumb",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PAGE_PATH": without,
        "PAGE_PULUMI_HOME": str(pulumi_home(folder / "pulumi-home", toolchain)),
        "PAGE_PATH_WITH_PULUMI": _with(without, toolchain),
    }
    if server is not None:
        environ |= {
            "PAGE_SERVER_HOST": server.host,
            "PAGE_SERVER_PORT": str(server.port),
            "PAGE_SERVER_USER": server.admin_user,
            "PAGE_SERVER_PASSWORD": server.admin_password.get_secret_value(),
        }
    try:
        with Shell(given, project.root, {**environ, "PATH": without}, LIMIT_S) as shell:
            shell.run("without_pulumi")
            if page.wants_pulumi:
                shell.run("with_pulumi")
            yield shell
    finally:
        elsewhere = EmbeddedServer(project.server_home).stop().data_directory.parent
        if elsewhere.parent == SHARED_FOLDER:
            shutil.rmtree(elsewhere, ignore_errors=True)


def _make_clone(project: Project) -> None:
    """A reader has a clone, in which git takes back what a page has written."""
    author = ("-c", "user.name=reader", "-c", "user.email=reader@example.org")
    for words in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "as it comes"]):
        subprocess.run(["git", *words], cwd=project.root, check=True)


def _remember_port(project: Project, port: int) -> None:
    """The embedded server is on a port of this page's own from its first start on, and saves itself the waiting for disks."""
    server = EmbeddedServer(project.server_home, port=port)
    server.start()
    with (server.stop().data_directory / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n")


def _path(project: Project, toolchain: Toolchain) -> str:
    """The project's commands and PostgreSQL's clients, and the user's own, but for the Pulumi CLI's."""
    theirs = {str(found.parent) for found in (toolchain.cli, toolchain.language) if found is not None}
    users = [folder for folder in os.environ["PATH"].split(":") if folder not in {*theirs, f"{sys.prefix}/bin"}]
    return ":".join([str(project.root / ".venv" / "bin"), *users, str(Path(find_programs(18)["psql"]).parent)])


def _with(path: str, toolchain: Toolchain) -> str:
    return f"{path}:{toolchain.cli.parent}" if toolchain.cli is not None else path
