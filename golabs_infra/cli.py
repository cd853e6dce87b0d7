"""`golabs`: reads the command line, asks the engines, shows what they say. The only module that prints or exits.

Exit codes: 0 done; 1 failed, refused or declined; 2 drift or findings; 64 wrong usage.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .connections import ExportFormat
from .console import Screen
from .direct import Outcome
from .engines import EngineChoice
from .errors import EngineError, GolabsError, PolicyError, UsageError
from .plan import Change
from .policy import CONFIRMATION_VARIABLE
from .project import Project, find_project
from .runs import Run
from .server import DEFAULT_PORT, EmbeddedServer, ServerStatus
from .wording import describe

if TYPE_CHECKING:
    from .stacks import Notice, PulumiEngine, Report, Step

EXIT_FAILED = 1
EXIT_USAGE = 64

app = typer.Typer(
    name="golabs",
    help="Provisions PostgreSQL for the Go Labs services. ENV is a stack's name: tst, dev, qua, prd.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
server_app = typer.Typer(help="The embedded PostgreSQL of this checkout.", no_args_is_help=True)
app.add_typer(server_app, name="server")

Environment = Annotated[str, typer.Argument(metavar="ENV", help="The stack's name, such as tst.", show_default=False)]
Engine = Annotated[EngineChoice, typer.Option("--engine", help="Which engine does the work.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON; progress goes to standard error.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask (disposable and keep environments only).")]


@dataclass(frozen=True)
class Invocation:
    """What the options before the command say."""

    project_folder: Path | None

    @property
    def project(self) -> Project:
        """The checkout that the command is about."""
        if self.project_folder is not None:
            return find_project(self.project_folder.resolve())
        here = Path.cwd()
        try:
            return find_project(here)
        except UsageError:
            installed = Path(__file__).resolve().parent.parent
            if (installed / "Pulumi.yaml").is_file():
                return find_project(installed)
            raise

    def run(self, environment: str, engine: EngineChoice) -> Run:
        """The command's view of an environment."""
        return Run(self.project, environment, engine, os.environ)


@app.callback()
def _options(
    context: typer.Context,
    project: Annotated[
        Path | None, typer.Option("--project", help="A checkout of golabs-infra; default: the one you are in.")
    ] = None,
) -> None:
    context.obj = Invocation(project)


@app.command()
def setup(context: typer.Context) -> None:
    """Look for the Pulumi CLI and its plugins, install what can be, say what is there."""
    from .installer import install_missing
    from .toolchain import find_toolchain

    screen = Screen()
    before = find_toolchain(os.environ)
    for outcome in install_missing(before, os.environ):
        if outcome.problem is None:
            screen.step("+", f"installed: {outcome.part}")
        else:
            screen.step("-", f"not installed: {outcome.part}: {outcome.problem}")
    found = find_toolchain(os.environ)
    rows = [("Pulumi CLI", str(found.cli or "missing")), ("language host", str(found.language or "missing"))]
    rows += [(f"plugin {plugin.label}", str(plugin.path or "missing")) for plugin in found.plugins]
    screen.table(("part", "where"), rows)
    if not found.complete:
        raise EngineError(
            f"the Pulumi engine can't run: not found: {found.missing_in_words}",
            mend="install Pulumi (https://www.pulumi.com/docs/install) where downloads are open; "
            "until then tst runs on the direct engine: golabs up tst",
        )


