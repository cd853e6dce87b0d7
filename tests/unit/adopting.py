"""What the tests of adoption begin with: a server, users that exist, and passwords that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pydantic import SecretStr

from golabs_infra.adoption import (
    Memory,
    Origin,
    Password,
    choose_passwords,
)
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import AdoptionError
from golabs_infra.inspection import Cluster
from golabs_infra.model import Role
from golabs_infra.settings import Settings

from ..support import make_settings
from .catalogs import make_cluster

ENDPOINT = Endpoint("db.example.org", 5432, "admin", SecretStr("admin's"), "postgres", "require")
HERE = "7000000000000000001"
ELSEWHERE = "7999999999999999999"
STRONG = "Zk3-vQ9_xW7.rT2mLp"
OTHER = "Qx8_bN4.hJ6-wC1sYd"
CANARY = "c4n4ry-in-the-mine"

Proves = Callable[[str, SecretStr], bool]


def settings_of(environment: str, /, **values: object) -> Settings:
    """One service, billing, unless said otherwise."""
    return make_settings(environment, **({"services": ["billing"]} | values))


def existing(settings: Settings, *users: str, **facts: object) -> Cluster:
    """A server on which these users exist already; all of the settings' if none is named."""
    return make_cluster([Role(user, True, ()) for user in users or settings.users], **facts)


def knowing(**passwords: str) -> Proves:
    """A prover for users whose passwords are these, by kind of user."""
    return lambda user, password: passwords.get(user.split("_")[1]) == password.get_secret_value()


def never(user: str, password: SecretStr) -> bool:
    """A prover that nobody may ask."""
    raise AssertionError(f"{user} must not be tried")


def configured(**passwords: str) -> dict[str, object]:
    """Encrypted passwords of billing's users."""
    return {"passwords": {"billing": {kind: SecretStr(text) for kind, text in passwords.items()}}}


def remembered(settings: Settings, *passwords: str, managed: bool = True, **facts: object) -> Memory:
    """A memory of every user with these passwords, the likeliest first."""
    return Memory(
        managed=frozenset(settings.users) if managed else frozenset(),
        passwords={user: tuple(map(SecretStr, passwords)) for user in settings.users},
        **facts,  # type: ignore[arg-type]
    )


def clear(chosen: Iterable[Password]) -> list[tuple[Origin, str | None]]:
    """Where passwords come from, and which they are."""
    return [(each.origin, None if each.value is None else each.value.get_secret_value()) for each in chosen]


def choose(settings: Settings, cluster: Cluster, memory: Memory, proves: Proves) -> list[tuple[Origin, str | None]]:
    """The choices for migration user and app user."""
    chosen, faults = choose_passwords(settings, cluster, memory, proves)
    if faults:
        raise AdoptionError(faults, where=settings.environment)
    assert tuple(chosen) == settings.users
    return clear(chosen.values())
