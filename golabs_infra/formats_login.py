"""What a connection record says of one of its users, as every form of file needs it, and how a form refuses a value.

Each form has a module of its own that turns these into text; none of them knows of files, folders or engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import GolabsError
from .names import USER_KINDS, UserKind


class ExportFormat(StrEnum):
    """The forms that connection files are written in."""

    YAML = "yaml"
    DOTENV = "dotenv"
    PGPASS = "pgpass"
    PGSERVICE = "pgservice"
    JDBC = "jdbc"
    K8S = "k8s"


@dataclass(frozen=True)
class Credentials:
    """One user of a service: where and as whom it logs in. `sslrootcert` is a path; None where none is given."""

    environment: str
    service: str
    kind: UserKind
    schema: str
    host: str
    port: int
    database: str
    sslmode: str
    sslrootcert: str | None
    username: str
    password: str = field(repr=False)
    url: str = field(repr=False)
    others: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Name and password of the logins that are good beside this one for a while."""

    @property
    def is_socket(self) -> bool:
        """Whether the host is the folder of a Unix-domain socket."""
        return self.host.startswith("/")

    @property
    def label(self) -> str:
        """`billing-app-tst`: what a form calls this user; it stays when the login that is behind it changes."""
        return f"{self.service}-{self.kind}-{self.environment}"


Render = Callable[[Iterable[Credentials]], dict[str, str]]
"""The texts of a form's files by their names, for all users of an environment. Raises GolabsError for what it can't hold."""


def credentials_of(record: Mapping[str, Any]) -> list[Credentials]:
    """Both users of a record, each with the logins that are good beside it for a while."""
    return [
        Credentials(
            environment=record["environment"],
            service=record["service"],
            kind=kind,
            schema=record["schema"],
            host=record["host"],
            port=int(record["port"]),
            database=record["database"],
            sslmode=record["sslmode"],
            sslrootcert=record.get("sslrootcert"),
            username=record["users"][kind]["username"],
            password=str(record["users"][kind]["password"]),
            url=record["users"][kind]["url"],
            others=tuple((each["username"], str(each["password"])) for each in record["users"][kind].get("others", ())),
        )
        for kind in USER_KINDS
    ]


def heading(environment: str, form: ExportFormat) -> str:
    """The first line of a file of a form, a comment."""
    return f"# Written by golabs; holds passwords. Made again by: golabs export {environment} --format {form}\n"


def refuse_password(credentials: Credentials, form: ExportFormat, why: str) -> GolabsError:
    """The error of a password that a form can't hold; `why` follows "the password"."""
    return GolabsError(
        f"the password of {credentials.username} {why}; nothing was written in this form",
        where=f"--format {form}",
        mend=f"golabs rotate {credentials.environment} {credentials.service} --user {credentials.kind} "
        "(a new password has letters and digits only); or export another form",
    )


def refuse_root_certificate(credentials: Credentials, form: ExportFormat, why: str) -> GolabsError:
    """The error of a path of sslRootCert that a form can't hold or use; `why` follows the path."""
    return GolabsError(
        f"sslRootCert, {credentials.sslrootcert}, {why}; nothing was written in this form",
        where=f"--format {form}",
        mend=f"correct golabs-infra:sslRootCert or the file, then: golabs up {credentials.environment}",
    )