@app.command()
def env(context: typer.Context, environment: Environment) -> None:
    """Print what a shell must export for plain pulumi commands: eval "$(golabs env tst)"."""
    run = _invocation(context).run(environment, EngineChoice.PULUMI)
    screen = Screen(as_json=True)
    try:
        variables = _pulumi(run).prepare()
    except GolabsError:
        screen.raw("false  # golabs env failed; this makes `eval ... && pulumi up` stop here")
        raise
    screen.raw("\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())))
    screen.line(f"this shell is ready for pulumi commands on {environment}: pulumi up --stack {environment}")


@app.command()
def doctor(
    context: typer.Context, environment: Environment, engine: Engine = EngineChoice.AUTO, as_json: AsJson = False
) -> None:
    """Examine toolchain, configuration, server and admin rights: what works, what does not, how to mend it."""
    from .doctor import examine

    screen = Screen(as_json)
    checks = list(examine(_invocation(context).run(environment, engine)))
    screen.table(
        ("check", "verdict", ""), [(check.name, check.verdict, check.detail) for check in checks if check.detail]
    )
    for check in checks:
        if check.problem is not None and check.advice:
            screen.warning(f"{check.name}: {check.problem}")
        elif check.problem is not None:
            screen.error(f"{check.name}: {check.problem}")
    failed = [check for check in checks if check.verdict == "fails"]
    screen.result(
        {
            "environment": environment,
            "ok": not failed,
            "checks": [
                {
                    "name": check.name,
                    "verdict": check.verdict,
                    "detail": check.detail,
                    "problem": check.problem.what if check.problem else None,
                    "mend": check.problem.mend if check.problem else None,
                }
                for check in checks
            ],
        }
    )
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def preview(
    context: typer.Context, environment: Environment, engine: Engine = EngineChoice.AUTO, as_json: AsJson = False
) -> None:
    """Show what `up` would change. Nothing is written."""
    account = _begin(context, environment, engine, as_json)
    account.preview()
    account.finish()


@app.command()
def up(
    context: typer.Context,
    environment: Environment,
    engine: Engine = EngineChoice.AUTO,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Create what is missing, converge what differs, write the connection files."""
    account = _begin(context, environment, engine, as_json)
    account.start_server()
    account.confirm_up(yes)
    account.up()
    account.finish()


@app.command()
def destroy(
    context: typer.Context,
    environment: Environment,
    engine: Engine = EngineChoice.AUTO,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Drop what the environment's policy lets go: everything (disposable), nothing (keep), or refuse (guarded)."""
    account = _begin(context, environment, engine, as_json)
    account.confirm_destroy(yes)
    account.start_server()
    account.destroy()
    account.finish()


@app.command()
def export(
    context: typer.Context,
    environment: Environment,
    format_: Annotated[ExportFormat, typer.Option("--format", help="The files' form.")] = ExportFormat.YAML,
    engine: Engine = EngineChoice.AUTO,
    as_json: AsJson = False,
) -> None:
    """Write the connection files again."""
    from . import connections

    run = _invocation(context).run(environment, engine)
    screen = Screen(as_json)
    if run.is_direct:
        files = run.direct.export()
    else:
        files = connections.write_files(run.project, environment, run.pulumi.records())
    for file in files:
        screen.line(_relative(file, run.project))
    screen.result({"environment": environment, "format": str(format_), "files": [str(file) for file in files]})


@server_app.command("start")
def server_start(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(help=f"TCP port on 127.0.0.1 [default: {DEFAULT_PORT}]", min=1, max=65535)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start it, if it does not run."""
    _show_status(EmbeddedServer(_invocation(context).project.server_home, port=port).start(), as_json)


@server_app.command("stop")
def server_stop(context: typer.Context, as_json: AsJson = False) -> None:
    """Stop it; its data stays."""
    _show_status(EmbeddedServer(_invocation(context).project.server_home).stop(), as_json)


@server_app.command("status")
def server_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say whether it runs, and where."""
    _show_status(EmbeddedServer(_invocation(context).project.server_home).status(), as_json)


def _show_status(status: ServerStatus, as_json: bool) -> None:
    screen = Screen(as_json)
    if status.running:
        screen.line(f"PostgreSQL {status.version} runs on {status.host}:{status.port} (process {status.pid})")
        screen.line(f"admin {status.admin_user}, password in {status.admin_password_file}")
    else:
        screen.line("the embedded PostgreSQL does not run; golabs server start")
    screen.line(f"data in {status.data_directory}")
    screen.result(status.as_json())


def _invocation(context: typer.Context) -> Invocation:
    found = context.find_object(Invocation)
    if found is None:
        raise AssertionError("the callback sets it before any command")
    return found


def _pulumi(run: Run) -> PulumiEngine:
    """The Pulumi engine of a run that asked for it. Raises EngineError where it can't run here."""
    if run.is_direct:
        raise AssertionError("the run asked for the Pulumi engine")
    return run.pulumi


def _relative(path: Path, project: Project) -> str:
    return str(path.relative_to(project.root)) if path.is_relative_to(project.root) else str(path)


def _begin(context: typer.Context, environment: str, engine: EngineChoice, as_json: bool) -> Account:
    return Account(_invocation(context).run(environment, engine), Screen(as_json))


class Account:
    """One run on one environment and its account: what is shown on the way, and the result at the end."""

    def __init__(self, run: Run, screen: Screen) -> None:
        self._run = run
        self._screen = screen
        self._began = time.monotonic()
        self._changes: list[dict[str, str]] = []
        self._warnings: list[str] = []
        self._files: list[Path] = []
        self._verb = ""
        run.check_configuration()
        screen.line(f"engine: {run.chosen.engine} ({run.chosen.reason})")

    def start_server(self) -> None:
        """Starts the embedded server where the stack lives there."""
        status = self._run.start_server()
        if status is not None:
            self._screen.line(f"server: started PostgreSQL {status.version} on {status.host}:{status.port}")

    def confirm_up(self, yes: bool) -> None:
        """Guarded environments: shows the preview, then wants the database's name, typed or in the variable."""
        if not self._run.policy.confirms_up or os.environ.get(CONFIRMATION_VARIABLE) == self._run.database:
            return
        if yes:
            raise PolicyError(
                "--yes does not confirm a guarded environment; nothing was changed",
                where=self._run.environment,
                mend=f"{CONFIRMATION_VARIABLE}={self._run.database} golabs up {self._run.environment}",
            )
        self.preview()
        self._forget()
        self._typed(self._run.database, f"type the database's name, {self._run.database}, to go on:", "up")

    def confirm_destroy(self, yes: bool) -> None:
        """Disposable environments: asks. Guarded ones: refuses before anything is looked at."""
        policy, environment = self._run.policy, self._run.environment
        if policy.protects:
            raise PolicyError(
                f"{environment} is guarded: destroy is refused, and nothing was touched",
                where=f"{environment}: policy {policy.name}",
                mend="there is no switch for it; a DBA who means it drops the database by hand",
            )
        if policy.drops and not yes:
            question = f"drop the database {self._run.database} with all its data, and its users? Type yes:"
            self._typed("yes", question, "destroy")

    def _typed(self, expected: str, question: str, command: str) -> None:
        if self._screen.ask(question) != expected:
            raise PolicyError(
                "not confirmed; nothing was changed",
                where=f"golabs {command} {self._run.environment}",
                mend="run it again and type exactly what is asked for"
                + ("" if self._run.policy.protects else ", or use --yes"),
            )

    def preview(self) -> None:
        """What `up` would do."""
        self._verb = "to change"
        if self._run.is_direct:
            outcome = self._run.direct.preview()
            for change in outcome.changes:
                self._change(change)
            self._take(outcome)
        else:
            self._report(self._run.pulumi.preview(self._heard))

    def up(self) -> None:
        """Applies, and shows where the connection files are."""
        self._verb = "changed"
        if self._run.is_direct:
            self._take(self._run.direct.up(self._change))
        else:
            self._report(self._pulumi_up())
            self._files = self._connection_files()
        self._show_services()

    def _pulumi_up(self) -> Report:
        from .adoption import OUTDATED_STATE

        confirmation = self._run.database if self._run.policy.confirms_up else None
        try:
            return self._run.pulumi.up(self._heard, confirmation=confirmation)
        except EngineError as error:
            if OUTDATED_STATE not in error.what or not self._run.policy.drops:
                raise
        self._screen.line("the state speaks of a server or database that is gone: refreshing it first")
        self._forget()
        self._run.pulumi.refresh(lambda item: None)
        return self._run.pulumi.up(self._heard, confirmation=confirmation)

    def destroy(self) -> None:
        """Lets go of what the policy permits."""
        from . import connections

        self._verb = "let go"
        run = self._run
        if run.is_direct:
            self._take(run.direct.destroy(self._change))
            return
        if run.policy.forgets:
            # The state holds the only copy of generated passwords; the files must have them before it forgets.
            if run.pulumi.outputs().get("connections"):
                self._files = connections.write_files(run.project, run.environment, run.pulumi.records())
            self._warn(f"{run.database} and its users are left in place; the connection files keep their passwords")
        self._report(run.pulumi.destroy(self._heard))
        if run.policy.drops:
            connections.remove_files(run.project, run.environment)

    def finish(self) -> None:
        """The closing line, and the JSON result."""
        seconds = time.monotonic() - self._began
        count = len(self._changes)
        self._screen.line(f"{count or 'nothing'} {self._verb} in {seconds:.1f} s")
        self._screen.result(
            {
                "environment": self._run.environment,
                "engine": str(self._run.chosen.engine),
                "reason": self._run.chosen.reason,
                "changes": self._changes,
                "warnings": self._warnings,
                "files": [str(file) for file in self._files],
                "seconds": round(seconds, 3),
            }
        )

    def _forget(self) -> None:
        self._changes.clear()

    def _change(self, change: Change) -> None:
        line = describe(change)
        self._step(line.symbol, line.text)

    def _step(self, symbol: str, text: str) -> None:
        self._changes.append({"symbol": symbol, "text": text})
        self._screen.step(symbol, text)

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._screen.warning(text)

    def _heard(self, item: Step | Notice) -> None:
        """One event of the Pulumi engine; errors are shown once, at the end."""
        from .stacks import Step

        if isinstance(item, Step):
            if not item.is_internal:
                self._step(item.symbol, f"{item.kind} {item.name}")
        elif item.severity == "warning":
            self._warn(item.message)

    def _report(self, report: Report) -> None:
        counts = ", ".join(f"{count} {operation}" for operation, count in sorted(report.summary.items()))
        if counts:
            self._screen.line(f"resources: {counts}")

    def _take(self, outcome: Outcome) -> None:
        for warning in outcome.warnings:
            self._warn(warning)
        self._files = list(outcome.files)

    def _connection_files(self) -> list[Path]:
        from . import connections

        environment = self._run.environment
        return [
            connections.connection_file(self._run.project, environment, record["service"])
            for record in connections.read_records(self._run.project, environment)
        ]

    def _show_services(self) -> None:
        from . import connections

        rows = []
        for record in connections.read_records(self._run.project, self._run.environment):
            file = connections.connection_file(self._run.project, self._run.environment, record["service"])
            users = record["users"]
            rows.append(
                (
                    record["service"],
                    users["migration"]["username"],
                    users["app"]["username"],
                    _relative(file, self._run.project),
                )
            )
        self._screen.table(("service and schema", "migration user", "app user", "connection file"), rows)


def main(arguments: list[str] | None = None) -> None:
    """The `golabs` command. Exits; every error is one readable message."""
    sys.exit(_exit_code(sys.argv[1:] if arguments is None else arguments))


def _commands(arguments: list[str]) -> list[str]:
    """The command that was meant, for `--help` after it: the leading words that name one, each with a space."""
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    return [f"{arguments[0]} "] if arguments and arguments[0] in {*known, "server"} else []


def _exit_code(arguments: list[str]) -> int:
    screen = Screen()
    if not arguments:
        app(args=["--help"], standalone_mode=False)
        return EXIT_USAGE
    try:
        result: Any = app(args=arguments, standalone_mode=False)
    except UsageError as error:
        screen.error(str(error))
        return EXIT_USAGE
    except GolabsError as error:
        screen.error(str(error))
        return EXIT_FAILED
    except typer.TyperException as error:
        screen.error(f"{error.format_message()}\n  mend: golabs {' '.join(_commands(arguments))}--help")
        return EXIT_USAGE
    except (typer.Abort, KeyboardInterrupt):
        screen.error("interrupted; what was done stays, and the next run picks up from there")
        return EXIT_FAILED
    return result if isinstance(result, int) else 0
