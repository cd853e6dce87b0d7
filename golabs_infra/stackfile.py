"""Reads `Pulumi.yaml` and `Pulumi.<env>.yaml` without Pulumi: YAML as Pulumi reads it, secrets decrypted.

Gives a `RawConfig`, the same that `program` makes of the engine's own config; `settings` validates both alike.
It writes nothing and knows no key of the configuration by name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

from . import passphrase as passphrases
from .errors import ConfigError, Fault, GolabsError, SecretsError
from .password_commands import set_secret
from .policy import DEMONSTRATION_ENVIRONMENT, TST_PASSPHRASE
from .project import PROJECT_NAME, Project

NAMESPACE = f"{PROJECT_NAME}:"
_PASSPHRASE = ("passphrase", "default")
"""Words for `secretsprovider` with which a salt in the file is a passphrase's, for Pulumi too, as with none at all."""
_CLOUD = "Pulumi Cloud (the file has no encryptionsalt)"
MAX_NODES = 100_000
"""More than any configuration has; aliases of aliases reach it in a few lines."""


@dataclass(frozen=True)
class RawConfig:
    """A stack's configuration before validation.

    `values` maps keys without namespace to scalars, lists and mappings; what is encrypted in the file is a SecretStr, so
    that a password that stands there in plain text can be told apart. `source` names the file for messages.
    `published_passphrase` tells whether the stack's secrets can be read with tst's published passphrase.
    """

    environment: str
    values: Mapping[str, object] = field(repr=False)
    source: str
    published_passphrase: Callable[[], bool]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core scalars, as Go reads them: `no`, `on` and dates stay strings; a key given twice is an error."""

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _count_nodes(node, {})
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a plain word", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _count_nodes(node: yaml.Node, counted: dict[yaml.Node, int]) -> int:
    """How many nodes there are with every alias written out. Raises as Go does: at a circle, or at far too many."""
    if node in counted:
        return counted[node]
    counted[node] = MAX_NODES  # whoever meets it again from below is in a circle
    children = node.value if isinstance(node, yaml.CollectionNode) else []
    total = 1
    for child in children:
        for part in child if isinstance(child, tuple) else (child,):
            total += _count_nodes(part, counted)
    if total > MAX_NODES:
        raise yaml.constructor.ConstructorError(
            None, None, "it contains itself, or is too much, once its aliases are written out", node.start_mark
        )
    counted[node] = total
    return total


YAML_SCALARS = [
    (f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z"), first)
    for tag, pattern, first in (
        ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
        ("int", "[-+]?(0x[0-9a-fA-F]+|0o?[0-7]*|[1-9][0-9]*)", "-+0123456789"),
        ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
        ("null", "~|null|Null|NULL", "~nN"),
        ("null", "", ""),
        ("merge", "<<", "<"),
    )
]
"""What a plain scalar that is no string looks like, with the characters it can begin with; none for the empty one."""

_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in YAML_SCALARS:
    _Loader.add_implicit_resolver(_tag, _pattern, list(_first) or [""])
_Loader.add_constructor("tag:yaml.org,2002:merge", lambda loader, node: node.value)

_QUOTE_IT = {
    "found undefined alias": "*",
    "could not determine a constructor for the tag": "!",
    "found undefined tag handle": "!",
    "second occurrence": "&",
}
"""Complaints that repeat the value, which may be a password, and the character that it begins with."""


def read_text(path: Path) -> str:
    """The text of a stack's file with the line ends that it has. Raises ConfigError where it can't be read."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            [Fault("encoding", f"byte {error.start} is not UTF-8", "save the file as UTF-8")], where=path.name
        ) from None
    except OSError as error:
        raise ConfigError(
            [Fault("file", f"it can't be read: {error.strerror}", "make it readable for you")], where=path.name
        ) from None


def compose(text: str) -> yaml.Node | None:
    """The YAML nodes of a text with their places in it, or None where it is empty. `parse` tells what is wrong with it."""
    node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    return node


