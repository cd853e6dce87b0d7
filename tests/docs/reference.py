"""Writes the reference pages that follow from the code: `python -m tests.docs.reference`, or `make docs`.

Commands come from the command line's own parser, keys from the models that check them, so that neither page can say
anything else than the program does.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer
import typer.main
from pydantic import BaseModel
from typer.core import TyperArgument, TyperGroup

from golabs_infra.cli import app
from golabs_infra.cli_examples import EXAMPLES as COMMAND_LINES
from golabs_infra.config_keys import EXAMPLES, KEYS, SECRET_KEYS, AcceptedFinding, ServerKeys, ServiceSettings
from golabs_infra.names import PASSWORD_KEYS, Login

from ..support import REPOSITORY


def _keys(login: Login) -> str:
    """What the passwords of both users' logins are called."""
    return " and ".join(f"`{key}`" for key, (_, of) in PASSWORD_KEYS.items() if of == login)


STRUCTURED = {
    "services": "a list; each entry a name, or a mapping as below; at least one",
    "passwords": f"by service, then {_keys('user')} (and {_keys('twin')} after a rotation with overlap); one that is not "
    "given is generated, and kept",
    "logins": "which logins of a user that has two are open, as `golabs rotate --overlap` writes it: `user`, `twin`, the "
    "newest last",
    "accepted": "a list of known findings of `golabs verify`, as below",
}
"""What the keys hold that are lists or mappings."""
_WRITTEN = "Written by `make docs` from the code; a test compares."


@dataclass(frozen=True)
class Reference:
    """One page, and what it must hold."""

    path: Path
    text: str


def references() -> list[Reference]:
    """Every page that follows from the code."""
    folder = REPOSITORY / "docs" / "reference"
    return [
        Reference(folder / "commands.md", "\n".join(_commands()) + "\n"),
        Reference(folder / "configuration.md", "\n".join(_configuration()) + "\n"),
    ]


def _commands() -> Iterator[str]:
    group = typer.main.get_group(app)
    yield from ("# Commands", "", f"{_WRITTEN} `golabs COMMAND --help` shows the same.", "")
    yield from ("Before the command:", "")
    yield from _options(group)
    yield from ("Exit codes are in [exit codes](exit-codes.md).", "")
    for name, command in sorted(_all(group, "golabs")):
        context = typer.Context(command, info_name=name)
        pieces = " ".join(command.collect_usage_pieces(context)).translate({123: None, 125: None})
        yield from (f"## {name}", "", *_paragraphs(command.help or ""), f"`{name} {pieces}`", "")
        yield from _options(command)
        for line, does in COMMAND_LINES.get(name.removeprefix("golabs "), ()):
            yield from (f"- `{line}`: {does}",)
        if name.removeprefix("golabs ") in COMMAND_LINES:
            yield ""


def _all(group: TyperGroup, above: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _all(command, f"{above} {name}")
        else:
            yield f"{above} {name}", command


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        yield from (" ".join(paragraph.replace("\b", "").split()), "")


def _options(command: Any) -> Iterator[str]:
    shown = [each for each in command.params if not each.hidden]
    if shown:
        yield from ("| argument or option | what it is | default |", "| --- | --- | --- |")
        for each in shown:
            yield f"| {_name(each)} | {_cell(each.help or '')} | {_default(each)} |"
        yield ""


def _name(parameter: Any) -> str:
    if isinstance(parameter, TyperArgument):
        return f"`{parameter.metavar or parameter.name.upper()}`"
    words = ", ".join(f"`{word}`" for word in sorted(parameter.opts, key=len, reverse=True))
    if parameter.is_flag:
        return words
    annotation = parameter.type_descriptor.annotation
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    kind = kinds[0] if kinds else annotation
    choices = [str(choice.value) for choice in kind] if issubclass(kind, Enum) else []
    return f"{words} `{'|'.join(choices) or parameter.metavar or kind.__name__.upper()}`".replace("|", "\\|")


def _default(parameter: Any) -> str:
    default = parameter.show_default if isinstance(parameter.show_default, str) else parameter.default
    if default is None or default is False or isinstance(parameter, TyperArgument):
        return "required" if parameter.required else ""
    return f"`{getattr(default, 'value', default)}`"


def _configuration() -> Iterator[str]:
    yield from ("# Configuration", "", _WRITTEN, "")
    yield "Keys of the namespace `golabs-infra` in `Pulumi.<env>.yaml`. Unknown keys are errors, with the nearest known one; all"
    yield "faults of a file are reported at once, each with its key and a mend, and nothing is done."
    yield ""
    server = {str(field.alias): field for field in ServerKeys.model_fields.values()}
    yield from ("| key | what it holds | default | example |", "| --- | --- | --- | --- |")
    for key in KEYS:
        if key in STRUCTURED:
            description, default = STRUCTURED[key], ""
        else:
            description, default = str(server[key].description), server[key].default
        yield _row(key, description, default)
    yield from (
        "",
        "Only what is marked so may be encrypted (`secure:`); a password in plain text is an error in guarded",
        "stacks.",
        "",
    )
    for title, model in (("A service", ServiceSettings), ("An accepted finding", AcceptedFinding)):
        yield from (f"## {title}", "", *_paragraphs(model.__doc__ or ""))
        yield from _model(model)


def _model(model: type[BaseModel]) -> Iterator[str]:
    yield from ("| key | what it holds | default | example |", "| --- | --- | --- | --- |")
    for field in model.model_fields.values():
        default = "required" if field.is_required() else field.default
        yield _row(str(field.alias), str(field.description), default)
    yield ""


def _row(key: str, description: str, default: object) -> str:
    text = "" if default in (None, (), "") else str(default).lower() if isinstance(default, bool) else str(default)
    secret = "; a secret" if key in SECRET_KEYS else ""
    shown = text if text in ("", "required") else f"`{text}`"
    return f"| `{key}` | {_cell(description)}{secret} | {shown} | `{EXAMPLES[key]}` |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    for page in references():
        page.path.write_text(page.text, encoding="utf-8")
