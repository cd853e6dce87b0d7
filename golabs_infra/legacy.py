"""The old scripts' `environments.conf` and `.env.<env>` -> what they say of an environment, line by line. Pure.

Each value comes with the line that it was read from; what is not understood is told with the reason and never with its
value. A password is taken only where there is no doubt of it. Nothing is ever run.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from .config_keys import ADMIN_PASSWORD
from .errors import ConfigError, Fault
from .legacy_keys import Meaning, ServiceKey, meaning_of
from .legacy_lines import Entry, Place, read_entries
from .legacy_values import is_password, listed, misshapen, split_host, value_of
from .names import DATABASE_PREFIX, USER_KINDS, database_name, service_name_problem, user_name
from .statement import remedy

_TELLING = re.compile(r"db|pg|postgres|psql|database|sql|admin|super|root|master|owner|provision|maintenance")


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
        return is_password(self.path)

    @property
    def origin(self) -> str:
        """The line and the key there, as messages name them."""
        return f"{self.place} ({self.key})"

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
        (source, entry)
        for source in sources
        for entry in _untangled(read_entries(source.text, source.name, environment, scope), environment)
    ]
    reader = _Reader(environment, tuple(templates))
    reader.find_services(entry for _, entry in entries)
    for source, entry in entries:
        reader.take(entry, source.is_own)
    return reader.result()


def _untangled(entries: Iterable[Entry], environment: str) -> Iterator[Entry]:
    """Takes the values from what follows a possible password on its line: that may be the password's tail."""
    behind = False
    for entry in entries:
        behind = behind and entry.follows
        reason = "it stands behind another value, whose quotes may be missing: give each a line of its own"
        yield replace(entry, value=None, problem=reason) if behind else entry
        meant = meaning_of(entry.words, environment, ()).field
        behind = behind or meant is None or meant == ADMIN_PASSWORD


@dataclass(frozen=True)
class _Candidate:
    entry: Entry
    is_own: bool
    is_ours: bool
    value: str | None = field(repr=False)
    problem: str
    port: str = ""

    @property
    def is_bare(self) -> bool:
        """Whether its name, such as PORT, does not say that it is about a database."""
        return not _TELLING.search("".join(self.entry.words))


