"""Adoption: which server, which users and which passwords an engine may take over, by policy and by memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from pydantic import SecretStr

from golabs_infra.adoption import (
    Decision,
    Memory,
    Origin,
    Password,
    choose_passwords,
    decide,
    is_outdated,
)
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError, ConfigError, IdentityError, PolicyError, ServerConnectionError
from golabs_infra.guarding import check_destroy, removed_services
from golabs_infra.inspection import Cluster
from golabs_infra.model import Role
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP, Policy
from golabs_infra.rights import check_rights
from golabs_infra.settings import Settings

from ..support import make_settings
from .catalogs import make_cluster

ENDPOINT = Endpoint("db.example.org", 5432, "admin", SecretStr("admin's"), "postgres", "require")
HERE = "7000000000000000001"
ELSEWHERE = "7999999999999999999"
STRONG = "Zk3-vQ9_xW7.rT2mLp"
OTHER = "Qx8_bN4.hJ6-wC1sYd"
CANARY = "c4n4ry-in-the-mine"

Proves = Callable[[str, SecretStr], bool]


def settings_of(environment: str, /, **values: object) -> Settings:
    """One service, billing, unless said otherwise."""
    return make_settings(environment, **({"services": ["billing"]} | values))


def existing(settings: Settings, *users: str, **facts: object) -> Cluster:
    """A server on which these users exist already; all of the settings' if none is named."""
    return make_cluster([Role(user, True, ()) for user in users or settings.users], **facts)


def knowing(**passwords: str) -> Proves:
    """A prover for users whose passwords are these, by kind of user."""
    return lambda user, password: passwords.get(user.split("_")[1]) == password.get_secret_value()


def never(user: str, password: SecretStr) -> bool:
    """A prover that nobody may ask."""
    raise AssertionError(f"{user} must not be tried")


def configured(**passwords: str) -> dict[str, object]:
    """Encrypted passwords of billing's users."""
    return {"passwords": {"billing": {kind: SecretStr(text) for kind, text in passwords.items()}}}


def remembered(settings: Settings, *passwords: str, managed: bool = True, **facts: object) -> Memory:
    """A memory of every user with these passwords, the likeliest first."""
    return Memory(
        managed=frozenset(settings.users) if managed else frozenset(),
        passwords={user: tuple(map(SecretStr, passwords)) for user in settings.users},
        **facts,  # type: ignore[arg-type]
    )


def clear(chosen: Iterable[Password]) -> list[tuple[Origin, str | None]]:
    """Where passwords come from, and which they are."""
    return [(each.origin, None if each.value is None else each.value.get_secret_value()) for each in chosen]


def choose(settings: Settings, cluster: Cluster, memory: Memory, proves: Proves) -> list[tuple[Origin, str | None]]:
    """The choices for migration user and app user."""
    chosen, faults = choose_passwords(settings, cluster, memory, proves)
    if faults:
        raise AdoptionError(faults, where=settings.environment)
    assert tuple(chosen) == settings.users
    return clear(chosen.values())


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
        "  mend: restore it from a backup; an empty one can be had on purpose with "
        f'CREATE DATABASE "go-labs-{environment}"'
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


# ---- passwords of new users


@pytest.mark.parametrize("environment", ["tst", "dev", "prd"])
def test_a_new_users_password_is_generated_unless_one_is_configured(environment: str) -> None:
    settings = settings_of(environment, **configured(app=STRONG))
    assert choose(settings, make_cluster(), Memory(), never) == [
        (Origin.GENERATED, None),
        (Origin.CONFIGURED, STRONG),
    ]


@pytest.mark.parametrize("environment", ["tst", "dev", "prd"])
def test_a_user_that_has_to_be_made_again_gets_the_password_that_is_remembered(environment: str) -> None:
    settings = settings_of(environment)
    memory = remembered(settings, STRONG, OTHER)
    assert choose(settings, make_cluster(), memory, never) == [(Origin.KEPT, STRONG)] * 2


