"""Notes of proofs: worth something only for the same verifier and the same password, and never in clear."""

from __future__ import annotations

import pytest

from golabs_infra.passwords import scram_verifier
from golabs_infra.proofs import proof

VERIFIER = scram_verifier("correct-horse", b"0123456789abcdef")
USER = "billing_app_tst_user"


def test_a_proof_is_of_one_verifier_one_user_and_one_password() -> None:
    other = scram_verifier("correct-horse", b"fedcba9876543210")
    assert proof(VERIFIER, USER, "correct-horse") == proof(VERIFIER, USER, "correct-horse")
    others = {
        proof(VERIFIER, USER, "correct-horsf"),
        proof(VERIFIER, "order_app_tst_user", "correct-horse"),
        proof(other, USER, "correct-horse"),
    }
    assert len(others | {proof(VERIFIER, USER, "correct-horse")}) == 4


@pytest.mark.parametrize("password", ["correct-horse", "", "pässwörd", "\ud800"])
def test_no_password_can_be_read_in_a_proof(password: str) -> None:
    digest = proof(VERIFIER, USER, password)
    assert len(digest) == 64
    assert not password or password not in digest
