"""The Pulumi engine: drives the real project through the Automation API, and turns its events into plain values.

It declares no resource itself (`program` does) and prints nothing; what the engine reports goes to a callback.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation
from pulumi.automation import events
from pydantic import SecretStr

from . import connections
from .errors import EngineError, GolabsError
from .policy import DEMONSTRATION_ENVIRONMENT, TST_PASSPHRASE
from .project import PROJECT_NAME, Project
from .stackfile import StackFile, stack_passphrase
from .toolchain import Toolchain, pulumi_variables

_LOCK = re.compile(r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\)")
_NO_DATABASE = "(3D000)"
"""PostgreSQL's code for a database that does not exist, as the provider quotes it."""
_ENGINE_NOISE = (
    "program exited with non-zero exit code",
    "an unhandled error occurred",
    "update failed",
    "preview failed",
)
_SYMBOLS = {"create": "+", "import": "=", "update": "~", "delete": "-", "replace": "±", "discard": "o", "same": " "}
_SILENT_OPERATIONS = frozenset(
    {"same", "read", "refresh", "read-replacement", "discard-replaced", "remove-pending-replace"}
)


@dataclass(frozen=True)
class Step:
    """One resource operation as the engine reports it: its symbol, the operation, and the resource."""

    operation: str
    type: str
    name: str

    @property
    def kind(self) -> str:
        """The last part of the type: Role, Grant."""
        return self.type.rpartition(":")[2]

    @property
    def is_internal(self) -> bool:
        """Whether the engine keeps it for itself: providers, components, the stack; nothing on the server."""
        return self.type.startswith(("pulumi:", "golabs:", "random:index/randomBytes:"))

    @property
    def symbol(self) -> str:
        """`+` create, `=` import, `~` update, `-` delete, `o` forgotten and left in place."""
        return _SYMBOLS.get(self.operation.removesuffix("-replaced").removesuffix("-replacement"), "~")


@dataclass(frozen=True)
class Notice:
    """A warning or an error of the program, a provider or the engine."""

    severity: str
    message: str


Listener = Callable[[Step | Notice], None]


@dataclass
class Report:
    """What a run of the engine did."""

    steps: list[Step] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    summary: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> list[str]:
        """The messages of errors, without the engine's own echo of them."""
        messages = [notice.message for notice in self.notices if notice.severity == "error"]
        return [text for text in dict.fromkeys(messages) if not any(noise in text for noise in _ENGINE_NOISE)]

    @property
    def changed(self) -> bool:
        """Whether anything but unchanged resources was reported."""
        return any(count for operation, count in self.summary.items() if operation != "same")


