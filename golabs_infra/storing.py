"""`golabs set-password`: one password, encrypted, into `Pulumi.<env>.yaml`, every other byte of which stays as it is.

Where the stack's secrets hang on a passphrase it is encrypted here, without the Pulumi CLI; where another provider
holds the key, the CLI encrypts it. No server is touched, and the password is neither shown nor handed to a command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from .config_keys import ADMIN_PASSWORD, from_json, nearest, service_names, unknown_service
from .errors import SecretsError, UsageError
from .names import (
    LOGINS,
    PASSWORD_KEYS,
    SERVICE_PATTERN,
    USER_KINDS,
    UserName,
    login_name,
    other_login,
    parse_user_name,
    password_key,
)
from .passphrase import PassphraseCrypter
from .passwords import password_problems
from .policy import Policy
from .runs import Run
from .stack_editing import StackDocument
from .stackfile import NAMESPACE, StackFile, stack_passphrase

MAX_BYTES = 65_535
"""More than PostgreSQL takes in a login."""


@dataclass(frozen=True)
class Place:
    """Where a password stands below our namespace, and the login that it is of; None where that is the admin."""

    path: tuple[str, ...]
    user: UserName | None = None

    @property
    def key(self) -> str:
        """The path as messages and `pulumi config` name it, without namespace."""
        return ".".join(self.path)

    @property
    def of(self) -> str:
        """Whose password it is, in words."""
        if self.user is None:
            return "the admin"
        return login_name(self.user.service, self.user.kind, self.user.environment, self.user.login)

    def problems(self, password: SecretStr, policy: Policy) -> list[str]:
        """Why `up` would refuse it for a new user; the admin has the password that it has."""
        return password_problems(password.get_secret_value(), self.user.service, policy) if self.user else []


ADMIN = Place((ADMIN_PASSWORD,))


@dataclass(frozen=True)
class Stored:
    """What was done: whether the file was changed, and whether the Pulumi CLI had to do it."""

    written: bool
    by_cli: bool


def place_of(file: StackFile, service: str, user: str | None) -> Place:
    """The place of a user's password: `app`, `migration`, or its whole name, which needs no service before it.

    Raises UsageError, which never repeats what was given: people write the password itself there.
    """
    whole = parse_user_name(service if user is None else user)
    named = whole.service if user is None and whole else service
    _check_service(file, named)
    if user is None and whole is None:
        raise UsageError(
            "name the user whose password it is",
            mend=f"golabs set-password {file.environment} SERVICE {' or '.join(USER_KINDS)}",
        )
    if whole is not None and (whole.service, whole.environment) == (named, file.environment):
        return _open_place(file, whole)
    if whole is not None:
        raise UsageError(
            f"that is a user of {whole.service} in {whole.environment}",
            where=f"{named} in {file.environment}",
            mend=f"name {' or '.join(USER_KINDS)}",
        )
    if user not in PASSWORD_KEYS:
        raise UsageError(
            f"{named} has no such user{nearest(user, PASSWORD_KEYS)}",
            where=file.path.name,
            mend=f"name {' or '.join(USER_KINDS)}; the password itself is asked for, or read from standard input",
        )
    kind, login = PASSWORD_KEYS[user]
    return _open_place(file, UserName(named, kind, file.environment, login))


def _open_place(file: StackFile, user: UserName) -> Place:
    """The place of a login's password. One that is closed has none: it would be thought to be in use."""
    logins: object = from_json(file.values.get("logins"))
    for key in (user.service, user.kind):
        logins = logins.get(key) if isinstance(logins, dict) else None
    opened = [login for login in LOGINS if login in logins] if isinstance(logins, list) else ["user"]
    place = Place(("passwords", user.service, user.key), user)
    if opened and user.login not in opened:
        other = other_login(user.login)
        raise UsageError(
            f"nobody logs in as {place.of}, but as {login_name(user.service, user.kind, user.environment, other)}",
            where=f"{file.path.name}: {NAMESPACE}logins",
            mend=f"golabs set-password {file.environment} {user.service} {password_key(user.kind, other)}",
        )
    return place


