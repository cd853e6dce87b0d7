"""What troubleshooting quotes is what is said, and everything that the fault suite causes has its row there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ..support import REPOSITORY

TROUBLESHOOTING = REPOSITORY / "docs" / "troubleshooting.md"
SAID_BY_OTHERS = {
    "PostgreSQL": (
        "cannot connect to invalid database",
        "canceling statement due to lock timeout",
        "canceling statement due to statement timeout",
        "permission denied for schema",
        "must be owner of table",
        "objects in database go-labs-tst~reset",
    ),
    "Pulumi": ("the stack is currently locked by", "cannot be deleted because it is protected"),
    "the system": ("Read-only file system", "No space left on device", "Permission denied"),
}
"""Quoted pieces that stand in no message of ours."""
FAULTS = (
    (r"\.golabs.* is read-only|^output.* is read-only", "Read-only file system"),
    (r"no space left in the state's folder", "no space is left where the CLI keeps the stack's state"),
    (r"no space left in", "No space left on device"),
    (r"^\d+ `up` at once", "another run is at work on the stack"),
    (r"another run is at work and does not end", "another golabs run has been at work on it"),
    (r"TLS is wanted", "the server has none, and golabs-infra:sslMode is"),
    (r"^bad input", "unknown key"),
    (r"connection cut|server restarted|session ended", "the connection to PostgreSQL was lost"),
    (r"^kill -9", "a run that is dead"),
    (r"^Ctrl-C|^SIGTERM", "interrupted"),
    (r"connection is free", "too many clients already"),
    (r"somebody is changing a service's user", "canceling statement due to lock timeout"),
    (r"statement_timeout", "canceling statement due to statement timeout"),
    (r"the admin may not log in", "is not permitted to log in"),
    (r"the admin's database is missing", "does not exist"),
    (r"replica$", "it is a read-only replica"),
    (r"the server is read-only", "somebody has made it read-only"),
    (r"shutting down", "the database system is"),
    (r"wrong host", "the host's name can't be resolved"),
    (r"wrong password", "the server refuses the password of"),
    (r"never answers", "no answer within"),
    (r"nothing listens", "no PostgreSQL answers there"),
    (r"something else answers", "something answers there that does not speak PostgreSQL's protocol"),
)
"""Faults of docs/faults.md by their names, the first that fits, and what is said of each."""


def quoted(page: Path) -> Iterator[str]:
    """The cells under `what is said` in a page's tables."""
    within = False
    for line in page.read_text(encoding="utf-8").splitlines():
        within = line.startswith("| what is said |") or (within and line.startswith("|"))
        if within and not line.startswith(("| what is said |", "| ---")):
            yield line.removeprefix("| ").partition(" | ")[0]


def pieces(cell: str) -> list[str]:
    """The words of a cell between names and numbers, and between two messages that mean the same."""
    return [words for piece in re.split(r"\.\.\.| / ", cell) if (words := piece.strip(" ()"))]


@cache
def said() -> str:
    """Every text in the code that may be a part of a message, each on lines of its own."""
    texts = []
    for file in sorted((REPOSITORY / "golabs_infra").rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        about = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in about:
                texts.append(node.value)
    return "\n".join(texts)


def causes() -> list[str]:
    """The names of the faults after which a command had something to say."""
    rows = re.findall(r"^\| (.*?) \| .*? \| \d+ \| (.*?) \|", (REPOSITORY / "docs/faults.md").read_text(), re.MULTILINE)
    return sorted({name for name, ending in rows if re.search("exit 1|killed|by the signal", ending)})


@pytest.mark.parametrize("page", [TROUBLESHOOTING, REPOSITORY / "README.md"], ids=lambda page: page.name)
def test_what_is_quoted_is_what_is_said(page: Path) -> None:
    others = {words for listed in SAID_BY_OTHERS.values() for words in listed}
    found = {words for cell in quoted(page) for words in pieces(cell)}
    assert len(found) > 5
    assert {words for words in found - others if words not in said()} == set()


def test_nothing_is_listed_as_said_by_others_that_is_not_quoted() -> None:
    found = {words for cell in quoted(TROUBLESHOOTING) for words in pieces(cell)}
    assert {words for listed in SAID_BY_OTHERS.values() for words in listed} <= found


def test_everything_that_the_fault_suite_causes_has_its_row() -> None:
    cells = list(quoted(TROUBLESHOOTING))
    used = set()
    for name in causes():
        words = next((words for pattern, words in FAULTS if re.search(pattern, name)), None)
        assert words is not None, f"{name}: say in FAULTS what is said of it"
        assert any(words in cell for cell in cells), f"{name}: no row of troubleshooting says {words!r}"
        used.add(words)
    assert used == {words for _, words in FAULTS}
