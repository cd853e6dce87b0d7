"""Adoption: which server, what its admin may do, and what becomes of services that are there."""

from __future__ import annotations

import pytest

from golabs_infra.adoption import (
    Memory,
    decide,
    is_outdated,
)
from golabs_infra.errors import AdoptionError, IdentityError, PolicyError
from golabs_infra.guarding import check_destroy, removed_services
from golabs_infra.inspection import Cluster
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP, Policy
from golabs_infra.rights import check_rights

from .adopting import ELSEWHERE, ENDPOINT, HERE, existing, never, settings_of
from .catalogs import make_cluster

# ---- the right server


@pytest.mark.parametrize("environment", ["tst", "dev", "qua", "prd"])
@pytest.mark.parametrize("known", [None, HERE])
def test_a_first_run_and_the_known_server_are_no_obstacle(environment: str, known: str | None) -> None:
    settings = settings_of(environment)
    assert not is_outdated(settings, ENDPOINT, make_cluster(), Memory(known))
    assert not is_outdated(settings, ENDPOINT, make_cluster(database_exists=False), Memory())


def test_a_disposable_environment_takes_another_server_and_a_lost_database_for_a_fresh_start() -> None:
    settings = settings_of("tst")
    assert is_outdated(settings, ENDPOINT, make_cluster(), Memory(ELSEWHERE))
    assert is_outdated(settings, ENDPOINT, make_cluster(database_exists=False), Memory(HERE))


@pytest.mark.parametrize(("environment", "policy"), [("dev", "keep"), ("qua", "guarded"), ("prd", "guarded")])
@pytest.mark.parametrize("database_exists", [True, False])
def test_any_other_environment_stops_at_another_server(environment: str, policy: str, database_exists: bool) -> None:
    with pytest.raises(IdentityError) as caught:
        is_outdated(
            settings_of(environment), ENDPOINT, make_cluster(database_exists=database_exists), Memory(ELSEWHERE)
        )
    assert str(caught.value) == (
        f"Pulumi.{environment}.yaml: golabs-infra:host: this is another server: the stack belongs to system identifier "
        f"{ELSEWHERE}, and db.example.org:5432 is {HERE}. Nothing was changed\n"
        "  mend: point host and port back at the stack's server; for a new server, make a new stack: "
        f"pulumi stack init <name>, with golabs-infra:policy {policy}"
    )


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_any_other_environment_stops_at_a_known_database_that_is_gone(environment: str) -> None:
    with pytest.raises(IdentityError) as caught:
        is_outdated(settings_of(environment), ENDPOINT, make_cluster(database_exists=False), Memory(HERE))
    assert str(caught.value) == (
        f"Pulumi.{environment}.yaml: go-labs-{environment}: the database 'go-labs-{environment}', which this stack "
        "provisioned, is gone from db.example.org:5432. Nothing was changed\n"
        "  mend: restore it from a backup; an empty one can be had on purpose: "
        f'CREATE DATABASE "go-labs-{environment}";'
    )


# ---- rights


@pytest.mark.parametrize("version", [130000, 140012, 150000, 160003, 180001])
def test_a_superuser_may_do_the_work_on_every_supported_version(version: int) -> None:
    cluster = make_cluster(version_number=version, create_database=False, create_role=False, owns_database=False)
    assert decide(settings_of("dev"), ENDPOINT, cluster, Memory(), never).warnings == ()


@pytest.mark.parametrize("superuser", [True, False])
def test_a_version_below_13_is_refused(superuser: bool) -> None:
    cluster = make_cluster(version_number=120020, version="12.20", superuser=superuser)
    with pytest.raises(AdoptionError) as caught:
        check_rights(settings_of("dev"), ENDPOINT, cluster)
    assert str(caught.value) == (
        "postgres@db.example.org:5432: 1 obstacle\n"
        "  - version: PostgreSQL 12.20 is too old\n"
        "      mend: use PostgreSQL 13 or later"
    )


def test_an_extension_that_the_server_does_not_have_is_told_before_anything_begins() -> None:
    settings = settings_of("tst", services=["billing", {"name": "catalog", "extensions": ["pg_trgm", "postgis"]}])
    with pytest.raises(AdoptionError) as caught:
        check_rights(settings, ENDPOINT, make_cluster())
    (fault,) = caught.value.faults
    assert fault.where == "golabs-infra:services (catalog): extensions"
    assert fault.what == "the server has no extension 'postgis'"


def test_a_read_only_replica_is_refused() -> None:
    with pytest.raises(AdoptionError, match=r"server: it is a read-only replica\n      mend: name the primary's host"):
        check_rights(settings_of("dev"), ENDPOINT, make_cluster(in_recovery=True))


def plain_admin(**facts: object) -> Cluster:
    """A server on which the admin is no superuser, but may make roles and databases."""
    return make_cluster(**({"superuser": False, "admin": "admin"} | facts))


@pytest.mark.parametrize("version", [150000, 160003, 180001])
@pytest.mark.parametrize("database_exists", [True, False])
def test_an_admin_who_may_make_roles_and_databases_is_enough_from_15_on(version: int, database_exists: bool) -> None:
    cluster = plain_admin(version_number=version, database_exists=database_exists, owns_database=database_exists)
    assert decide(settings_of("dev"), ENDPOINT, cluster, Memory(), never).warnings == ()


def test_an_admin_needs_no_createdb_once_the_database_is_there() -> None:
    assert decide(settings_of("dev"), ENDPOINT, plain_admin(create_database=False), Memory(), never).warnings == ()


