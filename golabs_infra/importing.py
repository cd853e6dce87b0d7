"""`golabs import-legacy`: takes what the old scripts' files say into `Pulumi.<env>.yaml`, and previews the adoption.

The whole new configuration is validated before a byte of it is written. No password is ever shown, and none is
written in plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from .account import Account
from .config_keys import from_json, service_name
from .console import Screen
from .engines import EngineChoice, with_engine
from .errors import ConfigError, EngineError, Fault, GolabsError
from .legacy import Legacy, Understood, read_legacy
from .legacy_layout import read_layout
from .legacy_values import misshapen
from .names import user_name
from .password_commands import set_password
from .project import Project
from .runs import Run
from .settings import Settings, read_settings
from .stack_editing import StackDocument
from .stackfile import NAMESPACE, StackFile, parse


class LegacyImport:
    """One import into one stack's file: what it would change, what it has to tell, and the writing."""

    def __init__(self, project: Project, environment: str, legacy: Legacy, environ: Mapping[str, str]) -> None:
        self.legacy = legacy
        self.notes = list(legacy.notes)
        self._project = project
        self._environment = environment
        self._environ = environ
        self._document = StackDocument.open(project, environment)
        self._is_new = not self._document.path.exists()

    @property
    def name(self) -> str:
        """The file's name."""
        return self._document.path.name

    def edit(self, *, overwrite: bool) -> bool:
        """Writes what differs. Gives whether anything did.

        Raises ConfigError where the file says otherwise already (unless `overwrite`), and where the result would not be
        valid; nothing is written then.
        """
        values = self.legacy.values
        secrets = {name: value for name, value in values.items() if value.is_secret}
        # Also tells that the passphrase is missing or wrong, before anything is compared.
        crypter = self._document.unlock(self._environ) if secrets or self._file().has_secrets else None
        existing = self._file().decrypted(self._environ).values
        if overwrite:
            self.notes += self._replaced(existing)
        else:
            self._refuse_conflicts(existing)
        for name, value in values.items():
            if not value.is_secret and not _same(_at(existing, name), value):
                self._document.set(name, _scalar(value))
        self._add_services(existing)
        sealed = {
            tuple(name.split(".")): SecretStr(value.value)
            for name, value in secrets.items()
            if not _same(_at(existing, name), value) or not isinstance(_at(existing, name), SecretStr)
        }
        if sealed and crypter is not None:
            self._document.set_secrets(sealed, crypter)
        if "host" in values and existing.get("server") is not None:
            self._document.remove("server")
        self._check()
        changed = self._document.changed
        self._document.write()
        return changed

    def _file(self) -> StackFile:
        """The stack's file as it would be."""
        return StackFile.of(self._project, self._environment, parse(self._document.text(), self.name))

    def _differing(self, existing: Mapping[str, object]) -> Iterator[tuple[str, Understood, object]]:
        """The values that the file says otherwise, with what it says."""
        for name, value in self.legacy.values.items():
            seen = _at(existing, name)
            if seen is not None and not _same(seen, value):
                yield name, value, seen

    def _refuse_conflicts(self, existing: Mapping[str, object]) -> None:
        faults = []
        mend = "correct the wrong one; --overwrite takes what the old files say"
        host = self.legacy.values.get("host")
        if host is not None and existing.get("server") is not None:
            what = f"it is {existing['server']!r} here, and {host.origin} names a host"
            faults.append(Fault(f"{NAMESPACE}server", what, mend))
        for name, value, seen in self._differing(existing):
            if value.is_secret or isinstance(seen, SecretStr):
                what = f"it is not the one that {value.origin} has"
            else:
                what = f"it is {_seen(name, seen)} here and {value.value!r} in {value.origin}"
            faults.append(Fault(f"{NAMESPACE}{name}", what, mend))
        if faults:
            raise ConfigError(faults, where=f"{self.name} (nothing was written)")

    def _replaced(self, existing: Mapping[str, object]) -> Iterator[str]:
        """What `--overwrite` takes out of the file."""
        if "host" in self.legacy.values and existing.get("server") is not None:
            yield "server: taken out, as the old files name a host"
        for name, value, seen in self._differing(existing):
            if not value.is_secret:
                yield f"{name}: replaced: {_seen(name, seen)} -> {value.value!r}"
            elif name.startswith("passwords."):
                _, service, kind = name.split(".")
                user = user_name(service, "migration" if kind == "migration" else "app", self._environment)
                yield f"{name}: replaced; up will set this password for {user}"
            else:
                yield f"{name}: replaced"

    def _add_services(self, existing: Mapping[str, object]) -> None:
        listed = _structure(existing.get("services"))
        entries = listed if isinstance(listed, list) else []
        names = [service_name(entry) for entry in entries]
        missing = [service for service in self.legacy.services if service not in names]
        if missing and isinstance(existing.get("services"), str):
            self._document.set("services", [*entries, *missing])  # it was one JSON text
        else:
            for service in missing:
                self._document.append("services", service)
        if self._is_new:
            return
        for name in names:
            if name not in self.legacy.services:
                self.notes.append(f"the service {name!r} is only in {self.name}: it is kept, and up would create it")

    def _check(self) -> Settings:
        """Raises the faults of what would be written."""
        try:
            return read_settings(self._file().decrypted(self._environ), foretell=False)
        except ConfigError as error:
            faults = [self._traced(fault) for fault in error.faults]
            raise ConfigError(faults, where=f"{self.name}, as it would be (nothing was written)") from None

    def _traced(self, fault: Fault) -> Fault:
        """A fault of a value that the old files gave, with the line that it is to be corrected in."""
        value = self.legacy.values.get(fault.where.removeprefix(NAMESPACE))
        if value is None:
            return fault
        mend = "correct it there" if fault.mend.startswith(("write ", "correct ")) else fault.mend
        return Fault(f"{value.origin}", fault.what, mend)