class PulumiEngine:
    """One stack of the project on the user's backend."""

    def __init__(self, project: Project, environment: str, toolchain: Toolchain, environ: Mapping[str, str]) -> None:
        self._project = project
        self._environment = environment
        self._toolchain = toolchain
        self._variables = pulumi_variables(project, environment, toolchain, environ)
        self._effective = {**environ, **self._variables}
        self._opened: automation.Stack | None = None

    def preview(self, listener: Listener) -> Report:
        """What `up` would do; nothing is written."""
        return self._run("preview", lambda stack, on_event: stack.preview(color="never", on_event=on_event), listener)

    def up(self, listener: Listener, *, confirmation: str | None = None) -> Report:
        """Applies the program. `confirmation` is handed to it for guarded environments."""
        extra = {"GOLABS_CONFIRM": confirmation} if confirmation else {}
        return self._run(
            "up",
            lambda stack, on_event: stack.up(
                color="never", on_event=on_event, show_secrets=False, suppress_outputs=True
            ),
            listener,
            extra,
        )

    def forget(self) -> None:
        """Empties the state of a disposable stack whose server is gone. No server is touched, or even looked at."""
        workspace = self._open().workspace
        words = ["state", "delete", "--all", "--yes", "--stack", self._environment]
        try:
            workspace.pulumi_command.run(words, workspace.work_dir, workspace.env_vars)
        except automation.CommandError as error:
            raise self._explained("state delete", error, Report()) from None

    def destroy(self, listener: Listener) -> Report:
        """Destroys the stack's resources, as their options in the state permit."""
        try:
            return self._destroy(listener, refresh=False)
        except EngineError as error:
            if _NO_DATABASE not in error.what:
                raise
        # Somebody has dropped the database: its users are still to be dropped.
        return self._destroy(listener, refresh=True)

    def _destroy(self, listener: Listener, *, refresh: bool) -> Report:
        return self._run(
            "destroy",
            lambda stack, on_event: stack.destroy(
                color="never", on_event=on_event, show_secrets=False, suppress_outputs=True, refresh=refresh
            ),
            listener,
        )

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs, secrets in clear."""
        stack = self._open()
        try:
            return {name: output.value for name, output in stack.outputs().items()}
        except automation.CommandError as error:
            raise self._explained("stack output", error, Report()) from None

    def config(self) -> dict[str, object]:
        """The stack's configuration of our namespace, decrypted by the CLI (any secrets provider)."""
        stack = self._open()
        try:
            given = stack.get_all_config()
        except automation.CommandError as error:
            raise self._explained("config", error, Report()) from None
        prefix = f"{PROJECT_NAME}:"
        return {
            name.removeprefix(prefix): SecretStr(value.value) if value.secret else value.value
            for name, value in given.items()
            if name.startswith(prefix)
        }

    def records(self) -> list[connections.Record]:
        """The connection records that the last `up` exported."""
        exported = self.outputs().get("connections")
        if not exported:
            raise EngineError(
                "the stack has no connections: it was not brought up yet",
                where=self._environment,
                mend=f"golabs up {self._environment}",
            )
        return [exported[service] for service in sorted(exported)]

    def prepare(self) -> dict[str, str]:
        """Makes backend folder and stack, and gives what a shell must export for plain `pulumi` commands."""
        self._open()
        return self._variables

    def _open(self) -> automation.Stack:
        if self._opened is None:
            self._opened = self._select()
        return self._opened

    def _select(self) -> automation.Stack:
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
        try:
            command = automation.PulumiCommand(root=_root_of(cli), skip_version_check=True)
            return automation.create_or_select_stack(
                self._environment,
                work_dir=str(self._project.root),
                opts=automation.LocalWorkspaceOptions(env_vars=self._variables, pulumi_command=command),
            )
        except automation.CommandError as error:
            raise self._explained("stack select", error, Report()) from None

    def _run(
        self,
        what: str,
        command: Callable[[automation.Stack, Callable[[events.EngineEvent], None]], object],
        listener: Listener,
        variables: Mapping[str, str] | None = None,
    ) -> Report:
        report = Report()

        def on_event(event: events.EngineEvent) -> None:
            for item in _items(event, report):
                listener(item)

        stack = self._open()
        stack.workspace.env_vars = {**self._variables, **(variables or {})}
        interrupted: list[int] = []
        try:
            with _noted(signal.SIGINT, interrupted):
                command(stack, on_event)
        except automation.CommandError as error:
            if not interrupted:
                raise self._explained(what, error, report) from None
        finally:
            stack.workspace.env_vars = self._variables
        if interrupted:
            raise EngineError(
                f"pulumi {what} was interrupted and has ended in order; what was done until then stays",
                where=self._environment,
                mend=f"golabs {what} {self._environment} picks up from there",
            )
        return report

    def _explained(self, what: str, error: automation.CommandError, report: Report) -> GolabsError:
        """An engine failure as one error: the program's own message where there is one, else what the CLI said."""
        text = str(error)
        if lock := _LOCK.search(text):
            return _lock_error(self._environment, lock, text)
        if report.errors:
            return EngineError("\n".join(report.errors))
        if "no Pulumi.yaml project file found" in text or "PULUMI_ACCESS_TOKEN" in text or "pulumi login" in text:
            return EngineError(
                "no backend is named for the stack's state, and the CLI is logged in to none",
                where=self._environment,
                mend="export PULUMI_BACKEND_URL=file://...?metadata=skip, s3://..., postgres://... or run pulumi login",
            )
        if "failed to load checkpoint: EOF" in text:
            return EngineError(
                "a run that was killed left an empty note beside the state in the backend's folder; the state is whole",
                where=self._environment,
                mend="remove the empty *.attrs files below the folder's .pulumi/stacks; a backend "
                "file://...?metadata=skip makes none",
            )
        if "passphrase must be set" in text or "incorrect passphrase" in text:
            return EngineError(
                "the stack's passphrase is missing or wrong",
                where=self._environment,
                mend="export PULUMI_CONFIG_PASSPHRASE=... or PULUMI_CONFIG_PASSPHRASE_FILE=/path/to/file",
            )
        return EngineError(f"pulumi {what} failed: {_cli_words(text)}", where=self._environment)


