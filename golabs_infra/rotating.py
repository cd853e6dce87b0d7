"""`golabs rotate`: new passwords, at once or with an overlap, so that a kill at any point leaves one that works in the files.

The order is what makes it safe: the new password is written down, beside the old one, before the server knows it; the
server is changed in one transaction; a login proves it; only then the connection files let go of the old one. On the
Pulumi engine an `up` follows, which tells the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from pydantic import SecretStr

from . import connections
from .account import Account, confirmed_by_variable, settle
from .console import Screen
from .errors import ApplyError, GolabsError
from .interrupting import killed_is_interrupted
from .login_changes import LoginChanger
from .model import expand
from .names import Login, UserKind
from .passwords import generate
from .remembering import Remembered, alone, check_up_to_date, note_users, remember
from .rotation import Rotation, Turn, Way, known_or_anew
from .runs import Run
from .script import write_scripts
from .sessions import in_words
from .settings import Settings
from .stack_editing import StackDocument
from .stackfile import NAMESPACE
from .storing import needs_cli
from .wording import describe, some

Records = Mapping[str, connections.Record]


def rotate(run: Run, screen: Screen, asked: Rotation) -> None:
    """Changes passwords. Raises GolabsError: either nothing was changed then, or it says what was and how to go on."""
    account = Account(run, screen)
    asked.services(run.settings)  # else a word that is no service's would start a server
    account.start_server()
    with alone(run.project, run.environment), killed_is_interrupted():
        _Rotating(run, screen, account, asked).run_all()


class _Rotating:
    """One run of the command. `_old` are passwords by login that were proven, `_new` those to come."""

    def __init__(self, run: Run, screen: Screen, account: Account, asked: Rotation) -> None:
        self._run = run
        self._screen = screen
        self._account = account
        self._asked = asked
        self._changer = LoginChanger(run.settings, run.endpoint)
        self._cluster = self._changer.look()
        self._remembered: Remembered = remember(run)
        check_up_to_date(run, self._remembered, self._cluster)
        roles = self._cluster.roles
        unfinished = {name for name in run.settings.closed if name in roles and roles[name].role.login}
        self._turns = asked.turns(run.settings, unfinished)
        self._candidates = self._likely()
        self._old = self._changer.proven(self._cluster, self._candidates)
        self._new = self._new_passwords()
        self._document = StackDocument.open(run.project, run.environment)
        self._before: Records = {}

    def run_all(self) -> None:
        """Everything in its order."""
        self._check()
        with self._restored():
            self._write_both()
            changed = self._write_stack_file()
            self._account.go_on_with(changed)
            self._changer = LoginChanger(changed.settings, changed.endpoint)
            self._confirm(changed)
        self._change_server()
        self._prove()
        self._write_after(self._records(changed.settings, {**self._old, **self._new}))
        hindrance = self._end_sessions()
        self._conclude()
        if hindrance is not None:
            raise hindrance

    # ---- before anything is changed

    def _likely(self) -> dict[str, list[SecretStr]]:
        """What may be the password of each login of the services that this is about, the likeliest first."""
        settings = self._run.settings
        users = {user for turn in self._turns for user in (*settings.users_of(turn.service), turn.new_name)}
        found: dict[str, list[SecretStr]] = {}
        for user in sorted(users):
            configured = [settings.passwords[user]] if user in settings.passwords else []
            found[user] = list(dict.fromkeys([*configured, *self._remembered.candidates.get(user, ())]))
        return found

    def _new_passwords(self) -> dict[str, SecretStr]:
        """By login. An overlap that was begun before goes on with the password that it was begun with."""
        passwords: dict[str, SecretStr] = {}
        for turn in self._turns:
            begun = self._run.settings.logins.get((turn.service, turn.kind)) == turn.logins
            resumed = [self._old[turn.new_name]] if turn.new_name in self._old else self._candidates[turn.new_name]
            resumed = resumed if begun and self._asked.way is Way.OVERLAP else []
            if self._asked.way is not Way.FINISH:
                passwords[turn.new_name] = next(iter(resumed), None) or SecretStr(generate())
        return passwords

    def _check(self) -> None:
        """Refuses what can't be done, or would leave something unknown, before anything is changed."""
        turns, environment = self._turns, self._run.environment
        self._changer.check(self._cluster, [name for turn in turns for name in (turn.old_name, turn.new_name)])
        wanted = {turn.new_name if self._asked.way is Way.FINISH else turn.old_name for turn in turns}
        if absent := sorted(wanted - self._cluster.roles.keys()):
            raise ApplyError(
                f"there is no user {some(absent)} on the server, so that there is no password to change; nothing was changed",
                where=self._run.endpoint.address,
                mend=f"golabs up {environment}, which makes it with a password of its own",
            )
        roles = self._cluster.roles
        closed = sorted(name for name in wanted if not roles[name].role.login)
        if closed and self._asked.way is not Way.FINISH:
            raise ApplyError(
                f"the login of {some(closed)} is closed, so that no password can be proven; nothing was changed",
                where=self._run.endpoint.address,
                mend=f"golabs up {environment} opens it, unless somebody has closed it on purpose",
            )
        needed = {
            name
            for service in expand(self._settings_after()).services
            if service.name in {turn.service for turn in turns}
            for names in service.open_logins.values()
            for name in names
        }
        if unknown := sorted(needed - self._old.keys() - self._new.keys()):
            raise ApplyError(
                f"the password of {some(unknown)} is not known here, or not the one that it has now, so that the connection "
                "file would not be whole; nothing was changed",
                where=self._run.settings.source,
                mend=known_or_anew(unknown),
            )
        if self._asked.way is Way.FINISH:
            self._changer.log_in({turn.new_name: self._old[turn.new_name] for turn in turns})
            self._check_unused()

    def _check_unused(self) -> None:
        sessions = self._changer.sessions([turn.old_name for turn in self._turns])
        if sessions and not self._asked.force:
            forced = replace(self._asked, force=True).command(self._run.environment)
            raise ApplyError(
                f"somebody still uses the older login: {in_words(sessions)}; nothing was changed",
                where=self._run.database_in_words,
                mend="have these clients read their connection file again, and run this again; or end their sessions: "
                f"golabs {forced}",
            )

    # ---- what is written down

    def _settings_before(self) -> Settings:
        """The settings with which a connection file has what clients log in with now."""
        logins: dict[tuple[str, UserKind], tuple[Login, ...]] = {
            (turn.service, turn.kind): (turn.old,) for turn in self._turns if self._asked.way is Way.OVERLAP
        }
        return self._with_logins({**self._run.settings.logins, **logins})

    def _settings_after(self) -> Settings:
        return self._with_logins({**self._run.settings.logins, **self._logins_to_write()})

    def _with_logins(self, logins: Mapping[tuple[str, UserKind], tuple[Login, ...]]) -> Settings:
        return self._run.settings.model_copy(update={"logins": logins})

    def _logins_to_write(self) -> dict[tuple[str, UserKind], tuple[Login, ...]]:
        if self._asked.way is Way.AT_ONCE:
            return {}
        return {(turn.service, turn.kind): turn.logins for turn in self._turns}

    def _is_for_stack_file(self, turn: Turn) -> bool:
        """Whether the password belongs into the stack's file: always with state, else where it has secrets at all."""
        configured = turn.new_name in self._run.settings.passwords
        return not self._run.is_direct or self._run.file.encryption_salt is not None or configured

    def _write_stack_file(self) -> Run:
        """Writes passwords and open logins into the stack's file, in one step; gives the run as it is with them."""
        settings, document = self._run.settings, self._document
        secrets: dict[tuple[str, ...], SecretStr] = {
            turn.password_path: self._new[turn.new_name]
            for turn in self._turns
            if turn.new_name in self._new
            and self._is_for_stack_file(turn)
            and settings.passwords.get(turn.new_name) != self._new[turn.new_name]
        }
        encrypts_here = not needs_cli(self._run)
        if secrets and encrypts_here:
            document.set_secrets(secrets, document.unlock(self._run.environ))
        for (service, kind), logins in self._logins_to_write().items():
            document.set_logins(service, kind, logins)
        document.write()
        if secrets and not encrypts_here:
            for path, password in secrets.items():
                self._run.pulumi.set_secret(f"{NAMESPACE}{'.'.join(path)}", password)
            document.take_over()
        return replace(self._run)

    @contextmanager
    def _restored(self) -> Iterator[None]:
        """The files as they were, where what is done with them fails or is declined."""
        try:
            yield
        except BaseException:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """The connection files, the stack's file and the note of the users as they were."""
        self._document.restore()
        written = self._remembered.written
        made = [service for service in self._before if service not in written]
        connections.write_meanwhile(self._run.project, self._run.environment, written.values(), removed=made)
        note_users(self._run, self._remembered.noted)

    def _records(self, settings: Settings, known: Mapping[str, SecretStr]) -> dict[str, connections.Record]:
        """The connection records of every service; those of this rotation as settings say, with these passwords."""
        clear = {user: password.get_secret_value() for user, password in known.items()}
        concerned = {turn.service for turn in self._turns}
        desired = expand(settings)
        part = replace(desired, services=tuple(each for each in desired.services if each.name in concerned))
        built = connections.build_records(part, self._run.endpoint, clear)
        return {**self._remembered.records, **{record["service"]: record for record in built}}

    def _write_both(self) -> None:
        """The connection files as they are, with the new logins beside the old ones."""
        if not self._new:
            return
        both = self._before = self._records(self._settings_before(), {**self._new, **self._old})
        for turn in self._turns:
            clear = self._new[turn.new_name].get_secret_value()
            both = {**both, turn.service: connections.with_other(both[turn.service], turn.kind, turn.new_name, clear)}
        connections.write_meanwhile(self._run.project, self._run.environment, both.values())

    def _write_after(self, records: Records) -> None:
        project, environment = self._run.project, self._run.environment
        try:
            self._files = connections.write_files(project, environment, records.values(), warn=self._screen.warning)
            write_scripts(project, expand(self._changer.settings))
        except GolabsError as error:
            raise GolabsError(
                f"the server has what is new, and {error.what}; they have it beside the old one",
                where=error.where,
                mend=f"free space or mend permissions there, then: golabs up {environment}",
            ) from error

    # ---- on the server

    def _to_converge(self) -> list[str]:
        """The users whose login is opened or closed; at once only passwords change."""
        if self._asked.way is Way.AT_ONCE:
            return []
        return [turn.old_name if self._asked.way is Way.FINISH else turn.new_name for turn in self._turns]

    def _confirm(self, changed: Run) -> None:
        """Guarded environments want the database's name, once it was shown what will be done."""
        if not changed.policy.confirms_up:
            return
        command = self._asked.command(changed.environment)
        if self._is_in_state:
            self._account.confirm_up(False, command)
            return

        def show() -> None:
            self._screen.line(f"this would change {changed.database_in_words}:")
            for change in self._changer.ahead(self._cluster, self._to_converge(), self._new.keys()):
                line = describe(change)
                self._screen.step(line.symbol, line.text)

        settle(changed, self._screen, command, show, confirmed=confirmed_by_variable(changed, command, yes=False))

    def _change_server(self) -> None:
        try:
            note_users(self._run, self._remembered.noted.union(turn.new_name for turn in self._turns))
            self._account.change_logins(self._changer, self._to_converge(), self._new)
        except (GolabsError, KeyboardInterrupt) as error:
            if self._is_as_before():
                self._take_back()
                raise
            raise self._left_open(error) from error

    def _is_as_before(self) -> bool:
        """Whether the server was shown to have nothing of it. Where it can't be asked, that is not believed."""
        try:
            cluster = self._changer.look()
            before, now = (
                self._changer.ahead(each, self._to_converge(), self._new.keys()) for each in (self._cluster, cluster)
            )
            new = {user: [password] for user, password in self._new.items() if self._old.get(user) != password}
            return before == now and not self._changer.proven(cluster, new)
        except GolabsError:
            return False

    def _left_open(self, error: BaseException) -> GolabsError:
        told = error if isinstance(error, GolabsError) else GolabsError("interrupted")
        environment = self._run.environment
        left = (
            "whether the server has the new passwords. The connection files have both, so one of them works"
            if self._new
            else "whether the older login is closed; the newer one is good in any case"
        )
        return ApplyError(
            f"{told.what}; it is not known here {left}",
            where=told.where,
            mend=f"golabs up {environment} settles it, and writes the files; then run this again",
        )

    def _prove(self) -> None:
        """Logs in with what is new. Where that is refused, the old passwords come back, as far as they were known."""
        try:
            unasked = self._changer.log_in(self._new)
        except (GolabsError, KeyboardInterrupt) as error:
            known = self._new.keys() <= self._old.keys()
            if isinstance(error, ApplyError) and known and self._asked.way is Way.AT_ONCE:
                self._changer.change([], {user: self._old[user] for user in self._new}, lambda _change: None)
                self._take_back()
                raise ApplyError(
                    f"{error.what}; the old passwords were set again, and the files are as they were",
                    where=error.where,
                    mend=error.mend,
                ) from error
            raise self._left_open(error) from error
        for user in unasked:
            self._screen.warning(
                f"{user} was let in without being asked for its password (a line of pg_hba.conf), which proves nothing"
            )

    def _end_sessions(self) -> ApplyError | None:
        """Those by the older login, where that was asked for. Gives what hinders it, for the state is to learn of the rest."""
        if self._asked.way is not Way.FINISH or not self._asked.force:
            return None
        older = [turn.old_name for turn in self._turns]
        try:
            ended, left = self._changer.end_sessions(older)
        except GolabsError as error:
            return ApplyError(
                f"nobody can log in as {some(older)} any more; whether all sessions of before have ended is not known: {error.what}",
                where=error.where,
                mend="stop the clients that use it, or have a superuser end their sessions with pg_terminate_backend",
            )
        if ended:
            self._screen.line(f"sessions ended: {in_words(ended)}")
        if left:
            processes = ", ".join(str(session.pid) for session in left)
            self._screen.warning(
                f"still connected: {in_words(left)}; stop these clients, or have a superuser end them with "
                f"pg_terminate_backend: {processes}"
            )
        return None

    # ---- afterwards

    @property
    def _is_in_state(self) -> bool:
        """Whether the Pulumi engine's state has these users, and is to learn of what changes."""
        return not self._run.is_direct and {turn.service for turn in self._turns} <= self._remembered.in_state

    def _conclude(self) -> None:
        environment, screen = self._run.environment, self._screen
        names = [turn.new_name for turn in self._turns]
        if self._new:
            screen.line(f"proven by logging in: {some(names)}")
        if self._is_in_state:
            try:
                self._account.up()
            except GolabsError as error:
                raise GolabsError(
                    f"the new logins work and are written down, but the stack's state did not learn of them: {error.what}",
                    where=error.where,
                    mend=f"{error.mend + '; then: ' if error.mend else ''}golabs up {environment}",
                ) from error
        for line in self._advice():
            screen.line(line)
        self._account.finish(
            rotated=[
                {"service": turn.service, "user": turn.kind, "login": turn.new_name, "open": list(turn.logins)}
                for turn in self._turns
            ],
            files=[str(file) for file in self._files],
        )

    def _advice(self) -> Iterator[str]:
        environment = self._run.environment
        services = some(sorted({turn.service for turn in self._turns}))
        if self._document.was_written:
            yield f"{self._document.path.name} has changed: commit it"
        yield from self._asked.advice(environment, self._turns, self._cluster.roles.keys())
        if not self._run.is_direct and not self._is_in_state:
            yield f"the stack's state does not have {services} yet: golabs up {environment}"
