"""Secrets: whatever holds one shows nothing of it when it is printed, logged or formatted."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from golabs_infra.adoption import Decision, Memory, Origin, Password, decide
from golabs_infra.changes import CreateRole, SetPassword
from golabs_infra.connections import build_records, known_passwords
from golabs_infra.direct import DirectEngine
from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import scram_verifier
from golabs_infra.plan import plan
from golabs_infra.project import Project
from golabs_infra.settings import Settings
from golabs_infra.stackfile import RawConfig
from golabs_infra.wording import describe

from ..support import make_settings
from ..unit.catalogs import make_cluster, make_desired, make_empty

CANARY = "c4n4ry-in-the-mine"
SECRET = SecretStr(CANARY)
VERIFIER = scram_verifier(CANARY, b"salt", 1)
USER = "billing_app_dev_user"


@pytest.fixture
def settings() -> Settings:
    """Settings with a secret wherever one can be."""
    passwords = {"billing": {"app": SECRET, "migration": SECRET}}
    return make_settings("dev", server=None, host="db", adminPassword=SECRET, services=["billing"], passwords=passwords)


def shown(value: object) -> str:
    """Everything that showing a value can come to."""
    return f"{value!r} {value!s} {value} {[value]} {(value,)!r} {vars(value) if hasattr(value, '__dict__') else ''}"


def endpoint_of(settings: Settings) -> Endpoint:
    """The endpoint of settings that have one."""
    assert settings.endpoint is not None
    return settings.endpoint


def test_settings_show_no_secret_and_still_hold_it(settings: Settings) -> None:
    assert CANARY not in shown(settings)
    assert CANARY not in settings.model_dump_json() + str(settings.model_dump())
    assert settings.passwords[USER].get_secret_value() == CANARY


def test_an_endpoint_shows_no_secret_and_still_holds_it(settings: Settings) -> None:
    endpoint = endpoint_of(settings)
    assert CANARY not in shown(endpoint) + endpoint.address
    assert endpoint.admin_password.get_secret_value() == CANARY


def test_a_raw_configuration_shows_no_value() -> None:
    raw = RawConfig("dev", {"adminPassword": CANARY, "passwords": {"billing": {"app": CANARY}}}, "file", lambda: False)
    assert CANARY not in f"{raw!r} {raw}"
    assert raw.values["adminPassword"] == CANARY


def test_memory_and_decisions_show_no_secret(settings: Settings) -> None:
    memory = Memory(
        "7000000000000000001", frozenset({USER}), generated={USER: SECRET}, passwords={USER: (SECRET, SECRET)}
    )
    decision = decide(settings, endpoint_of(settings), make_cluster(), memory, lambda user, password: True)
    assert decision.passwords[USER].value == SECRET
    for value in (memory, decision, Decision({USER: Password(Origin.KEPT, SECRET)}, (), (), False)):
        assert CANARY not in shown(value)


def test_changes_show_no_verifier_and_still_hold_it() -> None:
    desired = make_desired("tst", services=["billing"])
    changes = [
        *plan(desired, make_empty(desired), {role.name: VERIFIER for role in desired.roles}),
        SetPassword("u", VERIFIER),
    ]
    holding = [change.verifier for change in changes if isinstance(change, CreateRole | SetPassword)]
    assert holding == [VERIFIER] * 3
    assert "SCRAM" not in repr(changes) + "".join(f"{change} {describe(change)}" for change in changes)


def test_the_direct_engine_shows_no_secret(settings: Settings, project: Project) -> None:
    assert CANARY not in repr(DirectEngine(project, settings, endpoint_of(settings)))


def test_passwords_of_connection_files_are_hidden_once_they_are_read(settings: Settings) -> None:
    desired = make_desired("dev", services=["billing"])
    records = build_records(desired, endpoint_of(settings), {role.name: CANARY for role in desired.roles})
    assert CANARY in repr(records)
    assert CANARY not in repr(known_passwords(records))