@contextmanager
def _noted(wanted: int, received: list[int]) -> Iterator[None]:
    """Notes a signal instead of ending: the CLI at the same terminal gets it too, and has to come to its end in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(wanted, lambda number, frame: received.append(number))
    try:
        yield
    finally:
        signal.signal(wanted, before)


def install_cli(root: Path) -> None:
    """Downloads and installs the CLI below `root` by Pulumi's own installer. Raises EngineError with its last words."""
    try:
        automation.PulumiCommand.install(root=str(root), skip_version_check=True)
    except (OSError, subprocess.SubprocessError) as error:
        output = getattr(error, "output", None)
        words = output.decode(errors="replace").strip() if output else str(error)
        raise EngineError(words.splitlines()[-1] if words else type(error).__name__) from error


def _root_of(cli: Path) -> str | None:
    """The folder above `bin`, as the Automation API wants it; None for a CLI that is elsewhere on PATH."""
    return str(cli.parent.parent) if cli.parent.name == "bin" else None


def _items(event: events.EngineEvent, report: Report) -> list[Step | Notice]:
    """What of an engine event a user wants to see; all of it is kept in the report."""
    if (finished := event.res_outputs_event) is not None and not finished.planning:
        operation = finished.metadata.op.value
        if operation not in _SILENT_OPERATIONS:
            return [_add_step(report, operation, finished.metadata)]
    elif (planned := event.resource_pre_event) is not None and planned.planning:
        operation = planned.metadata.op.value
        if operation not in _SILENT_OPERATIONS:
            return [_add_step(report, operation, planned.metadata)]
    elif (said := event.diagnostic_event) is not None and said.severity in ("warning", "error"):
        notice = Notice(said.severity, re.sub(r"<\{%.*?%\}>", "", said.message).strip().removeprefix("error: "))
        if notice not in report.notices and "from $PATH at" not in notice.message:
            report.notices.append(notice)
            return [notice]
    elif (ended := event.summary_event) is not None:
        report.summary.update({str(operation): count for operation, count in ended.resource_changes.items()})
    return []


def _add_step(report: Report, operation: str, metadata: events.StepEventMetadata) -> Step:
    step = Step(operation, metadata.type, metadata.urn.rpartition("::")[2])
    report.steps.append(step)
    return step


def _lock_error(environment: str, lock: re.Match[str], text: str) -> EngineError:
    """Who holds the stack's lock, and whether that process is still alive where that can be told."""
    here = lock["host"] == socket.gethostname()
    holder = f"{lock['user']}@{lock['host']}, process {lock['pid']}"
    cancel = f'eval "$(golabs env {environment})" && pulumi cancel --yes --stack {environment}'
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
    return True


def _cli_words(text: str) -> str:
    """The CLI's own error lines out of the Automation API's account of a failed command."""
    lines = [line.strip() for line in text.splitlines()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error:")]
    if errors:
        return "; ".join(dict.fromkeys(errors))
    stderr = text.partition("stderr:")[2].strip()
    return stderr or text.strip()
