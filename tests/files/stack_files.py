"""Stack files for the tests that read them, with secrets or without."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from golabs_infra import passphrase
from golabs_infra.errors import ConfigError
from golabs_infra.project import Project
from golabs_infra.stackfile import StackFile

from ..support import make_project

CANARY = "c4n4ry-in-the-mine"
PHRASE = "correct horse"
WITH_PHRASE = {"PULUMI_CONFIG_PASSPHRASE": PHRASE}


def write(project: Project, text: str, environment: str = "dev") -> StackFile:
    """Writes the stack's file with this text, and reads it."""
    project.stack_file(environment).write_text(text, encoding="utf-8")
    return StackFile.read(project, environment)


def values(project: Project, body: str) -> Mapping[str, object]:
    """The values of a stack file whose keys below `config:` are these lines."""
    indented = "\n".join(f"  {line}" for line in body.splitlines())
    return write(project, f"config:\n{indented}\n").values


def one(project: Project, text: str) -> object:
    """What a scalar, written like this, is."""
    return values(project, f"golabs-infra:key: {text}")["key"]


def refused(project: Project, text: str) -> ConfigError:
    """The error that a stack file with this text ends in."""
    with pytest.raises(ConfigError) as caught:
        _ = write(project, text).values
    return caught.value


def clear(node: object) -> object:
    """A configuration with its secrets as `<text>`."""
    if isinstance(node, dict):
        return {key: clear(value) for key, value in node.items()}
    if isinstance(node, list):
        return [clear(value) for value in node]
    return f"<{node.get_secret_value()}>" if isinstance(node, SecretStr) else node


class Sealed:
    """A stack with a passphrase of its own."""

    def __init__(self, phrase: str = PHRASE) -> None:
        self.crypter, self.salt = passphrase.create(phrase)

    def __call__(self, text: str) -> str:
        return f"{{secure: {self.crypter.encrypt(text)}}}"

    @property
    def line(self) -> str:
        """The salt's line of the file."""
        return f"encryptionsalt: {self.salt}\n"


@pytest.fixture(scope="module", name="folder")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One project for all tests that write nothing but the stack's file."""
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(name="sealed")
def sealed_stack(quick_keys: None) -> Sealed:
    """A stack whose passphrase is PHRASE."""
    return Sealed()
