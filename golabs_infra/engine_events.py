"""What the Pulumi engine reports, as plain values: steps, notices, and the report of a whole run.

It reads the events of the CLI's `--json` output, each of them a JSON object already parsed. It runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_ENGINE_NOISE = (
    "program exited with non-zero exit code",
    "an unhandled error occurred",
    "update failed",
    "preview failed",
)
_SYMBOLS = {"create": "+", "import": "=", "update": "~", "delete": "-", "replace": "±", "discard": "o", "same": " "}
_SILENT_OPERATIONS = frozenset(
    {"same", "read", "refresh", "read-replacement", "discard-replaced", "remove-pending-replace"}
)
_COLOURS = re.compile(r"<\{%.*?%\}>")


@dataclass(frozen=True)
class Step:
    """One resource operation as the engine reports it: its symbol, the operation, and the resource."""

    operation: str
    type: str
    name: str

    @property
    def kind(self) -> str:
        """The last part of the type: Role, Grant."""
        return self.type.rpartition(":")[2]

    @property
    def is_internal(self) -> bool:
        """Whether the engine keeps it for itself: providers, components, the stack; nothing on the server."""
        return self.type.startswith(("pulumi:", "golabs:", "random:index/randomBytes:"))

    @property
    def loses(self) -> bool:
        """Whether a database, schema, user or password would be deleted or replaced by it."""
        ends = any(word in self.operation for word in ("delete", "replace"))
        return ends and self.kind in ("Database", "Schema", "Role", "RandomPassword", "RandomBytes", "Extension")

    @property
    def symbol(self) -> str:
        """`+` create, `=` import, `~` update, `-` delete, `o` forgotten and left in place."""
        return _SYMBOLS.get(self.operation.removesuffix("-replaced").removesuffix("-replacement"), "~")


@dataclass(frozen=True)
class Notice:
    """A warning or an error of the program, a provider or the engine."""

    severity: str
    message: str


Listener = Callable[[Step | Notice], None]


@dataclass
class EngineReport:
    """What a run of the engine did."""

    steps: list[Step] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    summary: dict[str, int] = field(default_factory=dict)
    summed_up: bool = False
    refused_updates: list[str] = field(default_factory=list)
    """The URNs of what could not be updated, of which the state then says that it was."""

    @property
    def errors(self) -> list[str]:
        """The messages of errors, without the engine's own echo of them."""
        messages = [notice.message for notice in self.notices if notice.severity == "error"]
        return [text for text in dict.fromkeys(messages) if not any(noise in text for noise in _ENGINE_NOISE)]

    @property
    def losses(self) -> list[str]:
        """What was or would be lost, in words."""
        return list(dict.fromkeys(f"{step.operation} {step.kind} {step.name}" for step in self.steps if step.loses))

    def take(self, event: Mapping[str, Any]) -> Step | Notice | None:
        """Keeps what an event says, and gives what of it a user wants to see."""
        if (finished := event.get("resOutputsEvent")) is not None and not finished.get("planning"):
            return self._take_step(finished["metadata"])
        if (failed := event.get("resOpFailedEvent")) is not None and failed["metadata"]["op"] == "update":
            self.refused_updates.append(failed["metadata"]["urn"])
        if (planned := event.get("resourcePreEvent")) is not None and planned.get("planning"):
            return self._take_step(planned["metadata"])
        if (said := event.get("diagnosticEvent")) is not None and said["severity"] in ("warning", "error"):
            notice = Notice(said["severity"], _COLOURS.sub("", said["message"]).strip().removeprefix("error: "))
            if notice not in self.notices and "from $PATH at" not in notice.message:
                self.notices.append(notice)
                return notice
        if (ended := event.get("summaryEvent")) is not None:
            self.summed_up = True
            self.summary.update(ended.get("resourceChanges") or {})
        return None

    def _take_step(self, metadata: Mapping[str, Any]) -> Step | None:
        operation = metadata["op"]
        if operation in _SILENT_OPERATIONS:
            return None
        step = Step(operation, metadata["type"], metadata["urn"].rpartition("::")[2])
        self.steps.append(step)
        return step
