"""Which logins a change of passwords is about: from whom to whom, and what the stack's file says then. Pure.

At once, a user gets a new password and the old one is over. With an overlap its twin, a second login that acts as it, gets
the new password, and both are good until the overlap is finished, which closes the older one; the next overlap goes the
other way. Who owns what and may do what never changes by it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from .config_keys import unknown_service
from .errors import GolabsError
from .names import USER_KINDS, Login, UserKind, login_name, other_login, parse_user_name, password_key
from .password_commands import set_password
from .settings import Settings
from .stackfile import NAMESPACE
from .wording import some


class Way(Enum):
    """How passwords are changed."""

    AT_ONCE = "at once"
    OVERLAP = "with an overlap"
    FINISH = "the end of an overlap"


@dataclass(frozen=True)
class Turn:
    """One user's change: clients go from the login `old` to the login `new`, which is the same one without an overlap."""

    environment: str
    service: str
    kind: UserKind
    old: Login
    new: Login
    logins: tuple[Login, ...]
    """What is open afterwards, the newest last."""

    @property
    def old_name(self) -> str:
        """The role that clients have logged in as."""
        return login_name(self.service, self.kind, self.environment, self.old)

    @property
    def new_name(self) -> str:
        """The role that clients are to log in as."""
        return login_name(self.service, self.kind, self.environment, self.new)

    @property
    def password_path(self) -> tuple[str, str, str]:
        """Where the configuration has the password of the new login."""
        return "passwords", self.service, password_key(self.kind, self.new)


@dataclass(frozen=True)
class Rotation:
    """What was asked for. No service stands for all, no kind for both; `force`: also while the old login is in use."""

    way: Way = Way.AT_ONCE
    service: str | None = None
    kind: UserKind | None = None
    force: bool = False

    def command(self, environment: str) -> str:
        """How it is written after `golabs`."""
        words = ["rotate", environment, self.service or "--all"]
        words += ["--user", self.kind] if self.kind else []
        words += {Way.AT_ONCE: [], Way.OVERLAP: ["--overlap"], Way.FINISH: ["--finish"]}[self.way]
        return " ".join([*words, *(["--force"] if self.force else [])])

    def advice(self, environment: str, turns: Sequence[Turn], users: Collection[str]) -> Iterator[str]:
        """What is to be known, and done, once the turns are; `users` are those that were on the server before."""
        services = some(sorted({turn.service for turn in turns}))
        older = [turn.old_name for turn in turns]
        match self.way:
            case Way.AT_ONCE:
                yield f"have {services} read the connection files again; sessions that are open stay"
            case Way.OVERLAP:
                finish = replace(self, way=Way.FINISH).command(environment)
                yield f"both logins work: have {services} read the connection files again, then: golabs {finish}"
            case Way.FINISH:
                if closed := [name for name in older if name in users]:
                    yield f"closed: {some(closed)}"
                if gone := [name for name in older if name not in users]:
                    yield f"gone from the server before: {some(gone)}; golabs up {environment} makes it again, closed"

    def turns(self, settings: Settings, unfinished: Collection[str] = ()) -> tuple[Turn, ...]:
        """What has to change. `unfinished` are users that can log in although the configuration has closed them.

        Raises UsageError where there is no such service, GolabsError where there is nothing to change, or an overlap is
        under way.
        """
        turns = tuple(self._turns(settings, self.services(settings), unfinished))
        if not turns and self.way is Way.FINISH:
            raise GolabsError(
                f"no overlap of {self.service or 'any service'} is under way",
                where=f"{settings.source}: {NAMESPACE}logins",
                mend=f"one begins with: golabs rotate {settings.environment} {self.service or '--all'} --overlap",
            )
        return turns

    def services(self, settings: Settings) -> Sequence[str]:
        """Whom it is about. Raises UsageError where there is no such service, GolabsError where it is retired."""
        active = [service.name for service in settings.services if not service.retired]
        if self.service is None:
            return active
        named = [service.name for service in settings.services]
        if self.service not in named:
            raise unknown_service(self.service, named, where=settings.source, or_else="--all")
        if self.service not in active:
            raise GolabsError(
                f"{self.service} is retired: nobody can log in, so that no password can be proven",
                where=settings.source,
                mend=f"golabs retire {settings.environment} {self.service} --undo, and then this",
            )
        return [self.service]

    def _turns(self, settings: Settings, services: Sequence[str], unfinished: Collection[str]) -> Iterator[Turn]:
        environment = settings.environment
        for service in services:
            for kind in USER_KINDS if self.kind is None else (self.kind,):
                logins = settings.logins.get((service, kind), ("user",))
                newest, other = logins[-1], other_login(logins[-1])
                under_way = len(logins) > 1
                if self.way is Way.AT_ONCE and under_way:
                    raise GolabsError(
                        f"an overlap of the {kind} user of {service} is under way: {logins[0]} and {newest} are both open",
                        where=f"{settings.source}: {NAMESPACE}logins.{service}.{kind}",
                        mend=f"golabs rotate {environment} {service} --finish, and then this",
                    )
                if self.way is Way.AT_ONCE:
                    yield Turn(environment, service, kind, newest, newest, logins)
                elif self.way is Way.OVERLAP and under_way:  # begun before: whatever a kill has left open is done now
                    yield Turn(environment, service, kind, other, newest, logins)
                elif self.way is Way.OVERLAP:
                    yield Turn(environment, service, kind, newest, other, (newest, other))
                elif under_way or login_name(service, kind, environment, other) in unfinished:
                    yield Turn(environment, service, kind, other, newest, (newest,))


def known_or_anew(users: Collection[str]) -> str:
    """What to do about users whose password is not known: give each, or set new ones of the whole service."""
    parts = [found for user in users if (found := parse_user_name(user)) is not None]
    given = some([set_password(each.environment, f"passwords.{each.service}.{each.key}") for each in parts])
    anew = some(sorted({f"golabs rotate {each.environment} {each.service}" for each in parts}))
    return f"give it: {given}; or have both of the service's users get new ones, at once: {anew}"
