"""Changes values in `Pulumi.<env>.yaml` and leaves every other character of it as it is.

Whatever was edited is read again with the loader that the engines use and must say what was meant, or nothing is
written. It knows the keys' places in the file and how Pulumi's passphrase provider encrypts, not which values are valid.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import SecretStr

from . import passphrase as passphrases
from .config_keys import service_name
from .errors import ConfigError, Fault, PolicyError, SecretsError
from .files import replace_file
from .password_commands import set_secret
from .policy import DEMONSTRATION_ENVIRONMENT, TST_PASSPHRASE
from .project import Project
from .stackfile import NAMESPACE, StackFile, compose, parse, read_text, stack_passphrase
from .yaml_text import (
    CannotEditError,
    add_key,
    append_item,
    child,
    end_of,
    end_of_line,
    flow,
    line_break,
    line_of,
    put,
    refuse_anchored,
    take_out,
)

_EMPTY = "config:\n"
_RETIRED = "retired"


class StackDocument:
    """One stack's file, to be read, edited and written. Edits raise ConfigError where they can't be made safely."""

    def __init__(self, path: Path, environment: str, text: str | None) -> None:
        self._path = path
        self._environment = environment
        self._original = text
        self._replaced: str | None = None
        self._text = _EMPTY if text is None else text
        self._values = parse(self._text, path.name)

    @classmethod
    def open(cls, project: Project, environment: str) -> StackDocument:
        """The stack's file as it is; one that does not exist yet begins with an empty `config:`."""
        path = project.stack_file(environment)
        return cls(path, environment, read_text(path) if path.exists() else None)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def was_written(self) -> bool:
        """Whether `write` has changed the file, and nothing has put it back."""
        return self._replaced is not None

    @property
    def changed(self) -> bool:
        """Whether `write` would change the file."""
        return self._text != self._original

    def text(self) -> str:
        """The file's text with every edit."""
        return self._text

    def get(self, key: str) -> object:
        """The value of a key of our namespace as it stands there, `{secure: ...}` untouched; None where there is none."""
        config = self._values.get("config")
        return copy.deepcopy(config.get(f"{NAMESPACE}{key}")) if isinstance(config, dict) else None

    def set(self, key: str, value: object) -> None:
        """Sets a key of our namespace, given without it, to a scalar, a list or a mapping."""
        self._put(("config", f"{NAMESPACE}{key}"), value)

    def remove(self, key: str) -> None:
        """Takes a key of our namespace out; it must be there."""
        path = ("config", f"{NAMESPACE}{key}")
        config = self._values.get("config")
        left = {name: value for name, value in config.items() if name != path[1]} if isinstance(config, dict) else {}
        hint = f"pulumi config rm {path[1]} --stack {self._environment}"
        self._edit(lambda text: take_out(text, path), {**self._values, "config": left}, hint)

    def append(self, key: str, value: object) -> None:
        """Adds one item to the list that a key of our namespace holds; a list that is missing or empty is made."""
        path, listed = ("config", f"{NAMESPACE}{key}"), self.get(key)
        if not isinstance(listed, list) or not listed:
            self.set(key, [value])
            return
        hint = f"add it to {path[1]} in the file by hand"
        self._edit(lambda text: append_item(text, path, value), _nested_in(self._values, path, [*listed, value]), hint)

    def set_secret(self, path: Sequence[str], value: SecretStr, crypter: passphrases.PassphraseCrypter) -> None:
        """Encrypts one value below a key of our namespace: `("adminPassword",)`, `("passwords", "billing", "app")`."""
        self.set_secrets({tuple(path): value}, crypter)

    def set_secrets(self, secrets: Mapping[tuple[str, ...], SecretStr], crypter: passphrases.PassphraseCrypter) -> None:
        """`set_secret` for many, faster: what a key has none of yet is written together, what is there replaced at once."""
        together: dict[str, dict[str, object]] = {}
        replaced: dict[str, str] = {}
        others: list[tuple[tuple[str, ...], dict[str, str]]] = []
        meant = dict(self._values)
        for path, value in secrets.items():
            place, sealed = (
                ("config", f"{NAMESPACE}{path[0]}", *path[1:]),
                {"secure": crypter.encrypt(value.get_secret_value())},
            )
            self._refuse_one_text(path)
            old = self._sealed(path)
            if old is not None and self._text.count(old) == 1:
                replaced[old] = sealed["secure"]
                meant = _nested_in(meant, place, sealed)
            elif len(path) > 1 and self.get(path[0]) is None:
                together[path[0]] = _nested_in(together.get(path[0], {}), path[1:], sealed)
            else:
                others.append((place, sealed))
        if replaced:
            known = re.compile("|".join(map(re.escape, replaced)))
            hint = f"pulumi config set --secret --path '{NAMESPACE}<key>' --stack {self._environment}"
            self._edit(lambda text: known.sub(lambda found: replaced[found[0]], text), meant, hint)
        for place, sealed in others:
            self._put(place, sealed)
        for key, values in together.items():
            self.set(key, values)

    def _sealed(self, path: Sequence[str]) -> str | None:
        """The encrypted value that stands at a path."""
        value: object = self.get(path[0])
        for key in (*path[1:], "secure"):
            value = value.get(key) if isinstance(value, dict) else None
        return value if isinstance(value, str) and value else None

    def unlock(self, environ: Mapping[str, str]) -> passphrases.PassphraseCrypter:
        """What encrypts values for this stack, by its passphrase; a first salt is added to the document where it has none.

        Raises SecretsError where the passphrase is missing or wrong, or another secrets provider holds the key, and
        PolicyError where it is tst's published one.
        """
        file = StackFile(self._path, self._environment, self._values, {})
        phrase = stack_passphrase(self._environment, environ)
        if phrase == TST_PASSPHRASE and self._environment != DEMONSTRATION_ENVIRONMENT:
            raise PolicyError(
                f"the passphrase given is {DEMONSTRATION_ENVIRONMENT}'s, which is published; nothing is encrypted with it here",
                where=self._path.name,
                mend="export PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE with one of your own; where the "
                f"stack has this one: pulumi stack change-secrets-provider passphrase --stack {self._environment}",
            )
        if file.holder:
            raise file.held_elsewhere(
                f"golabs set-password {self._environment} SERVICE USER, which has the CLI encrypt it (golabs setup "
                "installs it)"
            )
        if file.encryption_salt is None and phrase:
            crypter, salt = passphrases.create(phrase)
            self._put(("encryptionsalt",), salt)
            return crypter
        if file.encryption_salt is None:
            raise SecretsError(
                "there is no passphrase to encrypt with",
                where=self._path.name,
                mend="export PULUMI_CONFIG_PASSPHRASE=... or PULUMI_CONFIG_PASSPHRASE_FILE=/path/to/file",
            )
        return file.crypter(environ)

    def set_logins(self, service: str, kind: str, logins: Sequence[str]) -> None:
        """Writes which of a user's two logins are open; a key that says so already is left as it is."""
        listed = self.get("logins")
        if listed is None:
            self.set("logins", {service: {kind: list(logins)}})
        elif not isinstance(listed, dict) or (listed.get(service) or {}).get(kind) != list(logins):
            self._put(("config", f"{NAMESPACE}logins", service, kind), list(logins))

    def set_retired(self, service: str, retired: bool) -> None:
        """Writes `retired: true` at a service, or takes it away; one after the other gives the same text again."""
        hint = (
            f"at services, write {{name: {service}, retired: true}} for {service} by hand"
            if retired
            else f"at services, take 'retired' away from {service} by hand"
        ) + f", then: golabs up {self._environment}, which does not look at who still needs it"
        services = self.get("services")
        if not isinstance(services, list):
            what = "it is not a list of services in this file" if services is None else "it is one text, not a list"
            raise ConfigError([Fault(f"{NAMESPACE}services", what, hint)], where=self._path.name)
        meant = [_with_retired(entry, retired) if service_name(entry) == service else entry for entry in services]
        if meant == services:
            return
        self._edit(
            lambda text: _mark_service(text, service, retired),
            _nested_in(self._values, ("config", f"{NAMESPACE}services"), meant),
            hint,
        )

    def write(self) -> None:
        """Replaces the file in one step. Raises ConfigError where somebody else has changed it since it was opened."""
        if not self.changed:
            return
        now = read_text(self._path) if self._path.exists() else None
        if now != self._original:
            raise ConfigError(
                [Fault("file", "it was changed while this ran, and is left as it is", "run the command again")],
                where=self._path.name,
            )
        replace_file(self._path, self._text.encode())
        self._replaced, self._original = self._original, self._text

    def take_over(self) -> None:
        """Takes what somebody else has written on our behalf since the last `write` for our own: `restore` undoes it too."""
        replaced = self._replaced if self._replaced is not None else self._original
        self._original = self._text = read_text(self._path)
        self._values, self._replaced = parse(self._text, self._path.name), replaced

    def restore(self) -> None:
        """Puts back, to the byte, what the last `write` has replaced, unless somebody else has changed it since then."""
        if self._replaced is not None and read_text(self._path) == self._original:
            replace_file(self._path, self._replaced.encode())
            self._original, self._replaced = self._replaced, None

    def _put(self, path: tuple[str, ...], value: object) -> None:
        shown = ".".join(path[1:] or path)
        secure = isinstance(value, dict) and set(value) == {"secure"}
        hint = f"pulumi config set {'--secret ' if secure else ''}--path '{shown}' --stack {self._environment}"
        meant = _nested_in(self._values, path, value)
        self._edit(lambda text: put(text, path, value), meant, hint)

    def _edit(self, edit: Callable[[str], str], meant: Mapping[str, object], mend: str) -> None:
        """Makes an edit if its text says what was meant, to the last key and type."""
        try:
            text = edit(self._text)
        except CannotEditError as error:
            fault = Fault(f"line {error.line}", f"this can't be changed safely: {error.what}", mend)
            raise ConfigError([fault], where=self._path.name) from None
        try:
            values = parse(text, self._path.name)
        except ConfigError:
            values = {}
        if repr(values) != repr(meant):
            what = "the file is written in a way that can't be changed safely; it is left as it is"
            raise ConfigError([Fault("YAML", what, mend)], where=self._path.name)
        self._text, self._values = text, values

    def _refuse_one_text(self, path: tuple[str, ...]) -> None:
        """Below one text, encrypted or JSON, nothing can be set by itself."""
        value = self.get(path[0])
        for key in path[1:]:
            if isinstance(value, str) or (isinstance(value, dict) and set(value) == {"secure"}):
                kind = "one text" if isinstance(value, str) else "encrypted as a whole"
                mend = (
                    f"pulumi config rm {NAMESPACE}{path[0]} --stack {self._environment}, then set each one by itself: "
                    f"{set_secret(self._environment, '.'.join(path))}"
                )
                where = f"{NAMESPACE}{'.'.join(path[: path.index(key)])}"
                raise ConfigError([Fault(where, f"it is {kind}", mend)], where=self._path.name)
            value = value.get(key) if isinstance(value, dict) else None


