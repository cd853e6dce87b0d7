"""`golabs`: reads the command line, asks the engines, shows what they say. The only module that prints or exits.

Exit codes: 0 done; 1 failed, refused or declined; 2 drift or findings; 64 wrong usage.
"""

from __future__ import annotations

import logging
import os
import platform
import shlex
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .account import Account
from .cli_completion import services
from .cli_credentials import ANY_ARGUMENTS, set_password
from .cli_examples import epilog
from .cli_options import EXIT_FAILED, EXIT_USAGE, AsJson, Engine, Environment, Invocation, Yes, invocation
from .cli_proofs import drift, verify
from .cli_rotation import rotate
from .cli_server import server_app
from .console import Screen
from .engines import EngineChoice, with_engine
from .errors import EngineError, GolabsError, UsageError
from .formats_login import ExportFormat
from .guarding import check_destroy, check_reset
from .runs import Run
from .script import environment_script

if TYPE_CHECKING:
    from .stacks import PulumiEngine

INTERRUPTION = "interrupted; what was done stays, and the next run picks up from there"
_INTERRUPTED = 130
"""What typer gives back after Ctrl-C."""

app = typer.Typer(
    name="golabs",
    help="Provisions PostgreSQL for the Go Labs services. ENV is a stack's name: tst, dev, qua, prd.",
    epilog=epilog(""),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(server_app, name="server")


def _show_version(asked: bool) -> None:
    if asked:
        Screen().raw(f"golabs-infra {version('golabs-infra')} (Python {platform.python_version()})")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            help="A checkout of golabs-infra; default: the one you are in, else the one that golabs is installed from.",
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version this is.")
    ] = False,
) -> None:
    context.obj = Invocation(project)


@app.command(epilog=epilog("setup"))
def setup() -> None:
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


@app.command(epilog=epilog("env"))
def env(context: typer.Context, environment: Environment) -> None:
    """Print what a shell must export for plain pulumi commands: eval "$(golabs env tst)"."""
    run = invocation(context).run(environment, EngineChoice.PULUMI)
    screen = Screen(as_json=True)
    try:
        variables = _pulumi(run).prepare()
    except GolabsError:
        screen.raw("false  # golabs env failed; this makes `eval ... && pulumi up` stop here")
        raise
    screen.raw("\n".join(f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())))
    screen.line(f"this shell is ready for pulumi commands on {environment}: pulumi up --stack {environment}")


@app.command(epilog=epilog("doctor"))
def doctor(
    context: typer.Context, environment: Environment, engine: Engine = EngineChoice.AUTO, as_json: AsJson = False
) -> None:
    """Examine toolchain, configuration, server and admin rights: what works, what does not, how to mend it."""
    from .doctor import examine

    screen = Screen(as_json)
    checks = list(examine(invocation(context).run(environment, engine)))
    screen.table(
        ("check", "verdict", ""),
        [
            (check.name, check.verdict, with_engine(check.detail, environment, engine))
            for check in checks
            if check.detail
        ],
    )
    for check in checks:
        told = with_engine(f"{check.name}: {check.problem}", environment, engine)
        if check.problem is not None and check.advice:
            screen.warning(told)
        elif check.problem is not None:
            screen.error(told)
    failed = [check for check in checks if check.verdict == "fails"]
    screen.result(
        {
            "environment": environment,
            "ok": not failed,
            "checks": [check.as_json() for check in checks],
        }
    )
    if failed:
        raise typer.Exit(EXIT_FAILED)


