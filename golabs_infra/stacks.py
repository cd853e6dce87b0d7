"""The Pulumi engine: drives the real project through the CLI, and explains what it refuses in words of ours.

It declares no resource itself (`program` does) and prints nothing; what the engine reports goes to a callback.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from . import connections
from .engine_events import EngineReport, Listener
from .errors import EngineError, GolabsError, RunInterruptedError
from .policy import CONFIRMATION_VARIABLE, DEMONSTRATION_ENVIRONMENT, TST_PASSPHRASE
from .project import PROJECT_NAME, Project
from .pulumi_command import Ended, PulumiCommand
from .stackfile import StackFile, stack_passphrase
from .toolchain import Toolchain, pulumi_variables

_LOCK = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\)(?: at (?P<since>\S+))?")
_URL_PASSWORD = re.compile(r"(\w://[^\s:/]*:)\S*(?=@)|([?&]password=)[^\s&]*")
"""What stands in a backend's URL before its host, or among its parameters, and which the CLI repeats. As for Go, the last @
ends it, and the user's name may have some too."""
_STATE_DATABASE = re.compile(r"unable to open state database .*?: (failed to [^\n]*)")
_ABSENT = ("(3D000)", "(3F000)", "(42704)")
"""PostgreSQL's codes for a database, a schema or a user that does not exist, as the provider quotes them."""
_LOCKED = "(55P03)"
_LOCKED_MEND = (
    "another session has held for too long what this waited for: find it (SELECT pid, usename, xact_start, query FROM "
    "pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start), and end its transaction"
)
_LOST = re.compile(
    r"driver: bad connection|: EOF$|broken pipe|connection (?:reset by peer|refused)|terminating connection"
    r"|i/o timeout|\((?:57P0[123]|08\d{3})\)",
    re.MULTILINE,
)
"""What the provider says of a connection to PostgreSQL that ended, of each resource that it was at anew."""
_Failure = tuple[tuple[str, ...], str, str]
_OF_THE_MACHINE: tuple[_Failure, ...] = (
    (
        ("no space left on device",),
        "no space is left where the CLI keeps the stack's state, or its own files",
        "free space there, then: {cancel}; then run this again, which goes on from there",
    ),
)
_OF_THE_STACK: tuple[_Failure, ...] = (
    (
        ("no Pulumi.yaml project file found", "PULUMI_ACCESS_TOKEN", "pulumi login"),
        "no backend is named for the stack's state, and the CLI is logged in to none",
        "export PULUMI_BACKEND_URL=file://...?metadata=skip, s3://..., postgres://... or run pulumi login",
    ),
    (
        ("failed to load checkpoint: EOF",),
        "a run that was killed left an empty note beside the state in the backend's folder; the state is whole",
        "remove the empty *.attrs files below the folder's .pulumi/stacks; a backend file://...?metadata=skip makes none",
    ),
    (
        ("failed to load checkpoint",),
        "the stack's state in its backend is not whole: a run met a full disk there, or was killed while it was written",
        "in a backend's folder, put .pulumi/stacks/golabs-infra/{environment}.json.bak in the place of {environment}.json; "
        "where there is none, or it is not whole either, remove both, and up takes over what is on the server",
    ),
    (
        ("passphrase must be set", "incorrect passphrase"),
        "the stack's passphrase is missing or wrong",
        "export PULUMI_CONFIG_PASSPHRASE=... or PULUMI_CONFIG_PASSPHRASE_FILE=/path/to/file",
    ),
)
"""What words of the CLI mean, and the mend; of the machine also where the program has said something else."""
_NO_CHECKPOINTS = {"PULUMI_SKIP_CHECKPOINTS": "true"}
_IN_ONE_GO = ("--yes", "--skip-preview")


