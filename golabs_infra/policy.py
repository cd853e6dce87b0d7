"""What each environment permits, in one place: disposable, keep and guarded, and which policy a stack has.

Nothing else in the project compares a policy's name; it asks the properties here. That tst is the stack whose passphrase is
published is `DEMONSTRATION_ENVIRONMENT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PolicyName = Literal["disposable", "keep", "guarded"]

TST_PASSPHRASE = "golabs-tst"  # noqa: S105  (published on purpose)
"""The published passphrase of the tst stack: whatever is encrypted with it is no secret."""

DEMONSTRATION_ENVIRONMENT = "tst"
"""The stack that a fresh clone can use at once: embedded server, published passphrase, state in a folder."""

CONFIRMATION_VARIABLE = "GOLABS_CONFIRM"
"""Holds the database's name to confirm an `up` of a guarded environment."""


@dataclass(frozen=True)
class Policy:
    """The rules of one environment, as questions that the engines ask.

    drops            `destroy` and a service's removal from the config drop what they made
    forgets          `destroy` and removal forget the resources and leave the objects in place
    protects         `destroy` and removal are refused, with nothing touched
    resets_passwords an existing user's password may be set to the declared one unasked
    confirms_up      `up` asks for the database's name
    """

    name: PolicyName
    drops: bool
    forgets: bool
    protects: bool
    resets_passwords: bool
    confirms_up: bool
    minimum_password_length: int
    minimum_distinct_characters: int


DISPOSABLE = Policy("disposable", True, False, False, True, False, 8, 1)
KEEP = Policy("keep", False, True, False, False, False, 12, 6)
GUARDED = Policy("guarded", False, False, True, False, True, 16, 8)

POLICIES: dict[str, Policy] = {policy.name: policy for policy in (DISPOSABLE, KEEP, GUARDED)}
BY_ENVIRONMENT: dict[str, Policy] = {"tst": DISPOSABLE, "dev": KEEP, "qua": GUARDED, "prd": GUARDED}


def policy_of(environment: str, declared: str | None) -> Policy:
    """The policy of a stack: the declared one, else the one known by the environment's name.

    Raises ValueError with a message for the user where the two don't go together or neither says.
    """
    known = BY_ENVIRONMENT.get(environment)
    if declared is None:
        if known is None:
            raise ValueError(
                f"the stack {environment!r} says no policy; only {', '.join(BY_ENVIRONMENT)} are known by name"
            )
        return known
    policy = POLICIES[declared]
    if known is GUARDED and policy is not GUARDED:
        raise ValueError(f"{environment} is guarded and can't be declared {declared!r}")
    return policy


def wrong_confirmation(environ: Mapping[str, str], expected: str) -> str:
    """What is wrong with CONFIRMATION_VARIABLE where it confirms something else than is expected, to go on a message with;
    empty where it is not set, or confirms it."""
    given = environ.get(CONFIRMATION_VARIABLE)
    return f", and {CONFIRMATION_VARIABLE} is {given!r}, not {expected!r}" if given and given != expected else ""
