"""Services that are taken over later or renamed, admins who are no superusers, and what is done by hand to managed ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, PolicyError
from golabs_infra.project import Project

from . import tools
from .by_hand import APP, DATABASE, PASSWORDS, USERS, make_by_hand, up
from .catalog import row_versions
from .tools import engine


def test_a_service_that_is_adopted_later_loses_nothing_in_public_unasked_either(
    server: Endpoint, project: Project
) -> None:
    make_by_hand(server)
    up(project, server)
    tools.as_superuser(
        server,
        "CREATE ROLE catalog_app_dev_user LOGIN PASSWORD 'Old-Catalog_2019.password'",
        "CREATE TABLE public.ref (a int)",
        "GRANT USAGE ON SCHEMA public TO catalog_app_dev_user",
        "GRANT SELECT ON public.ref TO catalog_app_dev_user",
        database=DATABASE,
    )
    passwords = {**PASSWORDS, "catalog": {"app": "Old-Catalog_2019.password"}}
    with pytest.raises(AdoptionError, match="services reach 1 object in it, and up closes it: table ref"):
        up(project, server, services=["billing", "catalog"], passwords=passwords)


def test_an_admin_who_has_made_it_itself_settles_it_itself_without_a_superuser(
    each_server: Endpoint, project: Project
) -> None:
    admin = tools.with_admin(each_server)
    tools.as_superuser(
        admin,
        *(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORDS['billing'][kind]}'" for name, kind in USERS.items()),
        f'CREATE DATABASE "{DATABASE}"',
    )
    tools.as_superuser(admin, "CREATE SCHEMA billing", "CREATE TABLE billing.invoice (id int)", database=DATABASE)
    with pytest.raises(AdoptionError) as caught:
        up(project, admin)
    assert len(caught.value.faults) == 2
    tools.settle(admin, caught.value, database=DATABASE)
    assert up(project, admin) != ()
    assert up(project, admin) == ()


def test_an_admin_without_superuser_takes_over_what_a_superuser_has_made_once_it_is_given_the_rights(
    each_server: Endpoint, project: Project
) -> None:
    make_by_hand(each_server)
    admin = tools.with_admin(each_server)
    with pytest.raises(AdoptionError) as caught:
        up(project, admin)
    lacking = {fault.where for fault in caught.value.faults}
    assert lacking == {"admin", DATABASE}
    tools.settle(each_server, caught.value)
    assert up(project, admin) != ()
    assert up(project, admin) == ()
    assert tools.can_log_in(project, ["billing"], "dev")


def test_what_somebody_does_to_a_managed_service_is_mended_or_told_and_blocks_nothing(
    server: Endpoint, project: Project
) -> None:
    make_by_hand(server)
    up(project, server)
    tools.as_superuser(
        server,
        "CREATE TABLE billing.by_the_dba (id int)",
        "CREATE ROLE readers",
        f"GRANT readers TO {APP}",
        database=DATABASE,
    )
    values: dict[str, Any] = {"services": ["billing"], "passwords": PASSWORDS}
    outcome = engine(project, server, "dev", **values).up()
    assert [text for text in outcome.warnings if "1 object in it belongs to postgres" in text]
    assert "billing_app_dev_user: no member of readers" in str([tools.in_words(change) for change in outcome.changes])
    assert up(project, server) == ()


# ---- services that are added, renamed, taken out


def test_a_service_is_added_by_one_line_and_nothing_else_changes(server: Endpoint, project: Project) -> None:
    engine(project, server, "prd", services=["billing"]).up()
    changes = engine(project, server, "prd", services=["billing", "shipping"]).up().changes
    assert changes
    assert all("shipping" in repr(change) for change in changes)


@pytest.mark.parametrize("environment", ["dev", "prd"])
@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (["billing", "order"], ["billing", "orders"], "order looks renamed to orders"),
        (["billing", "order"], ["billing", "sales"], "order looks renamed to sales"),
        (["billing", "order"], ["invoicing", "products"], "looks renamed to"),
        (["billing", "order", "catalog"], ["invoicing", "orders", "catalogue"], "catalog looks renamed to catalogue"),
    ],
)
def test_a_rename_is_refused_and_explained_outside_of_disposable_environments(
    server: Endpoint, project: Project, environment: str, before: list[str], after: list[str], told: str
) -> None:
    engine(project, server, environment, services=before).up()
    database = f"go-labs-{environment}"
    catalogs = row_versions(server, database)
    for attempt in (
        engine(project, server, environment, services=after).preview,
        engine(project, server, environment, services=after).up,
    ):
        with pytest.raises(PolicyError, match=told) as caught:
            attempt()
        assert f"golabs retire {environment}" in caught.value.mend
    assert row_versions(server, database) == catalogs


def test_a_disposable_environment_takes_a_rename_for_one_service_less_and_one_more(
    server: Endpoint, project: Project
) -> None:
    engine(project, server, services=["billing", "order"]).up()
    engine(project, server, services=["billing", "orders"]).up()
    assert not [name for name in tools.role_names(server) if name.startswith("order_")]
    assert tools.can_log_in(project, ["orders"])


def test_a_user_whose_password_nobody_knows_is_never_given_a_new_one(server: Endpoint, project: Project) -> None:
    make_by_hand(server)
    wrong = {"billing": {**PASSWORDS["billing"], "app": "Not-The-One_2019.password"}}
    for given in ({}, wrong):
        with pytest.raises(AdoptionError, match=APP):
            up(project, server, passwords=given)
    assert up(project, server) != ()
    login = replace(server, admin_user=APP, admin_password=SecretStr(PASSWORDS["billing"]["app"]))
    assert tools.answer(login, "SELECT current_user::text", database=DATABASE) == APP
