"""A database that an interrupted DROP DATABASE has left half dropped, under the real engine and its state."""

from __future__ import annotations

import pytest

from golabs_infra.endpoint import Endpoint

from .checkout import Checkout
from .database import can_work, databases, execute, migrate

INVALIDATE = "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'go-labs-{}'"


def test_up_of_a_disposable_stack_drops_it_and_makes_it_again(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "billing", "catalog")
    checkout.point_at("tst", server)
    checkout.golabs("up", "tst")
    known = checkout.connections("tst")
    execute(server, INVALIDATE.format("tst"))
    refused = checkout.up("tst", fails=True)
    assert "the stack's state speaks of a database that is not on" in refused.text, "plain pulumi says what to do"
    assert "golabs up tst" in refused.text
    done = checkout.golabs("up", "tst")
    assert "go-labs-tst is half dropped, by a DROP DATABASE that was interrupted" in done.text
    assert checkout.connections("tst") == known
    for record in known.values():
        migrate(record)
        can_work(record)
    checkout.unchanged("tst", "--refresh")

    execute(server, INVALIDATE.format("tst"))
    checkout.golabs("reset", "tst", "--yes")
    checkout.unchanged("tst", "--refresh")

    execute(server, INVALIDATE.format("tst"))
    checkout.golabs("destroy", "tst", "--yes")
    assert databases(server) == set()
    assert checkout.resources("tst") == {}


@pytest.mark.parametrize("stack", ["dev", "prd"])
def test_where_it_is_kept_every_command_says_what_a_person_can_do(
    stack: str, checkout: Checkout, server: Endpoint
) -> None:
    checkout.services(stack, "billing")
    checkout.init(stack)
    checkout.point_at(stack, server)
    checkout.confirmed_up(stack)
    state = checkout.resources(stack)
    execute(server, INVALIDATE.format(stack))
    confirmed = {"GOLABS_CONFIRM": f"go-labs-{stack}"}
    commands = [
        ("up",),
        ("preview",),
        ("verify",),
        ("drift",),
        ("doctor",),
        *([("destroy",)] if stack == "dev" else []),
    ]
    told = [checkout.golabs(*words, stack, fails=True, variables=confirmed) for words in commands]
    told += [checkout.confirmed_up(stack, fails=True), checkout.preview(stack, fails=True)]
    for refused in told:
        assert "the database is invalid: a DROP DATABASE that was interrupted has left it half dropped" in refused.text
        assert f'DROP DATABASE "go-labs-{stack}"' in refused.text
    assert checkout.resources(stack) == state
    assert databases(server) == {f"go-labs-{stack}"}