# ---- passwords of users that exist


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_an_existing_users_password_must_be_proven(environment: str) -> None:
    settings = settings_of(environment, **configured(migration=STRONG, app=OTHER))
    cluster = existing(settings)
    assert choose(settings, cluster, Memory(), knowing(migration=STRONG, app=OTHER)) == [
        (Origin.CONFIGURED, STRONG),
        (Origin.CONFIGURED, OTHER),
    ]
    with pytest.raises(AdoptionError) as caught:
        choose(settings, cluster, Memory(), knowing(migration=STRONG, app="another"))
    assert str(caught.value) == (
        f"{environment}: 1 obstacle\n"
        f"  - billing_app_{environment}_user: it exists already, and the configured password is not the one that it has\n"
        f"      mend: give the password that its clients use: golabs set-password {environment} billing app; "
        f"or set a new one: golabs rotate {environment} billing --user app"
    )


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_an_existing_user_without_a_known_password_stops_the_run(environment: str) -> None:
    settings = settings_of(environment)
    with pytest.raises(AdoptionError) as caught:
        choose(settings, existing(settings), Memory(), never)
    assert [f"{fault.where}: {fault.what}" for fault in caught.value.faults] == [
        f"billing_{kind}_{environment}_user: it exists already and its password is not known; "
        "no existing login's password is reset unasked"
        for kind in ("app", "migration")
    ]


def test_every_existing_user_whose_password_is_unknown_is_told_at_once() -> None:
    settings = settings_of("dev", services=["billing", "order"])
    _, faults = choose_passwords(settings, existing(settings), Memory(), never)
    assert {fault.where for fault in faults} == set(settings.users)


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_the_password_of_a_connection_file_is_kept_once_it_is_proven(environment: str) -> None:
    settings = settings_of(environment)
    memory = remembered(settings, "stale", STRONG, managed=False)
    assert (
        choose(settings, existing(settings), memory, knowing(migration=STRONG, app=STRONG))
        == [(Origin.KEPT, STRONG)] * 2
    )
    with pytest.raises(AdoptionError, match="the one in its connection file is not the one that it has"):
        choose(settings, existing(settings), memory, knowing(migration=STRONG, app="another"))


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_new_configured_password_of_a_managed_user_is_a_rotation(environment: str) -> None:
    settings = settings_of(environment, **configured(migration=STRONG, app=STRONG))
    memory = remembered(settings, OTHER)
    assert choose(settings, existing(settings), memory, never) == [(Origin.CONFIGURED, STRONG)] * 2


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_generated_password_of_a_managed_user_stays_with_its_engine(environment: str) -> None:
    settings = settings_of(environment)
    generated = {user: SecretStr(STRONG) for user in settings.users}
    for memory in (
        Memory(managed=frozenset(settings.users), generated=generated),
        remembered(settings, STRONG, generated=generated),
    ):
        assert choose(settings, existing(settings), memory, never) == [(Origin.GENERATED, None)] * 2


def test_a_configured_password_that_was_taken_out_again_is_kept_and_not_reset_to_the_generated_one() -> None:
    settings = settings_of("prd")
    generated = {user: SecretStr(STRONG) for user in settings.users}
    has_other = knowing(migration=OTHER, app=OTHER)
    for memory in (remembered(settings, *known, generated=generated) for known in ((OTHER,), (OTHER, STRONG))):
        assert choose(settings, existing(settings), memory, has_other) == [(Origin.KEPT, OTHER)] * 2


@pytest.mark.parametrize("held", [True, False])
def test_a_choice_tells_whether_the_engine_holds_a_generated_password(held: bool) -> None:
    settings = settings_of("prd", **configured(migration=STRONG, app=STRONG))
    generated = {user: SecretStr(OTHER) for user in settings.users} if held else {}
    memory = Memory(managed=frozenset(settings.users), generated=generated)
    chosen, _ = choose_passwords(settings, existing(settings), memory, never)
    assert [password.generated_before for password in chosen.values()] == [held, held]


def test_a_disposable_environment_resets_passwords_without_trying_any() -> None:
    plain, given = settings_of("tst"), settings_of("tst", **configured(migration=STRONG, app=STRONG))
    assert choose(plain, existing(plain), Memory(), never) == [(Origin.GENERATED, None)] * 2
    assert choose(plain, existing(plain), remembered(plain, OTHER), never) == [(Origin.KEPT, OTHER)] * 2
    assert choose(given, existing(given), remembered(given, OTHER), never) == [(Origin.CONFIGURED, STRONG)] * 2


