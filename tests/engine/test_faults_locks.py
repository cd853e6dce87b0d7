"""Somebody else is in the middle of a change: the real Pulumi engine waits in bounded time, says so, and nothing is lost.

The looks before the engine begins succeed, so that it is the provider whose statements are refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint

from ..faults.ledger import Faults
from .checkout import Checkout, Ran
from .database import can_work, create_admin, migrate, rows

BOUND_S = 45.0
LIMIT = "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'billing_app_tst_user'"
IMPATIENT = {"PGOPTIONS": "-c lock_timeout=2s"}


def assert_told(ran: Ran, code: str, mend: str) -> None:
    """One message that names the server's code, with a mend."""
    assert ran.code == 1, str(ran)
    assert ran.text.count("error: ") == 1, str(ran)
    assert code in ran.err, str(ran)
    assert mend in ran.err.partition("mend: ")[2], str(ran)


def timed(run: Callable[[], Ran]) -> tuple[Ran, float]:
    """What a command said, and its seconds, which are few."""
    began = time.monotonic()
    ran = run()
    seconds = time.monotonic() - began
    assert seconds < BOUND_S
    return ran, seconds


def test_what_another_session_holds_ends_up_in_one_message_and_nothing_is_lost(
    checkout: Checkout, server: Endpoint, faults: Faults
) -> None:
    admin = create_admin(server, "deployer", "CREATEROLE CREATEDB", ["pg_signal_backend"])
    checkout.services("tst", "billing")
    checkout.init("tst")
    checkout.point_at("tst", admin)
    checkout.up("tst")
    files = checkout.connection_texts("tst")
    migrate(checkout.connections("tst")["billing"])
    checkout.services("tst", {"name": "billing", "connectionLimit": 7})
    with connect_admin(server) as other, other.transaction(force_rollback=True):
        other.execute("ALTER ROLE billing_app_tst_user CONNECTION LIMIT 3")
        ran, seconds = timed(lambda: checkout.golabs("up", "tst", fails=True, variables=IMPATIENT))
        assert_told(ran, "(55P03)", "end its transaction")
        faults.record("somebody is changing a service's user: `up`", "pulumi", "exit 1: lock timeout", seconds)
    assert checkout.connection_texts("tst") == files
    checkout.golabs("up", "tst")
    assert rows(server, LIMIT) == [(7,)], "the next run has done what the one before was refused"
    assert checkout.connection_texts("tst") == files
    checkout.unchanged("tst", "--refresh")
    can_work(checkout.connections("tst")["billing"])
    with connect_admin(server) as other, other.transaction(force_rollback=True):
        other.execute("COMMENT ON ROLE billing_app_tst_user IS 'busy'")
        other.execute("ALTER ROLE billing_app_tst_user CONNECTION LIMIT 3")
        ran, seconds = timed(lambda: checkout.golabs("destroy", "tst", "--yes", fails=True, variables=IMPATIENT))
    assert_told(ran, "(55P03)", "end its transaction")
    faults.record("somebody is changing a service's user: `destroy`", "pulumi", "exit 1: lock timeout", seconds)
    checkout.golabs("up", "tst")
    checkout.unchanged("tst", "--refresh")