def import_legacy(run: Run, screen: Screen, folder: Path, *, overwrite: bool, preview: bool) -> None:
    """The command: understands, tells, writes, previews. Raises GolabsError where one of them can't be done."""
    environment = run.environment
    layout = read_layout(folder, environment)
    legacy = read_legacy(environment, layout.sources, layout.templates)
    took = LegacyImport(run.project, environment, legacy, run.environ)
    _tell(legacy, screen)
    written = took.edit(overwrite=overwrite)
    warnings = [*took.notes, *_warnings(legacy, layout.exposed)]
    for warning in warnings:
        screen.warning(warning)
    screen.line(f"{took.name}: {'written' if written else 'says all of this already; left as it is'}")
    report: dict[str, Any] = {
        "environment": environment,
        "file": str(run.project.stack_file(environment)),
        "written": written,
        "understood": [_as_json(value) for value in (*legacy.values.values(), *legacy.facts)],
        "not_understood": [
            {"from": str(line.place), "key": line.key, "reason": line.reason} for line in legacy.not_understood
        ],
        "other_environments": legacy.elsewhere,
        "notes": warnings,
    }
    if not preview:
        screen.result(report)
        return
    try:
        account = Account(run, screen)
        account.preview()
    except GolabsError as error:
        screen.result({**report, "problem": str(error)})
        option = "" if run.requested is EngineChoice.AUTO else f" --engine {run.requested}"
        where = f"{error.where}: " if error.where else ""
        again = f"golabs preview {environment}{option}"
        is_there = f"{took.name} {'is written' if written else 'says all of it already'}"
        mend = f"{error.mend or 'settle that'}; then: {again}"
        if isinstance(error, EngineError) and not (option or run.toolchain.complete):
            direct = f"{again} --engine {EngineChoice.DIRECT}"
            mend = f"golabs setup, then: {again}; or, without the state and the previews of Pulumi: {direct}"
        raise EngineError(
            f"{is_there}, but the preview of adopting {environment} failed: {where}{error.what}",
            mend=mend,
        ) from error
    account.finish(**report)
    screen.line(with_engine(f"to adopt it: golabs up {environment}", environment, run.requested))


def _tell(legacy: Legacy, screen: Screen) -> None:
    rows = [(value.path, value.shown, f"{value.origin}") for value in legacy.values.values()]
    rows += [(value.path, value.shown, f"{value.origin}") for value in legacy.facts]
    screen.table(("understood", "value", "from"), rows)
    for line in legacy.not_understood:
        screen.warning(f"not understood: {line}")
    if legacy.elsewhere:
        screen.line(f"lines for other environments: {legacy.elsewhere}")


def _warnings(legacy: Legacy, exposed: str) -> list[str]:
    warnings = [
        f"{path}: the old files do not give it; adopting an existing user will ask for it: "
        f"{set_password(legacy.environment, path)}"
        for path in legacy.missing_passwords
    ]
    if exposed:
        warnings.append(f"{exposed}: others on this machine can read the passwords in it: chmod 600 {exposed}")
    return warnings


def _as_json(value: Understood) -> dict[str, str]:
    return {"key": value.path, "value": value.shown, "from": str(value.place), "name": value.key}


def _structure(value: object) -> object:
    """A value of ours that may be written as one JSON text."""
    decoded = from_json(_plain(value))
    return value if isinstance(decoded, str) else decoded


def _plain(value: object) -> object:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def _at(existing: Mapping[str, object], path: str) -> object:
    """The value at a path, None where there is none."""
    first, *rest = path.split(".")
    value: Any = _structure(existing.get(first)) if rest else existing.get(first)
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _same(seen: object, value: Understood) -> bool:
    plain = _plain(seen)
    return plain is not None and str(plain) == value.value


def _seen(name: str, seen: object) -> str:
    """A value of the file as messages show it: one that may be a connection string is not shown."""
    return "something else" if isinstance(seen, SecretStr) or misshapen(name, str(seen)) else repr(seen)


def _scalar(value: Understood) -> object:
    return int(value.value) if value.path == "port" and value.value.isdecimal() else value.value
