"""Chooses the engine of a run and says why. Pure: it is told what is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from .errors import EngineError
from .policy import Policy
from .toolchain import Toolchain

WITH_ENGINE = ("doctor", "preview", "up", "destroy", "retire", "import-legacy", "rotate", "export")
"""The commands that take `--engine`."""


class EngineChoice(StrEnum):
    """What `--engine` takes."""

    AUTO = "auto"
    PULUMI = "pulumi"
    DIRECT = "direct"


@dataclass(frozen=True)
class Chosen:
    """The engine of a run (`pulumi` or `direct`) and the reason, in words."""

    engine: EngineChoice
    reason: str


def choose_engine(
    requested: EngineChoice, environment: str, policy: Policy, embedded: bool, toolchain: Toolchain
) -> Chosen:
    """`auto` takes pulumi where it is complete, else direct, but that only on the embedded server.

    Raises EngineError where the engine can't be had.
    """
    install = "golabs setup"
    if requested is EngineChoice.DIRECT:
        return Chosen(EngineChoice.DIRECT, "asked for by --engine direct")
    missing = toolchain.missing_in_words
    if requested is EngineChoice.PULUMI:
        if missing:
            raise EngineError(f"the Pulumi engine can't run: not found: {missing}", mend=install)
        return Chosen(EngineChoice.PULUMI, f"asked for by --engine pulumi ({toolchain.cli})")
    if not missing:
        return Chosen(EngineChoice.PULUMI, f"the Pulumi CLI and its plugins are here ({toolchain.cli})")
    if embedded and not policy.protects:
        return Chosen(EngineChoice.DIRECT, f"not found: {missing}; the embedded server needs no more")
    raise EngineError(
        f"{environment} needs the Pulumi engine, which can't run here: not found: {missing}",
        mend=f"{install}; or, without the state and the previews of Pulumi, the same command with --engine direct",
    )


def with_engine(text: str, environment: str, requested: EngineChoice) -> str:
    """A message whose commands on the environment ask for the direct engine where the run did, so that they can be pasted.

    >>> with_engine("run golabs up dev, then this", "dev", EngineChoice.DIRECT)
    'run golabs up dev --engine direct, then this'
    """
    if requested is not EngineChoice.DIRECT or not environment:
        return text
    of_a_service = ("retire", "rotate")
    others, with_service = ("|".join(names) for names in (sorted({*WITH_ENGINE} - {*of_a_service}), of_a_service))
    on, service = re.escape(environment), r"(?: [A-Za-z]\w*)?"
    offered = rf"\bgolabs (?:(?:{others}) {on}|(?:{with_service}) {on}{service})(?![\w-])(?![^;,\n]*--engine)"
    return re.sub(offered, lambda found: f"{found[0]} --engine {requested}", text)
