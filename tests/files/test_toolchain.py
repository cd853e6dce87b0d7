"""The Pulumi toolchain: where it is looked for, and what plain `pulumi` commands need in their environment."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from golabs_infra.policy import TST_PASSPHRASE
from golabs_infra.project import Project
from golabs_infra.toolchain import Plugin, Toolchain, find_toolchain, pulumi_home, pulumi_variables

POSTGRESQL, RANDOM = version("pulumi-postgresql"), version("pulumi-random")


def program(path: Path, mode: int = 0o755) -> Path:
    """An executable that does nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode)
    return path


def plugin(home: Path, name: str, wanted: str, mode: int = 0o755) -> Path:
    """A plugin where Pulumi installs it."""
    return program(home / "plugins" / f"resource-{name}-v{wanted}" / f"pulumi-resource-{name}", mode)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty PULUMI_HOME."""
    return tmp_path / "home"


def test_on_a_machine_without_pulumi_nothing_is_found(home: Path, tmp_path: Path) -> None:
    found = find_toolchain({"PATH": str(tmp_path), "PULUMI_HOME": str(home)})
    assert found == Toolchain(
        None, None, (Plugin("postgresql", POSTGRESQL, None, False), Plugin("random", RANDOM, None, False))
    )
    assert found.missing_in_words == "the Pulumi CLI and its plugins"


def test_what_the_installer_puts_into_pulumis_home_is_found_without_path(home: Path, tmp_path: Path) -> None:
    cli = program(home / "bin" / "pulumi")
    language = program(home / "bin" / "pulumi-language-python")
    plugins = plugin(home, "postgresql", POSTGRESQL), plugin(home, "random", RANDOM)
    found = find_toolchain({"PATH": str(tmp_path), "PULUMI_HOME": str(home)})
    assert (found.cli, found.language, found.complete) == (cli, language, True)
    assert tuple(each.path for each in found.plugins) == plugins
    assert [each.on_path for each in found.plugins] == [False, False]


def test_a_cli_on_path_comes_first(home: Path, tmp_path: Path) -> None:
    program(home / "bin" / "pulumi")
    own = program(tmp_path / "own" / "pulumi")
    assert find_toolchain({"PATH": str(own.parent), "PULUMI_HOME": str(home)}).cli == own


def test_a_plugin_on_path_is_told_from_an_installed_one(home: Path, tmp_path: Path) -> None:
    plugin(home, "postgresql", POSTGRESQL)
    ambient = program(tmp_path / "own" / "pulumi-resource-postgresql")
    found = find_toolchain({"PATH": str(ambient.parent), "PULUMI_HOME": str(home)}).plugins[0]
    assert found == Plugin("postgresql", POSTGRESQL, ambient, True)
    assert found.label == f"postgresql {POSTGRESQL}"


@pytest.mark.parametrize(("wanted", "mode"), [("0.0.1", 0o755), (POSTGRESQL, 0o644)])
def test_a_plugin_of_another_version_or_half_installed_is_missing(
    home: Path, tmp_path: Path, wanted: str, mode: int
) -> None:
    plugin(home, "postgresql", wanted, mode)
    found = find_toolchain({"PATH": str(tmp_path), "PULUMI_HOME": str(home)})
    assert found.plugins[0].path is None
    assert f"the plugin postgresql {POSTGRESQL}" in found.missing


def test_pulumis_home_is_its_variable_or_below_the_users() -> None:
    assert pulumi_home({"PULUMI_HOME": "/p", "HOME": "/h"}) == Path("/p")
    assert pulumi_home({"PULUMI_HOME": "", "HOME": "/h"}) == Path("/h/.pulumi")
    assert pulumi_home({}) == Path.home() / ".pulumi"


# ---- variables


def variables(project: Project, environment: str, found: Toolchain | None = None, **environ: str) -> dict[str, str]:
    """The variables to export, given those that are there."""
    return pulumi_variables(project, environment, found or Toolchain(None, None, ()), environ)


def test_tst_has_a_backend_and_a_passphrase_of_its_own(project: Project) -> None:
    assert variables(project, "tst") == {
        "PULUMI_BACKEND_URL": f"file://{project.root}/.golabs/state?metadata=skip",
        "PULUMI_CONFIG_PASSPHRASE": TST_PASSPHRASE,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


@pytest.mark.parametrize("environment", ["dev", "qua", "prd", "sandbox"])
def test_other_environments_have_neither(project: Project, environment: str) -> None:
    assert variables(project, environment) == {"PULUMI_SKIP_UPDATE_CHECK": "true"}


@pytest.mark.parametrize("name", ["PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_SKIP_UPDATE_CHECK"])
def test_the_users_own_variables_win(project: Project, name: str) -> None:
    assert set(variables(project, "tst", None, **{name: "own"})) == set(variables(project, "tst")) - {name}


def test_a_passphrase_file_of_the_users_wins_too(project: Project) -> None:
    assert "PULUMI_CONFIG_PASSPHRASE" not in variables(project, "tst", PULUMI_CONFIG_PASSPHRASE_FILE="/f")


def test_a_cli_that_is_not_on_path_is_put_there(project: Project, tmp_path: Path) -> None:
    cli = program(tmp_path / "bin" / "pulumi")
    found = Toolchain(cli, None, ())
    assert variables(project, "dev", found, PATH="/usr/none")["PATH"] == f"{cli.parent}:/usr/none"
    assert "PATH" not in variables(project, "dev", found, PATH=str(cli.parent))


@pytest.mark.parametrize("on_path", [True, False])
def test_plugins_on_path_are_not_asked_for_elsewhere(project: Project, on_path: bool) -> None:
    found = Toolchain(None, None, (Plugin("random", RANDOM, Path("/p"), on_path),))
    given = variables(project, "dev", found)
    assert (given.get("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION") == "true") is on_path
