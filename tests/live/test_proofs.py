"""Proofs that earlier runs noted: they save time, and never hide a password that differs nor show one that does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golabs_infra.changes import SetPassword
from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import random_salt, scram_verifier, verifier_matches
from golabs_infra.project import Project

from . import tools
from .tools import engine

APP = tools.user("billing", "app")


def note(project: Project) -> Path:
    """The file that the proofs of tst are in."""
    return project.private_folder / "proofs" / "tst.json"


def set_password(server: Endpoint, user: str, password: str) -> None:
    """Sets a password behind the engine's back, with a salt of its own."""
    tools.as_superuser(server, f"ALTER ROLE {user} PASSWORD '{scram_verifier(password, random_salt())}'")


def password_of(project: Project, service: str, kind: str) -> str:
    """What the connection file has."""
    text: str = tools.record(project, service)["users"][kind]["password"]
    return text


def test_a_second_run_computes_no_verifier(
    provisioned: Endpoint, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[str] = []

    def counted(verifier: str | None, password: str, role: str) -> bool:
        compared.append(role)
        return verifier_matches(verifier, password, role)

    monkeypatch.setattr("golabs_infra.inspection.verifier_matches", counted)
    assert engine(project, provisioned).up().changes == ()
    assert compared == []
    note(project).unlink()
    assert engine(project, provisioned).up().changes == ()
    assert len(compared) == 2 * len(tools.SERVICES)
    compared.clear()
    assert engine(project, provisioned).preview().changes == ()
    assert compared == []


def test_another_password_on_the_server_is_seen_whatever_was_noted(provisioned: Endpoint, project: Project) -> None:
    set_password(provisioned, APP, "somebody-elses")
    assert tools.masked(engine(project, provisioned).preview().changes) == [SetPassword(APP, "")]
    assert tools.masked(engine(project, provisioned).up().changes) == [SetPassword(APP, "")]
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)


def test_the_same_password_under_another_verifier_is_no_change(provisioned: Endpoint, project: Project) -> None:
    set_password(provisioned, APP, password_of(project, "billing", "app"))
    assert engine(project, provisioned).preview().changes == ()
    assert engine(project, provisioned).up().changes == ()
    assert tools.can_log_in(project)


def test_another_password_in_the_configuration_is_seen_whatever_was_noted(
    provisioned: Endpoint, project: Project
) -> None:
    passwords = {"billing": {"app": "chosen-by-hand", "migration": password_of(project, "billing", "migration")}}
    changes = engine(project, provisioned, passwords=passwords).up().changes
    assert tools.masked(changes) == [SetPassword(APP, "")]
    assert engine(project, provisioned, passwords=passwords).up().changes == ()
    assert tools.can_log_in(project)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"billing_app_tst_user": 1}', '{"billing_app_tst_user": "00"}', "\ufffd"]
)
def test_a_note_that_is_damaged_is_done_without_and_made_again(
    provisioned: Endpoint, project: Project, content: str
) -> None:
    whole = note(project).read_text(encoding="utf-8")
    note(project).write_text(content, encoding="utf-8")
    assert engine(project, provisioned).up().changes == ()
    assert json.loads(note(project).read_text(encoding="utf-8")) == json.loads(whole)


def test_a_proof_of_another_user_proves_nothing(provisioned: Endpoint, project: Project) -> None:
    noted = json.loads(note(project).read_text(encoding="utf-8"))
    noted[APP] = noted[tools.user("order", "app")]
    note(project).write_text(json.dumps(noted), encoding="utf-8")
    set_password(provisioned, APP, "somebody-elses")
    assert tools.masked(engine(project, provisioned).up().changes) == [SetPassword(APP, "")]


def test_the_note_is_private_holds_no_password_and_goes_with_the_environment(
    provisioned: Endpoint, project: Project
) -> None:
    text = note(project).read_text(encoding="utf-8")
    assert set(json.loads(text)) == {
        tools.user(service, kind) for service in tools.SERVICES for kind in ("migration", "app")
    }
    assert not [word for word in tools.secret_words(project) if word in text]
    assert note(project).stat().st_mode & 0o777 == 0o600
    engine(project, provisioned).destroy()
    assert not note(project).exists()
