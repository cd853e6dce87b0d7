"""Pages lead to each other: every link has its end, every page can be reached, and every key that is shown exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from golabs_infra.config_keys import KEYS, AcceptedFinding, ServiceSettings

from ..support import REPOSITORY
from .pages import Page, pages

NAMESPACE = "golabs-infra:"
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


@cache
def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCED.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Its headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(path: Path) -> list[tuple[Path, str]]:
    """The files and anchors of this project that a page links to."""
    found = []
    for match in _LINK.finditer(prose(path)):
        target, _, anchor = match["target"].partition("#")
        if ":" not in target:
            found.append(((path.parent / target).resolve() if target else path, anchor))
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_link_has_its_end(page: Page) -> None:
    broken = [
        f"{target}#{anchor}"
        for target, anchor in links(page.path)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    left = [REPOSITORY / "README.md"]
    while left:
        path = left.pop()
        if path not in seen and path.suffix == ".md":
            seen.add(path)
            left += [target for target, _ in links(path)]
    assert {page.path for page in pages()} - seen == set()


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_configuration_that_is_shown_has_keys_that_exist(page: Page) -> None:
    for block in page.blocks:
        if block.language != "yaml" or NAMESPACE not in block.text:
            continue
        document = yaml.safe_load(block.text)
        config = document.get("config", document)
        given = {key.removeprefix(NAMESPACE): value for key, value in config.items()}
        assert set(given) <= set(KEYS), f"{page.name}:{block.line}"
        for key, model in (("services", ServiceSettings), ("accepted", AcceptedFinding)):
            names = {field.alias or name for name, field in model.model_fields.items()}
            for entry in given.get(key) or []:
                assert isinstance(entry, str) or set(entry) <= names, f"{page.name}:{block.line}"