def _with_retired(entry: object, retired: bool) -> object:
    if not isinstance(entry, dict):
        return {"name": entry, _RETIRED: True} if retired else entry
    if retired and list(entry) == ["name"]:
        return {_RETIRED: True, **entry}
    if retired:
        return {**entry, _RETIRED: True}
    left = {key: value for key, value in entry.items() if key != _RETIRED}
    return left["name"] if list(left) == ["name"] and list(entry) == ["name", _RETIRED] else left


def _nested_in(values: Mapping[str, object], path: Sequence[str], value: object) -> dict[str, object]:
    """A copy of a mapping with `value` at a path."""
    changed = dict(values)
    if len(path) == 1:
        changed[path[0]] = value
        return changed
    below = changed.get(path[0])
    changed[path[0]] = _nested_in(below if isinstance(below, dict) else {}, path[1:], value)
    return changed


def _mark_service(text: str, service: str, retired: bool) -> str:
    """The text with the entry of a service of the list changed to what `_with_retired` says."""
    node = compose(text)
    for key in ("config", f"{NAMESPACE}services"):
        found = child(node, key) if isinstance(node, yaml.MappingNode) else None
        if node is None or found is None:
            raise CannotEditError("the services stand elsewhere", 1)
        if found[1].start_mark.index < found[0].end_mark.index:
            raise CannotEditError(f"{key} is an alias (*)", line_of(found[0]))
        node = found[1]
        refuse_anchored(text, node)
    if not isinstance(node, yaml.SequenceNode):
        raise CannotEditError("the services are no list", 1)
    for entry in node.value:
        if isinstance(entry, yaml.ScalarNode) and entry.value == service:
            refuse_anchored(text, entry)
            return _mapping_of(text, entry, in_flow=bool(node.flow_style))
        if isinstance(entry, yaml.MappingNode):
            name = child(entry, "name")
            if name and name[1].value == service:
                refuse_anchored(text, entry)
                return _retire(text, entry) if retired else _take_back(text, entry)
    raise CannotEditError("the service stands elsewhere", line_of(node))


