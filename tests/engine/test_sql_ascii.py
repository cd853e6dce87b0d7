"""A server whose databases have no encoding (SQL_ASCII) under the real engine."""

from __future__ import annotations

from golabs_infra.endpoint import Endpoint

from ..support import wipe
from .checkout import Checkout
from .database import can_work, migrate


def test_a_stack_there_has_a_state_of_text_and_is_as_anywhere(checkout: Checkout, sql_ascii: Endpoint) -> None:
    wipe(sql_ascii)
    checkout.services("dev", "billing", "catalog")
    checkout.init("dev")
    checkout.point_at("dev", sql_ascii)
    checkout.up("dev")
    identifier = checkout.pulumi("stack", "output", "systemIdentifier", stack="dev").out.strip()
    assert identifier.isdecimal()
    for record in checkout.connections("dev").values():
        migrate(record)
        can_work(record)
    checkout.unchanged("dev", "--refresh")
    for command in ("up", "verify", "drift", "doctor"):
        checkout.golabs(command, "dev")
