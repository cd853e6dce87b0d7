"""All forms of connection files but YAML: which there are, which files each has, and their texts for a set of records.

YAML, which golabs reads again itself, is `connections`' own. This module reads and writes no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from .formats_dotenv import render_dotenv
from .formats_jdbc import render_jdbc
from .formats_k8s import render_k8s
from .formats_libpq import PASSWORD_FILE, SERVICE_FILE, render_pgpass, render_pgservice
from .formats_login import ExportFormat, Render, credentials_of
from .names import SERVICE_PATTERN, USER_KINDS

_SERVICE = f"(?P<service>{SERVICE_PATTERN.pattern})"
_OF_A_USER = f"{_SERVICE}-(?:{'|'.join(USER_KINDS)})"
_NAMES = {
    ExportFormat.DOTENV: re.compile(rf"{_OF_A_USER}\.env"),
    ExportFormat.PGPASS: re.compile(rf"{re.escape(PASSWORD_FILE)}(?P<service>)"),
    ExportFormat.PGSERVICE: re.compile(rf"{re.escape(SERVICE_FILE)}(?P<service>)"),
    ExportFormat.JDBC: re.compile(rf"{_OF_A_USER}\.properties"),
    ExportFormat.K8S: re.compile(rf"{_SERVICE}-secret\.yaml"),
}


def files_of(form: ExportFormat, names: Iterable[str]) -> dict[str, str]:
    """Those of some file names that are of a form, with the service that each is of; none (`""`) for an environment's."""
    found = {name: _NAMES[form].fullmatch(name) for name in names}
    return {name: match["service"] for name, match in found.items() if match}


def forms_among(names: Iterable[str]) -> list[ExportFormat]:
    """The forms that some file names are of."""
    listed = list(names)
    return [form for form in _NAMES if files_of(form, listed)]


def needs_certificates(form: ExportFormat) -> bool:
    """Whether a form holds root certificates themselves, and not only their paths."""
    return form is ExportFormat.K8S


def render(form: ExportFormat, records: Iterable[Mapping[str, Any]], certificates: Mapping[str, str]) -> dict[str, str]:
    """The texts of a form's files by their names. Raises GolabsError for a value that the form can't hold."""
    renderers: dict[ExportFormat, Render] = {
        ExportFormat.DOTENV: render_dotenv,
        ExportFormat.PGPASS: render_pgpass,
        ExportFormat.PGSERVICE: render_pgservice,
        ExportFormat.JDBC: render_jdbc,
        ExportFormat.K8S: partial(render_k8s, certificates=certificates),
    }
    return renderers[form](user for record in records for user in credentials_of(record))
