"""What gives a key its value, as errors offer it: worded once, for every place that says what to do.

Pure. It names commands and runs none; what `golabs set-password` does is `storing`'s business.
"""

from __future__ import annotations

from .config_keys import ADMIN_PASSWORD, PASSWORDS
from .names import PASSWORD_KEYS, UserName
from .project import PROJECT_NAME


def set_password(environment: str, path: str) -> str:
    """The command that writes the password which a key's path names.

    >>> set_password("dev", "passwords.billing.app")
    'golabs set-password dev billing app'
    >>> set_password("dev", "adminPassword")
    'golabs set-password dev --admin'
    """
    if path == ADMIN_PASSWORD:
        return f"golabs set-password {environment} --admin"
    service, _, key = path.partition(".")[2].rpartition(".")
    return f"golabs set-password {environment} {service} {key}"


def set_key(environment: str, key: str, value: str) -> str:
    """How a key that is no secret gets a value: the line of the stack's file, which needs no CLI, and the CLI's command.

    >>> set_key("dev", "port", "5433")
    'write golabs-infra:port: 5433 below config: in Pulumi.dev.yaml; or: pulumi config set port 5433 --stack dev'
    """
    line = f"write {PROJECT_NAME}:{key}: {value} below config: in Pulumi.{environment}.yaml"
    return f"{line}; or: pulumi config set {key} {value} --stack {environment}"


def set_secret(environment: str, path: str) -> str:
    """The command that writes what any key's path names, encrypted: `set_password` where that is a password.

    >>> set_secret("dev", "passwords.billing.app")
    'golabs set-password dev billing app'
    >>> set_secret("dev", "services")
    "pulumi config set --secret --path 'golabs-infra:services' --stack dev"
    """
    first, *rest = path.split(".")
    if path == ADMIN_PASSWORD or (first == PASSWORDS and len(rest) == 2 and rest[1] in PASSWORD_KEYS):
        return set_password(environment, path)
    return f"pulumi config set --secret --path '{PROJECT_NAME}:{path}' --stack {environment}"


def known_or_new(user: UserName, *, alone: bool) -> str:
    """What to do about a login whose password is not known: give it, or set another one.

    Where it is not `alone`, the service's others are not known either, and all get a new one: a connection file is whole.

    >>> known_or_new(UserName("billing", "app", "dev"), alone=True)[:75]
    'give the password that its clients use: golabs set-password dev billing app'
    """
    given = set_password(user.environment, f"passwords.{user.service}.{user.key}")
    rotated = f"golabs rotate {user.environment} {user.service}{f' --user {user.kind}' if alone else ''}"
    return f"give the password that its clients use: {given}; or set a new one: {rotated}"
