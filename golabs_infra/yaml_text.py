"""Edits YAML as text: only the characters of the value that changes are touched, every other one stays as it is.

So comments, quotes, blank lines, the order of keys, indentation and line ends can't be lost. It knows YAML and no key of
the configuration; that the edited text says what was meant is for the caller to check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from .stackfile import YAML_SCALARS, compose

_STEP = 2
_BREAK = re.compile(r"\r?\n")


class CannotEditError(Exception):
    """The text is written in a way that can't be changed safely: what stands there, and in which line of the file."""

    def __init__(self, what: str, line: int) -> None:
        self.what = what
        self.line = line
        super().__init__(what)


class _Dumper(yaml.SafeDumper):
    """Quotes whatever YAML 1.1 or 1.2 would take for anything but the string that it is."""


for _tag, _pattern, _first in YAML_SCALARS:
    _Dumper.add_implicit_resolver(_tag, _pattern, list(_first) or [""])
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def put(text: str, path: Sequence[str], value: object) -> str:
    """The text with `value` at a path of keys, made where they are missing. Raises CannotEditError."""
    layout = _Layout.of(text)
    node = compose(text)
    if node is None or _is_null(node):
        return _append(text, layout, {path[0]: _nested(path[1:], value)})
    key_node: yaml.Node | None = None
    in_flow = False
    for depth, key in enumerate(path):
        refuse_anchored(text, node)
        if _is_null(node) or (isinstance(node, yaml.MappingNode) and not node.value):
            if key_node is None:
                raise CannotEditError("the file is an empty {}", line_of(node))
            return _replace(text, layout, key_node, node, _nested(path[depth:], value), in_flow)
        if not isinstance(node, yaml.MappingNode):
            raise CannotEditError(f"{'.'.join(path[:depth])} is not a mapping", line_of(node))
        in_flow = in_flow or bool(node.flow_style)
        found = child(node, key)
        if found is None:
            return _add(text, layout, node, {key: _nested(path[depth + 1 :], value)})
        key_node, node = found
        if node.start_mark.index < key_node.end_mark.index:
            raise CannotEditError(f"{'.'.join(path[: depth + 1])} is an alias (*)", line_of(key_node))
    refuse_anchored(text, node)
    if key_node is None:
        raise AssertionError("a path has at least one key")
    return _replace(text, layout, key_node, node, value, in_flow)


def child(mapping: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    """The nodes of a key and of its value."""
    for key_node, node in mapping.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == key:
            return key_node, node
    return None


def line_of(node: yaml.Node) -> int:
    """The line of the file that a node begins in, counted from 1."""
    line: int = node.start_mark.line
    return line + 1


def refuse_anchored(text: str, node: yaml.Node) -> None:
    """Raises CannotEditError where other places of the file mean this node too, or a tag says more of it."""
    if text[node.start_mark.index : node.start_mark.index + 1] in ("&", "!") and node.start_mark != node.end_mark:
        raise CannotEditError("there is an anchor (&) or a tag (!)", line_of(node))


def add_key(text: str, mapping: yaml.MappingNode, key: str, value: object) -> str:
    """The text with a key that `mapping`, which is not empty, did not have, at its end."""
    return _add(text, _Layout.of(text), mapping, {key: value})


def take_out(text: str, path: Sequence[str]) -> str:
    """The text without a key that stands on lines of its own. Raises CannotEditError."""
    node, key_node, siblings = compose(text), None, 0
    for key in path:
        found = child(node, key) if isinstance(node, yaml.MappingNode) and not node.flow_style else None
        if found is None or node is None:
            raise CannotEditError(f"{key} does not stand on a line of its own", line_of(node) if node else 1)
        siblings = len(node.value) - 1
        key_node, node = found
    if key_node is None or node is None or not siblings:
        raise CannotEditError("no other key would be left beside it", line_of(key_node) if key_node else 1)
    if node.start_mark.index < key_node.end_mark.index:
        raise CannotEditError("it is an alias (*)", line_of(key_node))
    refuse_anchored(text, node)
    end = end_of_line(text, end_of(text, node))
    return text[: key_node.start_mark.index - key_node.start_mark.column] + text[end:].removeprefix(line_break(text))


def append_item(text: str, path: Sequence[str], value: object) -> str:
    """The text with one more item at the end of a list that is not empty. Raises CannotEditError."""
    node, key_node = compose(text), None
    for key in path:
        found = child(node, key) if isinstance(node, yaml.MappingNode) else None
        if found is None:
            raise CannotEditError(f"{key} is not there", line_of(node) if node else 1)
        key_node, node = found
    if key_node is None or not isinstance(node, yaml.SequenceNode) or not node.value:
        raise CannotEditError("it is not a list with items", line_of(key_node) if key_node else 1)
    if node.start_mark.index < key_node.end_mark.index:
        raise CannotEditError("it is an alias (*)", line_of(key_node))
    refuse_anchored(text, node)
    if node.flow_style:
        end = node.value[-1].end_mark.index
        return f"{text[:end]}, {flow(value)}{text[end:]}"
    end = end_of_line(text, end_of(text, node))
    return f"{text[:end]}{line_break(text)}{' ' * node.start_mark.column}- {flow(value)}{text[end:]}"


def end_of(text: str, node: yaml.Node) -> int:
    """Where a node's own text ends; what PyYAML says for block collections lies behind the comments that follow."""
    end: int = node.end_mark.index
    if isinstance(node, yaml.ScalarNode):
        return (
            node.start_mark.index + len(text[node.start_mark.index : end].rstrip()) if node.style in ("|", ">") else end
        )
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return end
    last = node.value[-1]
    before: int = last[0].end_mark.index if isinstance(last, tuple) else node.start_mark.index
    last = last[1] if isinstance(last, tuple) else last
    if last.start_mark.index >= before:
        return end_of(text, last)
    kept = text[:end].rstrip(" ")  # the last one is an alias, which has the place of what it stands for
    while (line := kept[kept.rstrip("\r\n").rfind("\n") + 1 :].strip()) == "" or line.startswith("#"):
        kept = kept[: kept.rstrip("\r\n").rfind("\n") + 1].rstrip("\r\n")
    return len(kept.rstrip())


def end_of_line(text: str, index: int) -> int:
    """Where the line that `index` lies in ends, before its break."""
    found = _BREAK.search(text, index)
    return found.start() if found else len(text)


def line_break(text: str) -> str:
    """How the lines of a text end."""
    found = _BREAK.search(text)
    return found[0] if found else "\n"


def flow(value: object) -> str:
    """A value on one line."""
    dumped = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True
    )
    return dumped.removesuffix("\n").removesuffix("\n...")


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _nested(path: Sequence[str], value: object) -> object:
    for key in reversed(path):
        value = {key: value}
    return value


