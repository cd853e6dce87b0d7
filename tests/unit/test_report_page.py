"""The page of a report: whole, the same each time, and safe whatever a server's names are."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser

import pytest
import yaml

from golabs_infra.config_keys import AcceptedFinding
from golabs_infra.findings import Finding, judge
from golabs_infra.report import FindingEntry, Report
from golabs_infra.report_page import Numbered, View, moment, render_page, seconds, visible
from tests.browser.samples import HOSTILE, broken, clean, hostile, large


class Page(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


_NO_DAY = date(2026, 1, 1)
REPORTS = {"clean": clean(), "broken": broken(), "hostile": hostile(), "many": large(12), "none": clean(())}


@pytest.fixture(params=list(REPORTS.values()), ids=list(REPORTS))
def report(request: pytest.FixtureRequest) -> Report:
    """Each of the samples."""
    found: Report = request.param
    return found


def test_the_same_report_gives_the_same_page(report: Report) -> None:
    assert render_page(report) == render_page(replace(report))


def test_a_page_refers_to_nothing_outside_of_itself(report: Report) -> None:
    html = render_page(report)
    references = {
        str(value)
        for _, attributes in Page(html).tags
        for key, value in attributes.items()
        if key in ("href", "src", "srcset", "action", "data", "poster")
    }
    assert {each for each in references if not each.startswith("#")} == {"data:,"}
    assert re.findall(r"https?:|url\(|@import", html) == []


def test_every_link_has_its_end_and_no_id_is_there_twice(report: Report) -> None:
    tags = Page(render_page(report)).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    links = {str(attributes["href"])[1:] for tag, attributes in tags if tag == "a"}
    assert len(ids) == len(set(ids))
    assert links <= set(ids)


def test_hostile_names_stay_text() -> None:
    html, tags = render_page(hostile()), Page(render_page(hostile())).tags
    assert HOSTILE not in html
    assert [tag for tag, _ in tags].count("script") == 1
    assert "img" not in [tag for tag, _ in tags]
    assert not [key for _, attributes in tags for key in attributes if key.startswith("on") or key == "style"]
    assert "{{ 7 * 7 }}" in html


def test_a_name_cannot_hide_what_it_is() -> None:
    assert visible("a\u202eb\u200bc\n") == "a\\u202eb\\u200bc\\u000a"
    assert "\\u202eevil\\u0007" in render_page(hostile())


def test_a_statement_can_be_copied_as_it_is() -> None:
    report = hostile()
    statement = report.findings[0].mend[0]
    blocks = re.findall(r'<pre class="sql" tabindex="0"><code>(.*?)</code></pre>', render_page(report), re.DOTALL)
    assert "\r" not in "".join(blocks)
    assert statement.replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;") in blocks


@pytest.mark.parametrize("entry", broken().findings, ids=lambda entry: entry.id)
def test_every_finding_is_there_with_all_that_it_says(entry: FindingEntry) -> None:
    articles = re.findall(r"<article.*?</article>", render_page(broken()), re.DOTALL)
    (article,) = (unescape(each) for each in articles if f">{entry.id}</code>" in unescape(each))
    for text in (entry.object, entry.who, entry.what, entry.cause, "\n".join(entry.mend), entry.advice, entry.note):
        assert text in article
    assert ("accepted until" in article) == entry.accepted
    assert str(entry.until or "") in article


def test_the_line_that_accepts_a_finding_accepts_it_and_nothing_else() -> None:
    entry = replace(broken().findings[0], id="privilege/a*[b]/SELECT", object='table "x: {y}, #z".*')
    finding = Finding(entry.id, entry.severity, entry.object, entry.who, entry.what, entry.cause)
    (accepted,) = yaml.safe_load(Numbered(1, entry).acceptance)
    entries = [AcceptedFinding.model_validate(accepted)]
    other = replace(finding, id="privilege/ab/SELECT", object='table "x: {y}, #z".q')
    assert [each.accepted is not None for each in judge([finding], entries, _NO_DAY)[0]] == [True]
    assert [each.accepted is not None for each in judge([other], entries, _NO_DAY)[0]] == [False]


@pytest.mark.parametrize(
    ("report", "word", "sentence"),
    [
        (
            clean(),
            "Isolated",
            "None of 3 services reaches another one's schema: proven by the catalogs and by logging in.",
        ),
        (replace(clean(), live=None), "Isolated", "by the catalogs; nobody has logged in to try."),
        (clean(("billing",)), "Isolated", "There is no other service"),
        (broken(), "Not isolated", "1 of 6 pairs of services is not isolated; 4 findings to mend."),
        (replace(broken(), reach=()), "Not isolated", "4 findings to mend, the worst of them critical."),
        (replace(clean(), findings=broken().findings[1:2]), "Not proven", "1 finding to mend."),
        (
            replace(broken(), findings=broken().findings[4:], reach=broken().reach[1:]),
            "Isolated",
            "(1 finding accepted)",
        ),
    ],
    ids=["clean", "no login", "one service", "reached", "critical", "high", "accepted"],
)
def test_the_verdict_says_what_is_so(report: Report, word: str, sentence: str) -> None:
    verdict = View(report).verdict
    assert verdict.word == word
    assert sentence in verdict.sentence
    assert (verdict.mood == "good") == report.proven


def test_what_only_a_login_has_shown_is_in_the_matrix_too() -> None:
    reach = replace(broken().reach[0], privileges=(), tried=("TRUNCATE",))
    html = render_page(replace(broken(), reach=(reach,)))
    assert "catalog reaches billing: TRUNCATE" in html
    assert "at a login</span> TRUNCATE" in html


def test_a_hundred_services_fit_into_a_page() -> None:
    html = render_page(large(100))
    assert html.count("<td>isolated") == 9900 - len(large(100).reach)
    assert len(html.encode()) < 1_500_000


def test_times_are_for_people() -> None:
    assert moment("2026-11-23T04:12:31+00:00") == "23 November 2026, 04:12:31 UTC"
    assert moment("2026-11-23T05:12:31+01:00") == "23 November 2026, 04:12:31 UTC"
    assert moment("yesterday") == "yesterday"
    assert [seconds(each) for each in (0.0834, 1.42, 125.0)] == ["83 ms", "1.4 s", "2 min 5 s"]