class _Reader:
    """Sorts entries by what they are about, then picks one of each."""

    def __init__(self, environment: str, templates: tuple[str, ...]) -> None:
        self._environment = environment
        self._services = dict.fromkeys(templates)
        self._listed = bool(templates)
        self._candidates: dict[str, list[_Candidate]] = defaultdict(list)
        self._misnamed: list[tuple[str, Entry, str]] = []
        self._host_port: Understood | None = None
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
            for name in listed(entry.value):
                if service_name_problem(name, self._environment) is None:
                    self._listed = True
                    self._services.setdefault(name)

    def take(self, entry: Entry, is_own: bool) -> None:
        """Notes what an entry is about."""
        meaning = meaning_of(entry.words, self._environment, self._services)
        if entry.elsewhere or meaning.elsewhere:
            self._elsewhere += 1
        elif meaning.service is not None:
            self._service(entry, meaning.service, is_own or meaning.is_ours)
        elif meaning.field is None:
            self._leave(entry, entry.problem or meaning.reason)
        elif meaning.field in ("database", "title", "services", "environment", "environments"):
            self._fact(entry, meaning, is_own)
        else:
            self._candidate(meaning.field, entry, is_own or meaning.is_ours, is_ours=meaning.is_ours)

    def result(self) -> Legacy:
        """What was found. Raises ConfigError with every fault."""
        values = {path: found for path in sorted(self._candidates) if (found := self._chosen(path)) is not None}
        if (inner := self._host_port) is not None and (port := values.setdefault("port", inner)).value != inner.value:
            self._differ("port", [(inner.place, inner.key), (port.place, port.key)])
        for path, found in values.items():
            if path.startswith("passwords.") and (name := path.split(".")[1]) not in self._services:
                told = f"{name!r} is taken for a service because of this line only"
                self._notes.append(f"{found.place}: {found.key}: {told}")
        self._services |= dict.fromkeys(path.split(".")[1] for path in values if path.startswith("passwords."))
        for service, entry, what in self._misnamed:
            if service in self._services:
                mend = "rename it on the server in a maintenance window, or correct the line"
                self._faults.append(Fault(_at(entry), what, mend))
            else:
                self._leave(entry, f"no service {service!r} is known")
        if self._faults:
            raise ConfigError(self._faults, where="the old files")
        return Legacy(
            self._environment,
            dict(sorted(values.items())),
            tuple(self._facts),
            tuple(sorted(self._services)),
            tuple(sorted(set(self._unknown))),
            tuple(dict.fromkeys(self._notes)),
            self._elsewhere,
        )

    def _leave(self, entry: Entry, reason: str) -> None:
        """Notes what is not understood; a key that may be a piece of a value is not shown."""
        if entry.follows or entry.is_inner:
            told = "" if entry.is_inner else "a second command on the line: "
            self._unknown.append(NotUnderstood(entry.place, "", f"{told}{reason}"))
        else:
            self._unknown.append(NotUnderstood(entry.place, entry.key, reason))

    def _differ(self, path: str, lines: Iterable[tuple[Place, str]]) -> None:
        told = ", ".join(f"{place} ({key})" for place, key in lines)
        self._faults.append(Fault(path, f"two lines say it differently: {told}", "take the wrong one out"))

    def _candidate(self, path: str, entry: Entry, is_own: bool, *, is_ours: bool = False) -> None:
        value, problem = value_of(path, entry)
        host, port = split_host(value or "") if path == "host" else ("", "")
        self._candidates[path].append(_Candidate(entry, is_own, is_ours, host or value, problem, port))

    def _chosen(self, path: str) -> Understood | None:
        """The value of a key: the last line of each name, and the environment's own before those for all."""
        last: dict[tuple[str, str], _Candidate] = {}
        for candidate in self._candidates[path]:
            name = (candidate.entry.place.file, candidate.entry.key)
            earlier = last.pop(name, None)
            if earlier is not None and earlier.value != candidate.value:
                line = earlier.entry.place.line
                self._notes.append(f"{_at(candidate.entry)} was set in line {line} already; the last one holds")
            last[name] = candidate
        for candidate in last.values():
            if candidate.value is None:
                self._leave(candidate.entry, candidate.problem)
        able, bare = _without_bare(path, list(last.values()))
        own = [candidate for candidate in able if candidate.is_own] or able
        known = [candidate for candidate in own if candidate.value is not None]
        for candidate in bare:
            if not known or candidate.value != known[0].value:
                told = "is not taken, as another name says that it is about the database"
                self._notes.append(f"{_at(candidate.entry)} {told}: {own[0].entry.place}")
        if not known:
            return None
        first = known[0]
        ports = list({one.port: one for one in known if one.port}.values())
        if differing := [one for one in known if one.value != first.value] or ports[1:]:
            self._differ(path, [(one.entry.place, one.entry.key) for one in (first, *differing)])
            return None
        for one in ports:
            self._host_port = Understood("port", one.port, one.entry.place, one.entry.key)
        for candidate in able:
            if candidate not in own and candidate.entry.place.file != first.entry.place.file:
                self._notes.append(f"{_at(candidate.entry)} gives way to {first.entry.place}, the environment's own")
        self._notes += [f"{_at(first.entry)}: {told}" for told in first.entry.assumptions]
        return Understood(path, first.value or "", first.entry.place, first.entry.key)

    def _service(self, entry: Entry, key: ServiceKey, is_own: bool) -> None:
        problem = ""
        if key.service not in self._services and self._listed:
            problem = f"no service {key.service!r} in SERVICES or templates"
        elif wrong := service_name_problem(key.service, self._environment):
            problem = wrong[0]
        if problem:
            self._leave(entry, entry.problem or problem)
            return
        if key.kind is None:
            self._named(entry, key.service, "the service's schema", key.service)
            return
        name = user_name(key.service, key.kind, self._environment)
        # A key that is the user's own name holds its password, unless it holds the name again.
        if key.about == "password" or (_last_part(entry.key) == name and entry.value != name):
            self._candidate(f"passwords.{key.service}.{key.kind}", entry, is_own)
        else:
            self._named(entry, name, "the user", key.service)

    def _named(self, entry: Entry, expected: str, what: str, service: str) -> None:
        """A name that the old scripts could choose, and that is fixed here."""
        if entry.value is None or entry.value == "":
            self._leave(entry, entry.problem or "it is empty")
        elif entry.value == expected:
            self._facts.append(Understood(what.removeprefix("the "), expected, entry.place, entry.key))
        else:
            self._misnamed.append((service, entry, f"{what} is not called {expected!r}, as it must be here"))

    def _fact(self, entry: Entry, meaning: Meaning, is_own: bool) -> None:
        """What is compared and not taken over."""
        kind = "database" if meaning.field == "title" else meaning.field or ""
        names = listed(entry.value) if kind in ("services", "environments") else ()
        if kind == "services":
            wrong = [name for name in names if service_name_problem(name, self._environment)]
            shown = ", ".join(repr(name) if re.fullmatch(r"[\w-]+", name) else "..." for name in wrong)
            if wrong:
                self._leave(entry, f"no service can be called {shown}")
            names = tuple(name for name in names if name not in wrong)
            if wrong and not names:
                return
        text = " ".join(names) if kind in ("services", "environments") else entry.value
        database = database_name(self._environment)
        reason = entry.problem
        if not isinstance(text, str) or not text:
            reason = reason or ("it is a list" if text else "it is empty")
        elif meaning.field == "title" and text != database:
            reason = "it is not the database's name"
        elif problem := next((problem for name in names or (text,) if (problem := misshapen(kind, name))), ""):
            reason = problem
        elif meaning.field == "database" and text != database:
            if text.startswith(DATABASE_PREFIX) and not (is_own or meaning.is_ours):
                reason = f"it names a database, but not {database}"
            else:
                self._different_database(entry, text, database)
                return
        elif meaning.field == "environment" and text != self._environment:
            reason = f"it names another environment than {self._environment}"
        if reason:
            self._leave(entry, reason)
            return
        self._facts.append(Understood(kind, str(text), entry.place, entry.key))
        self._notes += [f"{_at(entry)}: {told}" for told in entry.assumptions]

    def _different_database(self, entry: Entry, text: str, database: str) -> None:
        self._faults.append(
            Fault(
                _at(entry),
                f"the database is {text!r}; here {self._environment}'s is always {database!r}",
                f"{remedy('ALTER DATABASE {} RENAME TO {}', text, database)} in a maintenance window, or correct the line",
            )
        )


def _without_bare(path: str, candidates: list[_Candidate]) -> tuple[list[_Candidate], list[_Candidate]]:
    """`PORT` and the like, which may be about anything, only count where nothing says that it is the database's."""
    named = [candidate for candidate in candidates if not candidate.is_bare]
    bare = [
        candidate
        for candidate in candidates
        if candidate.is_bare and any(one.is_ours or not candidate.is_ours for one in named)
    ]
    if path.startswith("passwords."):
        return candidates, []
    return [candidate for candidate in candidates if candidate not in bare], bare


def _at(entry: Entry) -> str:
    """Where an entry stands, and its key if that can't be a piece of a value."""
    return f"{entry.place}" if entry.follows or entry.is_inner else f"{entry.place}: {entry.key}"


def _last_part(key: str) -> str:
    """`[users] name` and `USERS[name]` -> `name`."""
    return re.split(r"[\[\] ]+", key.removesuffix("]"))[-1]
