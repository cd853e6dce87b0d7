"""The benchmark's pure parts: statistics, the table, the results' file, and what contenders are told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.statistics import Summary, duration, factor, mebibytes, summarise
from benchmarks.table import render
from benchmarks.values import DATABASE, Entrant, Measurement, Results, Scenario, from_json, password_of, services
from golabs_infra.names import database_name

ENTRANTS = (
    Entrant("direct", "ours", "1.0", notes=("writes files too",)),
    Entrant("psql", "bare statements", "18"),
    Entrant("psql-script", "script", "18"),
    Entrant("golabs-pulumi", "pulumi engine", "3"),
    Entrant("ansible", "Ansible", None, "pip install ansible"),
)


def measured(contender: str, size: int, scenario: Scenario, *seconds: float) -> Measurement:
    return Measurement(contender, size, scenario, seconds)


RESULTS = Results(
    {"server": "PostgreSQL 18"},
    ENTRANTS,
    (
        replace(measured("direct", 3, Scenario.FRESH, 0.3, 0.2, 0.4), peak_bytes=50 * 1024**2),
        measured("psql", 3, Scenario.FRESH, 0.1, 0.1, 0.15),
        replace(measured("direct", 3, Scenario.SAME, 0.2), wrote=False),
        replace(measured("psql-script", 3, Scenario.SAME, 0.1), wrote=True),
        measured("direct", 1000, Scenario.FRESH, 12.3),
        measured("golabs-pulumi", 50, Scenario.FRESH, 10.0),
        measured("golabs-pulumi", 100, Scenario.FRESH, 21.0),
        Measurement("golabs-pulumi", 3, Scenario.RESET, error="it said:\n  no"),
    ),
)


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


class TestStatistics:
    def test_a_summary_has_median_and_extremes(self) -> None:
        assert summarise([0.3, 0.1, 0.2, 9.0]) == Summary(4, 0.25, 0.1, 9.0)

    def test_nothing_has_no_summary(self) -> None:
        assert summarise([]) is None

    def test_a_ratio_is_of_the_medians(self) -> None:
        assert Summary(1, 3.0, 3.0, 3.0).times(Summary(3, 2.0, 0.1, 9.0)) == 1.5

    @pytest.mark.parametrize(
        ("seconds", "text"), [(0.0456, "0.046"), (0.9996, "1.00"), (9.994, "9.99"), (9.996, "10.0"), (107.4, "107")]
    )
    def test_a_duration_has_the_digits_that_mean_something(self, seconds: float, text: str) -> None:
        assert duration(seconds) == text

    @pytest.mark.parametrize(("ratio", "text"), [(0.812, "0.81"), (0.996, "1.0"), (2.34, "2.3"), (44.6, "45")])
    def test_a_factor_has_two_digits(self, ratio: float, text: str) -> None:
        assert factor(ratio) == text

    def test_memory_is_in_mebibytes(self) -> None:
        assert mebibytes(50 * 1024**2) == "50"


class TestTable:
    def test_a_cell_has_median_spread_and_the_ratio_to_psql(self) -> None:
        assert "| ours | **0.300** (0.200–0.400) 3.0× | – | – | **12.3** (n=1) |" in render(RESULTS)

    def test_the_yardstick_itself_has_no_ratio(self) -> None:
        assert "| bare statements | **0.100** (0.100–0.150) | – | – | – |" in render(RESULTS)

    def test_where_bare_statements_cannot_run_the_script_is_the_yardstick(self) -> None:
        assert "| ours | **0.200** (n=1) 2.0× | – | – | – |" in render(RESULTS)
        assert "× script." in render(RESULTS)

    def test_what_is_not_installed_is_named_and_has_no_row(self) -> None:
        text = render(RESULTS)
        assert lines(text, "- Ansible") == ["- Ansible: not installed; pip install ansible"]
        assert not lines(text, "| Ansible")

    def test_a_failure_is_shown_in_one_line(self) -> None:
        text = render(RESULTS)
        assert "| pulumi engine | failed |" in text
        assert "- golabs-pulumi, 3 services, reset: failed: it said: no" in text

    def test_memory_is_shown(self) -> None:
        assert "| ours | 50 | – | – | – |" in render(RESULTS)

    def test_growth_from_50_to_100_is_told(self) -> None:
        assert "- pulumi engine: 100 services take 2.1× the time of 50." in render(RESULTS)

    def test_it_is_told_who_writes_where_nothing_changes(self) -> None:
        text = render(RESULTS)
        assert any("writes nothing" in line for line in lines(text, "- ours: with no change"))
        assert any("writes to the catalogs again" in line for line in lines(text, "- script: with no change"))


class TestValues:
    def test_results_survive_their_file(self) -> None:
        assert from_json(json.loads(json.dumps(RESULTS.as_json()))) == RESULTS

    def test_a_longer_list_of_services_begins_with_the_shorter_one(self) -> None:
        assert services(101)[:100] == services(100)

    def test_users_have_passwords_of_their_own_that_need_no_quoting(self) -> None:
        passwords = [password_of(user) for service in services(1000) for user in service.users]
        assert len(set(passwords)) == 2000
        assert all(len(password) == 32 and password.isalnum() for password in passwords)

    def test_names_are_those_of_the_package(self) -> None:
        assert database_name("tst") == DATABASE
