"""Reading the old scripts' files from texts."""

from __future__ import annotations

from golabs_infra.legacy import Legacy, Source, read_legacy

PASSWORD = "hunter2-hunter2"


def read(conf: str, own: str = "", environment: str = "dev", templates: tuple[str, ...] = ()) -> Legacy:
    """What the two files say."""
    sources = [Source("environments.conf", conf, False), Source(f".env.{environment}", own, True)]
    return read_legacy(environment, sources, templates)


def values(legacy: Legacy) -> dict[str, str]:
    """The values by our keys."""
    return {path: found.value for path, found in legacy.values.items()}


def problems(legacy: Legacy) -> list[str]:
    """What was not understood, in words."""
    return [str(line) for line in legacy.not_understood]
