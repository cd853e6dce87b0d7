"""Passwords: alphabet and strength, SCRAM-SHA-256 verifiers, and what is derived for them. No I/O.

A verifier is what PostgreSQL stores instead of the password. Computing it here keeps the clear text out of every
statement, so out of the server's log and statistics. Source: RFC 5802, RFC 7677, and PostgreSQL's scram-common.c.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import stringprep
import unicodedata

from pydantic import SecretStr

from .policy import Policy

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
"""What generated passwords are made of: nothing that a shell, a URL or YAML gives a meaning to."""

GENERATED_LENGTH = 32
ITERATIONS = 4096
"""PostgreSQL's default `scram_iterations`."""
SALT_BYTES = 16

_NEW_PASSWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_VERIFIER = re.compile(r"SCRAM-SHA-256\$([1-9][0-9]{0,8}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)")


def generate() -> str:
    """A new random password of 32 letters and digits (190 bits)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))


def password_problems(password: str, service: str, policy: Policy) -> list[str]:
    """Why a new password can't be used under a policy, as clauses to follow "the password"; empty where it can."""
    problems: list[str] = []
    if not _NEW_PASSWORD.fullmatch(password):
        problems.append("has characters other than letters, digits and _ . - (or starts with one of these three)")
    if len(password) < policy.minimum_password_length:
        problems.append(
            f"has {len(password)} characters; the policy {policy.name} asks for {policy.minimum_password_length}"
        )
    elif len(set(password)) < policy.minimum_distinct_characters:
        problems.append(
            f"has {len(set(password))} different characters; the policy {policy.name} asks for {policy.minimum_distinct_characters}"
        )
    if policy.minimum_distinct_characters > 1 and len(service) > 3 and service in password.lower():
        problems.append("has the service's name in it")
    return problems


def random_salt() -> bytes:
    """A salt for one new verifier."""
    return os.urandom(SALT_BYTES)


def derive_salt(stack_salt: bytes, role: str) -> bytes:
    """The salt of one role, stable between runs: HMAC-SHA-256 of the role's name under the stack's random salt."""
    return hmac.digest(stack_salt, role.encode(), "sha256")[:SALT_BYTES]


def scram_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> str:
    """`SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, as pg_authid.rolpassword holds it (takes 1 ms)."""
    salted = hashlib.pbkdf2_hmac("sha256", _saslprep(password).encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${iterations}:{next(parts)}${next(parts)}:{next(parts)}"


def new_verifier(password: SecretStr) -> str:
    """A verifier of a password under a salt of its own."""
    return scram_verifier(password.get_secret_value(), random_salt())


def verifier_matches(verifier: str | None, password: str, role: str) -> bool:
    """Whether a stored rolpassword (SCRAM-SHA-256, or the older MD5) is of this password."""
    if verifier is None:
        return False
    if verifier.startswith("md5"):
        digest = hashlib.md5((password + role).encode(), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(verifier.encode(), f"md5{digest}".encode())
    found = _VERIFIER.fullmatch(verifier)
    if found is None:
        return False
    try:
        salt = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        return False
    return hmac.compare_digest(verifier, scram_verifier(password, salt, int(found[1])))


def _saslprep(password: str) -> str:
    """RFC 4013 as PostgreSQL applies it: a password that can't be prepared is used as it is.

    Like saslprep.c it looks for what is prohibited before it normalises, and takes U+200B for a space.
    """
    if password.isascii():
        return password
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in password
        if stringprep.in_table_c12(character) or not stringprep.in_table_b1(character)
    )
    if not mapped or any(_prohibited(character) for character in mapped):
        return password
    if any(stringprep.in_table_d1(character) for character in mapped) and (
        any(stringprep.in_table_d2(character) for character in mapped)
        or not (stringprep.in_table_d1(mapped[0]) and stringprep.in_table_d1(mapped[-1]))
    ):
        return password
    return unicodedata.normalize("NFKC", mapped)


def _prohibited(character: str) -> bool:
    return (
        stringprep.in_table_a1(character)
        or stringprep.in_table_c12(character)
        or stringprep.in_table_c21_c22(character)
        or stringprep.in_table_c3(character)
        or stringprep.in_table_c4(character)
        or stringprep.in_table_c5(character)
        or stringprep.in_table_c6(character)
        or stringprep.in_table_c7(character)
        or stringprep.in_table_c8(character)
        or stringprep.in_table_c9(character)
    )