@app.command(epilog=epilog("preview"))
def preview(
    context: typer.Context,
    environment: Environment,
    engine: Engine = EngineChoice.AUTO,
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print the statements instead, as a psql script (direct engine).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what `up` would change. Nothing is written."""
    if as_sql and as_json:
        raise UsageError("--sql and --json both want standard output", mend="use one of them")
    run = invocation(context).run(environment, engine)
    if as_sql and not run.is_direct:
        raise UsageError("the Pulumi engine shows no SQL", mend=f"golabs preview {environment} --sql --engine direct")
    account = Account(run, Screen(as_json, aside=as_sql))
    account.preview(as_sql=as_sql)
    account.finish()


@app.command(epilog=epilog("up"))
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


@app.command(epilog=epilog("destroy"))
def destroy(
    context: typer.Context,
    environment: Environment,
    engine: Engine = EngineChoice.AUTO,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Drop what the environment's policy lets go: everything (disposable), nothing (keep), or refuse (guarded)."""
    check_destroy(invocation(context).run(environment, engine).policy, environment)
    account = _begin(context, environment, engine, as_json)
    account.confirm_destroy(yes)
    account.start_server()
    account.destroy()
    account.finish()


@app.command(epilog=epilog("reset"))
def reset(context: typer.Context, environment: Environment, yes: Yes = False, as_json: AsJson = False) -> None:
    """Drop the database and make it again, empty, in a fraction of a second; users, passwords and state stay."""
    run = invocation(context).run(environment, EngineChoice.DIRECT, asks_cli=True)
    check_reset(run.policy, environment)
    account = Account(
        run, Screen(as_json), "a reset takes no other; users, passwords and Pulumi's state stay as they are"
    )
    account.confirm_reset(yes)
    account.start_server()
    account.reset()
    account.finish()


@app.command(epilog=epilog("retire"))
def retire(
    context: typer.Context,
    environment: Environment,
    service: Annotated[
        str,
        typer.Argument(metavar="SERVICE", help="The service's name.", show_default=False, autocompletion=services),
    ],
    undo: Annotated[bool, typer.Option("--undo", help="Take the retirement back.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also while somebody uses it; ends its sessions.")] = False,
    engine: Engine = EngineChoice.AUTO,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Close a service's logins and take its users' privileges; its data is kept, and it can be taken back."""
    from .retiring import Retirement
    from .retiring import retire as retire_service

    run = invocation(context).run(environment, engine)
    retire_service(run, Screen(as_json), Retirement(service, undo, yes, force))


@app.command(epilog=epilog("import-legacy"))
def import_legacy(
    context: typer.Context,
    environment: Environment,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The old layout's folder.", show_default=False)],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Take the old values where ours differ.")] = False,
    no_preview: Annotated[bool, typer.Option("--no-preview", help="Only write the stack's file.")] = False,
    engine: Engine = EngineChoice.AUTO,
    as_json: AsJson = False,
) -> None:
    """Take environments.conf and .env.ENV of the old scripts into Pulumi.ENV.yaml, and preview adopting them."""
    from . import importing

    run = invocation(context).run(environment, engine)
    importing.import_legacy(run, Screen(as_json), folder, overwrite=overwrite, preview=not no_preview)


app.command(epilog=epilog("verify"))(verify)
app.command(epilog=epilog("drift"))(drift)
app.command(epilog=epilog("rotate"))(rotate)
app.command(context_settings=ANY_ARGUMENTS, epilog=epilog("set-password"))(set_password)


@app.command("sql", epilog=epilog("sql"))
def sql_(
    context: typer.Context,
    environment: Environment,
    service: Annotated[
        str | None, typer.Option("--service", help="Only what one service needs.", autocompletion=services)
    ] = None,
    verifiers: Annotated[
        bool,
        typer.Option("--verifiers", help="With the verifiers of the users' passwords (hashes: keep them private)."),
    ] = False,
) -> None:
    """Print the SQL that builds ENV from nothing, for psql, and keep it in output/<env>/. It can be run again."""
    run = invocation(context).run(environment, EngineChoice.DIRECT, asks_cli=True)
    settings = run.settings if verifiers else run.settings_without_secrets
    Screen().raw(environment_script(run.project, settings, service, with_verifiers=verifiers))


@app.command(epilog=epilog("export"))
def export(
    context: typer.Context,
    environment: Environment,
    format_: Annotated[ExportFormat, typer.Option("--format", help="The files' form.")] = ExportFormat.YAML,
    engine: Engine = EngineChoice.AUTO,
    as_json: AsJson = False,
) -> None:
    """Write the connection files again, for golabs itself (yaml) or in the form that a client reads."""
    from . import connections

    run = invocation(context).run(environment, engine)
    screen = Screen(as_json)
    if run.is_direct:
        files = run.direct.export(format_)
    else:
        files = connections.export_files(run.project, environment, run.exported_records(), format_)
    for file in files:
        screen.line(run.project.relative(file))
    screen.result({"environment": environment, "format": str(format_), "files": [str(file) for file in files]})


def _pulumi(run: Run) -> PulumiEngine:
    """The Pulumi engine of a run that asked for it. Raises EngineError where it can't run here."""
    if run.is_direct:
        raise AssertionError("the run asked for the Pulumi engine")
    return run.pulumi


def _begin(context: typer.Context, environment: str, engine: EngineChoice, as_json: bool) -> Account:
    return Account(invocation(context).run(environment, engine), Screen(as_json))


def main(arguments: list[str] | None = None) -> None:
    """The `golabs` command. Exits; every error is one readable message."""
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # its remarks on lost connections, which we tell
    sys.exit(_exit_code(sys.argv[1:] if arguments is None else arguments))


def _commands(arguments: list[str]) -> list[str]:
    """The command that was meant, for `--help` after it: the leading words that name one, each with a space."""
    known = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    return [f"{arguments[0]} "] if arguments and arguments[0] in {*known, "server"} else []


def _as_asked(text: str, arguments: list[str]) -> str:
    """A message whose mends ask for the direct engine where this command did."""
    what, mend, commands = text.partition("mend: ")
    if "--engine=direct" in arguments or ("--engine", "direct") in pairwise(arguments):
        for word in arguments:
            commands = with_engine(commands, word, EngineChoice.DIRECT)
    return f"{what}{mend}{commands}"


def _exit_code(arguments: list[str]) -> int:
    screen = Screen()
    if not arguments:
        app(args=["--help"], standalone_mode=False)
        return EXIT_USAGE
    code = EXIT_FAILED
    try:
        result: Any = app(args=arguments, standalone_mode=False)
        if result == _INTERRUPTED:
            raise typer.Abort
        code = result if isinstance(result, int) else 0
    except GolabsError as error:
        code = EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED
        screen.error(_as_asked(str(error), arguments))
    except typer.TyperException as error:
        code = EXIT_USAGE
        what = error.format_message().replace(": Value error, ", ": ")
        screen.error(f"{what}\n  mend: golabs {' '.join(_commands(arguments))}--help")
    except OSError as error:
        what = f"{error.filename or 'standard output'}: {error.strerror}"
        screen.error(f"{what}\n  mend: free space or mend permissions there, and run this again")
    except (typer.Abort, KeyboardInterrupt):
        screen.error(INTERRUPTION)
    return code