@pytest.mark.parametrize(
    ("facts", "obstacle"),
    [
        (
            {"create_role": False},
            'admin: it lacks CREATEROLE\n      mend: as a superuser: ALTER ROLE "admin" CREATEROLE;',
        ),
        (
            {"create_role": False, "create_database": False, "database_exists": False},
            "admin: it lacks CREATEROLE and CREATEDB\n"
            '      mend: as a superuser: ALTER ROLE "admin" CREATEROLE CREATEDB;',
        ),
        (
            {"inherits": False},
            "admin: it is NOINHERIT, and so can't act on what the services' users own\n"
            '      mend: as a superuser: ALTER ROLE "admin" INHERIT;',
        ),
        (
            {"owns_database": False, "database_owner": "dba"},
            "go-labs-dev: it belongs to dba, not to the admin admin\n"
            '      mend: as a superuser: ALTER DATABASE "go-labs-dev" OWNER TO "admin";',
        ),
        (
            {"version_number": 140012, "version": "14.12", "database_exists": False, "owns_database": False},
            "schema public: below PostgreSQL 15 only a superuser can close it in a new database (this is 14.12)\n"
            '      mend: CREATE DATABASE "go-labs-dev" TEMPLATE template0; and in it, as a superuser: '
            'ALTER SCHEMA public OWNER TO "admin";',
        ),
    ],
)
def test_what_an_admin_lacks_is_told_with_the_statement_that_gives_it(facts: dict[str, object], obstacle: str) -> None:
    with pytest.raises(AdoptionError) as caught:
        check_rights(settings_of("dev"), ENDPOINT, plain_admin(**facts))
    assert str(caught.value) == f"admin@db.example.org:5432: 1 obstacle\n  - {obstacle}"


def test_everything_that_an_admin_lacks_is_told_at_once() -> None:
    cluster = plain_admin(create_role=False, owns_database=False, inherits=False)
    with pytest.raises(AdoptionError) as caught:
        check_rights(settings_of("dev"), ENDPOINT, cluster)
    assert [fault.where for fault in caught.value.faults] == ["admin", "admin", "go-labs-dev"]


# ---- destroy


@pytest.mark.parametrize("policy", [DISPOSABLE, KEEP])
def test_destroy_is_let_through_where_the_policy_drops_or_forgets(policy: Policy) -> None:
    try:
        check_destroy(policy, "sandbox")
    except PolicyError as error:
        pytest.fail(str(error))


def test_destroy_of_a_guarded_environment_is_refused_and_no_switch_offered() -> None:
    with pytest.raises(PolicyError) as caught:
        check_destroy(GUARDED, "prd")
    assert str(caught.value) == (
        "golabs destroy prd: prd is guarded: destroy is refused, and nothing was touched\n"
        "  mend: there is no switch for it; a DBA who means it drops the database by hand"
    )


# ---- services that are not in the configuration any more


MANAGED = frozenset(
    f"{service}_{kind}_{environment}_user"
    for service, environment in (("billing", "tst"), ("order", "tst"), ("a_app", "tst"))
    for kind in ("migration", "app")
)


@pytest.mark.parametrize("environment", ["tst", "dev"])
def test_services_that_a_run_provisioned_and_the_configuration_lost_are_removed(environment: str) -> None:
    managed = frozenset(user.replace("_tst_", f"_{environment}_") for user in MANAGED)
    assert removed_services(settings_of(environment), make_cluster(), managed) == ("a_app", "order")


def test_a_service_that_no_run_provisioned_is_not_removed() -> None:
    settings = settings_of("tst")
    assert removed_services(settings, existing(settings, "order_app_tst_user"), frozenset()) == ()


def test_roles_of_another_convention_are_no_services() -> None:
    managed = frozenset({"postgres", "reporting", *settings_of("tst").users})
    assert removed_services(settings_of("prd"), make_cluster(), frozenset({"postgres"})) == ()
    assert removed_services(settings_of("tst"), make_cluster(), managed) == ()


@pytest.mark.parametrize(
    ("managed", "subject"),
    [(["order_app_prd_user"], "order is"), (["order_app_prd_user", "catalog_app_prd_user"], "catalog, order are")],
)
def test_a_guarded_environment_refuses_to_lose_a_service(managed: list[str], subject: str) -> None:
    with pytest.raises(PolicyError) as caught:
        removed_services(settings_of("prd"), make_cluster(), frozenset({*managed, "billing_app_prd_user"}))
    first = min(managed).split("_", maxsplit=1)[0]
    assert str(caught.value) == (
        f"Pulumi.prd.yaml: golabs-infra:services: {subject} not in the configuration any more, and prd is guarded: "
        "nothing of it is dropped or forgotten\n"
        f"  mend: put the line back: {first} (to close its logins and keep its data: golabs retire prd {first})"
    )


def test_a_retired_service_is_not_a_removed_one() -> None:
    settings = settings_of("prd", services=[{"name": "billing", "retired": True}])
    assert removed_services(settings, make_cluster(), frozenset(settings.users)) == ()


def test_a_forgotten_service_is_left_in_place_and_told() -> None:
    settings = settings_of("dev")
    memory = Memory(managed=frozenset({*settings.users, "order_app_dev_user"}))
    decision = decide(settings, ENDPOINT, make_cluster(), memory, never)
    assert decision.removed_services == ("order",)
    assert decision.warnings == (
        "the service 'order' is not in the configuration any more: it is forgotten, and its schema and users are left "
        "in place on db.example.org:5432",
    )


def test_a_dropped_service_needs_no_telling() -> None:
    settings = settings_of("tst")
    memory = Memory(managed=frozenset({*settings.users, "order_app_tst_user"}))
    decision = decide(settings, ENDPOINT, make_cluster(), memory, never)
    assert (decision.removed_services, decision.warnings) == (("order",), ())
