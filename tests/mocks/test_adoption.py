"""Users that exist already, and what earlier runs remember of their passwords: no login is reset unasked."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest
import yaml
from psycopg import sql
from pydantic import SecretStr

from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint
from golabs_infra.passwords import derive_salt, scram_verifier, verifier_matches
from golabs_infra.pending import note_pending, recall_pending
from golabs_infra.project import Project

from .fake_engine import DATABASE, RANDOM_PASSWORD, ROLE, STACK_SALT, FakeEngine, Run, generated_password, opened
from .flow import (
    configure,
    confirm,
    connections_of,
    create_database,
    create_user,
    make_real,
    preview,
    refused,
    state_of,
    up,
)
from .samples import CONFIGURED_PASSWORD, KEPT_PASSWORD

APP = "billing_app_{}_user"
NOT_DISPOSABLE = pytest.mark.parametrize("environment", ["dev", "qua", "prd"])


def passwords(run: Run) -> dict[str, str]:
    """Every user's password as the connections output tells it."""
    connections = opened(run.stack_outputs["connections"])
    return {user["username"]: user["password"] for found in connections.values() for user in found["users"].values()}


def write_connections(project: Project, environment: str, found: dict[str, str]) -> None:
    folder = project.output_folder(environment)
    folder.mkdir(parents=True)
    for service, record in connections_of(found).items():
        (folder / f"{service}-connections.yaml").write_text(yaml.safe_dump(record), encoding="utf-8")


# --- users and databases that somebody else made


@NOT_DISPOSABLE
@pytest.mark.parametrize("in_preview", [False, True])
def test_an_existing_user_whose_password_is_not_known_stops_the_run(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str, in_preview: bool
) -> None:
    confirm(monkeypatch, environment)
    create_user(server, APP.format(environment), KEPT_PASSWORD)
    configure(engine, server)
    message = refused(engine, environment, in_preview=in_preview)
    assert APP.format(environment) in message
    assert f"golabs set-password {environment} billing app" in message
    assert f"golabs rotate {environment} billing --user app" in message


def test_every_such_user_is_told_at_once(engine: FakeEngine, server: Endpoint) -> None:
    for user in ("billing_app_dev_user", "billing_migration_dev_user", "order_app_dev_user"):
        create_user(server, user, KEPT_PASSWORD)
    configure(engine, server, services=["billing", "catalog", "order"])
    message = refused(engine, "dev")
    for user in ("billing_app_dev_user", "billing_migration_dev_user", "order_app_dev_user"):
        assert user in message
    assert "catalog" not in message