class PulumiEngine:
    """One stack of the project on the user's backend.

    `disposable`: all of it can be rebuilt, so the engine writes the state once, at a run's end, and not twice with each
    step, which takes most of the time of a large stack. A run that is killed leaves the state of the run before it.
    """

    def __init__(
        self,
        project: Project,
        environment: str,
        toolchain: Toolchain,
        environ: Mapping[str, str],
        *,
        disposable: bool = False,
    ) -> None:
        self._project = project
        self._environment = environment
        self._toolchain = toolchain
        self._disposable = disposable
        self._variables = pulumi_variables(project, environment, toolchain, environ)
        self._effective = {**environ, **self._variables}
        self._checkpoints = {} if not disposable or _NO_CHECKPOINTS.keys() & environ.keys() else _NO_CHECKPOINTS

    def preview(self, listener: Listener) -> EngineReport:
        """What `up` would do; nothing is written."""
        return self._stream("preview", [], listener)

    def up(
        self, listener: Listener, *, confirmation: str | None = None, lock_timeout_s: int | None = None
    ) -> EngineReport:
        """Applies the program. `confirmation` is handed to it for guarded environments.

        `lock_timeout_s` bounds what the provider's statements wait for, unless the user's own PGOPTIONS does.
        """
        variables = {CONFIRMATION_VARIABLE: confirmation} if confirmation else {}
        variables |= self._bound(lock_timeout_s)
        try:
            return self._stream("up", _IN_ONE_GO, listener, variables)
        except EngineError as error:
            if not self._disposable or not _speaks_of_absent(error):
                raise
        # The state has what a killed run dropped already, or somebody else did.
        return self._stream("up", [*_IN_ONE_GO, "--refresh"], listener, variables)

    def forget(self) -> None:
        """Empties the state of a disposable stack whose server is gone. No server is touched, or even looked at."""
        self._run("state delete", ["state", "delete", "--all", "--yes"])

    def _bound(self, lock_timeout_s: int | None) -> dict[str, str]:
        """What keeps the provider's statements from waiting for ever, which they do without it."""
        if lock_timeout_s is None:
            return {}
        return {"PGOPTIONS": f"-c lock_timeout={lock_timeout_s}s {self._effective.get('PGOPTIONS', '')}".strip()}

    def destroy(self, listener: Listener, *, lock_timeout_s: int | None = None) -> EngineReport:
        """Destroys the stack's resources, as their options in the state permit; `lock_timeout_s` as for `up`."""
        variables = self._bound(lock_timeout_s)
        try:
            return self._stream("destroy", _IN_ONE_GO, listener, variables)
        except EngineError as error:
            if not _speaks_of_absent(error):
                raise
        # Somebody has dropped the database, or a user: the rest is still to be dropped.
        return self._stream("destroy", [*_IN_ONE_GO, "--refresh"], listener, variables)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        given: dict[str, Any] = json.loads(self._run("stack output", ["stack", "output", "--json", "--show-secrets"]))
        return given

    def config(self) -> dict[str, object]:
        """The stack's configuration of our namespace, decrypted by the CLI (any secrets provider)."""
        given = json.loads(self._run("config", ["config", "--json", "--show-secrets"]))
        prefix = f"{PROJECT_NAME}:"
        return {
            name.removeprefix(prefix): SecretStr(entry["value"]) if entry["secret"] else entry["value"]
            for name, entry in given.items()
            if name.startswith(prefix)
        }

    def set_secret(self, key: str, value: SecretStr) -> None:
        """Writes one secret into the stack's file, encrypted by whichever provider the stack has; `key` is a path."""
        words = ["config", "set", "--secret", "--path", key]
        self._run("config set", words, value.get_secret_value() + "\n")  # of which it takes the line's end away

    def records(self) -> list[connections.Record]:
        """The connection records that the last `up` exported. Raises EngineError where there are none."""
        if not (records := self.exported()):
            raise EngineError(
                "the stack has no connections: it was not brought up yet",
                where=self._environment,
                mend=f"golabs up {self._environment}",
            )
        return records

    def exported(self) -> list[connections.Record]:
        """The same; none where the stack was not brought up yet."""
        found = self.outputs().get("connections") or {}
        return [found[service] for service in sorted(found)]

    def prepare(self) -> dict[str, str]:
        """Makes backend folder and stack, and gives what a shell must export for plain `pulumi` commands."""
        self._run("stack select", ["stack", "select", "--create"])
        return self._variables

    @cached_property
    def _command(self) -> PulumiCommand:
        """The CLI, once all is there that its commands need but the stack, which is made when it is missed."""
        cli = self._toolchain.cli
        if cli is None:
            raise EngineError("the Pulumi CLI was not found", mend="golabs setup")
        file = StackFile.read(self._project, self._environment)
        phrase = stack_passphrase(self._environment, self._effective)
        if phrase == TST_PASSPHRASE and self._environment != DEMONSTRATION_ENVIRONMENT and file.encryption_salt is None:
            raise EngineError(
                "this shell has tst's published passphrase, which must not protect another stack",
                where=self._environment,
                mend="open a new shell, or: unset PULUMI_CONFIG_PASSPHRASE PULUMI_BACKEND_URL; then export your own",
            )
        if self._effective.get("PULUMI_BACKEND_URL") == self._project.state_url:
            self._project.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return PulumiCommand(cli, self._project.root, self._effective)

    def _with_stack(self, call: Callable[[], Ended]) -> Ended:
        """Runs a command on the stack; makes the stack only when the backend turns out to have none of that name."""
        ended = call()
        if not ended.lacks_stack:
            return ended
        made = self._command.run(["stack", "init", "--stack", self._environment])
        if made.code:
            raise self._explained("stack init", made, EngineReport())
        return call()

    def _run(self, what: str, words: list[str], given: str | None = None) -> str:
        """Runs a command that asks nothing, with `given` on its standard input, and gives what it printed."""
        command = self._command
        ended = self._with_stack(lambda: command.run([*words, "--stack", self._environment], given=given))
        if ended.code:
            # Not with what it printed: that may be secrets in clear.
            raise self._failure(what, replace(ended, out=""), EngineReport())
        return ended.out

    def _stream(
        self, what: str, options: Sequence[str], listener: Listener, variables: Mapping[str, str] | None = None
    ) -> EngineReport:
        """Runs an operation of the engine and hands on what it reports, as it comes."""
        report = EngineReport()

        def on_event(event: Mapping[str, Any]) -> None:
            if (item := report.take(event)) is not None:
                listener(item)

        command = self._command
        words = [what, *options, "--stack", self._environment]
        ended = self._with_stack(lambda: command.stream(words, on_event, {**self._checkpoints, **(variables or {})}))
        if ended.code:
            if what == "up" and report.refused_updates and not ended.interrupted:
                self._read_again(report.refused_updates)
            raise self._failure(what, ended, report)
        if not report.summed_up:
            raise EngineError(
                f"pulumi {what} ended without saying what it did",
                where=str(command.cli),
                mend="install a newer Pulumi CLI (golabs setup)",
            )
        return report

    def _read_again(self, urns: Sequence[str]) -> None:
        """Has the state tell of these what is on the server, which this run's program has just found to be the right one.

        The provider notes an update that was refused as done: the next `up` would see nothing to do, and say that it did.
        """
        targets = [word for urn in urns for word in ("--target", urn)]
        self._command.run(["refresh", *_IN_ONE_GO, *targets, "--stack", self._environment])

    def _failure(self, what: str, ended: Ended, report: EngineReport) -> GolabsError:
        if ended.interrupted:
            left = "nothing was changed" if what == "preview" else "what was done until then stays"
            return RunInterruptedError(
                f"pulumi {what} was interrupted and has ended in order; {left}",
                number=ended.interrupted,
                where=self._environment,
                mend="run the same command again: it picks up from there",
            )
        return self._explained(what, ended, report)

    def _explained(self, what: str, ended: Ended, report: EngineReport) -> GolabsError:
        """An engine failure as one error: the program's own message where there is one, else what the CLI said."""
        text = _without_passwords(f"{ended.err}\n{ended.out}")
        if lock := _LOCK.search(text):
            return _lock_error(self._environment, lock)
        told = _without_passwords("\n".join(report.errors))
        if (known := self._known(f"{text}\n{told}", _OF_THE_MACHINE)) is not None:
            return known
        if told:
            return _told_error(self._environment, told)
        if state := _STATE_DATABASE.search(text):
            return EngineError(
                f"the stack's state can't be reached: {state[1]}",
                where=self._environment,
                mend="correct PULUMI_BACKEND_URL, or what pulumi login was given, and see that its server runs",
            )
        return self._known(text, _OF_THE_STACK) or EngineError(
            f"pulumi {what} failed: {_cli_words(text)}", where=self._environment
        )

    def _known(self, text: str, failures: Sequence[_Failure]) -> EngineError | None:
        """What the CLI's words mean, where they are known."""
        for words, what, mend in failures:
            if any(word in text for word in words):
                told = mend.replace("{cancel}", _cancel(self._environment)).replace("{environment}", self._environment)
                return EngineError(what, where=self._environment, mend=told)
        return None