def _check_service(file: StackFile, service: str) -> None:
    """Services that stand elsewhere than in the file (Pulumi ESC, encrypted as a whole) can't be looked up."""
    listed = from_json(file.values.get("services"))
    if not isinstance(listed, list) and (listed is not None or "environment" in file.document):
        if SERVICE_PATTERN.fullmatch(service):
            return
        listed = []
    names = service_names(listed)
    if service not in names:
        raise unknown_service(service, names, where=file.path.name, shown=False)


def password_of(given: bytes) -> SecretStr:
    """The password that a text is: one line, with or without a line's end. Raises UsageError, which does not show it."""
    again = "nothing was written; give the password alone, as one line"
    if len(given) > MAX_BYTES:
        raise UsageError(f"it has more than {MAX_BYTES} bytes, which no login can have", where="password", mend=again)
    try:
        text = given.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"byte {error.start} is not UTF-8, which all of the stack's file is",
            where="password",
            mend=f"{again}, in UTF-8",
        ) from None
    text = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if text.startswith("\ufeff") or text.endswith("\r"):
        sign = "begins with a byte order mark" if text.startswith("\ufeff") else "ends with a carriage return"
        raise UsageError(
            f"it {sign}, which nobody sees",
            where="password",
            mend=f"{again}; one that does have it is taken by: pulumi config set --secret --path KEY <FILE",
        )
    if not text:
        raise UsageError("it is empty", where="password", mend=again)
    if "\0" in text:
        raise UsageError(
            "it holds a NUL character, which PostgreSQL takes in no password", where="password", mend=again
        )
    if "\n" in text:
        raise UsageError(
            "it has more than one line",
            where="password",
            mend=f"{again}; one that does hold a line's end is taken by: pulumi config set --secret --path KEY <FILE",
        )
    return SecretStr(text)


def needs_cli(run: Run) -> bool:
    """Whether only the CLI can encrypt for a stack; one without any secret is the CLI's where no passphrase is given."""
    unnamed = run.file.encryption_salt is None and stack_passphrase(run.environment, run.environ) is None
    return bool(run.file.holder) or (unnamed and run.toolchain.cli is not None)


class Storing:
    """One password on its way into a stack's file. What can be refused is refused before anybody is asked for it."""

    def __init__(self, run: Run, place: Place) -> None:
        self._run = run
        self._place = place
        self.policy = run.policy
        if place.user is None and run.embedded:
            raise UsageError(
                "the embedded server brings its own admin and password",
                where=f"{run.file.path.name}: {NAMESPACE}server",
                mend="give a host instead of server first, or a service and a user instead of --admin",
            )
        self._document = StackDocument.open(run.project, run.environment)
        self._crypter: PassphraseCrypter | None = None
        if not needs_cli(run):
            self._crypter = self._document.unlock(run.environ)
        elif run.toolchain.cli is None:
            raise run.file.held_elsewhere(
                "install the Pulumi CLI (golabs setup), and run this again", more=", and it is not here"
            )

    def store(self, read: Callable[[], bytes]) -> tuple[SecretStr, Stored]:
        """Reads the password and writes it. Gives it, for `Place.problems`, and what was done."""
        password = password_of(read())
        if self._crypter is None:
            self._run.pulumi.set_secret(f"{NAMESPACE}{self._place.key}", password)
            return password, Stored(written=True, by_cli=True)
        if self._is_there(password, self._crypter):
            return password, Stored(written=False, by_cli=False)
        self._document.set_secret(self._place.path, password, self._crypter)
        self._document.write()
        return password, Stored(written=True, by_cli=False)

    def _is_there(self, password: SecretStr, crypter: PassphraseCrypter) -> bool:
        """Whether the file has this password already, encrypted; a damaged value is not it."""
        first, *rest = self._place.path
        value = self._document.get(first)
        for key in (*rest, "secure"):
            value = value.get(key) if isinstance(value, dict) else None
        try:
            return isinstance(value, str) and crypter.decrypt(value) == password.get_secret_value()
        except SecretsError:
            return False
