"""Takes the pictures of the page that the documentation shows: `python -m tests.browser.screenshots [FOLDER]`.

They show real proofs: an environment with migrations on a PostgreSQL of its own, whole and then broken.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from golabs_infra.report import Report
from golabs_infra.report_page import render_page
from golabs_infra.verification import Verifier

from ..live import realistic
from ..live.tools import DATABASE, as_superuser, engine
from ..support import REPOSITORY, home_in_memory, make_project, running_server
from .chromium import find_chromium, running_chromium

BREAKS = (
    "GRANT billing_app_tst_user TO order_app_tst_user",
    "REVOKE SELECT ON catalog.customer_name FROM catalog_app_tst_user",
    "ALTER ROLE catalog_migration_tst_user SET search_path TO public",
    "CREATE ROLE reporting LOGIN",
    "GRANT SELECT ON catalog.invoice TO reporting",
    "GRANT TRUNCATE ON billing.event TO billing_app_tst_user",
)
ACCEPTED = {
    "id": "privilege/reporting/SELECT",
    "object": "table catalog.*",
    "note": "the monthly report",
    "until": "2999-12-31",
}
HEIGHT = 1600
"""Pixels of the page, from its top, that a picture shows."""


def prove(folder: Path) -> tuple[Report, Report]:
    """A whole environment, and the same broken."""
    with home_in_memory(folder / "server") as home, running_server(home) as server:
        project = make_project(folder / "project")
        accepting = engine(project, server, services=realistic.SERVICES, accepted=[ACCEPTED])
        accepting.up()
        realistic.migrate(project)
        whole = Verifier(project, engine(project, server, services=realistic.SERVICES).settings, server).prove().report
        as_superuser(server, *BREAKS, database=DATABASE)
        return whole, Verifier(project, accepting.settings, server).prove().report


def take(folder: Path) -> None:
    """Writes every picture into a folder."""
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium is on PATH")
    with TemporaryDirectory() as temporary, running_chromium(path) as browser:
        whole, broken = prove(Path(temporary))
        pictures: tuple[tuple[str, Report, Literal["light", "dark"]], ...] = (
            ("verify-light.png", broken, "light"),
            ("verify-dark.png", broken, "dark"),
            ("verify-clean.png", whole, "light"),
        )
        for name, report, scheme in pictures:
            file = Path(temporary, "page.html")
            file.write_text(render_page(report), encoding="utf-8")
            page = browser.new_page(viewport={"width": 1200, "height": HEIGHT}, color_scheme=scheme)
            page.goto(file.as_uri())
            page.screenshot(path=folder / name)
            page.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs")
