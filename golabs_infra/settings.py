"""Stack configuration -> `Settings`: typed, validated, frozen. No I/O, no pulumi.

All faults of a configuration are collected and raised together; each names the key's path, the value seen (never a
secret) and the mend. What a key may hold stands in `config_keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from . import names
from .config_keys import (
    ADMIN_PASSWORD,
    EXAMPLES,
    KEYS,
    SECRET_KEYS,
    STRUCTURED_KEYS,
    UNSHOWN,
    AcceptedFinding,
    ServerKeys,
    ServiceSettings,
    from_json,
    nearest,
    nearest_known,
    parse_host,
    service_names,
    shown,
)
from .endpoint import Endpoint, SslMode, is_loopback
from .errors import ConfigError, Fault
from .login_keys import LoginKeys
from .password_commands import set_key, set_password
from .passwords import password_problems
from .policy import BY_ENVIRONMENT, POLICIES, Policy, policy_of
from .stackfile import NAMESPACE, RawConfig

_Model = TypeVar("_Model", bound=BaseModel)


class Settings(BaseModel):
    """One stack's validated configuration. `endpoint` is None where the embedded server is to be used."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    environment: str
    policy: Policy
    endpoint: Endpoint | None
    services: tuple[ServiceSettings, ...]
    passwords: Mapping[str, SecretStr]
    """Configured passwords by user name."""
    logins: Mapping[tuple[str, names.UserKind], tuple[names.Login, ...]] = {}
    """The open logins of a service's users that have a twin, by service and kind: the newest is the last."""
    accepted: tuple[AcceptedFinding, ...]
    warnings: tuple[str, ...]
    source: str

    @property
    def database(self) -> str:
        """`go-labs-<env>`."""
        return names.database_name(self.environment)

    def user(self, service: str, kind: names.UserKind) -> str:
        """The name of one of a service's two users."""
        return names.user_name(service, kind, self.environment)

    def users_of(self, service: str) -> tuple[str, ...]:
        """The names of a service's users: migration, app, and the twins that they have."""
        twins = [
            names.login_name(service, kind, self.environment, "twin")
            for kind in names.USER_KINDS
            if (service, kind) in self.logins
        ]
        return (*(self.user(service, kind) for kind in names.USER_KINDS), *twins)

    def open_logins(self, service: str, kind: names.UserKind) -> tuple[str, ...]:
        """The names that can log in as one of a service's users; the last is the one that its connection file has."""
        given: tuple[names.Login, ...] = self.logins.get((service, kind), ("user",))
        return tuple(names.login_name(service, kind, self.environment, login) for login in given)

    @property
    def closed(self) -> frozenset[str]:
        """The users that a change of logins has closed. Those of retired services are not meant."""
        return self.of_two - {name for each in self.logins for name in self.open_logins(*each)}

    @property
    def of_two(self) -> frozenset[str]:
        """The users that have a twin, and the twins."""
        return frozenset(
            names.login_name(service, kind, self.environment, login)
            for service, kind in self.logins
            for login in names.LOGINS
        )

    @property
    def users(self) -> tuple[str, ...]:
        """Every user that the configuration asks for, in order."""
        return tuple(user for service in self.services for user in self.users_of(service.name))

    @property
    def users_with_passwords(self) -> tuple[str, ...]:
        """Those whose password somebody needs: all that are not closed."""
        return tuple(user for user in self.users if user not in self.closed)


def read_settings(raw: RawConfig, *, foretell: bool = True) -> Settings:
    """Validates a stack's configuration. Raises ConfigError with all of its faults.

    `foretell`: with faults to mend anyway, also tell what passwords would have if their users were new.
    """
    return _Reader(raw).read(foretell=foretell)


