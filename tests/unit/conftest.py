"""Fixtures of the unit ring. Nothing here opens a connection or starts a program; deriving a key takes its time once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from golabs_infra import passphrase


@pytest.fixture(scope="session", autouse=True)
def _each_key_once() -> Iterator[None]:
    """A key of a million rounds is derived once a session, whoever asks for it."""
    derive = passphrase._derive_key
    known = cache(lambda phrase, salt, rounds: derive(phrase, salt))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passphrase, "_derive_key", lambda phrase, salt: known(phrase, salt, passphrase.ITERATIONS))
        yield


@pytest.fixture
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys from one round of PBKDF2 instead of a million, for tests that make their own encrypted values."""
    monkeypatch.setattr(passphrase, "ITERATIONS", 1)
