"""`golabs set-password`: the command that takes a password from a prompt or standard input, never from its arguments."""

from __future__ import annotations

from typing import Annotated

import typer

from .cli_completion import services, users
from .cli_options import AsJson, Environment, invocation
from .console import Screen
from .engines import EngineChoice
from .errors import UsageError

ANY_ARGUMENTS = {"allow_extra_args": True}
"""So that what does not belong there, which may be a password, is refused without being repeated."""


def set_password(
    context: typer.Context,
    environment: Environment,
    service: Annotated[
        str | None,
        typer.Argument(metavar="SERVICE", help="The service's name.", show_default=False, autocompletion=services),
    ] = None,
    user: Annotated[
        str | None,
        typer.Argument(
            metavar="USER", help="migration or app, or the user's name.", show_default=False, autocompletion=users
        ),
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The admin's password, instead of SERVICE USER.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write one password, encrypted, into Pulumi.ENV.yaml; it is asked for, or read from standard input."""
    from .storing import ADMIN, Storing, place_of

    _check_words(context, environment, service, user, admin)
    screen = Screen(as_json)
    run = invocation(context).run(environment, EngineChoice.AUTO)
    place = ADMIN if service is None else place_of(run.file, service, user)
    storing = Storing(run, place)
    password, stored = storing.store(lambda: screen.secret(f"password of {place.of}"))
    name, after = run.file.path.name, f"golabs up {environment}"
    warnings = [
        f"{place.key}: the password {problem}; up refuses it, unless {place.of} exists already and has it"
        for problem in place.problems(password, storing.policy)
    ]
    for warning in warnings:
        screen.warning(warning)
    if stored.written:
        screen.line(f"{name}: {place.key} is written, encrypted; it is the password of {place.of}")
    else:
        screen.line(f"{name}: {place.key} is this password already, encrypted; nothing was changed")
    screen.line(f"no server was touched; next: {after}")
    screen.result(
        {
            "environment": environment,
            "file": name,
            "key": place.key,
            "user": place.of if place.user else None,
            "written": stored.written,
            "encryptedBy": "pulumi" if stored.by_cli else "golabs",
            "warnings": warnings,
            "next": after,
        }
    )


def _check_words(context: typer.Context, environment: str, service: str | None, user: str | None, admin: bool) -> None:
    if context.args:
        raise UsageError(
            "there is a word too many; a password is never given on the command line, where every user of this machine "
            "can read it, and which the shell keeps in its history",
            mend="leave it out: it is asked for, or read from standard input; choose another one if it was a password",
        )
    if admin == (service is not None):
        raise UsageError(
            "--admin goes without a service and a user" if admin else "name a service and a user, or --admin",
            mend=f"golabs set-password {environment} SERVICE {user if user in ('app', 'migration') else 'app'}, "
            f"or golabs set-password {environment} --admin",
        )
