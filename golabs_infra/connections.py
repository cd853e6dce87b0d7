"""Connection records and the files they are written to: what a service needs to log in with its two users.

A record is the contract's mapping, and YAML the form that golabs reads again; other forms that were exported once are
kept true beside it. A set of files is written whole or not at all. This module speaks to no server.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import SecretStr

try:
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # a PyYAML that was built without libyaml does the same, slowly
    from yaml import SafeDumper, SafeLoader  # type: ignore[assignment]

from .connection_shape import ShapeError, checked
from .connection_urls import jdbc_address, libpq_address
from .endpoint import Endpoint
from .errors import GolabsError
from .file_sets import names_in, replace_together
from .files import remove_leftovers, remove_private
from .formats import files_of, forms_among, needs_certificates, render
from .formats_login import ExportFormat
from .model import Desired, ServiceModel
from .names import USER_KINDS, UserKind, parse_user_name
from .project import Project

Record = dict[str, Any]
"""environment, service, database, host, port, sslmode, schema, users; passwords in clear. Where sslRootCert is configured,
`sslrootcert` is its absolute path. While a change of passwords is
under way, a user has `others` too: the logins that are good, or about to be, beside the one that clients are to use."""


_SUFFIX = "-connections.yaml"
_HEADER = "# Written by golabs; holds passwords. Made again by: golabs export {environment}\n"


def build_records(desired: Desired, endpoint: Endpoint, passwords: Mapping[str, str]) -> list[Record]:
    """One record a service, in order; `passwords` by user name, in clear."""
    return [_record(desired, service, endpoint, passwords) for service in desired.services]


def _record(desired: Desired, service: ServiceModel, endpoint: Endpoint, passwords: Mapping[str, str]) -> Record:
    database = desired.database.name
    return {
        "environment": desired.environment,
        "service": service.name,
        "database": database,
        "host": endpoint.host,
        "port": endpoint.port,
        "sslmode": endpoint.ssl_mode,
        **({"sslrootcert": endpoint.ssl_root_cert} if endpoint.ssl_root_cert else {}),
        "schema": service.schema.name,
        "users": {
            kind: {
                "username": newest,
                "password": passwords[newest],
                "url": libpq_url(endpoint, database, newest, passwords[newest]),
                "jdbcUrl": jdbc_url(endpoint, database, newest, passwords[newest]),
                **({"others": [{"username": name, "password": passwords[name]} for name in older]} if older else {}),
            }
            for kind, (*older, newest) in service.open_logins.items()
        },
    }


def with_other(record: Record, kind: UserKind, username: str, password: str) -> Record:
    """The record with one more login in it that is good, or about to be, for a user of this kind."""
    user = record["users"][kind]
    other = {"username": username, "password": password}
    others = [*(each for each in user.get("others", ()) if each != other), other]
    return {**record, "users": {**record["users"], kind: {**user, "others": others}}}


def libpq_url(endpoint: Endpoint, database: str, user: str, password: str) -> str:
    """A URL that psql and psycopg take as it is."""
    where = (endpoint.host, endpoint.port, database, endpoint.ssl_mode, endpoint.ssl_root_cert)
    return libpq_address(*where, (user, password))


def jdbc_url(endpoint: Endpoint, database: str, user: str, password: str) -> str:
    """A URL that the PostgreSQL JDBC driver takes as it is."""
    where = (endpoint.host, endpoint.port, database, endpoint.ssl_mode, endpoint.ssl_root_cert)
    return jdbc_address(*where, (user, password))


class _Dumper(SafeDumper):
    """Quotes also what only other readers than ours take for a number or a boolean, such as 1e9, 0o17 or y."""


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    ambiguous = "'" if re.match(r"[-+.0-9]|[yYnN]\Z", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=ambiguous if text.isprintable() else '"')


_Dumper.add_representer(str, _string)


_KEYS = ("environment", "service", "database", "host", "port", "sslmode", "sslrootcert", "schema", "users")
_USER_KEYS = ("username", "password", "url", "jdbcUrl", "others")


def _in_order(record: Record) -> Record:
    """The record with its keys in the contract's order, which a stack's outputs don't keep."""
    users = {
        kind: {key: record["users"][kind][key] for key in _USER_KEYS if key in record["users"][kind]}
        for kind in USER_KINDS
    }
    return {key: users if key == "users" else record[key] for key in _KEYS if key in record}


