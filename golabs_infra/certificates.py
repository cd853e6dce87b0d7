"""The certificate files that a configuration names: whether they are there and fit to use, before anybody connects.

libpq goes on without a client certificate that is not there, and the Go driver of the Pulumi provider without a root
certificate; so each file is looked at here, once for both engines. Whom a certificate names, who has signed it and how
long it holds is for the server and for libpq to say.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from shlex import quote

from .endpoint import Endpoint
from .errors import Fault
from .stackfile import NAMESPACE

_GROUP_OF_ROOT = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO
_CERTIFICATES = (
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN TRUSTED CERTIFICATE-----",
    "-----BEGIN X509 CERTIFICATE-----",
)


def certificate_faults(endpoint: Endpoint) -> list[Fault]:
    """What is wrong with the files, whose paths must be absolute; nothing where there are none."""
    faults: list[Fault] = []
    for key, path in (("sslRootCert", endpoint.ssl_root_cert), ("sslCert", endpoint.ssl_cert)):
        if path is not None:
            faults += _fault(key, path, _certificate_problem(path))
    if endpoint.ssl_key is not None:
        faults += _fault("sslKey", endpoint.ssl_key, _key_problem(endpoint.ssl_key))
    return faults


def _fault(key: str, path: str, problem: tuple[str, str] | None) -> list[Fault]:
    return [] if problem is None else [Fault(f"{NAMESPACE}{key}", f"{path}: {problem[0]}", problem[1])]


def _read(path: str) -> str | tuple[str, str]:
    """What a file holds, or why it can't be had and the mend."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "it is not a file", "name the file itself"
        return Path(path).read_text(encoding="latin-1")
    except FileNotFoundError:
        return "there is no such file", "put it there, or correct the path, which counts from the project's folder"
    except PermissionError:
        return "it can't be read: permission denied", f"as its owner: chown {_me()} {quote(path)}"
    except OSError as error:
        return f"it can't be read: {error.strerror}", "correct the path, which counts from the project's folder"


def _certificate_problem(path: str) -> tuple[str, str] | None:
    text = _read(path)
    if not isinstance(text, str):
        return text
    if not any(mark in text for mark in _CERTIFICATES):
        return (
            "it holds no certificate in the PEM form",
            f"name one; if it is in the DER form: openssl x509 -inform der -in {quote(path)} -out {quote(path)}.pem",
        )
    return None


def _key_problem(path: str) -> tuple[str, str] | None:
    text = _read(path)
    if not isinstance(text, str):
        return text
    seen = os.stat(path)
    if seen.st_mode & (_GROUP_OF_ROOT if seen.st_uid == 0 else stat.S_IRWXG | stat.S_IRWXO):
        return (
            f"others may read or change it (permissions {stat.S_IMODE(seen.st_mode):04o})",
            f"chmod 600 {quote(path)}",
        )
    if "PRIVATE KEY-----" not in text:
        return "it holds no private key in the PEM form", "name the key that belongs to sslCert"
    if "ENCRYPTED" in text:
        return (
            "the key is under a passphrase, which no engine can ask for",
            f"(umask 077 && openssl pkey -in {quote(path)} -out {quote(path)}.open), and name that file",
        )
    return None


def _me() -> str:
    return str(os.geteuid())
