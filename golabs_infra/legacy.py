"""The old scripts' `environments.conf` and `.env.<env>` -> what they say of an environment, line by line. Pure.

Each value comes with the line that it was read from; what is not understood is told with the reason and never with its
value. A password is taken only where there is no doubt of it. Nothing is ever run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from .endpoint import SslMode
from .errors import ConfigError, Fault
from .legacy_keys import Meaning, meaning_of
from .legacy_lines import Entry, Place, read_entries
from .names import USER_KINDS, database_name, user_name

ADMIN_PASSWORD = "adminPassword"  # noqa: S105  (a key's name)
_SSL_MODES: frozenset[str] = frozenset(get_args(SslMode))
_OPPORTUNISTIC = frozenset({"allow", "prefer"})
_FILES = frozenset({"sslRootCert", "sslCert", "sslKey"})


@dataclass(frozen=True)
class Understood:
    """One value of ours and the line that it comes from. `path` is its key: `host`, `passwords.billing.app`."""

    path: str
    value: str = field(repr=False)
    place: Place
    key: str

    @property
    def is_secret(self) -> bool:
        """Whether it is a password."""
        return self.path == ADMIN_PASSWORD or self.path.startswith("passwords.")

    @property
    def shown(self) -> str:
        """The value as it may be shown."""
        return "set" if self.is_secret else self.value


@dataclass(frozen=True, order=True)
class NotUnderstood:
    """A line that gave nothing, and why. `key` is empty where the line has none."""

    place: Place
    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.reason}" if self.key else f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class Legacy:
    """What the old files say of one environment. `elsewhere` counts the lines for other ones."""

    environment: str
    values: Mapping[str, Understood]
    facts: tuple[Understood, ...]
    """What was understood and needs no key of ours, such as the database's name."""
    services: tuple[str, ...]
    not_understood: tuple[NotUnderstood, ...]
    notes: tuple[str, ...]
    elsewhere: int

    @property
    def missing_passwords(self) -> tuple[str, ...]:
        """The keys of the services' passwords that the files don't give."""
        wanted = [f"passwords.{service}.{kind}" for service in self.services for kind in USER_KINDS]
        return tuple(path for path in wanted if path not in self.values)


@dataclass(frozen=True)
class Source:
    """One of the old files: its name in messages, its text, and whether all of it is the environment's own."""

    name: str
    text: str = field(repr=False)
    is_own: bool


def read_legacy(environment: str, sources: Iterable[Source], templates: Iterable[str] = ()) -> Legacy:
    """What the files say; the later ones see the variables of the earlier. `templates` are services known otherwise.

    Raises ConfigError, with all faults at once, where they contradict each other or our naming rules.
    """
    scope: dict[str, str | None] = {}
    entries = [
        (source, entry) for source in sources for entry in read_entries(source.text, source.name, environment, scope)
    ]
    reader = _Reader(environment, tuple(templates))
    reader.find_services(entry for _, entry in entries)
    for source, entry in entries:
        reader.take(entry, source.is_own)
    return reader.result()


@dataclass(frozen=True)
class _Candidate:
    entry: Entry
    is_own: bool
    value: str | None = field(repr=False)
    problem: str