def parse(text: str, source: str) -> Mapping[str, object]:
    """The mapping that a text is. Raises ConfigError, which names `source`, where it is none."""
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506  (_Loader is a SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "YAML"
        raise ConfigError([Fault(place, *_yaml_problem(error))], where=source) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError([Fault("YAML", "the file is not a mapping of keys", "start it with 'config:'")], where=source)
    return document


def _load_mapping(path: Path) -> Mapping[str, object]:
    return parse(read_text(path), path.name)


def _yaml_problem(error: Exception) -> tuple[str, str]:
    problem = str(getattr(error, "problem", None) or "it is not YAML that can be read")
    for complaint, sign in _QUOTE_IT.items():
        if problem.startswith(complaint):
            return f"a value begins with {sign}, which means something else in YAML", "put the value in quotes"
    return problem, "correct the YAML there"


@dataclass(frozen=True)
class StackFile:
    """One stack's file, parsed and not yet decrypted."""

    path: Path
    environment: str
    document: Mapping[str, object] = field(repr=False)
    project_config: Mapping[str, object] = field(repr=False)

    @classmethod
    def read(cls, project: Project, environment: str) -> StackFile:
        """Raises ConfigError where the file is missing, unreadable or not a mapping."""
        path = project.stack_file(environment)
        if not path.is_file():
            known = sorted(file.name.split(".")[1] for file in project.root.glob("Pulumi.*.yaml"))
            raise ConfigError(
                [
                    Fault(
                        environment,
                        f"there is no stack of this name: {path.name} does not exist"
                        + (f" (there are: {', '.join(known)})" if known else ""),
                        f"write {path.name} with {NAMESPACE}policy, host and services below config:, as the others have "
                        f"them; with the Pulumi CLI, first: pulumi stack init {environment}",
                    )
                ],
                where=path.name,
            )
        return cls.of(project, environment, _load_mapping(path))

    @classmethod
    def of(cls, project: Project, environment: str, document: Mapping[str, object]) -> StackFile:
        """The file as it would be with this in it. Raises ConfigError where Pulumi.yaml can't be read."""
        shared = _load_mapping(project.project_file).get("config") if project.project_file.is_file() else None
        return cls(project.stack_file(environment), environment, document, shared if isinstance(shared, dict) else {})

    @cached_property
    def values(self) -> Mapping[str, object]:
        """The keys of our namespace as they stand in the files, `{secure: ...}` untouched; the stack's own win."""
        values: dict[str, object] = {}
        for name, entry in self.project_config.items():
            key = str(name).removeprefix(NAMESPACE)
            if ":" not in key:
                declared = isinstance(entry, dict) and not _is_secure(entry)
                values[key] = (
                    entry.get("value", entry.get("default")) if isinstance(entry, dict) and declared else entry
                )
        config = self.document.get("config")
        if config is not None and not isinstance(config, dict):
            raise ConfigError(
                [Fault("config", "it is not a mapping of keys", "indent the keys below 'config:'")],
                where=self.path.name,
            )
        for name, value in (config or {}).items():
            if not isinstance(name, str) or ":" not in name:
                raise ConfigError(
                    [Fault(f"config.{name}", "the key has no namespace", f"write it as {NAMESPACE}{name}")],
                    where=self.path.name,
                )
            if name.startswith(NAMESPACE):
                values[name.removeprefix(NAMESPACE)] = value
        return values

    @property
    def encryption_salt(self) -> str | None:
        """The passphrase provider's salt, or None; an empty one is none, as for Pulumi."""
        salt = self.document.get("encryptionsalt")
        return salt if isinstance(salt, str) and salt else None

    @property
    def holder(self) -> str:
        """Who holds the key of the stack's secrets, where that is no passphrase; empty where it is one, or could be."""
        provider = self.document.get("secretsprovider") or _PASSPHRASE[0]
        if provider not in _PASSPHRASE:
            return str(provider)
        if self.encryption_salt is None and (self.has_secrets or "encryptedkey" in self.document):
            return _CLOUD
        return ""

    def held_elsewhere(self, mend: str, more: str = "") -> SecretsError:
        """The error of a stack whose secrets only the CLI can ask its holder for; `more` ends the sentence."""
        return SecretsError(
            f"the secrets of this stack are held by {self.holder or _CLOUD}, which only the Pulumi CLI can ask{more}",
            where=self.path.name,
            mend=mend,
        )

    @property
    def uses_passphrase(self) -> bool:
        """Whether this module could decrypt the stack's secrets, given the passphrase."""
        return self.encryption_salt is not None and not self.holder

    @property
    def has_secrets(self) -> bool:
        """Whether any value of our namespace is encrypted."""
        return any(True for _ in _secure_values(self.values))

    def has_published_passphrase(self) -> bool:
        """Whether tst's published passphrase opens this stack's secrets (takes about 0.3 s)."""
        try:
            return bool(self.encryption_salt and passphrases.unlock(TST_PASSPHRASE, self.encryption_salt))
        except SecretsError:
            return False  # a damaged salt, which no passphrase opens

    def decrypted(self, environ: Mapping[str, str]) -> RawConfig:
        """The configuration with every secret decrypted; the passphrase is looked for in `environ`.

        Raises SecretsError where the passphrase is missing or wrong, or another secrets provider holds the key.
        """
        if "environment" in self.document:
            raise SecretsError(
                "the stack imports a Pulumi ESC environment, which only the Pulumi engine can read",
                where=f"{self.path.name}: environment",
                mend=f"install the Pulumi CLI (golabs setup), or run with --engine pulumi: golabs up {self.environment} --engine pulumi",
            )
        crypter: passphrases.PassphraseCrypter | None = None
        if self.has_secrets:
            crypter = self.crypter(environ)
        values = {key: _decrypt(value, crypter, key, self) for key, value in self.values.items()}
        return RawConfig(self.environment, values, self.path.name, self.has_published_passphrase)

    def crypter(self, environ: Mapping[str, str]) -> passphrases.PassphraseCrypter:
        """What decrypts the stack's secrets and encrypts more of them. Raises SecretsError as `decrypted` does."""
        if not self.uses_passphrase or self.encryption_salt is None:
            raise self.held_elsewhere(
                f"install the Pulumi CLI (golabs setup), then: golabs up {self.environment} --engine pulumi"
            )
        phrase = stack_passphrase(self.environment, environ)
        if phrase is None:
            raise SecretsError(
                "the stack has encrypted values and no passphrase is given",
                where=self.path.name,
                mend="export PULUMI_CONFIG_PASSPHRASE=... or PULUMI_CONFIG_PASSPHRASE_FILE=/path/to/file",
            )
        try:
            crypter = passphrases.unlock(phrase, self.encryption_salt)
        except SecretsError as error:
            raise SecretsError(error.what, where=self.path.name, mend=error.mend) from error
        if crypter is None:
            raise SecretsError(
                "the passphrase is not the one of this stack",
                where=self.path.name,
                mend="correct PULUMI_CONFIG_PASSPHRASE or the file that PULUMI_CONFIG_PASSPHRASE_FILE names",
            )
        return crypter


def stack_passphrase(environment: str, environ: Mapping[str, str]) -> str | None:
    """The passphrase for a stack as Pulumi finds it (variable, then file), else tst's published one for tst."""
    given = _given_passphrase(environ)
    return TST_PASSPHRASE if given is None and environment == DEMONSTRATION_ENVIRONMENT else given


def _given_passphrase(environ: Mapping[str, str]) -> str | None:
    if "PULUMI_CONFIG_PASSPHRASE" in environ:
        return environ["PULUMI_CONFIG_PASSPHRASE"]
    if file := environ.get("PULUMI_CONFIG_PASSPHRASE_FILE"):
        try:
            # Any bytes do, as in a variable of the environment: Pulumi takes them as they are.
            return Path(file).read_text(encoding="utf-8", errors="surrogateescape").strip()
        except OSError as error:
            raise SecretsError(
                f"the file can't be read: {error.strerror}",
                where="PULUMI_CONFIG_PASSPHRASE_FILE",
                mend="name a readable file that holds the passphrase alone",
            ) from None
    return None


def raw_config_of_engine(
    environment: str, values: Mapping[str, object], secret_keys: frozenset[str], project: Project
) -> RawConfig:
    """The configuration as the Pulumi engine hands it to the program: decrypted, with the names of secret keys.

    The engine tells of whole keys only whether they hold a secret; where the stack's file is at hand, it tells which
    values below them stand there in plain text.
    """
    try:
        file = StackFile.read(project, environment)
        written: Mapping[str, object] = file.values
    except (GolabsError, OSError):
        # The engine has read the configuration, from a file of another name (--config-file) or from its service.
        file, written = None, {}
    marked = {
        key: _mark_secrets(value, written.get(key)) if key in secret_keys else value for key, value in values.items()
    }
    published = file.has_published_passphrase if file else (lambda: _given_passphrase(os.environ) == TST_PASSPHRASE)
    return RawConfig(environment, marked, f"Pulumi.{environment}.yaml", published)


def _mark_secrets(value: object, written: object) -> object:
    """`value` with its strings as SecretStr, but for those that `written`, the file's text, shows in plain."""
    if isinstance(value, dict):
        below = written if isinstance(written, dict) and not _is_secure(written) else {}
        return {key: _mark_secrets(inner, below.get(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mark_secrets(inner, None) for inner in value]
    return SecretStr(value) if isinstance(value, str) and value != written else value


def _is_secure(node: object) -> bool:
    return isinstance(node, dict) and set(node) == {"secure"} and isinstance(node["secure"], str)


def _secure_values(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        if _is_secure(node):
            yield node["secure"]
        else:
            for value in node.values():
                yield from _secure_values(value)
    elif isinstance(node, list):
        for value in node:
            yield from _secure_values(value)


def _decrypt(node: object, crypter: passphrases.PassphraseCrypter | None, path: str, file: StackFile) -> object:
    if isinstance(node, dict):
        if _is_secure(node) and crypter is not None:
            try:
                return SecretStr(crypter.decrypt(node["secure"]))
            except SecretsError as error:
                where, mend = f"{file.path.name}: {NAMESPACE}{path}", set_secret(file.environment, path)
                raise SecretsError(error.what, where=where, mend=mend) from error
        return {key: _decrypt(value, crypter, f"{path}.{key}", file) for key, value in node.items()}
    if isinstance(node, list):
        return [_decrypt(value, crypter, f"{path}[{index}]", file) for index, value in enumerate(node)]
    return node
