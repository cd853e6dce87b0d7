"""How far a long piece of work is: told in quarters where nobody watches, and written over on a terminal."""

from __future__ import annotations

import pytest

from golabs_infra.console import Screen


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
