"""What a retirement tells before it begins: each obstacle with the way to settle it, and sizes as people say them."""

from __future__ import annotations

import json

import pytest

from golabs_infra.retirement import Dependent, Grantee, Holding, Preflight
from golabs_infra.retiring import Retirement, in_units
from golabs_infra.sessions import Session

USED = Preflight(
    "billing",
    (Holding("table", 2, 10, 16384), Holding("view", 1, None, None)),
    (Dependent("view reporting.bills", tuple(f"table billing.t{index}" for index in range(5))),),
    (Grantee('odd "name', ("SELECT", "USAGE"), ("billing_app_dev_user",)),),
    (Session(7, "billing_app_dev_user", "api", "10.0.0.1", True), Session(8, "billing_app_dev_user", "", "", False)),
)


def test_every_obstacle_comes_with_the_way_to_settle_it() -> None:
    assert [(fault.where, fault.what, fault.mend) for fault in USED.obstacles] == [
        (
            "open sessions",
            "the service's users are connected: billing_app_dev_user (2)",
            "stop billing, then run this again",
        ),
        (
            "view reporting.bills",
            "it needs table billing.t0, table billing.t1, table billing.t2, and more",
            "see who uses it, and drop or change it",
        ),
        (
            'role odd "name',
            "it has SELECT, USAGE in the schema billing",
            'see who uses it, then: REVOKE ALL ON ALL TABLES IN SCHEMA "billing" FROM "odd ""name"; '
            'REVOKE ALL ON ALL SEQUENCES IN SCHEMA "billing" FROM "odd ""name"; '
            'REVOKE ALL ON ALL ROUTINES IN SCHEMA "billing" FROM "odd ""name"; '
            'REVOKE ALL ON SCHEMA "billing" FROM "odd ""name";',
        ),
        (
            'role odd "name',
            "it is a member of billing_app_dev_user, and may do what that one may",
            'REVOKE "billing_app_dev_user" FROM "odd ""name";',
        ),
    ]


def test_what_is_open_to_everybody_is_told_as_public_and_closed_without_quotes() -> None:
    (fault,) = Preflight("billing", (), (), (Grantee("public", ("USAGE",), ()),), ()).obstacles
    assert (fault.where, fault.what, fault.mend) == (
        "PUBLIC",
        "everybody who may connect has USAGE in the schema billing, which a retirement takes away",
        'see who uses it, then: REVOKE ALL ON ALL TABLES IN SCHEMA "billing" FROM PUBLIC; '
        'REVOKE ALL ON ALL SEQUENCES IN SCHEMA "billing" FROM PUBLIC; REVOKE ALL ON SCHEMA "billing" FROM PUBLIC;',
    )


def test_what_nobody_uses_has_no_obstacles_however_much_it_holds() -> None:
    assert Preflight("billing", USED.holdings, (), (), ()).obstacles == ()


def test_programs_are_told_everything() -> None:
    told = json.loads(json.dumps(USED.as_json()))
    assert told["holds"][0] == {"kind": "table", "number": 2, "rows": 10, "bytes": 16384}
    assert len(told["dependents"][0]["needs"]) == 5
    assert told["sessions"][0]["pid"] == 7


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 kB"), (1536, "1.5 kB"), (3 * 2**40, "3 TB"), (2**52, "4096 TB")],
)
def test_sizes_are_said_as_people_say_them(size: int, words: str) -> None:
    assert in_units(size) == words


def test_a_request_knows_how_it_is_written() -> None:
    assert Retirement("billing").command("dev") == "retire dev billing"
    assert Retirement("billing", undo=True, force=True).command("dev") == "retire dev billing --undo"
