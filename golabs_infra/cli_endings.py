"""What the command line says at its end: a message whose commands can be pasted, a mend for wrong usage, whatever was behind it.

Words alone: what is printed and how the process ends is `cli`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import typer

from .engines import EngineChoice, with_engine


def _place(error: typer.TyperException) -> tuple[str, list[str]]:
    """The command that was meant, as it is typed, and the names of those below it."""
    context = getattr(error, "ctx", None)
    below = sorted(getattr(context.command, "commands", {})) if context is not None else []
    words: list[str] = []
    while context is not None and context.parent is not None:
        words.insert(0, context.info_name or "")
        context = context.parent
    return " ".join(["golabs", *words]), below


def misused(error: typer.TyperException) -> str:
    """What is wrong with the command line, and the `--help` of the command that was meant."""
    command, below = _place(error)
    what = error.format_message().replace(": Value error, ", ": ") if str(error) else f"name one of {', '.join(below)}"
    return f"{what}\n  mend: {command} --help"


def as_asked(text: str, arguments: list[str]) -> str:
    """A message whose mends ask for the direct engine where this command did."""
    what, mend, commands = text.partition("mend: ")
    if "--engine=direct" in arguments or ("--engine", "direct") in pairwise(arguments):
        for word in arguments:
            commands = with_engine(commands, word, EngineChoice.DIRECT)
    return f"{what}{mend}{commands}"


def with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was made of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
