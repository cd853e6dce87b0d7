"""Kubernetes Secrets, `<service>-secret.yaml`: one for each user, for `kubectl apply -f`.

Their keys have the names of the service binding specification, with those of CloudNativePG where they differ. A path of
the machine that provisions means nothing in a pod, so the root certificate itself is in the Secret, and no path to it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from itertools import groupby

from .connection_urls import jdbc_address, libpq_address
from .errors import GolabsError
from .formats_login import Credentials, ExportFormat, heading
from .names import database_name

SECRET_TYPE = "servicebinding.io/postgresql"  # noqa: S105  (a type's name)


def render_k8s(users: Iterable[Credentials], certificates: Mapping[str, str]) -> dict[str, str]:
    """A file for each service; `certificates` are the texts of root certificates by their paths."""
    return {
        f"{service}-secret.yaml": heading(environment, ExportFormat.K8S)
        + "".join(_secret(user, certificates) for user in of_service)
        for (environment, service), of_service in groupby(users, lambda user: (user.environment, user.service))
    }


def _secret(user: Credentials, certificates: Mapping[str, str]) -> str:
    if user.is_socket:
        raise GolabsError(
            f"{user.host} is a socket folder, which no pod has; nothing was written in this form",
            where=f"--format {ExportFormat.K8S}",
            mend="give a name or an address as golabs-infra:host",
        )
    credentials = (user.username, user.password)
    values = {
        "type": "postgresql",
        "provider": "golabs-infra",
        "host": user.host,
        "port": str(user.port),
        "database": user.database,
        "dbname": user.database,
        "schema": user.schema,
        "username": user.username,
        "user": user.username,
        "password": user.password,
        "sslmode": user.sslmode,
        "uri": libpq_address(user.host, user.port, user.database, user.sslmode, None, credentials),
        "jdbc-uri": jdbc_address(user.host, user.port, user.database, user.sslmode, None, credentials),
    }
    if user.sslrootcert:
        values["ca.crt"] = certificates[user.sslrootcert]
    lines = [
        "---",
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        f"  name: {_label(user.label)}",
        "  labels:",
        "    app.kubernetes.io/managed-by: golabs-infra",
        f"    app.kubernetes.io/part-of: {_label(database_name(user.environment))}",
        f"    golabs-infra/service: '{_label_value(user.service)}'",
        f"    golabs-infra/user: {user.kind}",
        f"    golabs-infra/environment: '{_label(user.environment)}'",
        f"type: {SECRET_TYPE}",
        "data:",
        # In base64 no YAML reader takes a value for a number, a boolean or anything else than it is.
        *(f"  {name}: {base64.b64encode(value.encode()).decode()}" for name, value in values.items()),
    ]
    return "\n".join(lines) + "\n"


def _label_value(service: str) -> str:
    """A service's name as a label's value, which may have underscores but not at its end; no other service has it."""
    return f"{service}.0" if service.endswith("_") else service


def _label(name: str) -> str:
    """A name of ours as a DNS label: services have underscores, and either may end with what a label must not."""
    return name.replace("_", "-").strip("-")
