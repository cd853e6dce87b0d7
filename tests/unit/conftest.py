"""Fixtures of the unit ring. Nothing here opens a connection or starts a program; deriving a key takes its time once."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
import yaml

from golabs_infra import passphrase
from golabs_infra.passphrase import PassphraseCrypter
from golabs_infra.policy import TST_PASSPHRASE

from ..support import REPOSITORY


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


@pytest.fixture(scope="session")
def tracked_stack() -> dict[str, object]:
    """The tracked Pulumi.tst.yaml, as a mapping: its salt and values were written by the Pulumi CLI."""
    document = yaml.safe_load((REPOSITORY / "Pulumi.tst.yaml").read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


@pytest.fixture(scope="session")
def tracked_crypter(tracked_stack: dict[str, object]) -> PassphraseCrypter:
    """What opens the values of the tracked Pulumi.tst.yaml (0.3 s, once a session)."""
    crypter = passphrase.unlock(TST_PASSPHRASE, str(tracked_stack["encryptionsalt"]))
    assert crypter is not None
    return crypter
