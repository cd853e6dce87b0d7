"""Takes the pictures of the page that the documentation shows: `python -m tests.browser.screenshots [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from golabs_infra.report import Report
from golabs_infra.report_page import render_page

from ..support import REPOSITORY
from .chromium import find_chromium, running_chromium
from .samples import broken, clean

PICTURES: tuple[tuple[str, Report, Literal["light", "dark"]], ...] = (
    ("verify-light.png", broken(), "light"),
    ("verify-dark.png", broken(), "dark"),
    ("verify-clean.png", clean(), "light"),
)


def take(folder: Path) -> None:
    """Writes every picture into a folder."""
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium is on PATH")
    with running_chromium(path) as browser, TemporaryDirectory() as temporary:
        for name, report, scheme in PICTURES:
            file = Path(temporary, "page.html")
            file.write_text(render_page(report), encoding="utf-8")
            page = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme=scheme)
            page.goto(file.as_uri())
            page.screenshot(path=folder / name, full_page=True)
            page.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs")
