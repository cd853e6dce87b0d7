"""What a run shows: progress, and names that would do something on a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO

import pytest

from golabs_infra.console import Screen, visible

HOSTILE = "a\x1b[2J\x07\r\x9b1mb\u202ec\u2066\u200b\udc80"
SHOWN = r"a\x1b[2J\x07\r\x9b1mb\u202ec\u2066\u200b\udc80"


def told(capsys: pytest.CaptureFixture[str], total: int) -> list[str]:
    """What is said on standard error of so many steps."""
    screen = Screen(as_json=True)
    for done in range(1, total + 1):
        screen.progress("users tried", done, total)
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.splitlines()


def test_long_work_is_told_in_quarters(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, 200) == [f"users tried: {done} of 200" for done in (50, 100, 150, 200)]
    assert [line.split(": ")[1] for line in told(capsys, 22)] == ["6 of 22", "11 of 22", "17 of 22", "22 of 22"]


def test_short_work_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, 19) == []


def test_a_terminal_has_one_line_that_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    screen = Screen()
    for done in (1, 2):
        screen.progress("users tried", done, 2)
    assert capsys.readouterr().err == "\rusers tried: 1 of 2\rusers tried: 2 of 2\n"


@pytest.mark.parametrize("show", [Screen.error, Screen.line, lambda screen, text: screen.table(["name"], [[text]])])
def test_what_follows_unfinished_progress_begins_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, show: Callable[[Screen, str], None]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    Screen().progress("users tried", 1, 2)
    show(Screen(), "what came")  # another one: the command's errors are not shown by the screen of its run
    assert capsys.readouterr().err.startswith("\rusers tried: 1 of 2\n")
    Screen().error("more")
    assert not capsys.readouterr().err.startswith("\n")


def test_a_question_follows_on_a_line_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", StringIO("yes\n"))
    screen = Screen()
    screen.progress("users tried", 1, 2)
    assert screen.ask("go on?") == "yes"
    screen.error("why not")
    assert capsys.readouterr().err.startswith("\rusers tried: 1 of 2\ngo on? \n")


@pytest.mark.parametrize("given", [None, StringIO("")], ids=["closed", "at its end"])
def test_where_nobody_can_answer_nothing_is_asked(
    given: StringIO | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", given)
    assert Screen().ask("go on?") is None
    assert capsys.readouterr().err == ""


def test_what_can_be_printed_is_shown_as_it_is() -> None:
    for text in ("", "plain", "two\nlines\tand more", "äöü ß — “quoted” «cité\u00a0» 表 😀 e\u0301"):
        assert visible(text) == text


def test_what_cannot_be_printed_is_written_out() -> None:
    assert visible(HOSTILE) == SHOWN
    assert visible("\0\x7f\u2028") == r"\x00\x7f\u2028"


@pytest.mark.parametrize("terminal", [False, True])
def test_no_name_of_a_server_does_anything_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "200")
    screen = Screen()
    screen.line(HOSTILE)
    screen.step("+", HOSTILE)
    screen.heading(HOSTILE)
    screen.verdict("high", HOSTILE)
    screen.warning(HOSTILE)
    screen.error(HOSTILE)
    screen.table([HOSTILE], [[HOSTILE]])
    screen.progress(HOSTILE, 20, 20)
    shown = capsys.readouterr()
    text = shown.out + shown.err
    if terminal:
        for style in ("\x1b[1m", "\x1b[0m"):  # rich's own
            text = text.replace(style, "")
    assert visible(text) == text
    assert text.count(SHOWN) == 9


ROWS = [
    ("billing", "billing_migration_tst_user", "billing_app_tst_user", "output/tst/billing-connections.yaml"),
    ("a_service_with_a_name", "a_service_with_a_name_migration_tst_user", "x", "what is told of it, in several words"),
]


@pytest.mark.parametrize("width", [20, 60, 80, 100, 121, 122, 130, 200])
def test_no_name_of_a_table_is_cut_or_broken_however_narrow_the_terminal_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    Screen().table(("service and schema", "migration user", "app user", "connection file"), ROWS)
    shown = capsys.readouterr().out
    for word in (word for row in ROWS for cell in row for word in cell.split()):
        assert word in shown
    assert "…" not in shown
    assert ("  migration user   billing_migration_tst_user\n" in shown) == (width < 122)


def test_programs_get_every_character(capsys: pytest.CaptureFixture[str]) -> None:
    name = HOSTILE.removesuffix("\udc80")
    screen = Screen(as_json=True)
    screen.raw(name)
    screen.result({"name": name})
    first, _, rest = capsys.readouterr().out.partition("\n")
    assert (first, json.loads(rest)) == (name, {"name": name})
