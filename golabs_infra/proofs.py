"""What was shown of passwords by earlier runs: that a stored verifier is of a password stays true for ever.

Comparing takes 1 ms a user, by intent of SCRAM; remembering takes none. A note is a digest of the verifier with
the password and holds neither: another verifier on the server or another password makes the note worthless, never wrong. No clear text is
in it, and it is as private as the connection files. Without notes everything works the same, only slower.
"""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from .files import remove_private, write_private
from .project import Project


def recall_proofs(project: Project, environment: str) -> dict[str, str]:
    """The digest by user of each proof that was noted; empty where there is no note, or none that can be read."""
    try:
        noted = json.loads(_file(project, environment).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return (
        {user: digest for user, digest in noted.items() if isinstance(digest, str)} if isinstance(noted, dict) else {}
    )


def note_proofs(project: Project, environment: str, proofs: Mapping[str, str], users: Collection[str]) -> None:
    """Notes the digests of proofs by user, with those of earlier runs for the other `users`.

    A note that can't be written is done without.
    """
    before = recall_proofs(project, environment)
    noted = {user: digest for user, digest in {**before, **proofs}.items() if user in users}
    if noted != before:
        with contextlib.suppress(OSError):
            write_private(_file(project, environment), json.dumps(noted, indent=0, sort_keys=True), durable=False)


def forget_proofs(project: Project, environment: str) -> None:
    """Removes the note of an environment that is gone. Raises GolabsError."""
    remove_private(_file(project, environment))


def proof(verifier: str, user: str, password: str) -> str:
    """The digest of one proof: HMAC-SHA-256 of the user and the password under the verifier, in hexadecimal."""
    return hmac.digest(verifier.encode(), f"{user}\0{password}".encode(errors="surrogatepass"), "sha256").hex()


def _file(project: Project, environment: str) -> Path:
    return project.private_folder / "proofs" / f"{environment}.json"
