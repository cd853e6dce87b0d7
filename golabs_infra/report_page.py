"""The page of `golabs verify --html`: a report as one HTML document that needs nothing else, neither network nor script.

Pure: it gives the text. What the page shows is in templates/verify.html, how it looks in verify.css, and verify.js adds
comfort only (filters, copying). A name that a server gave can be anything; none gets out of its place.
"""

from __future__ import annotations

import unicodedata
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from itertools import groupby
from typing import Literal

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from .findings import Severity
from .report import FindingEntry, FindingName, Holding, Reach, Report, ServiceReport
from .wording import counted

Mood = Literal["good", "warn", "bad"]

_WORDS_FIT, _LARGE = 6, 24
"""Up to how many services a cell of the matrix has room for words, and from where on cells are small."""


@dataclass(frozen=True)
class Verdict:
    """What is to be read from across the room, and the sentence below it."""

    mood: Mood
    symbol: str
    word: str
    sentence: str


@dataclass(frozen=True)
class Numbered:
    """A finding and its number on the page, by which links name it."""

    number: int
    entry: FindingEntry

    @property
    def acceptance(self) -> str:
        """The line of `accepted:` that would accept it, for the stack's file."""
        entry = {"id": _literally(self.entry.id), "object": _literally(self.entry.object), "note": "why this is right"}
        flow = yaml.safe_dump(entry, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6)
        return f"- {flow.strip()}"

    @property
    def searched(self) -> str:
        """What the filter looks through, in lower case."""
        each = self.entry
        return " ".join((each.id, each.object, each.who, each.service, each.what, each.cause)).lower()


@dataclass(frozen=True)
class Way:
    """A pair of services that is not isolated: its number, what is reached, and the findings that explain it."""

    number: int
    reach: Reach
    findings: tuple[Numbered, ...]

    @property
    def accepted(self) -> bool:
        """Whether findings explain it and each of them is accepted."""
        return bool(self.findings) and all(each.entry.accepted for each in self.findings)

    @property
    def kind(self) -> str:
        """`reached` or `accepted`."""
        return "accepted" if self.accepted else "reached"

    @property
    def what(self) -> str:
        """What is reached, briefly: the privileges, or what was permitted at a login where the catalogs know of none."""
        return visible(", ".join(self.reach.privileges or self.reach.tried))

    @property
    def in_words(self) -> str:
        """What a tooltip says."""
        return f"{visible(self.reach.service)} reaches {visible(self.reach.into)}: {self.what}"


@dataclass(frozen=True)
class Row:
    """A row of the matrix: a service, and for every service None (isolated), itself, or the way into it."""

    service: ServiceReport
    cells: tuple[Way | Literal["own"] | None, ...]


@dataclass(frozen=True)
class Holder:
    """A service and what of its privileges differs from what is expected."""

    service: ServiceReport

    @property
    def differing(self) -> int:
        """How many of its holdings are not as expected."""
        return sum(not each.as_expected for each in self.service.holdings)

    @property
    def searched(self) -> str:
        """What the filter looks through, in lower case."""
        return f"{self.service.name} {self.service.migration_user} {self.service.app_user}".lower()


