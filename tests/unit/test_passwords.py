"""Passwords: verifiers as PostgreSQL computes them, generated ones, and what a new one must be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

import pytest

from golabs_infra import passwords
from golabs_infra.passwords import (
    ALPHABET,
    derive_salt,
    generate,
    password_problems,
    random_salt,
    scram_verifier,
    verifier_matches,
)
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP, POLICIES, Policy

SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
RFC_7677 = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
    ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)
STRONG = "Zk3-vQ9_xW7.rT2mLp"


def verifier_of_bytes(password: bytes) -> str:
    """RFC 5802 on bytes as they are, without any preparation; one round."""
    salted = hashlib.pbkdf2_hmac("sha256", password, SALT, 1)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt, stored_key, server_key = (base64.b64encode(part).decode() for part in (SALT, stored, server))
    return f"SCRAM-SHA-256$1:{salt}${stored_key}:{server_key}"


# ---- verifiers


def test_the_verifier_is_the_one_of_rfc_7677() -> None:
    assert scram_verifier("pencil", SALT) == RFC_7677


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("pencil", "pencil"),
        ("with space and \t tab", "with space and \t tab"),
        ("I\u00adX", "IX"),
        ("user\u200c\u2060", "user"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b\u3000c", "a b c"),
        ("a\u200bb", "a b"),
        ("cafe\u0301", "caf\u00e9"),
        ("caf\u00e9", "caf\u00e9"),
        ("\ufb01n", "fin"),
        ("\u06271\u0628\u00ad", "\u06271\u0628"),
    ],
)
def test_a_password_is_prepared_as_postgresql_does(password: str, prepared: str) -> None:
    assert scram_verifier(password, SALT, 1) == verifier_of_bytes(prepared.encode())


@pytest.mark.parametrize(
    "password",
    [
        pytest.param("e\u0301\u0007", id="a control character"),
        pytest.param("e\u0301\u0221", id="not assigned in Unicode 3.2"),
        pytest.param("e\u0301\U0001f511", id="an emoji, younger than Unicode 3.2"),
        pytest.param("e\u0301\ue000", id="private use"),
        pytest.param("e\u0301\u0340", id="a deprecated mark, which normalising would hide"),
        pytest.param("\u0627\u00ad1", id="right to left, and a digit last"),
        pytest.param("\u0627\u00adb\u0627", id="right to left, and a latin letter"),
        pytest.param("\u00ad\u200c", id="nothing left of it"),
    ],
)
def test_a_password_that_cant_be_prepared_is_used_as_it_is(password: str) -> None:
    assert scram_verifier(password, SALT, 1) == verifier_of_bytes(password.encode())


@pytest.mark.parametrize("password", ["pencil", "", "with space", "caf\u00e9", "p%40s$s:w@rd/\\'\"", "a" * 500])
def test_a_password_matches_its_own_verifier_and_no_other(password: str) -> None:
    verifier = scram_verifier(password, SALT, 2)
    assert verifier_matches(verifier, password, "billing_app_tst_user")
    assert not verifier_matches(verifier, f"{password}x", "billing_app_tst_user")


def test_a_verifier_of_other_iterations_and_salt_is_recomputed_with_them() -> None:
    assert verifier_matches(scram_verifier("pencil", b"other salt", 7), "pencil", "any")
    assert not verifier_matches(RFC_7677.replace("$4096:", "$4095:"), "pencil", "any")


def test_an_md5_hash_holds_password_and_role() -> None:
    stored = "md5" + hashlib.md5(b"pencilbilling_app_tst_user", usedforsecurity=False).hexdigest()
    assert verifier_matches(stored, "pencil", "billing_app_tst_user")
    assert not verifier_matches(stored, "Pencil", "billing_app_tst_user")
    assert not verifier_matches(stored, "pencil", "billing_app_dev_user")


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "pencil",
        "md5",
        "md5é",
        "md5" + "0" * 32,
        "SCRAM-SHA-256",
        RFC_7677.replace("SHA-256", "SHA-512"),
        RFC_7677.replace("$4096", "$0"),
        RFC_7677.replace("$4096", "$-1"),
        RFC_7677.replace("$4096", "$9999999999"),
        RFC_7677.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22=ZaJ0"),
        RFC_7677.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "é"),
        RFC_7677[:-4],
        RFC_7677 + "\n",
        " " + RFC_7677,
    ],
)
def test_what_is_no_verifier_matches_no_password(stored: str | None) -> None:
    assert not verifier_matches(stored, "pencil", "billing_app_tst_user")


# ---- salts


def test_a_derived_salt_is_the_same_at_every_run() -> None:
    assert derive_salt(b"stack", "billing_app_tst_user").hex() == "7d4abeebd9e60fe56ad0d18db43f63b1"


def test_a_derived_salt_is_another_for_each_role_and_each_stack() -> None:
    salts = {
        derive_salt(stack, role)
        for stack in (b"one", b"two")
        for role in ("billing_app_tst_user", "order_app_tst_user")
    }
    assert len(salts) == 4
    assert {len(salt) for salt in salts} == {16}


def test_a_random_salt_has_16_bytes_and_never_comes_twice() -> None:
    salts = {random_salt() for _ in range(100)}
    assert len(salts) == 100
    assert {len(salt) for salt in salts} == {16}


# ---- generated passwords


def test_a_generated_password_is_32_letters_and_digits_and_never_comes_twice() -> None:
    generated = {generate() for _ in range(200)}
    assert len(generated) == 200
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", password) for password in generated)


def test_generated_passwords_use_the_whole_alphabet() -> None:
    assert len(ALPHABET) == 62
    assert set("".join(generate() for _ in range(100))) == set(ALPHABET)


@pytest.mark.parametrize("policy", POLICIES.values())
def test_a_generated_password_meets_every_policy(policy: Policy) -> None:
    assert password_problems(generate(), "billing", policy) == []


# ---- new passwords that somebody chose


@pytest.mark.parametrize("policy", POLICIES.values())
@pytest.mark.parametrize("password", [STRONG, "0123456789abcdefGHIJ", "a.b_c-d.E_F-G.0_1-2"])
def test_letters_digits_and_three_signs_are_taken(policy: Policy, password: str) -> None:
    assert password_problems(password, "billing", policy) == []


@pytest.mark.parametrize("policy", POLICIES.values())
@pytest.mark.parametrize(
    "password",
    [
        *(f"{STRONG}{sign}" for sign in " \t\n'\"`$\\!@#%^&*()+={}[]|:;<>,?/~é🔑\0"),
        f"-{STRONG}",
        f".{STRONG}",
        f"_{STRONG}",
    ],
)
def test_what_a_shell_a_url_or_yaml_gives_a_meaning_to_is_refused(policy: Policy, password: str) -> None:
    assert password_problems(password, "billing", policy) == [
        "has characters other than letters, digits and _ . - (or starts with one of these three)"
    ]


@pytest.mark.parametrize(("policy", "length"), [(DISPOSABLE, 8), (KEEP, 12), (GUARDED, 16)])
def test_each_policy_asks_for_a_length(policy: Policy, length: int) -> None:
    letters = "aBcDeFgHiJkLmNoPq"
    assert password_problems(letters[:length], "billing", policy) == []
    assert password_problems(letters[: length - 1], "billing", policy) == [
        f"has {length - 1} characters; the policy {policy.name} asks for {length}"
    ]


@pytest.mark.parametrize(("policy", "characters"), [(KEEP, 6), (GUARDED, 8)])
def test_stricter_policies_ask_for_different_characters(policy: Policy, characters: int) -> None:
    letters = "aBcDeFgHiJ"
    assert password_problems((letters[:characters] * 8)[:20], "billing", policy) == []
    assert password_problems((letters[: characters - 1] * 8)[:20], "billing", policy) == [
        f"has {characters - 1} different characters; the policy {policy.name} asks for {characters}"
    ]


def test_a_disposable_environment_takes_the_same_character_eight_times() -> None:
    assert password_problems("aaaaaaaa", "billing", DISPOSABLE) == []


@pytest.mark.parametrize("policy", [KEEP, GUARDED])
@pytest.mark.parametrize("password", ["xk7-billing-Q2vTz9w", "xk7-BILLING-Q2vTz9w"])
def test_the_services_name_is_no_part_of_a_password(policy: Policy, password: str) -> None:
    assert password_problems(password, "billing", policy) == ["has the service's name in it"]
    assert password_problems(password, "billing", DISPOSABLE) == []


def test_a_short_service_name_may_be_in_a_password_by_chance() -> None:
    assert password_problems("xk7-abc-Q2vTz9wLm4", "abc", GUARDED) == []
    assert password_problems("xk7-abcd-Q2vTz9wLm", "abcd", GUARDED) == ["has the service's name in it"]


def test_everything_that_is_wrong_is_told_and_nothing_of_the_password() -> None:
    problems = password_problems("billing!", "billing", GUARDED)
    assert problems == [
        "has characters other than letters, digits and _ . - (or starts with one of these three)",
        "has 8 characters; the policy guarded asks for 16",
        "has the service's name in it",
    ]


def test_the_iterations_are_postgresqls_default() -> None:
    assert passwords.ITERATIONS == 4096
    assert scram_verifier("pencil", SALT).startswith("SCRAM-SHA-256$4096:")
