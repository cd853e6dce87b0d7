"""Fixtures of the ring that reads and writes files. Nothing here opens a connection or starts a program."""

from __future__ import annotations

import pytest
import yaml

from golabs_infra import passphrase
from golabs_infra.passphrase import PassphraseCrypter
from golabs_infra.policy import TST_PASSPHRASE

from ..support import REPOSITORY
from ..unit.conftest import _each_key_once, quick_keys  # noqa: F401 - fixtures


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
