"""A stack belongs to one server and its database: another server, or a lost database, stops a run before anything."""

from __future__ import annotations

import re
import shutil

from golabs_infra.endpoint import Endpoint

from ..support import free_port
from .checkout import Checkout
from .database import can_work, databases, execute, login, migrate, passwords, users, verifiers


def test_a_lost_database_stops_the_run_and_its_restored_copy_is_taken_up_again(
    checkout: Checkout, server: Endpoint
) -> None:
    checkout.services("qua", "billing")
    checkout.init("qua")
    checkout.point_at("qua", server)
    checkout.confirmed_up("qua")
    record = checkout.connections("qua")["billing"]
    migrate(record)
    files, stored = checkout.connection_texts("qua"), verifiers(server)

    execute(server, 'ALTER DATABASE "go-labs-qua" RENAME TO somewhere_else')
    for words in ([], ["--refresh"]):  # a refresh lets the state forget everything, and the identity is still known
        refused = checkout.confirmed_up("qua", *words, fails=True)
        assert "the database 'go-labs-qua', which this stack provisioned, is gone" in refused.text, refused
        assert "restore it from a backup" in refused.text
        assert databases(server) == set()
        assert verifiers(server) == stored

    execute(server, 'ALTER DATABASE somewhere_else RENAME TO "go-labs-qua"')
    checkout.confirmed_up("qua")
    can_work(record)
    assert checkout.connection_texts("qua") == files
    assert verifiers(server) == stored
    checkout.unchanged("qua", "--refresh")


def test_another_server_stops_dev_and_both_servers_stay_as_they_are(
    checkout: Checkout, server: Endpoint, second_server: Endpoint
) -> None:
    checkout.services("dev", "billing")
    checkout.init("dev")
    checkout.point_at("dev", server)
    checkout.up("dev")
    record = checkout.connections("dev")["billing"]
    migrate(record)
    before, state = verifiers(server), checkout.resources("dev").keys()

    checkout.point_at("dev", second_server)
    for refused in (
        checkout.up("dev", "--refresh", fails=True),
        checkout.golabs("up", "dev", fails=True),
        checkout.golabs("up", "dev", "--engine", "direct", fails=True),
    ):
        assert "this is another server" in refused.text, refused
        assert "Nothing was changed" in refused.text
    assert databases(second_server) == users(second_server) == set()
    assert verifiers(server) == before
    assert checkout.resources("dev").keys() == state
    can_work(record)


def test_tst_follows_to_a_server_that_lost_its_database_or_was_made_anew(checkout: Checkout) -> None:
    checkout.services("tst", "billing")
    port = str(free_port())
    checkout.golabs("server", "start", "--port", port)
    checkout.golabs("up", "tst")
    first = checkout.connections("tst")

    # plain pulumi says what to do
    execute(checkout.embedded(), 'DROP DATABASE "go-labs-tst" WITH (FORCE)')
    refused = checkout.up("tst", fails=True)
    found = re.search(r"golabs up tst; or .* pulumi (state delete --all --yes) --stack tst", refused.text)
    assert found, refused
    checkout.pulumi(*found[1].split(), stack="tst")
    checkout.up("tst")
    login(checkout.connections("tst")["billing"], "app").close()

    # golabs does it by itself
    execute(checkout.embedded(), 'DROP DATABASE "go-labs-tst" WITH (FORCE)')
    checkout.golabs("up", "tst")
    login(checkout.connections("tst")["billing"], "app").close()

    # the embedded server made anew has another password too
    checkout.golabs("server", "stop")
    shutil.rmtree(checkout.project.server_home)
    checkout.golabs("server", "start", "--port", port)
    checkout.golabs("up", "tst")
    assert passwords(checkout.connections("tst")) == passwords(first)
    migrate(checkout.connections("tst")["billing"])
    checkout.unchanged("tst", "--refresh")