@dataclass(frozen=True)
class _Layout:
    """How the file is written: its line breaks, how far keys are indented, and whether the dashes below a key are."""

    line_break: str
    step: int = _STEP
    dash: int = _STEP

    @classmethod
    def of(cls, text: str) -> _Layout:
        """As the first place that shows it has it."""
        steps = [
            len(found)
            for found in re.findall(
                r"^(?:config|\"config\"):[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( +)[^ #-]", text, re.M
            )
        ]
        step = steps[0] if steps else _STEP
        dashes = re.search(r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*( *)- ", text, re.M)
        dash = len(dashes[2]) - len(dashes[1]) if dashes else step
        return cls(line_break(text), step, max(dash, 0))

    def lines(self, value: object) -> list[str]:
        """A value as a block."""
        if isinstance(value, Mapping) and value:
            return [line for key, inner in value.items() for line in self._entry(f"{flow(key)}:", inner)]
        if isinstance(value, list) and value:
            return [
                f"{'- ' if index == 0 else '  '}{line}"
                for inner in value
                for index, line in enumerate(self.lines(inner))
            ]
        return [flow(value)]

    def _entry(self, key: str, value: object) -> list[str]:
        if not (isinstance(value, Mapping | list) and value):
            return [f"{key} {flow(value)}"]
        indent = self.dash if isinstance(value, list) else self.step
        return [key, *(f"{' ' * indent}{line}" for line in self.lines(value))]

    def block(self, value: object, column: int) -> str:
        """The same, each line after its break and indented to a column."""
        return "".join(f"{self.line_break}{' ' * column}{line}" for line in self.lines(value))


def _append(text: str, layout: _Layout, value: object) -> str:
    """The text of a file that holds comments at most, with a first value below them."""
    begun = text and not text.endswith("\n")
    return f"{text}{layout.line_break if begun else ''}{layout.block(value, 0).removeprefix(layout.line_break)}{layout.line_break}"


def _add(text: str, layout: _Layout, mapping: yaml.MappingNode, value: Mapping[str, object]) -> str:
    key_node, last = mapping.value[-1]
    if mapping.flow_style:
        if last.start_mark.index < key_node.end_mark.index:
            raise CannotEditError("there is an alias (*)", line_of(key_node))
        return f"{text[: last.end_mark.index]}, {flow(dict(value))[1:-1]}{text[last.end_mark.index :]}"
    end = end_of_line(text, end_of(text, mapping))
    return f"{text[:end]}{layout.block(value, mapping.value[0][0].start_mark.column)}{text[end:]}"


def _replace(text: str, layout: _Layout, key_node: yaml.Node, node: yaml.Node, value: object, in_flow: bool) -> str:
    start, end = node.start_mark.index, end_of(text, node)
    colon = text.index(":", key_node.end_mark.index) + 1
    is_block = isinstance(value, Mapping | list) and bool(value) and not in_flow
    was_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    if not is_block and not was_block:
        return f"{text[:start]}{' ' if start == colon else ''}{flow(value)}{text[end:]}"
    below = bool(_BREAK.search(text, colon, start))
    note = text[colon : end_of_line(text, colon)].rstrip() if below else text[end : end_of_line(text, end)].rstrip()
    rest = text[end:] if was_block and below else text[end_of_line(text, end) :]
    if not is_block:
        return f"{text[:colon]} {flow(value)}{note}{rest}"
    column: int = key_node.start_mark.column + (layout.dash if isinstance(value, list) else layout.step)
    if was_block and isinstance(node, yaml.SequenceNode) == isinstance(value, list):
        column = node.start_mark.column
    return f"{text[:colon]}{note}{layout.block(value, column)}{rest}"