def render_yaml(record: Record) -> str:
    """The connection file's text."""
    body = yaml.dump(_in_order(record), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return _HEADER.format(environment=record["environment"]) + body


def connection_file(project: Project, environment: str, service: str) -> Path:
    """`output/<env>/<service>-connections.yaml`."""
    return project.output_folder(environment) / _file_name(service)


def _file_name(service: str) -> str:
    return f"{service}{_SUFFIX}"


def provisioned_services(project: Project, environment: str) -> list[str]:
    """The services that have a connection file, in order."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in project.output_folder(environment).glob(f"*{_SUFFIX}"))


def write_files(
    project: Project,
    environment: str,
    records: Iterable[Record],
    removed: Iterable[str] = (),
    *,
    warn: Callable[[str], None],
) -> list[Path]:
    """Writes every record's file that is not as it should be, all or none of them, and removes those of `removed`
    services. Gives the paths of all.

    Other forms that are in the folder are written anew too: a password in them that is no longer good would be a trap.
    For the same reason a form's files go where it can't hold what it should, which `warn` is told.
    """
    listed, folder, removed = list(records), project.output_folder(environment), list(removed)
    own = _own(listed)
    present = names_in(folder)
    texts, stale = dict(own), {_file_name(service) for service in removed}
    told: list[str] = []
    for form in forms_among(present):
        written = files_of(form, present)
        try:
            rendered = _render(form, listed)
        except GolabsError as error:
            stale |= written.keys()
            told.append(
                f"the files of the form {form} are removed, rather than left with old passwords: {error.what}; {error.mend}"
            )
            continue
        texts |= rendered
        stale |= {name for name, service in written.items() if service in removed}
        stale |= {name for name, service in written.items() if not service} - rendered.keys()
    _replace(project, environment, texts, stale)
    for text in told:
        warn(text)
    return [folder / name for name in own]


def write_meanwhile(project: Project, environment: str, records: Iterable[Record], removed: Iterable[str] = ()) -> None:
    """The same for a change that may be taken back: of golabs' own form alone. What clients read stays as it was."""
    _replace(project, environment, _own(records), {_file_name(service) for service in removed})


def export_files(
    project: Project, environment: str, records: Iterable[Record], form: ExportFormat, *, warn: Callable[[str], None]
) -> list[Path]:
    """Writes the connection files in one form, all or none of them; gives their paths.

    Raises GolabsError for a value that the form can't hold; nothing is written then. `warn` is as for `write_files`.
    """
    if form is ExportFormat.YAML:
        return write_files(project, environment, records, warn=warn)
    texts = _render(form, list(records))
    _replace(project, environment, texts)
    return [project.output_folder(environment) / name for name in texts]


def _own(records: Iterable[Record]) -> dict[str, str]:
    return {_file_name(record["service"]): render_yaml(record) for record in records}


def _render(form: ExportFormat, records: list[Record]) -> dict[str, str]:
    paths = {record["sslrootcert"] for record in records if record.get("sslrootcert")}
    return render(form, records, {path: _certificate(path) for path in paths} if needs_certificates(form) else {})


def _certificate(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise GolabsError(
            f"the root certificate can't be read: {getattr(error, 'strerror', None) or 'it is not in the PEM form'}",
            where=path,
            mend="correct golabs-infra:sslRootCert, or put the file there",
        ) from error


def _replace(project: Project, environment: str, texts: Mapping[str, str], removed: Iterable[str] = ()) -> None:
    folder = project.output_folder(environment)
    try:
        replace_together(folder, texts, removed)
    except OSError as error:
        raise GolabsError(
            f"the connection files can't be written: {error.strerror}. The old ones are kept",
            where=str(folder),
            mend=f"free space or mend permissions there, then: golabs export {environment}",
        ) from error


def read_records(project: Project, environment: str) -> list[Record]:
    """The records of the connection files that are there. Raises GolabsError where one is not readable as such."""
    records: list[Record] = []
    for path in sorted(project.output_folder(environment).glob(f"*{_SUFFIX}")):
        try:
            record = checked(yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader))
        except (OSError, yaml.YAMLError, RecursionError, *_OF_VALUES) as error:
            raise GolabsError(
                f"the connection file can't be read: {_why(error)}",
                where=str(path),
                mend=f"correct it, or move it out of the way; golabs export {environment} makes it again from the stack's state",
            ) from None  # what YAML says quotes the line, or the value, which may be the password's
        records.append(record)
    return records


_OF_VALUES = (ValueError, LookupError, AttributeError, TypeError)
"""What YAML's own constructors raise for a scalar that is not what its tag, or its form, says."""


def _why(error: Exception) -> str:
    """What keeps a file from being read, without any of its text."""
    if isinstance(error, OSError):
        return str(error.strerror)
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, ShapeError):
        return str(error)
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1} is no YAML" if mark else "it is no YAML that can be read"


def keeping(records: Iterable[Record], known: Mapping[str, Iterable[SecretStr]]) -> list[Record]:
    """Records with whatever else is known of their users' logins: of two passwords that files, state and configuration tell,
    only the server knows which one is good, and what is written without asking it must not lose that one."""
    return [_keeping(record, known) for record in records]


def _keeping(record: Record, known: Mapping[str, Iterable[SecretStr]]) -> Record:
    result = record
    for kind in USER_KINDS:
        user = record["users"][kind]
        logins = [(each["username"], each["password"]) for each in (user, *user.get("others", ()))]
        others = (name for name in known if _is_of(name, record["service"], kind))
        for name in dict.fromkeys([*(name for name, _ in logins), *others]):
            for password in known.get(name, ()):
                if (name, password.get_secret_value()) not in logins:
                    result = with_other(result, kind, name, password.get_secret_value())
    return result


def _is_of(user: str, service: str, kind: UserKind) -> bool:
    parts = parse_user_name(user)
    return parts is not None and (parts.service, parts.kind) == (service, kind)


def known_passwords(records: Iterable[Record]) -> dict[str, SecretStr]:
    """The passwords in records, by user name; of several that a user is said to have, the one that clients are to use."""
    return {user: passwords[0] for user, passwords in candidates(records).items()}


def candidates(records: Iterable[Record]) -> dict[str, tuple[SecretStr, ...]]:
    """All of the passwords in records, by user name. After a run that was killed a user may have two, of which one is good."""
    found: dict[str, tuple[SecretStr, ...]] = {}
    for record in records:
        for user in (record["users"][kind] for kind in USER_KINDS):
            for login in (user, *user.get("others", ())):
                name, password = login["username"], SecretStr(str(login["password"]))
                found[name] = (*found.get(name, ()), password)
    return found


def remove_files(project: Project, environment: str) -> list[Path]:
    """Removes the connection files of an environment in every form, and their folder if nothing else is in it.

    Raises GolabsError where one can't be removed.
    """
    folder = project.output_folder(environment)
    present = names_in(folder)
    names = {name for form in forms_among(present) for name in files_of(form, present)}
    names |= {name for name in present if name.endswith(_SUFFIX)}
    removed = [folder / name for name in sorted(names)]
    for path in removed:
        remove_private(path)
    remove_leftovers(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return removed