def _without_passwords(text: str) -> str:
    return _URL_PASSWORD.sub(r"\1\2***", text)


def _speaks_of_absent(error: EngineError) -> bool:
    return any(code in error.what for code in _ABSENT)


def install_cli(root: Path) -> None:
    """Downloads and installs the CLI below `root` by Pulumi's own installer. Raises EngineError with its last words."""
    from pulumi import automation

    try:
        automation.PulumiCommand.install(root=str(root), skip_version_check=True)
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "output", None)
        words = output.decode(errors="replace").strip() if output else str(error)
        raise EngineError(words.splitlines()[-1] if words else type(error).__name__) from error


def _cancel(environment: str) -> str:
    """The command that takes a dead run's lock away."""
    return f'eval "$(golabs env {environment})" && pulumi cancel --yes --stack {environment}'


def _told_error(environment: str, told: str) -> EngineError:
    """What the program or the provider said of a failure; the program says by itself how to mend it."""
    if (lost := _LOST.search(told)) and "mend: " not in told:
        return EngineError(
            f"the connection to PostgreSQL was lost in the middle of it ({lost[0].removeprefix(': ')}); what was done until "
            "then stays",
            where=environment,
            mend="see that the server runs (its log says what happened), and run the same command again: it goes on from "
            "there",
        )
    return EngineError(told, mend=_LOCKED_MEND if _LOCKED in told else "")


def _lock_error(environment: str, lock: re.Match[str]) -> EngineError:
    """Who holds the stack's lock, and whether that process is still alive where that can be told."""
    here = lock["host"] == socket.gethostname()
    since = f", since {lock['since']}" if lock["since"] else ""
    holder = f"{lock['user']}@{lock['host']}, process {lock['pid']}{since}"
    cancel = _cancel(environment)
    if here and not _alive(int(lock["pid"])):
        return EngineError(
            f"a run that is dead ({holder}) left its lock on the stack",
            where=environment,
            mend=f"{cancel}; then run this again",
        )
    return EngineError(
        f"another run is at work on the stack ({holder})",
        where=environment,
        mend=f"wait for it to end; only if it is dead: {cancel}",
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # where there is /proc, it tells a process that is dead but that nobody has asked how it ended
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in ("Z", "X")
    except (OSError, IndexError):
        return True


def _cli_words(text: str) -> str:
    """The CLI's own error lines out of everything that it printed."""
    errors = [line.strip().removeprefix("error: ") for line in text.splitlines() if line.strip().startswith("error:")]
    return "; ".join(dict.fromkeys(errors)) or text.strip()
