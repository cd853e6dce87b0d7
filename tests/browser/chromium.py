"""Finds the Chromium of this machine and opens pages in it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def find_chromium() -> str | None:
    """The path of the browser, if there is one on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name)) is not None), None)


def chromium_version() -> str:
    """`Chromium 156.0.8078.79`."""
    path = find_chromium()
    said = subprocess.run([str(path), "--version"], capture_output=True, text=True, check=False).stdout
    number = re.search(r"[0-9]+(\.[0-9]+)+", said)
    return f"Chromium {number[0]}" if number else "Chromium"


@contextmanager
def running_chromium(path: str) -> Iterator[Browser]:
    """A headless browser with an empty profile of its own."""
    from playwright.sync_api import sync_playwright  # every test run loads this module, few need the driver

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()