def _mapping_of(text: str, entry: yaml.ScalarNode, in_flow: bool) -> str:
    """A plain name as a mapping that is retired; a comment on its line stays there."""
    start, end = entry.start_mark.index, entry.end_mark.index
    if in_flow:
        return f"{text[:start]}{{name: {text[start:end]}, {_RETIRED}: true}}{text[end:]}"
    line_end = end_of_line(text, end)
    below = f"{line_break(text)}{' ' * entry.start_mark.column}{_RETIRED}: true"
    return f"{text[:start]}name: {text[start:line_end]}{below}{text[line_end:]}"


def _retire(text: str, entry: yaml.MappingNode) -> str:
    if found := child(entry, _RETIRED):
        value = found[1]
        colon = text.index(":", found[0].end_mark.index) + 1
        if value.start_mark.index < colon:
            raise CannotEditError("retired is an alias (*)", line_of(found[0]))
        gap = " " if value.start_mark.index == colon else ""
        return f"{text[: value.start_mark.index]}{gap}{flow(True)}{text[end_of(text, value) :]}"
    if len(entry.value) > 1:
        return add_key(text, entry, _RETIRED, True)
    # Before the name: so the way back tells a mapping that was there from one that this module has made.
    first = entry.value[0][0].start_mark
    gap = ", " if entry.flow_style else f"{line_break(text)}{' ' * first.column}"
    return f"{text[: first.index]}{_RETIRED}: true{gap}{text[first.index :]}"


def _take_back(text: str, entry: yaml.MappingNode) -> str:
    keys = [key.value for key, _ in entry.value]
    place = keys.index(_RETIRED)
    key_node, value = entry.value[place]
    start, end = key_node.start_mark.index, end_of(text, value)
    plain = keys == ["name", _RETIRED]
    name_key, name = entry.value[0]
    if entry.flow_style and plain:
        name_text = text[name.start_mark.index : name.end_mark.index]
        return f"{text[: entry.start_mark.index]}{name_text}{text[entry.end_mark.index :]}"
    if entry.flow_style and place:
        return text[: entry.value[place - 1][1].end_mark.index] + text[end:]
    if place == 0:
        rest = text[end:].lstrip(", ") if entry.flow_style else text[end_of_line(text, end) :].lstrip()
        return text[:start] + rest
    before = text[:start].rstrip(" ").removesuffix("\n").removesuffix("\r")
    if plain:
        before = before[: name_key.start_mark.index] + before[name.start_mark.index :]
    return before + text[end_of_line(text, end) :]
