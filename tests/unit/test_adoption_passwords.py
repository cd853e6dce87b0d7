"""Adoption: which password each user gets, that those of others are proven, and that none is shown."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.adoption import (
    Decision,
    Memory,
    Origin,
    Password,
    choose_passwords,
    decide,
)
from golabs_infra.errors import AdoptionError, ConfigError, IdentityError, ServerConnectionError

from .adopting import (
    CANARY,
    ELSEWHERE,
    ENDPOINT,
    OTHER,
    STRONG,
    choose,
    clear,
    configured,
    existing,
    knowing,
    never,
    remembered,
    settings_of,
)
from .catalogs import make_cluster

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


@pytest.mark.parametrize("environment", ["tst", "dev", "prd"])
def test_a_bad_password_is_refused_where_it_is_not_the_one_that_a_user_of_ours_has(environment: str) -> None:
    settings = settings_of(environment, **configured(app="weak"))
    memory, cluster = remembered(settings, OTHER), existing(settings)
    with pytest.raises(ConfigError, match=r"passwords\.billing\.app: the password has 4 characters"):
        decide(settings, ENDPOINT, cluster, memory, knowing(app=OTHER))
    (told,) = decide(settings, ENDPOINT, cluster, memory, knowing(app="weak", migration=OTHER)).warnings
    assert told.endswith(f"it is kept, as billing_app_{environment}_user has it already")


@pytest.mark.parametrize("environment", ["dev", "prd"])
def test_a_bad_password_that_an_adopted_user_does_not_have_is_told_as_the_wrong_one(environment: str) -> None:
    settings = settings_of(environment, **configured(app="weak", migration=STRONG))
    with pytest.raises(AdoptionError, match="the configured password is not the one that it has"):
        decide(settings, ENDPOINT, existing(settings), Memory(), knowing(app=OTHER, migration=STRONG))


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
