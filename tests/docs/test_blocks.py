"""How pages are read: commands, their output, comments that direct, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from .blocks import BlockError, difference, needs_of_page, read_page

PAGE = """\
<!-- needs: pulumi -->
# A page

<!-- before: own_server -->
<!-- before: true -->
<!-- exit: 2 -->
```console
$ golabs up tst   # all
  billing
...
$ cat <<'END' | sort \\
    --reverse
b
END
b
```

Text between.

```console
$ true
```

```text
not a command
```
"""


def page(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_commands_have_their_lines_and_the_output_that_is_shown(tmp_path: Path) -> None:
    path = page(tmp_path, PAGE)
    first, second, third = read_page(path)
    assert needs_of_page(path) == "pulumi"
    assert [(each.text, each.line, each.shown) for each in first.commands] == [
        ("golabs up tst   # all", 8, ("  billing", "...")),
        ("cat <<'END' | sort \\\n    --reverse\nb\nEND", 11, ("b",)),
    ]
    assert first.directives["before"] == ["own_server", "true"]
    assert first.told("exit") == "2"
    assert [each.text for each in second.commands] == ["true"]
    assert second.directives == {}
    assert third.commands == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("```console\n$ true\n", "page.md:1: the block has no end"),
        ("```sh\ntrue\n```\n", "not 'sh'"),
        ("```\ntrue\n```\n", "not ''"),
        ("```console\ntrue\n```\n", "page.md:2: a console block begins with a command"),
        ("x\n\n```console\n$ cat <<A\nb\n```\n", "page.md:4: the command has no end"),
        ("```text\nx\n$ true\n```\n", "page.md:1: commands stand in a console block"),
        ("<!-- exits: 2 -->\n```console\n$ true\n```\n", "page.md:1: no such directive: exits"),
    ],
)
def test_what_nobody_could_run_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BlockError, match=says.replace("'", ".")):
        read_page(page(tmp_path, text))


@pytest.mark.parametrize(
    ("shown", "printed", "found"),
    [
        ((), "anything", None),
        (("done in 0.2 s", "...", "5 changed"), "done in 13.5 s\nmore\nstill more\n12 changed\n", None),
        (("done in 0.2 s", "...", "5 changed"), "done in 13.5 s\n12 changed\n", None),
        (("x", "a  b"), "x\n\n   a b\n", None),
        (("granted to ... by x",), "granted to the user by x", None),
        (("b", "a"), "a\nb\n", "not printed, or not there: b"),
        (("...", "b", "a"), "a\nb\n", "not printed, or not there: a"),
        (("a", "c"), "a\nb\nc\n", "not printed, or not there: c"),
        (("a", "..."), "a\nb\n", None),
        (("a",), "a\nb 1\nc\n", "printed, and not shown: b 0"),
        (("a",), "ab", "not printed, or not there: a"),
        (("3 pairs",), "three pairs", "not printed, or not there: 3 pairs"),
        (("PostgreSQL 18.4 on 127.0.0.1:54329",), "PostgreSQL 16.14 on 127.0.0.1:33001", None),
    ],
)
def test_what_is_shown_is_what_was_printed(shown: tuple[str, ...], printed: str, found: str | None) -> None:
    assert difference(shown, printed) == found
