"""Pulumi's passphrase secrets provider, byte for byte: AES-256-GCM under a key from PBKDF2.

A stack's `encryptionsalt` is `v1:<salt>:<the word "pulumi", encrypted>`; a value is `v1:<nonce>:<ciphertext>`; all parts
are base64. Source: pulumi/pulumi, sdk/go/common/resource/config/crypt.go and pkg/secrets/passphrase/manager.go.
This module reads no files and no environment variables.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

from .errors import SecretsError

ITERATIONS = 1_000_000
KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 8
_CHECK_WORD = "pulumi"


class PassphraseCrypter:
    """Encrypts and decrypts the values of one stack. Made by `unlock` or `create`; the key stays in memory."""

    def __init__(self, key: bytes) -> None:
        # Not at the module's import: commands that decrypt nothing start without it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._cipher = AESGCM(key)

    def encrypt(self, text: str) -> str:
        """`text` as Pulumi writes it under `secure:`; a new nonce each time."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, value: str) -> str:
        """The text behind a `secure:` value. Raises SecretsError where it is malformed or of another key."""
        from cryptography.exceptions import InvalidTag

        parts = value.split(":")
        if len(parts) != 3 or parts[0] != "v1":
            raise SecretsError("this is not a value that Pulumi encrypted (v1:<nonce>:<ciphertext>)")
        try:
            nonce, sealed = (base64.b64decode(part, validate=True) for part in parts[1:])
            return self._cipher.decrypt(nonce, sealed, None).decode()
        except (binascii.Error, ValueError) as error:
            raise SecretsError("this encrypted value is damaged: it is not base64 of the right length") from error
        except InvalidTag as error:
            raise SecretsError(
                "this value was encrypted under another passphrase or salt, or was changed since"
            ) from error


def unlock(passphrase: str, encryption_salt: str) -> PassphraseCrypter | None:
    """The crypter of a stack, or None where the passphrase is not the stack's (takes about 0.3 s).

    Raises SecretsError where the salt itself is malformed.
    """
    parts = encryption_salt.split(":", 2)
    if len(parts) != 3 or parts[0] != "v1":
        raise SecretsError(
            "encryptionsalt is malformed (v1:<salt>:<check value>)", mend="take the line back from version control"
        )
    try:
        salt = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise SecretsError("encryptionsalt is damaged", mend="take the line back from version control") from error
    crypter = PassphraseCrypter(_derive_key(passphrase, salt))
    try:
        return crypter if crypter.decrypt(parts[2]) == _CHECK_WORD else None
    except SecretsError:
        return None


def create(passphrase: str) -> tuple[PassphraseCrypter, str]:
    """A crypter with a new random salt, and the `encryptionsalt` line that goes with it."""
    salt = os.urandom(SALT_BYTES)
    crypter = PassphraseCrypter(_derive_key(passphrase, salt))
    return crypter, f"v1:{base64.b64encode(salt).decode()}:{crypter.encrypt(_CHECK_WORD)}"


def _derive_key(passphrase: str, salt: bytes) -> bytes:
    # Python hands on bytes of the environment that are no UTF-8 as surrogates; Pulumi takes the bytes.
    phrase = passphrase.encode(errors="surrogateescape")
    return hashlib.pbkdf2_hmac("sha256", phrase, salt, ITERATIONS, KEY_BYTES)