class _Reader:
    """Collects faults on the way; `read` gives the settings or raises them all."""

    def __init__(self, raw: RawConfig) -> None:
        self.raw = raw
        self.faults: list[Fault] = []
        self.warnings: list[str] = []

    def read(self, *, foretell: bool) -> Settings:
        environment = self.raw.environment
        if problem := names.environment_name_problem(environment):
            self.fault("the stack's name", *problem, absolute=True)
        values = dict(self.raw.values)
        structured = {key: _decoded(values.pop(key)) for key in sorted(STRUCTURED_KEYS & set(values))}
        keys = self._model(ServerKeys, values, "", KEYS)
        policy = self._policy(values.get("policy"))
        endpoint = self._endpoint(keys, values)
        services = self._services(structured)
        accepted = self._items(structured.get("accepted", []), "accepted", AcceptedFinding)
        listed = structured.get("services")
        reader = LoginKeys(
            environment,
            service_names(listed) if isinstance(listed, list) else None,
            self.fault,
            lambda value, path: self._plain_text(value, path, policy),
            lets_go=policy is not None and not policy.protects,
        )
        logins = reader.logins(structured.get("logins", {}))
        passwords = reader.passwords(structured.get("passwords", {}), logins)
        if reader.leftovers:
            named = ", ".join(f"{NAMESPACE}{path}" for path in reader.leftovers)
            self.warnings.append(f"{self.raw.source}: {named}: of no service that is listed; may be removed")
        self._plain_text(values.get(ADMIN_PASSWORD), ADMIN_PASSWORD, policy)
        if foretell and self.faults and policy is not None:
            # Whether a user exists already is not known yet; with faults to mend anyway, say what may follow.
            nameable = {user: password for user, password in passwords.items() if names.parse_user_name(user)}
            self.faults += password_faults(nameable, environment, policy, lambda *_: False)[0]
        if self.faults or policy is None:
            raise ConfigError(self.faults, where=self.raw.source)
        return Settings(
            environment=environment,
            policy=policy,
            endpoint=endpoint,
            services=tuple(sorted(services, key=lambda service: service.name)),
            passwords=passwords,
            logins=logins,
            accepted=tuple(finding for _, finding in accepted),
            warnings=tuple(self.warnings),
            source=self.raw.source,
        )

    def fault(self, path: str, what: str, mend: str, *, absolute: bool = False) -> None:
        self.faults.append(Fault(path if absolute else f"{NAMESPACE}{path}", what, mend))

    def _policy(self, declared: object) -> Policy | None:
        name = declared if isinstance(declared, str) and declared in POLICIES else None
        try:
            return policy_of(self.raw.environment, name)
        except ValueError as error:
            if declared is None or name is not None:
                mend = (
                    "remove the key"
                    if name
                    else f"{set_key(self.raw.environment, 'policy', 'keep')} (or disposable, or guarded)"
                )
                self.fault("policy", str(error), mend)
            return BY_ENVIRONMENT.get(self.raw.environment)

    def _endpoint(self, keys: ServerKeys | None, values: Mapping[str, object]) -> Endpoint | None:
        environment = self.raw.environment
        if values.get("server") is not None and values.get("host") is not None:
            self.fault("server", "both server and host are given", "keep one: server: embedded, or host: <name>")
        if values.get("server") is None:
            if values.get("host") is None:
                self.fault(
                    "host",
                    "neither host nor server is given",
                    set_key(environment, "host", "db.example.org"),
                )
            by_certificate = values.get("sslCert") is not None and values.get("sslKey") is not None
            if values.get(ADMIN_PASSWORD) is None and not by_certificate:
                self.fault(
                    ADMIN_PASSWORD,
                    "the admin's password is missing",
                    set_password(environment, ADMIN_PASSWORD),
                )
        elif values.get("host") is None:
            for stray in sorted((set(values) & set(KEYS)) - {"server", "host", "policy"}):
                self.fault(
                    stray,
                    "it does not go with server: embedded, which brings its own",
                    "remove it, or give a host instead of server",
                )
        if (values.get("sslCert") is None) != (values.get("sslKey") is None):
            self.fault("sslCert", "sslCert and sslKey go together", "give both or neither")
        host = self._valid_host(values.get("host"))
        if host is not None and not is_loopback(host) and self.raw.published_passphrase():
            self.fault(
                "host",
                f"{host!r} is not this machine, and the stack's secrets are under the published passphrase of tst",
                f"pulumi stack change-secrets-provider passphrase --stack {environment}, with a passphrase of your own",
            )
        if keys is None or keys.host is None:
            return None
        ssl_mode = keys.ssl_mode or ("disable" if is_loopback(keys.host) else "require")
        self._check_certificates(keys, ssl_mode)
        return Endpoint(
            host=keys.host,
            port=keys.port,
            admin_user=keys.admin_user,
            admin_password=keys.admin_password or SecretStr(""),
            admin_database=keys.admin_database,
            ssl_mode=ssl_mode,
            ssl_root_cert=keys.ssl_root_cert,
            ssl_cert=keys.ssl_cert,
            ssl_key=keys.ssl_key,
            environment=self.raw.environment,
        )

    def _check_certificates(self, keys: ServerKeys, ssl_mode: SslMode) -> None:
        """Certificates that the mode needs and does not have, or has and does not use."""
        if ssl_mode.startswith("verify-") and keys.ssl_root_cert is None:
            # Left out, libpq, the Pulumi provider and the JDBC driver would each look in another place.
            self.fault(
                "sslRootCert",
                f"sslMode {ssl_mode} needs the certificate of the authority that the server's is proven by",
                set_key(self.raw.environment, "sslRootCert", "certs/ca.pem"),
            )
        given = {"sslRootCert": keys.ssl_root_cert, "sslCert": keys.ssl_cert, "sslKey": keys.ssl_key}
        unused = [key for key, path in given.items() if path is not None]
        if ssl_mode == "disable" and unused:
            default = "" if keys.ssl_mode else ", as it is by default on this machine itself"
            self.fault(
                "sslMode",
                f"it is disable{default}, which makes no use of {' and '.join(unused)}",
                f"{set_key(self.raw.environment, 'sslMode', 'verify-full')} (or require, without a root certificate)",
            )

    def _valid_host(self, value: object) -> str | None:
        """The host, also where another key has a fault; its own faults are told with all the others."""
        try:
            return parse_host(value)
        except PydanticCustomError:
            return None

    def _services(self, structured: Mapping[str, object]) -> list[ServiceSettings]:
        if "services" not in structured:
            # What an unknown key leads to is told by that key's own fault.
            if all(nearest_known(key, KEYS) != "services" for key in set(self.raw.values) - set(KEYS)):
                self.fault("services", "no services are given", "add 'services:' with a line '- billing' below it")
            return []
        listed = structured["services"]
        if isinstance(listed, list):
            listed = [{"name": entry} if isinstance(entry, str | SecretStr) else entry for entry in listed]
        services = self._items(listed, "services", ServiceSettings)
        first: dict[str, int] = {}
        for index, service in services:
            if problem := names.service_name_problem(service.name, self.raw.environment):
                self.fault(f"services[{index}]", *problem)
            if service.name in first:
                self.fault(
                    f"services[{index}]",
                    f"{service.name!r} is given twice, first as services[{first[service.name]}]",
                    "keep one of the two",
                )
            first.setdefault(service.name, index)
        return [service for _, service in services]

    def _items(self, listed: object, key: str, kind: type[_Model]) -> list[tuple[int, _Model]]:
        """The entries of a list that are valid, each with its index."""
        if not isinstance(listed, list):
            self.fault(key, f"{shown(listed)} is not a list", f"write a list, such as {key}: {EXAMPLES[key]}")
            return []
        items: list[tuple[int, _Model]] = []
        for index, entry in enumerate(listed):
            path = f"{key}[{index}]"
            if not isinstance(entry, dict):
                what = "a name or a mapping of keys" if key == "services" else "a mapping of keys"
                self.fault(path, f"{shown(entry)} is not {what}", f"write {EXAMPLES[key]}")
                continue
            item = self._model(kind, entry, path, [field.alias or name for name, field in kind.model_fields.items()])
            if item is not None:
                items.append((index, item))
        return items

    def _plain_text(self, value: object, path: str, policy: Policy | None) -> None:
        """A secret that is not encrypted in the file: an error in guarded stacks, a warning in others."""
        if not isinstance(value, str) or policy is None:
            return
        mend = set_password(self.raw.environment, path)
        if policy.protects:
            self.fault(path, "the password stands in the file in plain text", mend)
        else:
            self.warnings.append(
                f"{self.raw.source}: {NAMESPACE}{path}: the password stands in the file in plain text; encrypt it: {mend}"
            )

    def _model(
        self, kind: type[_Model], values: Mapping[str, object], path: str, known: Iterable[str]
    ) -> _Model | None:
        try:
            return kind.model_validate(dict(values))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._model_fault(detail, path, list(known))
            return None

    def _model_fault(self, detail: ErrorDetails, path: str, known: list[str]) -> None:
        key = str(detail["loc"][0]) if detail["loc"] else ""
        where = f"{path}.{key}" if path and key else path or key
        example = EXAMPLES.get(key, "")
        mend = f"write {key}: {example}" if example else "correct the value"
        if key == ADMIN_PASSWORD and not path:
            mend = set_password(self.raw.environment, ADMIN_PASSWORD)
        if detail["type"] in ("extra_forbidden", "invalid_key"):
            self.fault(where, f"unknown key{nearest(key, known)}", f"use one of {', '.join(sorted(known))}")
        elif detail["type"] == "missing":
            self.fault(where, "is missing", mend)
        else:
            hidden = key in SECRET_KEYS or detail["type"] == UNSHOWN
            seen = "the value" if hidden else shown(detail["input"])
            self.fault(where, f"{seen} {_problem(detail)}", mend)


