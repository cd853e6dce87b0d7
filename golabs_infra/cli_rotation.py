"""`golabs rotate`: the command of new passwords."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from .cli_completion import services
from .cli_options import AsJson, Engine, Environment, invocation
from .console import Screen
from .engines import EngineChoice
from .errors import UsageError
from .names import UserKind


class Kind(StrEnum):
    """What `--user` takes."""

    MIGRATION = "migration"
    APP = "app"


def rotate(
    context: typer.Context,
    environment: Environment,
    service: Annotated[
        str | None,
        typer.Argument(metavar="SERVICE", help="The service's name.", show_default=False, autocompletion=services),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every service that is not retired.")] = False,
    user: Annotated[Kind | None, typer.Option("--user", help="One of its two users; default: both.")] = None,
    overlap: Annotated[bool, typer.Option("--overlap", help="Keep the old login valid until --finish.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="End an overlap: close the old login.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --finish: also while the old login is in use; ends its sessions.")
    ] = False,
    engine: Engine = EngineChoice.AUTO,
    as_json: AsJson = False,
) -> None:
    """Give a service's users new passwords, written down before they hold and proven by logging in."""
    if every == (service is not None):
        raise UsageError(
            "name a service, or --all" if service is None else "a service and --all don't go together",
            mend=f"golabs rotate {environment} SERVICE, or golabs rotate {environment} --all",
        )
    if overlap and finish:
        raise UsageError("--overlap begins what --finish ends", mend="use one of them")
    if force and not finish:
        raise UsageError("--force is for --finish alone", mend="leave it out")
    from .rotating import rotate as rotate_passwords
    from .rotation import Rotation, Way

    way = Way.OVERLAP if overlap else Way.FINISH if finish else Way.AT_ONCE
    kinds: dict[Kind, UserKind] = {Kind.MIGRATION: "migration", Kind.APP: "app"}
    asked = Rotation(way, service, kinds[user] if user else None, force)
    rotate_passwords(invocation(context).run(environment, engine), Screen(as_json), asked)
