"""Errors: one readable message in three parts, and one tree."""

from __future__ import annotations

import pytest

from golabs_infra import errors
from golabs_infra.errors import AdoptionError, ConfigError, Fault, FaultsError, GolabsError, RetirementError


def test_a_message_says_where_what_and_how_to_mend_it() -> None:
    error = GolabsError("it is not there", where="Pulumi.tst.yaml", mend="pulumi stack init tst")
    assert str(error) == "Pulumi.tst.yaml: it is not there\n  mend: pulumi stack init tst"


def test_a_message_without_place_or_mend_is_what_is_wrong_alone() -> None:
    assert str(GolabsError("it is not there")) == "it is not there"


def test_faults_come_together_each_on_lines_of_its_own() -> None:
    error = ConfigError([Fault("b", "is bad", "write b"), Fault("a", "is worse", "write a")], where="Pulumi.tst.yaml")
    assert str(error) == (
        "Pulumi.tst.yaml: 2 faults\n  - a: is worse\n      mend: write a\n  - b: is bad\n      mend: write b"
    )


@pytest.mark.parametrize(
    ("kind", "title"), [(ConfigError, "1 fault"), (AdoptionError, "1 obstacle"), (RetirementError, "1 obstacle")]
)
def test_one_fault_is_counted_in_the_singular(kind: type[FaultsError], title: str) -> None:
    assert str(kind([Fault("a", "is bad", "write a")], where="x")).splitlines()[0] == f"x: {title}"


def test_faults_can_have_a_way_around_all_of_them() -> None:
    error = RetirementError([Fault("a", "is used", "stop a")], where="x", mend="or use --force")
    assert str(error) == "x: 1 obstacle\n  - a: is used\n      mend: stop a\n  mend: or use --force"


def test_faults_are_in_the_order_of_their_paths_with_numbers_as_numbers() -> None:
    paths = ["services[10].name", "services[2].name", "host", "services[2]"]
    error = ConfigError([Fault(path, "is bad", "mend it") for path in paths], where="x")
    assert [fault.where for fault in error.faults] == ["host", "services[2]", "services[2].name", "services[10].name"]


def test_the_same_fault_is_told_once() -> None:
    assert len(ConfigError([Fault("a", "is bad", "write a")] * 3, where="x").faults) == 1


def test_every_error_of_the_tree_is_drawn_and_a_golabs_error() -> None:
    kinds = {
        name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert all(issubclass(kind, GolabsError) for kind in kinds.values())
    assert [name for name in kinds if name != "FaultsError" and name not in (errors.__doc__ or "")] == []
