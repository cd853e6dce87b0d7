"""The page of a report in a real browser: readable in any light and size, on paper, by keyboard, and without script."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from golabs_infra.report import Report

from .conftest import Opener
from .samples import HOSTILE, broken, clean, hostile, large

REPORTS = {"clean": clean(), "broken": broken(), "hostile": hostile(), "12": large(12), "100": large(100)}

_CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => [r, g, b].map((each) => each / 255)
    .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, index) => sum + each * [0.2126, 0.7152, 0.0722][index], 0);
  const background = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const colour = parts(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
    const drawn = !["none", "normal"].includes(getComputedStyle(element, "::before").content);
    if (!(text || drawn) || !element.checkVisibility()) continue;
    const [a, b] = [light(parts(getComputedStyle(element).color)), light(background(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), `${element.tagName}.${element.className}`]);
  }
  return found;
}"""


@pytest.fixture(params=list(REPORTS.values()), ids=list(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    """Each of the samples."""
    found: Report = request.param
    return found


def _overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def _focused(page: Page) -> Any:
    return page.evaluate("document.activeElement.outerHTML.slice(0, 200)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["clean", "broken", "12"])
def test_every_text_stands_out_from_what_is_behind_it(
    show: Opener, name: str, scheme: Literal["light", "dark"]
) -> None:
    page = show(REPORTS[name], color_scheme=scheme)
    for details in page.locator("details").all():
        details.evaluate("each => { each.open = true }")
    contrasts = page.evaluate(_CONTRASTS)
    assert len(contrasts) > 80
    assert [each for each in contrasts if each[0] < 4.5] == []


def test_light_and_dark_differ(show: Opener) -> None:
    backgrounds = {
        show(clean(), color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(backgrounds) == 2


@pytest.mark.parametrize("width", [320, 390, 768, 1200])
def test_no_page_scrolls_sideways(show: Opener, report: Report, width: int) -> None:
    page = show(report, viewport={"width": width, "height": 844})
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    assert _overflow(page) <= 0


def test_the_heads_of_a_large_matrix_stay_in_sight(show: Opener) -> None:
    page = show(large(100))
    box = page.locator(".scroll")
    box.evaluate("each => { each.scrollLeft = 500; each.scrollTop = 400 }")
    frame, column, row = (
        each.bounding_box() for each in (box, page.locator("thead th").nth(60), page.locator("tbody th").nth(40))
    )
    assert frame is not None
    assert column is not None
    assert row is not None
    assert abs(column["y"] - frame["y"]) < 3
    assert abs(row["x"] - frame["x"]) < 3


def test_a_large_page_opens_fast(show: Opener) -> None:
    page = show(large(100))
    page.evaluate("document.body.offsetHeight")
    assert page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000


def test_hostile_names_are_shown_and_nothing_else(show: Opener) -> None:
    page = show(hostile())
    expect(page.locator("thead th").nth(1)).to_have_text(HOSTILE)
    assert page.locator("script").count() == 1
    assert page.locator("img").count() == 0


def test_what_is_copied_is_the_statement(show: Opener) -> None:
    page = show(broken(), permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="copy").first.click()
    expect(page.get_by_role("button", name="copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(broken().findings[0].mend)


def test_findings_can_be_filtered(show: Opener) -> None:
    page = show(broken())
    findings = page.locator(".group .finding:visible")
    expect(findings).to_have_count(4)
    page.get_by_role("checkbox", name="critical").uncheck()
    expect(findings).to_have_count(3)
    expect(page.locator("#critical")).to_be_hidden()
    page.get_by_label("With the text", exact=True).fill("PUBLIC")
    expect(findings).to_have_count(1)
    expect(page.locator("#filter output")).to_have_text("1 of 4 shown")
    page.get_by_role("checkbox", name="critical").check()
    page.get_by_label("With the text", exact=True).fill("")
    expect(findings).to_have_count(4)


def test_a_link_leads_to_a_finding_that_the_filter_hides(show: Opener) -> None:
    page = show(broken())
    page.get_by_label("With the text", exact=True).fill("PUBLIC")
    page.get_by_role("link", name="finding 1").click()
    expect(page.locator("#finding-1")).to_be_visible()
    expect(page.locator("#finding-1")).to_be_in_viewport()


def test_services_can_be_filtered(show: Opener) -> None:
    page = show(broken())
    shown = page.locator("details.service:visible")
    page.get_by_label("only those that differ").check()
    expect(shown).to_have_count(1)
    page.get_by_label("only those that differ").uncheck()
    page.get_by_label("Services with the text").fill("cat")
    expect(shown).to_have_count(1)
    page.get_by_role("button", name="open all").click()
    expect(page.locator("details.service[open]:visible")).to_have_count(1)


def test_only_what_differs_is_open_from_the_beginning(show: Opener) -> None:
    opened = show(broken()).locator("details.service[open] h3")
    assert opened.all_text_contents() == ["order"]


def test_the_keyboard_reaches_everything(show: Opener) -> None:
    page = show(broken())
    page.keyboard.press("Tab")
    assert 'class="skip"' in _focused(page)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert 'class="scroll"' in _focused(page)
    page.keyboard.press("Tab")
    assert 'href="#way-1"' in _focused(page)
    page.keyboard.press("Enter")
    expect(page.locator("#way-1:target")).to_be_visible()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", _focused(page)
        seen.add(page.evaluate("document.activeElement.tagName"))
    assert {"A", "INPUT", "BUTTON", "SUMMARY", "PRE"} <= seen
    page.locator("details.service summary").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("details.service").first).to_have_attribute("open", "")


def test_headings_come_in_order(show: Opener, report: Report) -> None:
    page = show(report)
    levels = [
        int(each) for each in page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => e.tagName[1])")
    ]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_tables_say_what_their_heads_are_of(show: Opener, report: Report) -> None:
    page = show(report)
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("thead th:not([scope=col])").count() == 0
    assert page.locator("tbody th:not([scope=row])").count() == 0


def test_a_cell_says_in_words_what_its_symbol_means(show: Opener) -> None:
    page = show(large(12))
    expect(page.locator(".matrix")).to_have_attribute("class", "matrix symbols")
    words = set(page.locator(".matrix td").all_text_contents())
    assert {re.split(r"[:\s]", each)[0] for each in words} == {"isolated", "own", "reached"}
    assert page.locator("[role=region][aria-labelledby=matrix]").count() == 1


def test_it_all_is_there_without_script(show: Opener) -> None:
    page = show(broken(), java_script_enabled=False)
    expect(page.locator("h1")).to_contain_text("Not isolated")
    expect(page.locator(".finding:visible")).to_have_count(5)
    expect(page.locator(".filter:visible")).to_have_count(0)
    expect(page.locator("button:visible")).to_have_count(0)
    page.locator("details.service summary").first.click()
    expect(page.locator("details.service .holdings:visible")).to_have_count(2)


@pytest.mark.parametrize("script", [True, False], ids=["script", "no script"])
def test_on_paper_everything_is_open_and_nothing_is_cut(
    show: Opener, report: Report, script: bool, tmp_path: Path
) -> None:
    page = show(report, java_script_enabled=script, viewport={"width": 700, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    for table in page.locator(".holdings").all()[:5]:
        box = table.bounding_box()
        assert box is not None
        assert box["height"] > 20
        assert box["x"] + box["width"] <= 701
    box = page.locator(".scroll").bounding_box()
    matrix = page.locator(".matrix").bounding_box()
    assert box is not None
    assert matrix is not None
    assert matrix["width"] <= box["width"] + 1
    assert matrix["height"] <= box["height"] + 1
    assert _overflow(page) <= 0
    expect(page.locator(".filter:visible")).to_have_count(0)
    expect(page.locator("button:visible")).to_have_count(0)
    (tmp_path / "page.pdf").write_bytes(page.pdf(prefer_css_page_size=True))
    assert (tmp_path / "page.pdf").stat().st_size > 10_000


def test_on_paper_no_verdict_is_told_by_its_colour_alone(show: Opener) -> None:
    page = show(broken())
    page.emulate_media(media="print")
    symbols = page.evaluate(
        """[...document.querySelectorAll(".matrix td")].map((each) =>
             getComputedStyle(each.querySelector("a") ?? each, "::before").content)"""
    )
    assert symbols == ['"–"', '"✓"', '"✓"', '"✕"', '"–"', '"✓"', '"✓"', '"△"', '"–"']
    expect(page.locator("h1 .symbol")).to_have_text("✕")
