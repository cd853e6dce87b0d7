"""Finds and reads the files of the old scripts' layout. It executes nothing and understands nothing of what is in them."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError, Fault, UsageError
from .legacy import Source
from .names import SERVICE_PATTERN

CONF = "environments.conf"
_MAX_BYTES = 200_000
_BELOW = ("", "infrastructure/dependencies/database", "dependencies/database", "database")
_TEMPLATE = re.compile(rf"create-({SERVICE_PATTERN.pattern})-users\.sql(?:\.template)?")


@dataclass(frozen=True)
class Layout:
    """The files for one environment. `exposed` names a file of passwords that others on this machine can read."""

    sources: tuple[Source, ...]
    templates: tuple[str, ...]
    exposed: str


def read_layout(folder: Path, environment: str) -> Layout:
    """The files for an environment in or below a folder: `database`, its `config`, or one above them; or one of the files.

    Raises UsageError where there is no such folder, and ConfigError where a file is missing or can't be read.
    """
    if folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder), mend="name the old layout's folder 'database'")
    config = _config_folder(folder)
    own = f".env.{environment}"
    faults = []
    if not (config / CONF).is_file():
        faults.append(Fault(CONF, "it is not there", "name the folder 'database' of the old layout, which has config/"))
    if not (config / own).is_file():
        others = sorted(file.name for file in config.glob(".env.*") if not file.name.endswith((".template", "~")))
        there = f" (there are: {', '.join(others)})" if others else ""
        faults.append(
            Fault(own, f"it is not there{there}", f"copy it to {config}; it holds the passwords of {environment}")
        )
    if faults:
        raise ConfigError(faults, where=str(config))
    sources = (Source(CONF, _text(config / CONF), False), Source(own, _text(config / own), True))
    templates = sorted(
        found[1]
        for parent in {config.parent / "templates", config / "templates"}
        for file in parent.glob("create-*-users.sql*")
        if (found := _TEMPLATE.fullmatch(file.name))
    )
    mode = (config / own).stat().st_mode
    exposed = str(config / own) if mode & (stat.S_IRGRP | stat.S_IROTH) else ""
    return Layout(sources, tuple(dict.fromkeys(templates)), exposed)


def _config_folder(folder: Path) -> Path:
    for below in _BELOW:
        for candidate in (folder / below / "config", folder / below):
            if (candidate / CONF).is_file():
                return candidate
    for below in _BELOW:
        if (folder / below / "config").is_dir():
            return folder / below / "config"
    return folder


def _text(file: Path) -> str:
    try:
        content = file.read_bytes()
        if len(content) > _MAX_BYTES:
            raise ConfigError(
                [Fault("size", f"it has more than {_MAX_BYTES} bytes", "name the right folder")], where=str(file)
            )
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            [
                Fault(
                    f"line {line}",
                    f"it is not UTF-8 (byte {error.start} of the file, counted from 0)",
                    "save it as UTF-8 (a password with such letters may have other bytes on the server: the preview tells)",
                )
            ],
            where=str(file),
        ) from None
    except OSError as error:
        raise ConfigError(
            [Fault("file", f"it can't be read: {error.strerror}", "make it readable for you")], where=str(file)
        ) from None
