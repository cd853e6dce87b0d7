"""Fixtures of the browser ring: a real Chromium, headless, that opens pages from files. Skipped where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from golabs_infra.report import Report
from golabs_infra.report_page import render_page

from .chromium import NAMES, find_chromium, running_chromium

Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    path = find_chromium()
    if path is None:
        pytest.skip(f"no Chromium is on PATH ({', '.join(NAMES)})")
    with running_chromium(path) as started:
        yield started


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens a report's page in a context with the options given; no test passes in which the page asked for more than
    itself, or complained on the console."""
    told: list[str] = []
    asked: list[str] = []
    contexts = []
    file = tmp_path / "verify.html"

    def opened(report: Report, **options: Any) -> Page:
        file.write_text(render_page(report), encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert told == []
    assert {each for each in asked if each != "data:,"} <= {file.as_uri()}
