"""What stops a run: it is one readable error, and nothing was registered before it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from psycopg import sql
from pydantic import SecretStr

from golabs_infra import program
from golabs_infra.adoption import OUTDATED_STATE
from golabs_infra.connecting import connect_admin
from golabs_infra.endpoint import Endpoint

from ..support import free_port
from .fake_engine import DATABASE, PROVIDER, ROLE, FakeEngine
from .flow import configure, confirm, create_database, create_user, preview, refused, state_of, system_identifier, up
from .samples import CONFIGURED_PASSWORD, ENDPOINT, GUARDED, KEPT_PASSWORD

ANOTHER_SERVER = "1111111111111111111"


# --- the configuration


@pytest.mark.parametrize("environment", ["tst", "prd"])
def test_all_faults_of_a_config_are_told_at_once(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    configure(
        engine,
        ENDPOINT,
        port="70000",
        sslmode="require",
        services=["billing", "billing", {"name": "catalog", "statementTimeout": "soon"}],
        passwords={"billing": {"app": "Canary2 is no password"}, "catalogs": {"app": CONFIGURED_PASSWORD}},
    )
    message = refused(engine, environment)
    for told in ("port", "sslmode", "sslMode", "services[1]", "services[2].statementTimeout", "passwords.catalogs"):
        assert told in message
    assert message.count("mend:") >= 5
    assert engine.last.invoked == []


def test_a_missing_admin_password_names_the_command_that_sets_it(engine: FakeEngine) -> None:
    configure(engine, ENDPOINT, adminPassword=None)
    assert "golabs set-password dev --admin" in refused(engine, "dev")


def test_a_password_in_plain_text_is_refused_where_guarded_and_warned_about_elsewhere(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(engine, server)
    engine.secret_keys = ()
    confirm(monkeypatch, "prd")
    assert "plain text" in refused(engine, "prd")
    assert [text for text in up(engine, "dev").warnings if "adminPassword" in text and "plain text" in text]


def test_a_stack_of_another_name_must_say_its_policy(engine: FakeEngine) -> None:
    configure(engine, ENDPOINT)
    assert "policy" in refused(engine, "review")


# --- the confirmation


@pytest.mark.parametrize("environment", GUARDED)
@pytest.mark.parametrize("answer", [None, "", "yes", "go-labs-tst", "go-labs-PRD"])
def test_up_of_a_guarded_environment_wants_the_databases_name(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, environment: str, answer: str | None
) -> None:
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)
    if answer is not None:
        monkeypatch.setenv("GOLABS_CONFIRM", answer)
    configure(engine, ENDPOINT)
    message = refused(engine, environment)
    assert f"GOLABS_CONFIRM=go-labs-{environment} pulumi up --stack {environment}" in message
    assert engine.last.invoked == []


@pytest.mark.parametrize("environment", GUARDED)
def test_a_preview_of_a_guarded_environment_asks_for_no_confirmation(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)
    configure(engine, server)
    assert preview(engine, environment).of(DATABASE)


@pytest.mark.parametrize("environment", GUARDED)
def test_a_confirmed_up_goes_ahead(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    assert up(engine, environment).of(DATABASE)


@pytest.mark.parametrize("environment", ["tst", "dev"])
def test_other_environments_ask_for_none(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.delenv("GOLABS_CONFIRM", raising=False)
    configure(engine, server)
    assert up(engine, environment).of(DATABASE)


# --- the server


@pytest.mark.parametrize("in_preview", [False, True])
def test_without_the_embedded_server_the_command_that_starts_it_is_named(engine: FakeEngine, in_preview: bool) -> None:
    engine.config = {"golabs-infra:server": "embedded", "golabs-infra:services": '["billing"]'}
    assert "golabs server start" in refused(engine, "tst", in_preview=in_preview)


def test_a_server_that_does_not_answer_is_named(engine: FakeEngine, server: Endpoint) -> None:
    port = free_port()
    configure(engine, replace(server, port=port))
    assert f"127.0.0.1:{port}" in refused(engine, "dev")


def test_a_wrong_password_of_the_admin_is_not_shown(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, replace(server, admin_password=SecretStr(KEPT_PASSWORD)))
    assert server.address in refused(engine, "dev")


def test_the_provider_is_told_what_the_server_says_of_the_admin(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server)
    assert up(engine, "dev").one(PROVIDER, "go-labs-dev").inputs["superuser"] == "true"
    with connect_admin(server) as admin:
        admin.execute(
            sql.SQL("CREATE ROLE provisioner LOGIN CREATEDB CREATEROLE PASSWORD {}").format(sql.Literal(KEPT_PASSWORD))
        )
    configure(engine, replace(server, admin_user="provisioner", admin_password=SecretStr(KEPT_PASSWORD)))
    assert up(engine, "dev").one(PROVIDER, "go-labs-dev").inputs["superuser"] == "false"


def test_an_admin_without_the_rights_is_told_which(engine: FakeEngine, server: Endpoint) -> None:
    create_user(server, "weak", KEPT_PASSWORD)
    configure(engine, replace(server, admin_user="weak", admin_password=SecretStr(KEPT_PASSWORD)))
    message = refused(engine, "tst")
    assert "CREATEROLE" in message
    assert "CREATEDB" in message


# --- whose server it is


@pytest.mark.parametrize("in_preview", [False, True])
@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_another_server_stops_the_run(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str, in_preview: bool
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    engine.state = state_of(environment, identifier=ANOTHER_SERVER, holds_database=True)
    message = refused(engine, environment, in_preview=in_preview)
    assert "another server" in message
    assert ANOTHER_SERVER in message
    assert system_identifier(server) in message


@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_a_refresh_that_made_the_state_forget_everything_hides_no_change_of_server(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    engine.state = state_of(environment, identifier=ANOTHER_SERVER, holds_database=False)
    assert "another server" in refused(engine, environment)


@pytest.mark.parametrize("holds_database", [False, True])
@pytest.mark.parametrize("environment", ["dev", "qua", "prd"])
def test_a_known_database_that_is_gone_stops_the_run(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str, holds_database: bool
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    engine.state = state_of(environment, identifier=system_identifier(server), holds_database=holds_database)
    message = refused(engine, environment)
    assert f"go-labs-{environment}" in message
    assert "is gone" in message


@pytest.mark.parametrize("in_preview", [False, True])
@pytest.mark.parametrize("same_server", [False, True])
def test_a_disposable_stack_whose_state_holds_a_lost_database_has_to_forget_it_first(
    engine: FakeEngine, server: Endpoint, same_server: bool, in_preview: bool
) -> None:
    configure(engine, server)
    identifier = system_identifier(server) if same_server else ANOTHER_SERVER
    engine.state = state_of("tst", identifier=identifier, holds_database=True)
    message = refused(engine, "tst", in_preview=in_preview)
    assert OUTDATED_STATE in message
    assert "golabs up tst" in message


@pytest.mark.parametrize("same_server", [False, True])
def test_a_disposable_stack_whose_state_holds_no_database_begins_anew(
    engine: FakeEngine, server: Endpoint, same_server: bool
) -> None:
    configure(engine, server)
    identifier = system_identifier(server) if same_server else ANOTHER_SERVER
    engine.state = state_of("tst", identifier=identifier)
    assert up(engine, "tst").stack_outputs["systemIdentifier"] == system_identifier(server)


@pytest.mark.parametrize("environment", ["tst", "dev", "prd"])
def test_on_its_own_server_a_stack_goes_ahead_and_imports_nothing_that_is_not_there(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    confirm(monkeypatch, environment)
    create_database(server, f"go-labs-{environment}")
    configure(engine, server)
    engine.state = state_of(environment, identifier=system_identifier(server), holds_database=True)
    run = up(engine, environment)
    assert run.one(DATABASE, f"go-labs-{environment}").import_id == f"go-labs-{environment}"
    assert {role.import_id for role in run.of(ROLE).values()} == {""}


@pytest.mark.parametrize("failing", [(ROLE, "billing-app"), (DATABASE, "go-labs-prd")])
def test_a_first_up_that_failed_can_be_run_again(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, failing: tuple[str, str]
) -> None:
    confirm(monkeypatch, "prd")
    configure(engine, server)
    engine.failing, engine.failure = failing, "reports"
    engine.state = up(engine, "prd").state
    engine.failing = None
    assert up(engine, "prd").stack_outputs["systemIdentifier"] == system_identifier(server)


# --- the stack's own state


@pytest.mark.parametrize(
    ("organization", "name"), [("organization", "dev"), ("", "dev"), ("acme", "acme/dev"), (None, "dev")]
)
def test_the_state_is_that_of_the_stack_in_its_own_organization(
    engine: FakeEngine, server: Endpoint, organization: str, name: str
) -> None:
    configure(engine, server)
    engine.organization = organization
    assert up(engine, "dev").invoked == [("pulumi:pulumi:readStackResourceOutputs", {"stackName": name})]


def test_a_state_that_is_being_written_is_read_again(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_PAUSES_S", (0, 0, 0))
    configure(engine, server)
    engine.unreadable = 2
    assert up(engine, "dev").of(DATABASE)


def test_a_state_that_stays_unreadable_is_an_error(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "_PAUSES_S", (0, 0, 0))
    configure(engine, server)
    engine.unreadable = 3
    message = refused(engine, "dev")
    assert "state can't be read" in message
    assert "failed to load checkpoint: EOF" in message


def test_an_empty_state_is_a_first_run(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server)
    assert not engine.state
    run = up(engine, "dev")
    assert run.warnings == []
    assert {resource.import_id for resource in run} == {""}


# --- a service taken out of the config


@pytest.mark.parametrize("in_preview", [False, True])
@pytest.mark.parametrize("environment", GUARDED)
def test_a_removed_service_is_refused_in_guarded_environments(
    engine: FakeEngine, server: Endpoint, monkeypatch: pytest.MonkeyPatch, environment: str, in_preview: bool
) -> None:
    confirm(monkeypatch, environment)
    configure(engine, server)
    engine.state = state_of(environment, users=[f"order_app_{environment}_user"])
    message = refused(engine, environment, in_preview=in_preview)
    assert "order" in message
    assert f"golabs retire {environment} order" in message


@pytest.mark.parametrize("environment", ["tst", "dev"])
def test_passwords_that_a_removed_service_has_left_are_warned_about_where_it_may_go(
    engine: FakeEngine, server: Endpoint, environment: str
) -> None:
    left = {"order": {"migration": CONFIGURED_PASSWORD, "app": CONFIGURED_PASSWORD}}
    configure(engine, server, services=["billing"], passwords=left)
    told = [text for text in up(engine, environment).warnings if "golabs-infra:passwords.order" in text]
    assert [text.endswith("of no service that is listed; may be removed") for text in told] == [True]


def test_a_removed_service_is_warned_about_where_it_is_kept(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server)
    engine.state = state_of("dev", users=["order_app_dev_user", "order_migration_dev_user", "billing_app_dev_user"])
    run = up(engine, "dev")
    (warning,) = run.warnings
    assert "'order'" in warning
    assert "left in place" in warning
    assert "order" not in str([resource.name for resource in run])


def test_a_removed_service_goes_without_a_warning_where_it_is_dropped(engine: FakeEngine, server: Endpoint) -> None:
    configure(engine, server, services=["billing", "order"])
    engine.state = up(engine, "tst").state
    file = engine.project.output_folder("tst") / "order-connections.yaml"
    assert file.exists()
    configure(engine, server, services=["billing"])
    # The database of the state was never made on this server, so the state is taken for one that has lost it.
    engine.state = {urn: found for urn, found in engine.state.items() if found["type"] != DATABASE}
    assert preview(engine, "tst").warnings == []
    assert file.exists()
    assert up(engine, "tst").warnings == []
    assert not file.exists()
