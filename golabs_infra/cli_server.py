"""`golabs server`: the embedded PostgreSQL of a checkout."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from .cli_examples import epilog
from .cli_options import AsJson, invocation
from .console import Screen
from .endpoint import EMBEDDED_PORT
from .errors import GolabsError

if TYPE_CHECKING:
    from .server import EmbeddedServer, ServerStatus

server_app = typer.Typer(help="The embedded PostgreSQL of this checkout.", no_args_is_help=True)


@server_app.command("start", epilog=epilog("server start"))
def server_start(
    context: typer.Context,
    port: Annotated[
        int | None, typer.Option(help="TCP port on 127.0.0.1.", show_default=str(EMBEDDED_PORT), min=1, max=65535)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start it, if it does not run."""
    _show_status(_server(context, port).start(), as_json)


@server_app.command("stop", epilog=epilog("server stop"))
def server_stop(context: typer.Context, as_json: AsJson = False) -> None:
    """Stop it; its data stays."""
    server, screen = _server(context), Screen(as_json)
    before: ServerStatus | None = None
    with suppress(GolabsError):  # what can't be asked can be stopped all the same
        before = server.status()
    after = server.stop()
    if before is None or before.running:
        known = f" {before.version} on {before.host}:{before.port}" if before else ""
        screen.line(f"stopped PostgreSQL{known}; its data stays in {after.data_directory}")
    else:
        screen.line(f"the embedded PostgreSQL did not run; its data is in {after.data_directory}")
    screen.result(after.as_json())


@server_app.command("status", epilog=epilog("server status"))
def server_status(context: typer.Context, as_json: AsJson = False) -> None:
    """Say whether it runs, and where."""
    _show_status(_server(context).status(), as_json)


def _server(context: typer.Context, port: int | None = None) -> EmbeddedServer:
    from .server import EmbeddedServer

    return EmbeddedServer(invocation(context).project.server_home, port=port)


def _show_status(status: ServerStatus, as_json: bool) -> None:
    screen = Screen(as_json)
    if status.running:
        screen.line(f"PostgreSQL {status.version} runs on {status.host}:{status.port} (process {status.pid})")
        screen.line(f"admin {status.admin_user}, password in {status.admin_password_file}")
    else:
        screen.line("the embedded PostgreSQL does not run; golabs server start")
    screen.line(f"data in {status.data_directory}")
    screen.result(status.as_json())