@dataclass(frozen=True)
class View:
    """A report as the template wants it."""

    report: Report

    @property
    def numbered(self) -> tuple[Numbered, ...]:
        """The findings, those that nobody has accepted first."""
        ordered = (*self.report.open, *(each for each in self.report.findings if each.accepted))
        return tuple(Numbered(number, each) for number, each in enumerate(ordered, 1))

    @property
    def groups(self) -> list[tuple[Severity, list[Numbered]]]:
        """The open findings by severity, worst first."""
        found = sorted((each for each in self.numbered if not each.entry.accepted), key=_rank)
        return [(severity, list(group)) for severity, group in groupby(found, key=lambda each: each.entry.severity)]

    @property
    def accepted(self) -> list[Numbered]:
        """The accepted findings."""
        return [each for each in self.numbered if each.entry.accepted]

    @property
    def ways(self) -> list[Way]:
        """Every pair of services that is not isolated, with what explains it."""
        numbered = self.numbered
        return [
            Way(number, reach, tuple(each for each in numbered if _explains(each.entry, reach)))
            for number, reach in enumerate(self.report.reach, 1)
        ]

    @property
    def rows(self) -> list[Row]:
        """The matrix."""
        ways = {(way.reach.service, way.reach.into): way for way in self.ways}
        names = [each.name for each in self.report.services]
        return [
            Row(each, tuple("own" if name == each.name else ways.get((each.name, name)) for name in names))
            for each in self.report.services
        ]

    @property
    def size(self) -> str:
        """How large a cell of the matrix can be: `words`, `symbols` or `small`."""
        number = len(self.report.services)
        return "words" if number <= _WORDS_FIT else "symbols" if number <= _LARGE else "small"

    @property
    def holders(self) -> list[Holder]:
        """The services with their privileges."""
        return [Holder(each) for each in self.report.services]

    @property
    def verdict(self) -> Verdict:
        """The one thing to be told."""
        reached = sum(not way.accepted for way in self.ways)
        worst = min((each.severity.rank for each in self.report.open), default=len(Severity))
        if reached or worst == Severity.CRITICAL.rank:
            return Verdict("bad", "✕", "Not isolated", self._sentence(reached))
        if self.report.open:
            return Verdict("warn", "!", "Not proven", self._sentence(0))
        if self.report.live and self.report.live.unproven:
            undecided = counted(self.report.live.unproven, "attempt")
            told = f"Nothing was found, but {undecided} that the isolation hangs on could not be decided."
            return Verdict("warn", "!", "Not proven", told)
        return Verdict("good", "✓", "Isolated", self._proof())

    def _sentence(self, reached: int) -> str:
        found, pairs = f"{counted(len(self.report.open), 'finding')} to mend", self.report.pairs
        if reached:
            return f"{reached} of {pairs} pairs of services {'is' if reached == 1 else 'are'} not isolated; {found}."
        if self.groups[0][0] is Severity.CRITICAL:
            return f"{found[0].upper()}{found[1:]}, the worst of them critical."
        return f"No service was seen in another one's schema, but not all is as it should be: {found}."

    def _proof(self) -> str:
        number = len(self.report.services)
        many = f"None of {number} services reaches another one's schema" if number > 1 else "There is no other service"
        allowed = f" ({counted(len(self.accepted), 'finding')} accepted)" if self.accepted else ""
        how = (
            "by the catalogs and by logging in" if self.report.live else "by the catalogs; nobody has logged in to try"
        )
        return f"{many}{allowed}: proven {how}."


def render_page(report: Report) -> str:
    """The whole page. The same report gives the same text."""
    environment = _environment()
    style, script = (environment.get_template(name).render() for name in ("verify.css", "verify.js"))
    return environment.get_template("verify.html").render(
        view=View(report), report=report, style=_source(style), script=_source(script)
    )


def visible(text: str) -> str:
    """A name with everything spelled out that is not seen, or that changes how the rest is seen: `\\u202e`."""
    return "".join(
        f"\\u{ord(each):04x}" if unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp") else each for each in text
    )


def moment(text: str) -> str:
    """An ISO time in UTC for people; what is none stays as it is."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return text
    parsed = parsed.astimezone(UTC) if parsed.tzinfo else parsed
    return f"{parsed.day} {parsed:%B %Y, %H:%M:%S} UTC"


def seconds(number: float) -> str:
    """`42 ms`, `1.3 s`, `2 min 5 s`."""
    if number < 1:
        return f"{round(number * 1000)} ms"
    return f"{number:.1f} s" if number < 60 else f"{int(number // 60)} min {int(number % 60)} s"


def missing(holding: Holding) -> list[str]:
    """The privileges that should be there and are not everywhere."""
    return [each for each in holding.expected if each not in holding.has]


def excess(holding: Holding) -> list[str]:
    """The privileges that are there, be it on one only, and should not be."""
    return [each for each in dict.fromkeys((*holding.has, *holding.some)) if each not in holding.expected]


def kind(holding: Holding) -> str:
    """`12 tables`, `schema`."""
    if holding.on in ("tables", "sequences"):
        return counted(holding.number, holding.on.removesuffix("s"))
    return holding.on


def _copied(text: str) -> Markup:
    # A browser reads a bare CR as a line feed: what is copied would not be what was meant.
    return Markup(str(escape(text)).replace("\r", "&#13;"))  # noqa: S704  it is escaped


def _number(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _source(text: str) -> tuple[Markup, str]:
    """A style or a script of ours, and the hash by which the page's policy lets it in, and nothing else."""
    return Markup(text), b64encode(sha256(text.encode()).digest()).decode()  # noqa: S704  no name of a server is in it


def _literally(text: str) -> str:
    """A name for `accepted:` in which a star is a star."""
    return text.replace("*", "[*]")


def _rank(numbered: Numbered) -> int:
    return numbered.entry.severity.rank


def _explains(entry: FindingEntry, reach: Reach) -> bool:
    return FindingName(entry.id, entry.object) in reach.findings


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "copied": _copied,
        "counted": counted,
        "moment": moment,
        "seconds": seconds,
        "number": _number,
        "missing": missing,
        "excess": excess,
        "kind": kind,
    }
    return environment
