"""Reads the keys `logins` and `passwords`: which logins a service's users have, and their passwords. Pure.

Faults and passwords in plain text are told to whoever collects them; what a password must be like is told elsewhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping

from pydantic import SecretStr

from .config_keys import EXAMPLES, nearest, shown
from .names import LOGINS, PASSWORD_KEYS, USER_KINDS, Login, UserKind, login_name, parse_user_name, service_name_problem
from .password_commands import set_password

Logins = dict[tuple[str, UserKind], tuple[Login, ...]]
"""The open logins of a user that has two, by service and kind: the newest is the last."""

_ALIKE = 0.7
"""How alike two names are, of 1, where one is taken for the other with a slip in it."""


class LoginKeys:
    """One reading. `fault` is told a key's path, what is wrong there and the mend; `plain` of each password as it stands.

    `services` are the listed ones, None where it can't be said which. With `lets_go`, entries of a service that was taken
    out of the list are no faults; `leftovers` has their paths then.
    """

    def __init__(
        self,
        environment: str,
        services: Collection[str] | None,
        fault: Callable[[str, str, str], None],
        plain: Callable[[object, str], None],
        *,
        lets_go: bool,
    ) -> None:
        self.leftovers: list[str] = []
        self._lets_go = lets_go
        self._environment = environment
        self._services = services
        self._fault = fault
        self._plain = plain

    def logins(self, given: object) -> Logins:
        """The logins of those users that have an entry without a fault."""
        logins: Logins = {}
        for path, service, kind, listed in self._entries("logins", given, "{app: [user, twin]}"):
            words = [word for word in listed if word in LOGINS] if isinstance(listed, list) else []
            if kind not in USER_KINDS:
                self._no_such_user(path, kind, USER_KINDS)
            elif not words or words != listed or len(set(words)) != len(words):
                what = f"{shown(listed)} is not a list of open logins: user, twin, or both, the newest last"
                self._fault(
                    path, what, "write one of [user], [twin], [user, twin], [twin, user], as golabs rotate does"
                )
            else:
                logins[service, "migration" if kind == "migration" else "app"] = tuple(words)
        return logins

    def passwords(self, given: object, logins: Logins) -> dict[str, SecretStr]:
        """The passwords by user name. One of a twin that nothing names would be thought to be in use: a fault."""
        passwords: dict[str, SecretStr] = {}
        for path, service, key, password in self._entries("passwords", given, "{migration: ..., app: ...}"):
            if key not in PASSWORD_KEYS:
                self._no_such_user(path, key, PASSWORD_KEYS)
                continue
            kind, login = PASSWORD_KEYS[str(key)]
            if problem := _problem(password):
                self._fault(path, problem, set_password(self._environment, path))
                continue
            self._plain(password, path)
            text = password.get_secret_value() if isinstance(password, SecretStr) else str(password)
            passwords[login_name(service, kind, self._environment, login)] = SecretStr(text)
        self._check_twins(passwords, logins)
        return passwords

    def _entries(self, key: str, given: object, example: str) -> Iterator[tuple[str, str, object, object]]:
        """Path, service, key and value of what stands below the services that there are."""
        if not isinstance(given, dict):
            self._fault(key, "it is not a mapping of services", f"write {EXAMPLES[key]}")
            return
        if self._services is None:
            return
        for service, users in given.items():
            path = f"{key}.{service}"
            if self._is_leftover(service, given):
                self.leftovers.append(path)
            elif service not in self._services:
                what = f"there is no service {service!r}{nearest(service, self._services)}"
                self._fault(path, what, "correct the name, or remove the entry")
            elif not isinstance(users, dict):
                self._fault(path, "it is not a mapping of users", f"write {example}")
            else:
                for name, value in users.items():
                    yield f"{path}.{name}", service, name, value

    def _is_leftover(self, service: object, given: Mapping[object, object]) -> bool:
        """Whether it can be a service that was taken out, and no listed one, without an entry, with a slip in its name."""
        listed = self._services or ()
        if not self._lets_go or service in listed or not isinstance(service, str):
            return False
        bare = [name for name in listed if name not in given]
        was_a_service = service_name_problem(service, self._environment) is None
        return was_a_service and not difflib.get_close_matches(service, bare, n=1, cutoff=_ALIKE)

    def _no_such_user(self, path: str, key: object, known: Collection[str]) -> None:
        mend = f"name one of {', '.join(known)}"
        self._fault(path, f"a service has no user {key!r}{nearest(key, known)}", mend)

    def _check_twins(self, passwords: Mapping[str, SecretStr], logins: Logins) -> None:
        for user in sorted(passwords):
            parts = parse_user_name(user)
            if parts is not None and parts.login == "twin" and (parts.service, parts.kind) not in logins:
                self._fault(
                    f"passwords.{parts.service}.{parts.key}",
                    f"the {parts.kind} user of {parts.service} has no twin: logins does not name one",
                    "put logins back as golabs rotate has written it (git diff shows it), or remove the entry",
                )


def _problem(password: object) -> str:
    """What can't be a password at all, in words; empty for what can."""
    if not isinstance(password, str | SecretStr):
        return "the password is not a string"
    text = password.get_secret_value() if isinstance(password, SecretStr) else password
    if not text:
        return "the password is empty"
    return "the password holds a NUL character" if "\0" in text else ""