def password_faults(
    passwords: Mapping[str, SecretStr], environment: str, policy: Policy, has: Callable[[str, SecretStr], bool]
) -> tuple[list[Fault], list[str]]:
    """What is wrong with the configured passwords: faults for new ones, warnings for those that the users have already.

    `has` tells whether a user has a password now; it is asked of bad ones only. Such a one came with an adopted user and
    is the one its clients use; it is never a reason to refuse.
    """
    faults: list[Fault] = []
    warnings: list[str] = []
    for user, password in sorted(passwords.items()):
        parts = names.parse_user_name(user)
        if parts is None:
            raise AssertionError(f"{user!r} was not made by names.user_name")
        path = f"passwords.{parts.service}.{parts.key}"
        problems = password_problems(password.get_secret_value(), parts.service, policy)
        if problems and has(user, password):
            end = f"it is kept, as {user} has it already"
            warnings += [f"{NAMESPACE}{path}: the password {problem}; {end}" for problem in problems]
        else:
            mend = f"{set_password(environment, path)}; or remove it and have one generated"
            faults += [Fault(f"{NAMESPACE}{path}", f"the password {problem}", mend) for problem in problems]
    return faults, warnings


def _decoded(value: object) -> object:
    """A structured key that was set as one JSON text (`pulumi config set [--secret]`), as the structure it is."""
    if isinstance(value, SecretStr):
        return _conceal(from_json(value.get_secret_value()))
    return from_json(value)


def _conceal(node: object) -> object:
    if isinstance(node, dict):
        return {key: _conceal(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_conceal(value) for value in node]
    return SecretStr(node) if isinstance(node, str) else node


def _problem(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than_equal":
            return f"is less than {context['ge']}"
        case "less_than_equal":
            return f"is more than {context['le']}"
        case "literal_error":
            return f"is none of {context['expected']}"
        case "date_from_datetime_parsing" | "date_parsing" | "date_type" | "date_from_datetime_inexact":
            return "is not a date"
        case _:
            return detail["msg"]
