"""Second logins: what the configuration may say of them, what the model makes of it, and what a rotation turns to what."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from golabs_infra.changes import AlterRole, CreateRole, SetPassword
from golabs_infra.connections import build_records, candidates, known_passwords, render_yaml, with_other
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ConfigError, GolabsError, UsageError
from golabs_infra.inspection import LiveRole
from golabs_infra.model import expand
from golabs_infra.names import MAX_NAME_BYTES, UserName, login_name, other_login, parse_user_name
from golabs_infra.plan import plan_logins
from golabs_infra.rotation import Rotation, Way
from golabs_infra.script import build_scripts
from golabs_infra.sql import statements
from golabs_infra.wording import describe

from ..support import make_settings
from .catalogs import make_cluster

ENDPOINT = Endpoint("db", 5432, "postgres", SecretStr("x"), "postgres", "disable")
BOTH = {"billing": {"app": ["user", "twin"]}}
TWIN = "billing_app_tst_twin"
USER = "billing_app_tst_user"


def test_a_twin_is_named_as_long_as_its_user_and_tells_whose_it_is() -> None:
    name = login_name("billing", "app", "tst", "twin")
    assert (name, len(name)) == (TWIN, len(USER))
    assert parse_user_name(name) == UserName("billing", "app", "tst", "twin")
    assert parse_user_name(USER) == UserName("billing", "app", "tst")
    longest = make_settings("tst", services=["a" * 44]).user("a" * 44, "migration")
    assert len(longest.encode()) == MAX_NAME_BYTES
    assert [other_login("user"), other_login("twin")] == ["twin", "user"]


@pytest.mark.parametrize(
    ("logins", "fault"),
    [
        ([], "logins: it is not a mapping of services"),
        (
            {"biling": {"app": ["user"]}},
            "logins.biling: there is no service 'biling'; the nearest known one is 'billing'",
        ),
        ({"billing": ["twin"]}, "logins.billing: it is not a mapping of users"),
        (
            {"billing": {"ap": ["twin"]}},
            "logins.billing.ap: a service has no user 'ap'; the nearest known one is 'app'",
        ),
        ({"billing": {"app": "twin"}}, "logins.billing.app: 'twin' is not a list of open logins"),
        ({"billing": {"app": []}}, "logins.billing.app: a list is not a list of open logins"),
        ({"billing": {"app": ["twin", "twin"]}}, "logins.billing.app: a list is not a list of open logins"),
        ({"billing": {"app": ["twin", "third"]}}, "logins.billing.app: a list is not a list of open logins"),
        ({"billing": {"app": [["twin"]]}}, "logins.billing.app: a list is not a list of open logins"),
    ],
)
def test_what_is_no_list_of_open_logins_is_told(logins: Any, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_settings("tst", logins=logins)
    (told,) = caught.value.faults
    assert f"{told.where}: {told.what}".removeprefix("golabs-infra:").startswith(fault)
    assert told.mend


def test_a_password_of_a_twin_that_nothing_names_is_a_fault() -> None:
    passwords = {"billing": {"appTwin": SecretStr("abcdefgh12345678")}}
    with pytest.raises(ConfigError, match="has no twin: logins does not name one"):
        make_settings("tst", passwords=passwords)
    assert list(make_settings("tst", passwords=passwords, logins=BOTH).passwords) == [TWIN]


@pytest.mark.parametrize(
    ("listed", "user_logs_in", "twin_logs_in", "newest"),
    [
        (["user"], True, False, USER),
        (["twin"], False, True, TWIN),
        (["user", "twin"], True, True, TWIN),
        (["twin", "user"], True, True, USER),
    ],
)
def test_the_model_opens_what_is_listed_and_clients_get_the_newest(
    listed: list[str], user_logs_in: bool, twin_logs_in: bool, newest: str
) -> None:
    settings = make_settings(
        "tst", services=[{"name": "billing", "connectionLimit": 7}], logins={"billing": {"app": listed}}
    )
    (service,) = expand(settings).services
    (twin,) = service.twins
    assert (service.app.login, twin.login) == (user_logs_in, twin_logs_in)
    assert replace(twin, name=USER, login=True, acts_as="") == replace(service.app, login=True)
    assert twin.acts_as == USER
    assert service.open_logins["app"][-1] == newest
    assert service.open_logins["migration"] == ("billing_migration_tst_user",)
    assert not any(grant.grantee == TWIN for grant in expand(settings).grants)
    passwords = {name: f"of {name}" for name in settings.users_with_passwords}
    (record,) = build_records(expand(settings), ENDPOINT, passwords)
    assert record["users"]["app"]["username"] == newest
    assert [each["username"] for each in record["users"]["app"].get("others", ())] == [
        name for name in service.open_logins["app"] if name != newest
    ]
    assert known_passwords([record]) == {name: SecretStr(text) for name, text in passwords.items()}
    assert render_yaml(record).count("others:") == len(listed) - 1


def test_nobody_logs_in_to_a_retired_service_by_whichever_login() -> None:
    settings = make_settings("tst", services=[{"name": "billing", "retired": True}], logins=BOTH)
    assert [role.login for role in expand(settings).roles] == [False, False, False]


def test_a_record_can_hold_a_password_that_is_about_to_be() -> None:
    (record,) = build_records(expand(make_settings("tst", services=["billing"])), ENDPOINT, _Any())
    more = with_other(record, "app", USER, "new")
    assert with_other(more, "app", USER, "new") == more
    assert "others" not in record["users"]["app"]
    assert candidates([more])[USER] == (SecretStr(f"of {USER}"), SecretStr("new"))
    assert known_passwords([more])[USER] == SecretStr(f"of {USER}")


class _Any(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"of {name}"


def test_a_second_login_is_made_a_member_that_acts_as_its_user_from_the_beginning() -> None:
    desired = expand(make_settings("tst", services=["billing"], logins=BOTH))
    users = {role.name: role for role in desired.roles}
    cluster = make_cluster([users[USER], users["billing_migration_tst_user"]])
    (create,) = plan_logins(desired, cluster, [TWIN], {TWIN: None})
    assert isinstance(create, CreateRole)
    assert describe(create).text == f"user {TWIN}, a second login of {USER}"
    assert [each.as_string() for each in statements(create, "go-labs-tst")][1:] == [
        f'GRANT "{USER}" TO "{TWIN}"',
        f'ALTER ROLE "{TWIN}" SET role TO "{USER}"',
        f'ALTER ROLE "{TWIN}" SET search_path TO "billing"',
    ]
    assert f'GRANT "{USER}" TO "{TWIN}";' in build_scripts(desired)["billing"]


def test_a_user_that_is_not_there_is_not_made_without_a_password() -> None:
    desired = expand(make_settings("tst", services=["billing"], logins=BOTH))
    assert plan_logins(desired, make_cluster([]), [TWIN], {}) == []


def test_a_second_login_as_it_should_be_needs_no_change_and_every_other_one_is_mended() -> None:
    desired = expand(make_settings("tst", services=["billing"], logins=BOTH))
    (twin,) = desired.services[0].twins
    whole = LiveRole(twin, False, True, ((USER, "postgres"),))
    assert plan_logins(desired, make_cluster([whole]), [TWIN], {}) == []
    assert plan_logins(desired, make_cluster([whole]), [TWIN], {TWIN: "v"}) == [SetPassword(TWIN, "v")]
    cases = {
        replace(whole, memberships=()): [f'GRANT "{USER}" TO "{TWIN}"'],
        replace(whole, memberships=((USER, "postgres"), ("ops", None))): [f'REVOKE "ops" FROM "{TWIN}" CASCADE'],
        replace(whole, role=replace(twin, acts_as="")): [f'ALTER ROLE "{TWIN}" SET role TO "{USER}"'],
        replace(whole, role=replace(twin, login=False)): [f'ALTER ROLE "{TWIN}" WITH LOGIN'],
        replace(whole, overridden=("role",)): [f'ALTER ROLE "{TWIN}" IN DATABASE "go-labs-tst" RESET "role"'],
    }
    for live, expected in cases.items():
        (change,) = plan_logins(desired, make_cluster([live]), [TWIN], {})
        assert isinstance(change, AlterRole)
        assert [each.as_string() for each in statements(change, "go-labs-tst")] == expected


def turned(
    asked: Rotation, unfinished: tuple[str, ...] = (), **values: Any
) -> list[tuple[str, str, str, tuple[str, ...]]]:
    turns = asked.turns(make_settings("tst", services=["billing", "order"], **values), unfinished)
    return [(turn.service, turn.old_name, turn.new_name, turn.logins) for turn in turns]


def test_at_once_is_from_a_login_to_itself() -> None:
    asked = Rotation(Way.AT_ONCE, "billing", "app")
    assert turned(asked) == [("billing", USER, USER, ("user",))]
    assert turned(asked, logins={"billing": {"app": ["twin"]}}) == [("billing", TWIN, TWIN, ("twin",))]
    assert [turn[:2] for turn in turned(Rotation())] == [
        (service, f"{service}_{kind}_tst_user") for service in ("billing", "order") for kind in ("migration", "app")
    ]


def test_an_overlap_goes_to_the_other_login_and_its_end_closes_the_older_one() -> None:
    begin, finish = Rotation(Way.OVERLAP, "billing", "app"), Rotation(Way.FINISH, "billing", "app")
    assert turned(begin) == [("billing", USER, TWIN, ("user", "twin"))]
    assert turned(begin, logins=BOTH) == [("billing", USER, TWIN, ("user", "twin"))]
    assert turned(finish, logins=BOTH) == [("billing", USER, TWIN, ("twin",))]
    back = {"billing": {"app": ["twin"]}}
    assert turned(begin, logins=back) == [("billing", TWIN, USER, ("twin", "user"))]
    assert turned(finish, (USER,), logins=back) == [("billing", USER, TWIN, ("twin",))]
    with pytest.raises(GolabsError, match="no overlap of billing is under way"):
        turned(finish, logins=back)


def test_every_service_is_turned_but_those_that_are_retired() -> None:
    settings = make_settings("tst", services=["billing", {"name": "order", "retired": True}])
    assert {turn.service for turn in Rotation().turns(settings)} == {"billing"}
    with pytest.raises(GolabsError, match="order is retired"):
        Rotation(service="order").turns(settings)
    with pytest.raises(UsageError, match="the nearest known one is 'billing'"):
        Rotation(service="biling").turns(settings)
    with pytest.raises(GolabsError, match="golabs rotate tst billing --finish"):
        Rotation(service="billing").turns(make_settings("tst", logins=BOTH))


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (Rotation(), "rotate dev --all"),
        (Rotation(service="billing", kind="app"), "rotate dev billing --user app"),
        (Rotation(Way.OVERLAP, "billing"), "rotate dev billing --overlap"),
        (Rotation(Way.FINISH, "billing", force=True), "rotate dev billing --finish --force"),
    ],
)
def test_a_rotation_is_told_as_the_command_that_it_is(asked: Rotation, command: str) -> None:
    assert asked.command("dev") == command
