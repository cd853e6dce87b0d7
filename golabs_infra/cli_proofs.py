"""`golabs verify` and `golabs drift`: the proofs' commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_options import EXIT_FAILED, EXIT_FOUND, AsJson, Environment, invocation
from .console import Screen
from .engines import EngineChoice
from .errors import UsageError

if TYPE_CHECKING:
    from .proving import Conclusion


def verify(
    context: typer.Context,
    environment: Environment,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page for people, whole in one file.")
    ] = None,
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL that mends what was found, as a psql script.")
    ] = False,
    no_login: Annotated[bool, typer.Option("--no-login", help="By the catalogs alone: log in as nobody.")] = False,
    as_json: AsJson = False,
) -> None:
    """Prove the isolation twice, by the catalogs and by logging in as every user. Exits with 2 if something is found."""
    if as_sql and as_json:
        raise UsageError("--sql and --json both want standard output", mend="use one of them")
    from . import proving

    run = invocation(context).run(environment, EngineChoice.DIRECT, asks_cli=True)
    screen = Screen(as_json, aside=as_sql)
    _conclude(proving.verify(run, screen, page=html, as_sql=as_sql, login=not no_login))


def drift(
    context: typer.Context,
    environment: Environment,
    repair: Annotated[bool, typer.Option("--repair", help="Run the SQL that mends what a command may mend.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what on the server differs from the model, also what no engine sees. Exits with 2 if something is left."""
    from . import proving

    run = invocation(context).run(environment, EngineChoice.DIRECT, asks_cli=True)
    _conclude(proving.drift(run, Screen(as_json), mend=repair))


def _conclude(conclusion: Conclusion) -> None:
    """Exits with 2 where something was found, with 1 where nothing could be shown either way."""
    codes = {conclusion.FOUND: EXIT_FOUND, conclusion.UNPROVEN: EXIT_FAILED}
    if conclusion in codes:
        raise typer.Exit(codes[conclusion])
