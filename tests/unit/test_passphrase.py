"""Pulumi's passphrase provider: what its CLI wrote is read, what we write has its form, and damage is told."""

from __future__ import annotations

import base64

import pytest

from golabs_infra import passphrase
from golabs_infra.errors import SecretsError
from golabs_infra.passphrase import PassphraseCrypter, create, unlock
from golabs_infra.policy import TST_PASSPHRASE

SALT_OF_X = "v1:jbMql0mcXUo=:v1:RFnNlYLBBHgnp5tm:UVcDWhVld+TJ9Dk17NR+h6hRVVwWUw=="
HUNTER2_OF_X = "v1:ssAHjK2qGEvVr0aY:eqi6UHy+L3geiiq7ktXxAbDEpvsPRT4="


@pytest.fixture
def crypter(quick_keys: None) -> PassphraseCrypter:
    """A crypter of a stack of one's own."""
    return create("correct horse")[0]


def test_a_value_that_the_pulumi_cli_wrote_is_read() -> None:
    crypter = unlock("x", SALT_OF_X)
    assert crypter is not None
    assert crypter.decrypt(HUNTER2_OF_X) == "hunter2"


def test_the_published_passphrase_is_the_one_of_the_readme() -> None:
    assert TST_PASSPHRASE == "golabs-tst"


@pytest.mark.usefixtures("quick_keys")
@pytest.mark.parametrize(
    "phrase", ["", "x", "correct horse battery staple", "pässwörd ✓", " spaces ", "a:b:c", "\udcff"]
)
def test_a_stack_is_unlocked_with_its_own_passphrase_only(phrase: str) -> None:
    crypter, salt = create(phrase)
    again = unlock(phrase, salt)
    assert again is not None
    assert again.decrypt(crypter.encrypt("text")) == "text"
    assert unlock(f"{phrase}x", salt) is None


@pytest.mark.parametrize("text", ["", "a", "hunter2", "pässwörd ✓ 🔑", "a" * 100_000, "line\nline", "\0", "v1:x:y"])
def test_a_text_comes_back_as_it_went_in(crypter: PassphraseCrypter, text: str) -> None:
    assert crypter.decrypt(crypter.encrypt(text)) == text


def test_a_value_has_the_form_that_pulumi_writes(crypter: PassphraseCrypter) -> None:
    version, nonce, sealed = crypter.encrypt("hunter2").split(":")
    assert version == "v1"
    assert len(base64.b64decode(nonce, validate=True)) == 12
    assert len(base64.b64decode(sealed, validate=True)) == len("hunter2") + 16


def test_the_same_text_is_never_written_the_same_way_twice(crypter: PassphraseCrypter) -> None:
    assert len({crypter.encrypt("hunter2") for _ in range(50)}) == 50


@pytest.mark.usefixtures("quick_keys")
def test_a_new_salt_has_the_form_that_pulumi_writes() -> None:
    parts = create("x")[1].split(":")
    assert [parts[0], parts[2]] == ["v1", "v1"]
    assert len(parts) == 5
    assert len(base64.b64decode(parts[1], validate=True)) == 8


@pytest.mark.usefixtures("quick_keys")
def test_two_stacks_of_one_passphrase_cant_read_each_other() -> None:
    one, other = create("x")[0], create("x")[0]
    with pytest.raises(SecretsError, match="encrypted under another passphrase or salt, or was changed since"):
        other.decrypt(one.encrypt("hunter2"))


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("position", [0, -1])
def test_a_value_that_was_changed_is_refused(crypter: PassphraseCrypter, part: int, position: int) -> None:
    parts = crypter.encrypt("hunter2").split(":")
    raw = bytearray(base64.b64decode(parts[part]))
    raw[position] ^= 1
    parts[part] = base64.b64encode(raw).decode()
    with pytest.raises(
        SecretsError, match=r"^this value was encrypted under another passphrase or salt, or was changed"
    ):
        crypter.decrypt(":".join(parts))


@pytest.mark.parametrize("value", ["", "hunter2", "v1:x", "v1:a:b:c", "v2:AAAA:AAAA", "secure", ":::", "v1::::"])
def test_a_value_of_another_form_is_told(crypter: PassphraseCrypter, value: str) -> None:
    with pytest.raises(SecretsError) as caught:
        crypter.decrypt(value)
    assert str(caught.value) == "this is not a value that Pulumi encrypted (v1:<nonce>:<ciphertext>)"


@pytest.mark.parametrize(
    "value", ["v1:*:AAAA", "v1:AAAA:é", "v1:AAA:AAAA", "v1::", "v1:AAAA:AAAA", "v1:AAAA AAAA:AAAA"]
)
def test_a_damaged_value_is_told(crypter: PassphraseCrypter, value: str) -> None:
    with pytest.raises(SecretsError) as caught:
        crypter.decrypt(value)
    assert str(caught.value) == "this encrypted value is damaged: it is not base64 of the right length"


def test_a_value_with_a_stray_character_is_told(crypter: PassphraseCrypter) -> None:
    version, nonce, sealed = crypter.encrypt("hunter2").split(":")
    with pytest.raises(SecretsError, match="this encrypted value is damaged"):
        crypter.decrypt(f"{version}:{nonce}:{sealed[:4]}*{sealed[4:]}")


def test_a_value_that_was_cut_off_is_refused(crypter: PassphraseCrypter) -> None:
    version, nonce, sealed = crypter.encrypt("hunter2").split(":")
    with pytest.raises(SecretsError):
        crypter.decrypt(f"{version}:{nonce}:{sealed[:8]}")


@pytest.mark.parametrize("salt", ["", "v1", "v1:abc", "v2:AAAA:v1:AAAA:AAAA", "golabs"])
def test_a_salt_of_another_form_is_told(salt: str) -> None:
    with pytest.raises(SecretsError) as caught:
        unlock("x", salt)
    assert str(caught.value) == (
        "encryptionsalt is malformed (v1:<salt>:<check value>)\n  mend: take the line back from version control"
    )


@pytest.mark.parametrize("salt", ["v1:*:v1:AAAA:AAAA", "v1:é:v1:AAAA:AAAA", "v1:AAA:v1:AAAA:AAAA"])
def test_a_damaged_salt_is_told(salt: str) -> None:
    with pytest.raises(SecretsError) as caught:
        unlock("x", salt)
    assert str(caught.value) == "encryptionsalt is damaged\n  mend: take the line back from version control"


@pytest.mark.usefixtures("quick_keys")
@pytest.mark.parametrize("check", ["", "v1:AAAA:AAAA", "nonsense"])
def test_a_salt_with_a_damaged_check_value_opens_with_no_passphrase(check: str) -> None:
    assert unlock("x", f"v1:jbMql0mcXUo=:{check}") is None


def test_the_key_costs_what_pulumi_makes_it_cost() -> None:
    assert passphrase.ITERATIONS == 1_000_000


def test_a_crypter_shows_nothing_of_its_key(crypter: PassphraseCrypter) -> None:
    assert repr(crypter).startswith("<golabs_infra.passphrase.PassphraseCrypter object at ")
