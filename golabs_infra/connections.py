"""Connection records and the files they are written to: what a service needs to log in with its two users.

A record is the contract's mapping. Files are 0600 in a 0700 folder; a set of them is prepared whole before the first
takes its place, so that a failure leaves the old ones. This module speaks to no server.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import yaml
from pydantic import SecretStr

try:
    from yaml import CSafeDumper as SafeDumper
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # a PyYAML that was built without libyaml does the same, slowly
    from yaml import SafeDumper, SafeLoader  # type: ignore[assignment]

from .endpoint import Endpoint
from .errors import GolabsError
from .files import prepare_private, remove_leftovers
from .model import Desired, ServiceModel
from .names import USER_KINDS, UserKind
from .project import Project

Record = dict[str, Any]
"""environment, service, database, host, port, sslmode, schema, users; passwords in clear. While a change of passwords is
under way, a user has `others` too: the logins that are good, or about to be, beside the one that clients are to use."""


class ExportFormat(StrEnum):
    """The forms that connection files are written in."""

    YAML = "yaml"


FOLDER_MODE = 0o700
_WRITERS = 4
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
    options = {
        "sslmode": endpoint.ssl_mode,
        **({"sslrootcert": endpoint.ssl_root_cert} if endpoint.ssl_root_cert else {}),
    }
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return (
        f"postgresql://{credentials}@{_url_host(endpoint)}:{endpoint.port}/{quote(database, safe='')}?{_query(options)}"
    )


def jdbc_url(endpoint: Endpoint, database: str, user: str, password: str) -> str:
    """A URL that the PostgreSQL JDBC driver takes as it is."""
    options = {"user": user, "password": password, "sslmode": endpoint.ssl_mode}
    if endpoint.ssl_root_cert:
        options["sslrootcert"] = endpoint.ssl_root_cert
    return f"jdbc:postgresql://{_url_host(endpoint)}:{endpoint.port}/{quote(database, safe='')}?{_query(options)}"


def _url_host(endpoint: Endpoint) -> str:
    host = quote(endpoint.host, safe=":")
    return f"[{host}]" if ":" in host else host


def _query(options: Mapping[str, str]) -> str:
    return urlencode(options, quote_via=quote)


class _Dumper(SafeDumper):
    """Quotes also what only other readers than ours take for a number or a boolean, such as 1e9, 0o17 or y."""


def _string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    ambiguous = "'" if re.match(r"[-+.0-9]|[yYnN]\Z", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=ambiguous if text.isprintable() else '"')


_Dumper.add_representer(str, _string)


_KEYS = ("environment", "service", "database", "host", "port", "sslmode", "schema", "users")
_USER_KEYS = ("username", "password", "url", "jdbcUrl", "others")


def _in_order(record: Record) -> Record:
    """The record with its keys in the contract's order, which a stack's outputs don't keep."""
    users = {
        kind: {key: record["users"][kind][key] for key in _USER_KEYS if key in record["users"][kind]}
        for kind in USER_KINDS
    }
    return {key: users if key == "users" else record[key] for key in _KEYS}


def render_yaml(record: Record) -> str:
    """The connection file's text."""
    body = yaml.dump(_in_order(record), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    return _HEADER.format(environment=record["environment"]) + body


def connection_file(project: Project, environment: str, service: str) -> Path:
    """`output/<env>/<service>-connections.yaml`."""
    return project.output_folder(environment) / f"{service}{_SUFFIX}"


def provisioned_services(project: Project, environment: str) -> list[str]:
    """The services that have a connection file, in order."""
    return sorted(path.name.removesuffix(_SUFFIX) for path in project.output_folder(environment).glob(f"*{_SUFFIX}"))


def write_files(
    project: Project, environment: str, records: Iterable[Record], removed: Iterable[str] = ()
) -> list[Path]:
    """Writes every record's file that is not as it should be, all or none of them, and removes those of `removed`
    services. Gives the paths of all."""
    texts = {connection_file(project, environment, record["service"]): render_yaml(record) for record in records}
    folder = project.output_folder(environment)
    prepared: dict[Path, str] = {}
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        folder.chmod(FOLDER_MODE)
        remove_leftovers(folder)
        for path in texts:
            if path.is_dir():  # the one thing that could stop a rename between two others
                raise IsADirectoryError(errno.EISDIR, f"{path.name} is a folder")
        outdated = {path: text for path, text in texts.items() if not _holds(path, text)}
        with ThreadPoolExecutor(_WRITERS) as writers:  # each waits for the disk; together they wait once
            written = {path: writers.submit(prepare_private, folder, text) for path, text in outdated.items()}
        prepared = {path: future.result() for path, future in written.items() if not future.exception()}
        for future in written.values():
            future.result()
        for path, temporary in prepared.items():
            os.replace(temporary, path)
        for service in removed:
            connection_file(project, environment, service).unlink(missing_ok=True)
    except OSError as error:
        raise GolabsError(
            f"the connection files can't be written: {error.strerror}. The old ones are kept",
            where=str(folder),
            mend=f"free space or mend permissions there, then: golabs export {environment}",
        ) from error
    finally:
        for temporary in prepared.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    return list(texts)


def _holds(path: Path, text: str) -> bool:
    """Whether a file is there already, private and with this text."""
    try:
        return path.stat().st_mode & 0o777 == 0o600 and path.read_text(encoding="utf-8") == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def read_records(project: Project, environment: str) -> list[Record]:
    """The records of the connection files that are there. Raises GolabsError where one is not readable as such."""
    records: list[Record] = []
    for path in sorted(project.output_folder(environment).glob(f"*{_SUFFIX}")):
        try:
            record = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
            users = record["users"]
            for kind in USER_KINDS:
                for login in (users[kind], *users[kind].get("others", ())):
                    str(login["username"]), str(login["password"])
        except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
            raise GolabsError(
                f"the connection file can't be read ({type(error).__name__})",
                where=str(path),
                mend=f"move it out of the way; golabs export {environment} makes it again from the stack's state",
            ) from None  # a YAML error quotes the line, which may be the password's
        records.append(record)
    return records


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
    """Removes the connection files of an environment, and their folder if nothing else is in it."""
    folder = project.output_folder(environment)
    removed = sorted(folder.glob(f"*{_SUFFIX}"))
    for path in removed:
        path.unlink(missing_ok=True)
    remove_leftovers(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()
    return removed
