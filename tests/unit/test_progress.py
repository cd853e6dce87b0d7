"""How far a run has come: both engines' reports are counted by service, the latest first, and nothing of a value is kept."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from golabs_infra import live_table
from golabs_infra.changes import CreateDatabase, CreateRole, CreateSchema, GrantPrivileges, SetPassword
from golabs_infra.engine_events import Step
from golabs_infra.live_table import TerminalConsole, drawn
from golabs_infra.progress import COLUMNS, Board, Row, Work

from ..terminal import lines_left
from .catalogs import make_desired

DATABASE = "go-labs-tst"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def board() -> Board:
    return Board(DATABASE, Clock())


def row(name: str, **counts: int) -> Row:
    return Row(name, tuple(counts.get(column, 0) for column in COLUMNS))


def test_both_engines_fill_the_same_table() -> None:
    service = make_desired().services[0]
    role, schema = service.app, service.schema
    direct = board()
    for change in (
        CreateDatabase(DATABASE),
        CreateRole(role, None),
        CreateSchema(schema),
        GrantPrivileges(service.grants[0]),
    ):
        direct.take_change(change)
    pulumi = board()
    for kind, name in (
        ("postgresql:index/database:Database", DATABASE),
        ("postgresql:index/role:Role", "billing-app"),
        ("postgresql:index/schema:Schema", "billing"),
        ("postgresql:index/grant:Grant", "billing-app-schema"),
    ):
        pulumi.take_step(Step("create", kind, name))
    expected = (row("billing", users=1, schemas=1, privileges=1), row(DATABASE, other=1))
    assert direct.view(9).rows == pulumi.view(9).rows == expected


def test_the_service_that_was_worked_on_last_comes_first_and_the_sum_is_of_all() -> None:
    counted = board()
    for service in ("a", "b", "c", "a"):
        counted.take_step(Step("create", "postgresql:index/role:Role", f"{service}-app"))
    view = counted.view(2)
    assert view.rows == (row("a", users=2), row("c", users=1))
    assert (view.left_out, view.total) == (1, row("all", users=4))


def test_work_whose_number_is_known_is_shown_as_it_is_now() -> None:
    counted = board()
    counted.reach("users tried", 1, 3)
    counted.reach("users tried", 2, 3)
    assert counted.view(9).works == (Work("users tried", 2, 3),)


def test_no_value_of_a_change_is_kept() -> None:
    counted = board()
    counted.take_change(SetPassword("billing_app_tst_user", "SCRAM-SHA-256$4096:canary"))
    assert "canary" not in repr(vars(counted)) + repr(counted.view(9))


@pytest.mark.parametrize("height", [1, 3, 6, 40])
def test_what_is_drawn_is_gone_afterwards_and_fits(height: int) -> None:
    counted, shown = board(), io.StringIO()
    for number in range(30):
        counted.take_step(Step("create", "postgresql:index/role:Role", f"service{number}-app"))
    console = TerminalConsole(file=shown, force_terminal=True, width=60, height=height, legacy_windows=False)
    with pytest.raises(KeyError), drawn(counted, console):
        raise KeyError
    text = shown.getvalue()
    assert text.count("service") <= max(1, height)
    assert "\x1b[?25l" not in text
    assert text.endswith("\x1b[2K")  # the last line that was drawn is erased


@pytest.fixture
def drawn_all_the_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The table is drawn anew as often as can be, and threads change in the middle of everything."""
    monkeypatch.setattr(live_table, "_TIMES_A_SECOND", 5000)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.parametrize("works", [0, 3])
@pytest.mark.parametrize("height", [2, 5, 12])
def test_what_is_printed_meanwhile_stays_and_nothing_else(height: int, works: int, drawn_all_the_time: None) -> None:
    counted, shown = board(), io.StringIO()
    console = TerminalConsole(file=shown, force_terminal=True, width=60, height=height, legacy_windows=False)
    lines = [f"line {number}" for number in range(20)]
    with drawn(counted, console):
        for number, line in enumerate(lines):
            counted.take_step(Step("create", "postgresql:index/role:Role", f"service{number}-app"))
            for work in range(works):
                counted.reach(f"work {work}", number, len(lines))
            console.out(line, highlight=False)
    assert lines_left(shown.getvalue(), (height, 60)) == tuple(lines)