def test_a_password_that_cant_be_tried_is_told_with_the_reason() -> None:
    def unreachable(user: str, password: SecretStr) -> bool:
        raise ServerConnectionError("no answer within 10 s", where=user, mend="check the firewall")

    settings = settings_of("dev", **configured(migration=STRONG, app=STRONG))
    with pytest.raises(AdoptionError) as caught:
        choose(settings, existing(settings), Memory(), unreachable)
    assert str(caught.value.faults[0]) == (
        "billing_app_dev_user: its password can't be proven: no answer within 10 s\n      mend: check the firewall"
    )


# ---- the rules for passwords


def test_a_new_users_password_must_keep_to_the_rules() -> None:
    settings = settings_of("prd", **configured(app="weak", migration="a b"))
    with pytest.raises(ConfigError) as caught:
        decide(settings, ENDPOINT, make_cluster(), Memory(), never)
    assert [(fault.where, fault.what) for fault in caught.value.faults] == [
        (
            "golabs-infra:passwords.billing.app",
            "the password has 4 characters; the policy guarded asks for 16",
        ),
        (
            "golabs-infra:passwords.billing.migration",
            "the password has 3 characters; the policy guarded asks for 16",
        ),
        (
            "golabs-infra:passwords.billing.migration",
            "the password has characters other than letters, digits and _ . - (or starts with one of these three)",
        ),
    ]


def test_an_adopted_users_bad_password_is_a_warning_beside_those_of_the_configuration() -> None:
    settings = settings_of("dev", passwords={"billing": {"app": "old one"}})
    decision = decide(settings, ENDPOINT, existing(settings, "billing_app_dev_user"), Memory(), knowing(app="old one"))
    assert [warning.split(";")[0] for warning in decision.warnings] == [
        "Pulumi.dev.yaml: golabs-infra:passwords.billing.app: the password stands in the file in plain text",
        "golabs-infra:passwords.billing.app: the password has characters other than letters, digits and _ . - (or "
        "starts with one of these three)",
        "golabs-infra:passwords.billing.app: the password has 7 characters",
    ]
    assert clear(decision.passwords.values()) == [(Origin.GENERATED, None), (Origin.CONFIGURED, "old one")]


# ---- everything together


def test_a_first_run_decides_to_generate_and_has_nothing_to_say() -> None:
    settings = settings_of("prd")
    generated = Password(Origin.GENERATED, None)
    assert decide(settings, ENDPOINT, make_cluster(database_exists=False), Memory(), never) == Decision(
        passwords=dict.fromkeys(settings.users, generated), warnings=(), removed_services=(), outdated=False
    )


@pytest.mark.parametrize("database_exists", [True, False])
def test_on_another_server_a_disposable_environment_starts_again_with_its_passwords(database_exists: bool) -> None:
    settings = settings_of("tst")
    memory = remembered(settings, STRONG, system_identifier=ELSEWHERE, holds_database=True)
    decision = decide(settings, ENDPOINT, make_cluster(database_exists=database_exists), memory, never)
    assert decision.outdated
    assert clear(decision.passwords.values()) == [(Origin.KEPT, STRONG)] * 2


def test_the_server_is_checked_before_any_password_is_tried() -> None:
    settings = settings_of("prd", **configured(migration=STRONG, app=STRONG))
    with pytest.raises(IdentityError):
        decide(settings, ENDPOINT, existing(settings), Memory(ELSEWHERE), never)


def test_no_refusal_shows_a_password() -> None:
    settings = settings_of("dev", **configured(migration=CANARY, app=f"{CANARY} "))
    memory = remembered(settings, CANARY, managed=False)
    refusals: list[Exception] = []
    for cluster in (existing(settings), make_cluster()):
        with pytest.raises((AdoptionError, ConfigError)) as caught:
            decide(settings, ENDPOINT, cluster, memory, knowing())
        refusals.append(caught.value)
    assert CANARY not in "".join(str(error) + repr(error) for error in refusals)
