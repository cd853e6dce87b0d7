"""The engine of a run: Pulumi's where it is complete, the direct one where nothing can be lost by it, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from golabs_infra import cli
from golabs_infra.engines import WITH_ENGINE, Chosen, EngineChoice, choose_engine, with_engine
from golabs_infra.errors import EngineError
from golabs_infra.policy import DISPOSABLE, GUARDED, KEEP, POLICIES, Policy
from golabs_infra.toolchain import Plugin, Toolchain

CLI = Path("/opt/pulumi/pulumi")


def toolchain(*, cli: bool = True, language: bool = True, plugins: bool = True) -> Toolchain:
    """A toolchain with some parts missing."""
    path = Path("/opt/plugin") if plugins else None
    return Toolchain(
        CLI if cli else None,
        Path("/opt/pulumi/pulumi-language-python") if language else None,
        (
            Plugin("postgresql", "3.18.2", path, False),
            Plugin("random", "4.21.4", Path("/opt/random") if cli else None, False),
        ),
    )


COMPLETE = toolchain()
NOTHING = toolchain(cli=False, language=False, plugins=False)
NO_PLUGIN = toolchain(plugins=False)
AUTO, PULUMI, DIRECT = EngineChoice.AUTO, EngineChoice.PULUMI, EngineChoice.DIRECT


def test_what_is_missing_is_named() -> None:
    assert (COMPLETE.missing, COMPLETE.complete) == ((), True)
    assert (NO_PLUGIN.missing, NO_PLUGIN.complete) == (("the plugin postgresql 3.18.2",), False)
    assert NO_PLUGIN.missing_in_words == "the plugin postgresql 3.18.2"
    assert NOTHING.missing_in_words == "the Pulumi CLI and its plugins"
    assert toolchain(language=False, plugins=False).missing_in_words == (
        "the language host pulumi-language-python and the plugin postgresql 3.18.2"
    )


@pytest.mark.parametrize("policy", POLICIES.values())
@pytest.mark.parametrize("embedded", [True, False])
def test_auto_takes_pulumi_wherever_it_is_complete(policy: Policy, embedded: bool) -> None:
    assert choose_engine(AUTO, "sandbox", policy, embedded, COMPLETE) == Chosen(
        PULUMI, f"the Pulumi CLI and its plugins are here ({CLI})"
    )


@pytest.mark.parametrize("policy", [DISPOSABLE, KEEP])
@pytest.mark.parametrize(
    ("there", "missing"),
    [(NOTHING, "the Pulumi CLI and its plugins"), (NO_PLUGIN, "the plugin postgresql 3.18.2")],
)
def test_auto_without_pulumi_takes_direct_on_the_embedded_server_and_says_why(
    policy: Policy, there: Toolchain, missing: str
) -> None:
    assert choose_engine(AUTO, "tst", policy, True, there) == Chosen(
        DIRECT, f"not found: {missing}; the embedded server needs no more"
    )


@pytest.mark.parametrize(
    ("policy", "embedded"), [(DISPOSABLE, False), (KEEP, False), (GUARDED, False), (GUARDED, True)]
)
def test_auto_without_pulumi_stops_anywhere_else_and_says_what_is_missing(policy: Policy, embedded: bool) -> None:
    with pytest.raises(EngineError) as caught:
        choose_engine(AUTO, "dev", policy, embedded, NO_PLUGIN)
    assert str(caught.value) == (
        "dev needs the Pulumi engine, which can't run here: not found: the plugin postgresql 3.18.2\n"
        "  mend: golabs setup; or, without the state and the previews of Pulumi, the same command with --engine direct"
    )


@pytest.mark.parametrize("policy", POLICIES.values())
@pytest.mark.parametrize("there", [COMPLETE, NOTHING])
def test_direct_is_taken_everywhere_if_asked_for_by_name(policy: Policy, there: Toolchain) -> None:
    assert choose_engine(DIRECT, "prd", policy, False, there) == Chosen(DIRECT, "asked for by --engine direct")


def test_pulumi_asked_for_by_name_is_taken_or_missed() -> None:
    assert choose_engine(PULUMI, "tst", DISPOSABLE, True, COMPLETE) == Chosen(
        PULUMI, f"asked for by --engine pulumi ({CLI})"
    )
    with pytest.raises(EngineError) as caught:
        choose_engine(PULUMI, "tst", DISPOSABLE, True, NOTHING)
    assert str(caught.value) == (
        "the Pulumi engine can't run: not found: the Pulumi CLI and its plugins\n  mend: golabs setup"
    )


# ---- commands that are offered


@pytest.mark.parametrize(
    ("text", "pasted"),
    [
        ("mend: golabs up dev", "mend: golabs up dev --engine direct"),
        ("GOLABS_CONFIRM=go-labs-dev golabs up dev", "GOLABS_CONFIRM=go-labs-dev golabs up dev --engine direct"),
        (
            "golabs up dev makes it; then: golabs preview dev",
            "golabs up dev --engine direct makes it; then: golabs preview dev --engine direct",
        ),
        ("golabs retire dev billing --undo", "golabs retire dev billing --engine direct --undo"),
        ("golabs rotate dev --all", "golabs rotate dev --engine direct --all"),
        ("golabs rotate dev billing; or", "golabs rotate dev billing --engine direct; or"),
        ("golabs up dev --engine pulumi", "golabs up dev --engine pulumi"),
        ("golabs set-password dev --admin; golabs up devel", "golabs set-password dev --admin; golabs up devel"),
    ],
)
def test_what_is_offered_keeps_the_engine_that_was_asked_for(text: str, pasted: str) -> None:
    assert with_engine(text, "dev", DIRECT) == pasted
    assert with_engine(text, "dev", AUTO) == with_engine(text, "dev", PULUMI) == text


def test_the_commands_that_keep_the_engine_are_those_that_take_it() -> None:
    commands = typer.main.get_group(cli.app).commands
    takes = [name for name, command in commands.items() if any("--engine" in each.opts for each in command.params)]
    assert set(takes) == set(WITH_ENGINE)