@NOT_DISPOSABLE
def test_a_configured_password_that_is_not_the_users_stops_the_run(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    create_user(server, APP.format(environment), KEPT_PASSWORD)
    configure(engine, server, passwords={"billing": {"app": CONFIGURED_PASSWORD}})
    assert APP.format(environment) in refused(engine, environment)


@NOT_DISPOSABLE
def test_with_its_password_in_the_config_a_user_is_imported(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    user = APP.format(environment)
    create_user(server, user, CONFIGURED_PASSWORD)
    configure(engine, server, passwords={"billing": {"app": CONFIGURED_PASSWORD}})
    run = up(engine, environment)
    assert {name: role.import_id for name, role in run.of(ROLE).items()} == {
        "billing-app": user,
        "billing-migration": "",
    }
    assert verifier_matches(run.one(ROLE, "billing-app").inputs["password"], CONFIGURED_PASSWORD, user)
    assert passwords(run)[user] == CONFIGURED_PASSWORD
    assert set(run.of(RANDOM_PASSWORD)) == {"billing-migration"}


def test_a_password_that_a_killed_run_has_left_is_read_before_it_is_forgotten(
    engine: FakeEngine, server: Endpoint, project: Project
) -> None:
    """As the direct engine leaves it; only what the connection files hold by now is forgotten."""
    create_user(server, "billing_app_dev_user", KEPT_PASSWORD)
    left = {"billing_app_dev_user": SecretStr(KEPT_PASSWORD), "order_app_dev_user": SecretStr(CONFIGURED_PASSWORD)}
    note_pending(project, "dev", left)
    configure(engine, server)
    assert passwords(up(engine, "dev"))["billing_app_dev_user"] == KEPT_PASSWORD
    assert recall_pending(project, "dev") == {"order_app_dev_user": SecretStr(CONFIGURED_PASSWORD)}


def test_a_weak_password_that_came_with_a_user_is_kept_with_a_warning(engine: FakeEngine, server: Endpoint) -> None:
    create_user(server, "billing_app_dev_user", "it's weak")
    configure(engine, server, passwords={"billing": {"app": "it's weak"}})
    run = up(engine, "dev")
    assert passwords(run)["billing_app_dev_user"] == "it's weak"
    assert [text for text in run.warnings if "passwords.billing.app" in text]
    assert "it's weak" not in str(run.logged)


@pytest.mark.parametrize("environment", ["tst", "dev", "prd"])
def test_a_weak_password_for_a_managed_user_that_has_another_is_refused(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    user = APP.format(environment)
    create_user(server, user, KEPT_PASSWORD)
    configure(engine, server, passwords={"billing": {"app": "short"}})
    engine.state = state_of(environment, users=[user], passwords={user: KEPT_PASSWORD})
    assert "passwords.billing.app: the password has 5 characters" in refused(engine, environment)
    with connect_admin(server) as admin:
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD 'short'").format(sql.Identifier(user)))
    assert [text for text in up(engine, environment).warnings if f"it is kept, as {user} has it already" in text]


def test_an_admin_who_is_no_superuser_proves_a_password_by_logging_in(engine: FakeEngine, server: Endpoint) -> None:
    with connect_admin(server) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE provisioner LOGIN CREATEDB CREATEROLE PASSWORD {}").format(sql.Literal(KEPT_PASSWORD))
        )
    create_user(server, "billing_app_dev_user", CONFIGURED_PASSWORD)
    with connect_admin(server) as admin:
        admin.execute("GRANT billing_app_dev_user TO provisioner WITH ADMIN OPTION")
    provisioner = replace(server, admin_user="provisioner", admin_password=SecretStr(KEPT_PASSWORD))
    configure(engine, provisioner, passwords={"billing": {"app": CONFIGURED_PASSWORD}})
    assert up(engine, "dev").one(ROLE, "billing-app").import_id == "billing_app_dev_user"
    configure(engine, provisioner, passwords={"billing": {"app": f"{CONFIGURED_PASSWORD}-"}})
    assert "billing_app_dev_user" in refused(engine, "dev")


def test_a_disposable_environment_takes_any_user_over_and_gives_it_a_new_password(
    engine: FakeEngine, server: Endpoint
) -> None:
    create_user(server, "billing_app_tst_user", KEPT_PASSWORD)
    configure(engine, server)
    run = up(engine, "tst")
    assert run.one(ROLE, "billing-app").import_id == "billing_app_tst_user"
    made = passwords(run)
    assert all(re.fullmatch(r"[A-Za-z0-9]{32}", password) for password in made.values())
    assert KEPT_PASSWORD not in made.values()
    assert len(set(made.values())) == len(made) == 2


@pytest.mark.parametrize("environment", ["tst", "dev", "qua", "prd"])
def test_new_passwords_are_resources_but_in_disposable_stacks_which_may_lose_them(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    run = up(engine, environment)
    assert set(run.of(RANDOM_PASSWORD)) == (set() if environment == "tst" else {"billing-app", "billing-migration"})


def test_a_password_that_is_in_a_disposable_stacks_state_already_stays_the_resource_that_it_is(
    engine: FakeEngine, server: Endpoint
) -> None:
    configure(engine, server)
    engine.state = state_of("tst", generated={"billing-app": generated_password("billing-app")})
    run = up(engine, "tst")
    assert set(run.of(RANDOM_PASSWORD)) == {"billing-app"}
    assert passwords(run)["billing_app_tst_user"] == generated_password("billing-app")


def test_what_a_disposable_stack_was_given_once_is_given_again(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server)
    first = up(engine, "tst")
    make_real(server, first)
    engine.state = first.state
    assert passwords(up(engine, "tst")) == passwords(first)


@pytest.mark.parametrize("environment", ["tst", "dev", "qua", "prd"])
def test_an_existing_database_is_imported(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    create_database(server, f"go-labs-{environment}")
    configure(engine, server)
    assert up(engine, environment).one(DATABASE, f"go-labs-{environment}").import_id == f"go-labs-{environment}"


# --- what earlier runs remember


def test_a_password_that_the_stacks_outputs_remember_is_kept(engine: FakeEngine, server: Endpoint) -> None:
    create_user(server, "billing_app_dev_user", KEPT_PASSWORD)
    configure(engine, server)
    engine.state = state_of("dev", passwords={"billing_app_dev_user": KEPT_PASSWORD})
    run = up(engine, "dev")
    assert passwords(run)["billing_app_dev_user"] == KEPT_PASSWORD
    assert "billing-app" not in run.of(RANDOM_PASSWORD)


def test_a_password_that_a_connection_file_remembers_is_kept(
    engine: FakeEngine, server: Endpoint, project: Project
) -> None:
    create_user(server, "billing_app_dev_user", KEPT_PASSWORD)
    create_user(server, "billing_migration_dev_user", CONFIGURED_PASSWORD)
    configure(engine, server)
    remembered = {"billing_migration_dev_user": CONFIGURED_PASSWORD, "billing_app_dev_user": KEPT_PASSWORD}
    write_connections(project, "dev", remembered)
    run = up(engine, "dev")
    assert passwords(run) == remembered
    assert not run.of(RANDOM_PASSWORD)
    assert {role.import_id for role in run.of(ROLE).values()} == set(remembered)


def test_of_two_remembered_passwords_the_one_that_proves_right_is_kept(
    engine: FakeEngine, server: Endpoint, project: Project
) -> None:
    create_user(server, "billing_app_dev_user", KEPT_PASSWORD)
    configure(engine, server)
    stale = {"billing_migration_dev_user": "Canary2Stale", "billing_app_dev_user": "Canary2Stale"}
    engine.state = state_of("dev", passwords=stale)
    write_connections(project, "dev", stale | {"billing_app_dev_user": KEPT_PASSWORD})
    assert passwords(up(engine, "dev"))["billing_app_dev_user"] == KEPT_PASSWORD


def test_a_remembered_password_that_is_not_the_users_any_more_stops_the_run(
    engine: FakeEngine, server: Endpoint
) -> None:
    create_user(server, "billing_app_dev_user", KEPT_PASSWORD)
    configure(engine, server)
    engine.state = state_of("dev", passwords={"billing_app_dev_user": "Canary2Stale"})
    assert "billing_app_dev_user" in refused(engine, "dev")


def test_a_connection_file_that_can_not_be_read_stops_the_run(
    engine: FakeEngine, server: Endpoint, project: Project
) -> None:
    configure(engine, server)
    project.output_folder("dev").mkdir(parents=True)
    (project.output_folder("dev") / "billing-connections.yaml").write_text("users: [", encoding="utf-8")
    assert "billing-connections.yaml" in refused(engine, "dev")


def test_a_password_that_the_stack_generated_stays_generated(engine: FakeEngine, server: Endpoint) -> None:
    generated = generated_password("billing-app")
    create_user(server, "billing_app_dev_user", generated)
    configure(engine, server)
    engine.state = state_of("dev", generated={"billing-app": generated})
    run = up(engine, "dev")
    assert set(run.of(RANDOM_PASSWORD)) == {"billing-app", "billing-migration"}
    assert passwords(run)["billing_app_dev_user"] == generated


def test_another_users_generated_password_is_of_no_use(engine: FakeEngine, server: Endpoint) -> None:
    create_user(server, "billing_app_dev_user", KEPT_PASSWORD)
    configure(engine, server)
    engine.state = state_of("dev", generated={"billing-migration": KEPT_PASSWORD, "order-app": KEPT_PASSWORD})
    assert "billing_app_dev_user" in refused(engine, "dev")


@pytest.mark.parametrize("environment", ["tst", "dev", "qua", "prd"])
def test_the_next_run_declares_the_same_as_the_first(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server, services=[{"name": "billing", "connectionLimit": 5}])
    first = up(engine, environment)
    engine.state = first.state
    make_real(server, first)
    for second in (up(engine, environment), preview(engine, environment)):
        assert {found.urn: found.inputs for found in second} == {found.urn: found.inputs for found in first}
        assert second.warnings == []


def test_a_run_after_destroy_finds_kept_users_by_their_connection_files(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server)
    first = up(engine, "dev")
    make_real(server, first)
    engine.state = {}
    again = up(engine, "dev")
    assert passwords(again) == passwords(first)
    assert {role.import_id for role in again.of(ROLE).values()} == set(passwords(first))


# --- a new password for a user of ours


@NOT_DISPOSABLE
def test_a_password_in_the_config_takes_the_place_of_the_generated_one(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    user = APP.format(environment)
    configure(engine, server)
    first = up(engine, environment)
    make_real(server, first)
    engine.state = first.state
    configure(engine, server, passwords={"billing": {"app": CONFIGURED_PASSWORD}})
    rotated = up(engine, environment)
    assert passwords(rotated) == {**passwords(first), user: CONFIGURED_PASSWORD}
    assert verifier_matches(rotated.one(ROLE, "billing-app").inputs["password"], CONFIGURED_PASSWORD, user)
    # A guarded stack can't let go of what it has protected.
    missing = {found.urn for found in first} - {found.urn for found in rotated}
    assert (missing == set()) is (environment != "dev")


@NOT_DISPOSABLE
def test_a_password_taken_out_of_the_config_again_stays_the_users(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    first = up(engine, environment)
    make_real(server, first)
    engine.state = first.state
    configure(engine, server, passwords={"billing": {"app": CONFIGURED_PASSWORD}})
    rotated = up(engine, environment)
    make_real(server, rotated)
    engine.state = rotated.state
    configure(engine, server)
    last = up(engine, environment)
    assert passwords(last) == passwords(rotated)
    assert {found.urn for found in last} == {found.urn for found in rotated}


def test_verifiers_follow_from_the_salt_of_the_stack(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server, passwords={"billing": {"app": CONFIGURED_PASSWORD}})
    verifier = up(engine, "tst").one(ROLE, "billing-app").inputs["password"]
    salt = derive_salt(base64.b64decode(STACK_SALT), "billing_app_tst_user")
    assert verifier == scram_verifier(CONFIGURED_PASSWORD, salt)