class _Reader:
    """Sorts entries by what they are about, then picks one of each."""

    def __init__(self, environment: str, templates: tuple[str, ...]) -> None:
        self._environment = environment
        self._services = dict.fromkeys(templates)
        self._listed = bool(templates)
        self._candidates: dict[str, list[_Candidate]] = defaultdict(list)
        self._facts: list[Understood] = []
        self._unknown: list[NotUnderstood] = []
        self._notes: list[str] = []
        self._faults: list[Fault] = []
        self._elsewhere = 0

    def find_services(self, entries: Iterable[Entry]) -> None:
        """Takes the services' names from lists of them, so that keys can be told apart by them."""
        for entry in entries:
            meaning = meaning_of(entry.words, self._environment, ())
            if entry.elsewhere or meaning.elsewhere or meaning.field != "services":
                continue
            for name in _listed(entry.value):
                self._listed = True
                self._services.setdefault(name)

    def take(self, entry: Entry, is_own: bool) -> None:
        """Notes what an entry is about."""
        meaning = meaning_of(entry.words, self._environment, self._services)
        if entry.elsewhere or meaning.elsewhere:
            self._elsewhere += 1
        elif meaning.service is not None:
            self._service(entry, meaning)
        elif meaning.field is None:
            self._unknown.append(NotUnderstood(entry.place, entry.key, entry.problem or meaning.reason))
        elif meaning.field in ("database", "title", "services", "environment", "environments"):
            self._fact(entry, meaning, is_own)
        else:
            self._candidate(meaning.field, entry, is_own or meaning.is_ours)

    def result(self) -> Legacy:
        """What was found. Raises ConfigError with every fault."""
        values = {path: found for path in sorted(self._candidates) if (found := self._chosen(path)) is not None}
        if self._faults:
            raise ConfigError(self._faults, where="the old files")
        for name in (path.split(".")[1] for path in values if path.startswith("passwords.")):
            if name not in self._services and self._listed:
                self._notes.append(
                    f"the service {name!r} has passwords, but no template and no place in the list of services"
                )
            self._services.setdefault(name)
        return Legacy(
            self._environment,
            values,
            tuple(self._facts),
            tuple(sorted(self._services)),
            tuple(sorted(set(self._unknown))),
            tuple(dict.fromkeys(self._notes)),
            self._elsewhere,
        )

    def _candidate(self, path: str, entry: Entry, is_own: bool) -> None:
        value, problem = _value(path, entry)
        self._candidates[path].append(_Candidate(entry, is_own, value, problem))

    def _chosen(self, path: str) -> Understood | None:
        """The value of a key: the last line of each name, and the environment's own before those for all."""
        last: dict[tuple[str, str], _Candidate] = {}
        for candidate in self._candidates[path]:
            name = (candidate.entry.place.file, candidate.entry.key)
            earlier = last.pop(name, None)
            if earlier is not None and earlier.value != candidate.value:
                where = f"{candidate.entry.place}: {candidate.entry.key}"
                self._notes.append(f"{where} was set in line {earlier.entry.place.line} already; the last one holds")
            last[name] = candidate
        for candidate in last.values():
            if candidate.value is None:
                self._unknown.append(NotUnderstood(candidate.entry.place, candidate.entry.key, candidate.problem))
        own = [candidate for candidate in last.values() if candidate.is_own] or list(last.values())
        known = [candidate for candidate in own if candidate.value is not None]
        if not known:
            return None
        first = known[0]
        if differing := [candidate for candidate in known if candidate.value != first.value]:
            lines = ", ".join(f"{one.entry.place} ({one.entry.key})" for one in (first, *differing))
            self._faults.append(Fault(path, f"two lines say it differently: {lines}", "take the wrong one out"))
            return None
        for candidate in last.values():
            if candidate not in own and candidate.entry.place.file != first.entry.place.file:
                unused = f"{candidate.entry.place}: {candidate.entry.key}"
                self._notes.append(f"{unused} gives way to {first.entry.place}, the environment's own")
        self._notes += [f"{first.entry.place}: {first.entry.key}: {told}" for told in first.entry.assumptions]
        return Understood(path, first.value or "", first.entry.place, first.entry.key)

    def _service(self, entry: Entry, meaning: Meaning) -> None:
        key = meaning.service
        if key is None:
            raise AssertionError("the caller looked")
        if key.kind is None:
            self._named(entry, key.service, "the service's schema")
            return
        name = user_name(key.service, key.kind, self._environment)
        # A key that is the user's own name holds its password, unless it holds the name again.
        if key.about == "password" or (entry.key == name and entry.value != name):
            self._candidate(f"passwords.{key.service}.{key.kind}", entry, True)
        else:
            self._named(entry, name, "the user")

    def _named(self, entry: Entry, expected: str, what: str) -> None:
        """A name that the old scripts could choose, and that is fixed here."""
        if entry.value is None or entry.value == "":
            self._unknown.append(NotUnderstood(entry.place, entry.key, entry.problem or "it is empty"))
        elif entry.value == expected:
            self._facts.append(Understood(what.removeprefix("the "), expected, entry.place, entry.key))
        else:
            self._faults.append(
                Fault(
                    f"{entry.place}: {entry.key}",
                    f"{what} is not called {expected!r}, as it must be here",
                    "rename it on the server in a maintenance window, or correct the line",
                )
            )

    def _fact(self, entry: Entry, meaning: Meaning, is_own: bool) -> None:
        """What is compared and not taken over."""
        text = " ".join(_listed(entry.value)) if meaning.field in ("services", "environments") else entry.value
        database = database_name(self._environment)
        reason = entry.problem
        if not isinstance(text, str) or not text:
            reason = reason or ("it is a list" if text else "it is empty")
        elif meaning.field == "title" and text != database:
            reason = "it is not the database's name"
        elif meaning.field in ("database", "title") and text != database:
            if text.startswith("go-labs-") and not (is_own or meaning.is_ours):
                reason = f"it names a database, but not {database}"
            else:
                self._different_database(entry, text, database)
                return
        elif meaning.field == "environment" and text not in (self._environment, ""):
            reason = f"it names another environment than {self._environment}"
        if reason:
            self._unknown.append(NotUnderstood(entry.place, entry.key, reason))
            return
        self._facts.append(
            Understood(
                "database" if meaning.field == "title" else meaning.field or "", str(text), entry.place, entry.key
            )
        )
        self._notes += [f"{entry.place}: {entry.key}: {told}" for told in entry.assumptions]

    def _different_database(self, entry: Entry, text: str, database: str) -> None:
        self._faults.append(
            Fault(
                f"{entry.place}: {entry.key}",
                f"the database is {text!r}; here {self._environment}'s is always {database!r}",
                f'ALTER DATABASE "{text}" RENAME TO "{database}" in a maintenance window, or correct the line',
            )
        )


def _listed(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names in a list, however it is written."""
    texts = (value,) if isinstance(value, str) else value or ()
    return tuple(name for text in texts for name in re.split(r"[\s,;|]+", text) if name)


def _value(path: str, entry: Entry) -> tuple[str | None, str]:
    """The value that an entry gives, or None and the reason."""
    value = entry.value
    is_secret = path == ADMIN_PASSWORD or path.startswith("passwords.")
    if value is None:
        return None, entry.problem
    if isinstance(value, tuple):
        return None, "it is a list"
    if is_secret and entry.assumptions:
        return None, f"a password is not guessed: {'; '.join(entry.assumptions)}"
    problem = ""
    if not value:
        problem = "it is empty"
    elif path == "sslMode" and value in _OPPORTUNISTIC:
        problem = f"{value!r} does without encryption where it can't be had; here it is disable, require or verify-..."
    elif path == "sslMode" and value not in _SSL_MODES:
        problem = "it is no mode of PostgreSQL's"
    elif path in _FILES and not value.startswith("/"):
        problem = "a path that is not absolute means another file here"
    return (None, problem) if problem else (value, "")
