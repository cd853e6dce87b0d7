"""The cells of the matrix: a PostgreSQL version, the rights of the admin, an engine; what each is to show; and the table.

Pure but for `Cell.settle`, which does on a server what a refusal asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import SecretStr

from golabs_infra.endpoint import Endpoint

from ..live import tools
from ..live.catalog import row_versions
from ..support import REPOSITORY

MAJORS = (13, 14, 15, 16, 17, 18)
RIGHTS = ("superuser", "least-privileged")
ENGINES = ("direct", "pulumi")

EVERY_RUN = frozenset({(major, "direct") for major in (14, 16, 18)})
"""What `make test` runs, with both admins; `make matrix` runs all."""

REFUSED = "refused as documented, then ok"
ADMIN = "provisioner"
_PASSWORD = "the-provisioners-own"
_PUBLIC_CLOSED = 15
"""From here on the schema public of a new database is closed, and belongs to the database's owner."""


@dataclass(frozen=True)
class Cell:
    """An emptied server of one version and the admin that provisions on it; `server` is the superuser's endpoint."""

    major: int
    rights: str
    server: Endpoint
    admin: Endpoint

    @property
    def limited(self) -> bool:
        """Whether the admin is no superuser."""
        return self.rights != "superuser"

    @property
    def cannot_close_public(self) -> bool:
        """Whether the admin can do nothing about the schema public of a new database."""
        return self.limited and self.major < _PUBLIC_CLOSED

    def settle(self, environment: str, refused: Callable[[], str]) -> str:
        """Where the admin can't close public: the run is refused, and the superuser runs the one statement that it names.

        `refused` tries the run and gives what was said. Returns what the cell has shown.
        """
        if not self.cannot_close_public:
            return "ok"
        database = f"go-labs-{environment}"
        exists = tools.database_exists(self.server, database)
        before = row_versions(self.server, database if exists else None)
        said = refused()
        assert row_versions(self.server, database if exists else None) == before
        assert tools.database_exists(self.server, database) == exists
        create = [] if exists else [f'CREATE DATABASE "{database}" TEMPLATE template0;']
        close = f'ALTER SCHEMA public OWNER TO "{ADMIN}";'
        # An engine may say it more than once; everything that it names is one statement, and what the admin can do itself.
        assert list(dict.fromkeys(tools.statements_in(said))) == [*create, close], said
        assert "as a superuser" in said
        tools.as_superuser(self.admin, *create)
        tools.as_superuser(self.server, close, database=database)
        return REFUSED


Settle = Callable[[str, Callable[[], str]], None]


def documented_admin(server: Endpoint) -> Endpoint:
    """The admin that the documentation's statements make, word for word."""
    page = (REPOSITORY / "docs" / "how-to" / "least-admin.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<<END\n(CREATE ROLE {ADMIN} .*?)\nEND\n", page, re.DOTALL)
    tools.as_superuser(
        server, *re.findall(r"(?:CREATE|GRANT)[^;]*;", block.replace("$PROVISIONER_PASSWORD", _PASSWORD))
    )
    return replace(server, admin_user=ADMIN, admin_password=SecretStr(_PASSWORD))


@dataclass(frozen=True)
class Result:
    """How one test of a cell has ended: passed, failed or skipped; what it has shown, or why it was skipped."""

    outcome: str
    shown: str = ""


def table(results: Mapping[tuple[int, str, str], Sequence[Result]], versions: Mapping[int, str]) -> str:
    """Markdown: a row for each version, a column for each admin and engine. `versions` are those that were really there."""
    columns = [(rights, engine) for engine in ENGINES for rights in RIGHTS]
    header = ["PostgreSQL", *(f"{rights}, {engine}" for rights, engine in columns)]
    lines = [header, ["---"] * len(header)]
    for major in MAJORS:
        cells = [_in_words(results.get((major, *column), ())) for column in columns]
        lines.append([versions.get(major, str(major)), *cells])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def account(results: Mapping[tuple[int, str, str], Sequence[Result]], versions: Mapping[int, str]) -> str:
    """One line: on which versions tests have run, and why on others they have not."""
    ran = [
        versions.get(major, str(major))
        for major in MAJORS
        if any(result.outcome != "skipped" for at, found in results.items() if at[0] == major for result in found)
    ]
    skipped = {
        at[0]: result.shown
        for at, found in results.items()
        for result in found
        if at[0] not in versions and result.shown
    }
    not_there = [f"not on {major}: {why}" for major, why in sorted(skipped.items())]
    return "; ".join([f"ran on {', '.join(ran)}"] * bool(ran) + not_there) or "did not run: no test of it was selected"


def _in_words(results: Iterable[Result]) -> str:
    by_outcome: dict[str, list[Result]] = {}
    for result in results:
        by_outcome.setdefault(result.outcome, []).append(result)
    if "failed" in by_outcome:
        return "failed"
    if "skipped" in by_outcome:
        return f"skipped: {by_outcome['skipped'][0].shown}"
    passed = by_outcome.get("passed", [])
    return REFUSED if any(result.shown == REFUSED for result in passed) else "ok" if passed else "not run"
