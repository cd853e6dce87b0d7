"""Passwords: which are used, kept and refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from golabs_infra import applying
from golabs_infra.changes import Change, SetPassword
from golabs_infra.connecting import connect_admin
from golabs_infra.connections import connection_file
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import ApplyError, ConfigError
from golabs_infra.passwords import verifier_matches
from golabs_infra.pending import note_pending
from golabs_infra.project import Project

from . import tools
from .conftest import OwnServer
from .passwords import GIVEN, passwords, verifiers
from .tools import SERVICES, engine

# ---- which are used


def test_of_two_passwords_that_are_remembered_the_one_that_works_is_kept(
    provisioned: Endpoint, project: Project
) -> None:
    working = tools.files(project)
    users = engine(project, provisioned).settings.users
    note_pending(project, "tst", {user: SecretStr("left-by-a-killed-run") for user in users})
    assert engine(project, provisioned).preview().changes == ()
    assert engine(project, provisioned).up().changes == ()
    assert tools.files(project) == working
    assert tools.can_log_in(project)


def test_generated_passwords_are_long_all_different_and_kept(provisioned: Endpoint, project: Project) -> None:
    first, stored = passwords(project), verifiers(provisioned)
    assert len(set(first.values())) == 6
    assert all(len(password) == 32 and password.isalnum() for password in first.values())
    engine(project, provisioned).up()
    engine(project, provisioned, services=[*SERVICES, "shipping"]).up()
    assert passwords(project) == first
    assert {user: stored[user] for user in first} == stored


def test_the_server_stores_scram_verifiers_of_the_passwords_each_with_its_own_salt(
    provisioned: Endpoint, project: Project
) -> None:
    stored = verifiers(provisioned)
    assert len({text.split("$")[1] for text in stored.values()}) == 6
    for user, password in passwords(project).items():
        assert stored[user].startswith("SCRAM-SHA-256$4096:")
        assert verifier_matches(stored[user], password, user)


def test_configured_passwords_are_used_and_written_down(server: Endpoint, project: Project) -> None:
    engine(project, server, passwords=GIVEN).up()
    assert engine(project, server, passwords=GIVEN).up().changes == ()
    found = passwords(project)
    assert found["billing_migration_tst_user"] == GIVEN["billing"]["migration"]
    assert found["billing_app_tst_user"] == GIVEN["billing"]["app"]
    assert found["order_app_tst_user"] == GIVEN["order"]["app"]
    assert len(found["order_migration_tst_user"]) == 32
    assert tools.can_log_in(project)


@pytest.mark.parametrize("environment", ["tst", "prd"])
def test_a_password_changed_in_the_configuration_is_a_rotation_of_that_user_alone(
    server: Endpoint, project: Project, environment: str
) -> None:
    engine(project, server, environment).up()
    before = passwords(project, environment)
    given = {"order": {"app": "rotated-Xq83.zW_51kL"}}
    (change,) = engine(project, server, environment, passwords=given).up().changes
    user = tools.user("order", "app", environment)
    assert isinstance(change, SetPassword)
    assert change.role == user
    assert engine(project, server, environment, passwords=given).up().changes == ()
    assert passwords(project, environment) == {**before, user: given["order"]["app"]}
    assert tools.can_log_in(project, environment=environment)
    # Taken out of the configuration again, it is kept from the connection file.
    assert engine(project, server, environment).up().changes == ()
    assert passwords(project, environment)[user] == given["order"]["app"]


def test_in_tst_lost_connection_files_mean_new_passwords(provisioned: Endpoint, project: Project) -> None:
    before = passwords(project)
    connection_file(project, "tst", "billing").unlink()
    changes = engine(project, provisioned).up().changes
    assert [type(change) for change in changes] == [SetPassword, SetPassword]
    after = passwords(project)
    assert {user for user in before if before[user] != after[user]} == {
        "billing_app_tst_user",
        "billing_migration_tst_user",
    }
    assert tools.can_log_in(project)


def test_a_weak_new_password_is_refused_before_anything(server: Endpoint, project: Project) -> None:
    with pytest.raises(ConfigError, match=r"passwords\.billing\.app"):
        engine(project, server, "prd", passwords={"billing": {"app": "short"}}).up()
    assert tools.role_names(server) == []
    assert not tools.database_exists(server, "go-labs-prd")


@pytest.mark.parametrize("environment", ["tst", "dev", "prd"])
def test_a_weak_password_for_a_user_that_has_another_is_refused_before_anything(
    server: Endpoint, project: Project, environment: str
) -> None:
    engine(project, server, environment).up()
    before = verifiers(server)
    weak = {"billing": {"app": "short"}}
    for run in (engine(project, server, environment, passwords=weak) for _ in range(2)):
        with pytest.raises(ConfigError, match=r"passwords\.billing\.app: the password has 5 characters"):
            run.up()
    assert verifiers(server) == before
    user = tools.user("billing", "app", environment)
    tools.as_superuser(server, f"ALTER ROLE {user} PASSWORD 'short'")
    outcome = engine(project, server, environment, passwords=weak).up()
    assert [each for each in outcome.warnings if f"it is kept, as {user} has it already" in each]
    assert outcome.changes == ()
    assert tools.can_log_in(project, environment=environment)


# ---- none is ever seen in clear


class Watch:
    """Looks at what the server shows of every session while a run is under way."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.seen: list[Any] = []

    def __call__(self, change: Change) -> None:
        self.seen.append(repr(change))
        with connect_admin(self.endpoint) as connection:
            self.seen += connection.execute("SELECT query, application_name FROM pg_stat_activity").fetchall()


def test_no_password_is_logged_shown_or_printed(
    second: OwnServer, project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_TIMEOUT_S", 1)
    server = second.endpoint
    begin = len(second.log)
    watch = Watch(server)
    run = engine(project, server, passwords=GIVEN)
    texts = [repr(run), str(run.settings), repr(run.preview()), repr(run.up(watch))]
    known = tools.secret_words(project)
    # A user broken by hand, a rotation, an adoption, and a failure on the way: each sets or proves passwords.
    tools.as_superuser(server, "ALTER ROLE catalog_app_tst_user PASSWORD NULL", "ALTER ROLE order_app_tst_user NOLOGIN")
    rotated = {**GIVEN, "catalog": {"app": "rotated-Xq83.zW_51kL"}}
    texts.append(repr(engine(project, server, passwords=rotated).up(watch)))
    known |= tools.secret_words(project)
    services = [*SERVICES, "shipping"]
    with tools.contested_user(server, "shipping_app_tst_user"), pytest.raises(ApplyError) as caught:
        engine(project, server, services=services, passwords=rotated).up(watch)
    texts += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
    captured = capfd.readouterr()
    assert len(known) == 7
    log = second.log[begin:]
    assert "CREATE ROLE" in log
    assert "SCRAM-SHA-256$4096:" in log
    assert watch.seen
    everything = [log, captured.out, captured.err, *texts, *map(str, watch.seen)]
    for password in {*known, server.admin_password.get_secret_value()}:
        assert [text for text in everything if password in text] == []
    assert captured.out == captured.err == ""


def test_no_verifier_is_shown_either(server: Endpoint, project: Project) -> None:
    run = engine(project, server)
    assert "SCRAM-SHA" not in repr(run.preview())
    assert "SCRAM-SHA" not in repr(run.up())
