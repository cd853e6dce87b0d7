"""What the keys of the old scripts' files mean: `DB_HOST_DEV`, `BILLING_APP_PASSWORD` and all their relatives. Pure.

It sees keys only, as words in lower case, and never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from .legacy_words import PASSWORDS, canonical, words_of
from .names import SERVICE_PATTERN, UserKind

_ABOUT = r"(?:db|pg|postgres|postgresql|psql|database|sql|server){0,2}"
_ADMIN = r"(?:admin|super|superadmin|root|master|dba|owner|provisioner|provisioning|maintenance|default)"
_PASSWORD = r"(?:passwords?|passwd|pass|pwd|pw)"  # noqa: S105  (a pattern)
_FIELDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (field, re.compile(pattern))
    for field, pattern in (
        ("adminPassword", rf"{_ADMIN}?{_ABOUT}{_ADMIN}?(?:user)?{_PASSWORD}"),
        ("adminUser", rf"{_ADMIN}?{_ABOUT}(?:{_ADMIN}?(?:users?|username|login|role)|superusername|admin|dba)"),
        ("adminDatabase", rf"{_ABOUT}{_ADMIN}(?:db|database|dbname|databasename)"),
        ("host", rf"{_ABOUT}(?:hosts?|hostname|hostaddr|servers?|servername|addr|address|endpoint)"),
        ("port", rf"{_ABOUT}(?:host)?ports?"),
        ("sslMode", rf"{_ABOUT}sslmodes?"),
        ("sslRootCert", rf"{_ABOUT}ssl(?:rootcert|rootca|ca|cacert|cafile)"),
        ("sslCert", rf"{_ABOUT}ssl(?:cert|clientcert)"),
        ("sslKey", rf"{_ABOUT}ssl(?:key|clientkey)"),
        ("title", r"name"),
        ("database", r"(?:db|pg|postgres|postgresql|psql|sql)?(?:dbs?|databases?|dbnames?|databasenames?|name)"),
        ("services", r"(?:db|all|app|application)?(?:services|servicelist|servicenames|schemas)"),
        ("environments", r"(?:valid|known|supported|allowed)?(?:envs|environments|environmentlist)"),
        ("environment", r"(?:target|deploy)?(?:env|environment|stage)(?:name)?"),
    )
)
_KINDS: dict[str, UserKind] = {
    **dict.fromkeys(("migration", "migrations", "migrate", "migrator", "mig"), "migration"),
    **dict.fromkeys(("app", "application", "appl"), "app"),
}
_USERS = frozenset({"user", "users", "username", "usernames", "usr", "login", "role", "name"})
_FILLERS = frozenset({"db", "database", "pg", "postgres", "postgresql", "service", "svc", "schema", "services"})
_GENERAL = frozenset({"default", "defaults", "common", "global", "all", "shared", "base"})
_ENVIRONMENTS = frozenset({"env", "envs", "environment", "environments"})


@dataclass(frozen=True)
class ServiceKey:
    """A key about one service: the password or the name of one of its users, or its schema's name."""

    service: str
    kind: UserKind | None
    about: Literal["password", "user", "schema"]


@dataclass(frozen=True)
class Meaning:
    """What a key is about. `is_ours`: it names the environment; `elsewhere`: it names another one."""

    is_ours: bool = False
    elsewhere: bool = False
    field: str | None = None
    service: ServiceKey | None = None
    reason: str = "no key that is known here"


def meaning_of(words: tuple[str, ...], environment: str, services: Iterable[str]) -> Meaning:
    """What a key is about, given the services that are known by name."""
    rest, is_ours = _without(words, words_of(environment), environment)
    if any(canonical(word, environment) not in (None, environment) for word in rest):
        return Meaning(is_ours, elsewhere=not is_ours, reason="it names more than one environment")
    if len(rest) > 1 and (rest[0] in _GENERAL or (is_ours and rest[0] in _ENVIRONMENTS)):
        rest = rest[1:]
    field = next((field for field, pattern in _FIELDS if pattern.fullmatch("".join(rest))), None)
    if field is not None:
        return Meaning(is_ours, field=field)
    if (key := _of_service(rest, services)) is not None:
        return Meaning(is_ours, service=key)
    if set(rest) & PASSWORDS:
        return Meaning(is_ours, reason="a password, but the key does not say of which service's migration or app user")
    return Meaning(is_ours)


def _of_service(words: tuple[str, ...], services: Iterable[str]) -> ServiceKey | None:
    for service in sorted(services, key=lambda name: (-len(name), name)):
        others, found = _without(words, words_of(service), service)
        if found and (key := _service_key(service, others)):
            return key
    kinds = [index for index, word in enumerate(words) if word in _KINDS]
    if not kinds:
        return None
    before, after = _trimmed(words[: kinds[-1]]), _trimmed(words[kinds[-1] + 1 :])
    part = before or (after if not set(after) & _USERS else ())  # the latter: MIGRATION_PASSWORD_BILLING
    others, _ = _without(words, part, "")
    name = "_".join(part)
    return _service_key(name, others) if SERVICE_PATTERN.fullmatch(name) else None


def _without(words: tuple[str, ...], part: tuple[str, ...], name: str) -> tuple[tuple[str, ...], bool]:
    """The words without the first run of `part`, or without one that is another way to say `name`."""
    for index in range(len(words) - len(part) + 1):
        if words[index : index + len(part)] == part:
            return words[:index] + words[index + len(part) :], True
    for index, word in enumerate(words):
        if canonical(word, "") == name:
            return words[:index] + words[index + 1 :], True
    return words, False


def _trimmed(words: tuple[str, ...]) -> tuple[str, ...]:
    """Without what stands around a service's name; `user` alone is one."""
    while words and (words[0] in _FILLERS | PASSWORDS or (words[0] in _USERS and len(words) > 1)):
        words = words[1:]
    while words and words[-1] in _FILLERS:
        words = words[:-1]
    return words


def _service_key(service: str, others: tuple[str, ...]) -> ServiceKey | None:
    """What the words besides a service's name say of it."""
    kinds = [_KINDS[word] for word in others if word in _KINDS]
    if not set(others) <= _KINDS.keys() | PASSWORDS | _USERS | _FILLERS or len(kinds) > 1:
        return None
    if not kinds:
        return ServiceKey(service, None, "schema") if others in (("schema",), ("schema", "name")) else None
    if set(others) & PASSWORDS:
        return ServiceKey(service, kinds[0], "password")
    return ServiceKey(service, kinds[0], "user") if set(others) & _USERS else None
