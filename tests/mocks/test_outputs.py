"""The stack's outputs and the connection files: the same records, and the files only at the end of a whole run."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import psycopg.conninfo
import pulumi
import pytest
import yaml

from golabs_infra.project import Project

from .conftest import Bench
from .fake_engine import (
    DATABASE,
    DEFAULT_PRIVILEGES,
    EXTENSION,
    GRANT,
    PROVIDER,
    RANDOM_BYTES,
    RANDOM_PASSWORD,
    ROLE,
    SCHEMA,
    UNKNOWN,
    generated_password,
    opened,
)
from .samples import (
    CONFIGURED_PASSWORD,
    ENVIRONMENTS,
    KINDS,
    SERVICES,
    SYSTEM_IDENTIFIER,
    a_cluster,
    a_decision,
    configured,
    some_settings,
)

ONE_OF_EACH = [
    (PROVIDER, "go-labs-tst"),
    (RANDOM_BYTES, "verifier-salt"),
    (RANDOM_PASSWORD, "billing-migration"),
    (ROLE, "billing-app"),
    (DATABASE, "go-labs-tst"),
    (GRANT, "go-labs-tst-public-schema-public"),
    (SCHEMA, "billing"),
    (SCHEMA, "go-labs-tst-extensions"),
    (EXTENSION, "go-labs-tst-extension-pg_trgm"),
    (GRANT, "billing-app-sequence"),
    (DEFAULT_PRIVILEGES, "billing-app-later-table"),
]
TRIGRAMS = [{"name": "billing", "extensions": ["pg_trgm"]}]


def record(environment: str, service: str) -> dict[str, Any]:
    """The contract's record of a service whose passwords were generated."""
    database = f"go-labs-{environment}"

    def user(kind: str) -> dict[str, str]:
        name, password = f"{service}_{kind}_{environment}_user", generated_password(f"{service}-{kind}")
        return {
            "username": name,
            "password": password,
            "url": f"postgresql://{name}:{password}@db.example.org:6432/{database}"
            "?sslmode=verify-full&sslrootcert=%2Fcerts%2Fca.pem",
            "jdbcUrl": f"jdbc:postgresql://db.example.org:6432/{database}"
            f"?user={name}&password={password}&sslmode=verify-full&sslrootcert=%2Fcerts%2Fca.pem",
        }

    return {
        "environment": environment,
        "service": service,
        "database": database,
        "host": "db.example.org",
        "port": 6432,
        "sslmode": "verify-full",
        "sslrootcert": "/certs/ca.pem",
        "schema": service,
        "users": {kind: user(kind) for kind in KINDS},
    }


def files(project: Project, environment: str = "tst") -> dict[str, Any]:
    """The connection files by service."""
    return {
        path.name.removesuffix("-connections.yaml"): yaml.safe_load(path.read_text(encoding="utf-8"))
        for path in project.output_folder(environment).glob("*-connections.yaml")
    }


def scripts(project: Project, environment: str = "tst") -> set[str]:
    """What the SQL scripts that are there are for."""
    return {path.stem for path in project.output_folder(environment).glob("*.sql")}


def written(project: Project) -> list[Path]:
    return sorted(path.relative_to(project.root) for path in project.root.rglob("*") if path.name != "Pulumi.yaml")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_stack_tells_its_database_and_which_server_it_belongs_to(bench: Bench, environment: str) -> None:
    outputs = bench.declared(environment).stack_outputs
    assert set(outputs) == {"database", "systemIdentifier", "connections"}
    assert outputs["database"] == f"go-labs-{environment}"
    assert outputs["systemIdentifier"] == SYSTEM_IDENTIFIER


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_connections_have_the_contracts_shape_by_service(bench: Bench, environment: str) -> None:
    connections = opened(bench.declared(environment).stack_outputs["connections"])
    assert connections == {service: record(environment, service) for service in SERVICES}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_run_writes_the_same_records_to_one_private_file_a_service(
    bench: Bench, project: Project, environment: str
) -> None:
    bench.declare(environment, services=["billing", "catalog"])
    assert files(project, environment) == {service: record(environment, service) for service in ("billing", "catalog")}
    folder = project.output_folder(environment)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_configured_password_is_in_its_record(bench: Bench, project: Project) -> None:
    decision = a_decision(some_settings(), {"order_app_tst_user": configured()})
    run = bench.declare(decision=decision)
    for found in (files(project)["order"], opened(run.stack_outputs["connections"])["order"]):
        assert found["users"]["app"]["password"] == CONFIGURED_PASSWORD
        url = psycopg.conninfo.conninfo_to_dict(found["users"]["app"]["url"])
        assert (url["user"], url["password"]) == ("order_app_tst_user", CONFIGURED_PASSWORD)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_preview_writes_nothing(bench: Bench, project: Project, environment: str) -> None:
    bench.declare(environment, preview=True, services=["billing"])
    assert written(project) == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_preview_of_what_is_there_already_knows_everything_and_writes_nothing(
    bench: Bench, project: Project, environment: str
) -> None:
    first = bench.declared(environment)
    bench.engine.state = first.state
    assert opened(bench.declare(environment, preview=True).stack_outputs) == opened(first.stack_outputs)
    assert written(project) == []


def test_a_preview_of_a_new_stack_leaves_open_what_it_can_not_know(bench: Bench) -> None:
    outputs = bench.declare(preview=True, services=["billing"]).stack_outputs
    assert opened(outputs) == {"database": "go-labs-tst", "systemIdentifier": UNKNOWN, "connections": UNKNOWN}


@pytest.mark.parametrize(("type_", "name"), ONE_OF_EACH)
def test_nothing_is_written_if_a_single_resource_fails(bench: Bench, project: Project, type_: str, name: str) -> None:
    bench.engine.failing, bench.engine.failure = (type_, name), "reports"
    bench.declare(services=TRIGRAMS)
    assert written(project) == []


@pytest.mark.parametrize(("type_", "name"), [ONE_OF_EACH[2], ONE_OF_EACH[4], ONE_OF_EACH[-1]])
def test_nothing_is_written_if_a_failure_ends_the_run(bench: Bench, project: Project, type_: str, name: str) -> None:
    bench.engine.failing = (type_, name)
    with pytest.raises(RuntimeError, match=f"the provider could not make {name}"):
        bench.declare(services=TRIGRAMS)
    assert written(project) == []


def test_a_failed_run_leaves_the_files_of_the_last_one(bench: Bench, project: Project) -> None:
    bench.declare(services=["billing"])
    before = {path: path.read_bytes() for path in project.output_folder("tst").iterdir()}
    bench.engine.failing, bench.engine.failure = (DEFAULT_PRIVILEGES, "billing-app-later-table"), "reports"
    settings = some_settings(services=["billing"])
    decision = a_decision(settings, dict.fromkeys(settings.users, configured()), removed=["gone"])
    bench.declare(decision=decision, services=["billing"])
    assert {path: path.read_bytes() for path in project.output_folder("tst").iterdir()} == before


@pytest.mark.parametrize("failing", [(DATABASE, "go-labs-prd"), (ROLE, "billing-app")])
def test_a_first_run_that_fails_before_the_database_is_made_does_not_claim_the_server(
    bench: Bench, failing: tuple[str, str]
) -> None:
    bench.engine.failing, bench.engine.failure = failing, "reports"
    assert bench.declare("prd", services=["billing"]).stack_outputs["systemIdentifier"] == UNKNOWN


def test_a_later_run_that_fails_keeps_its_claim_on_the_server(bench: Bench) -> None:
    bench.engine.failing, bench.engine.failure = (ROLE, "billing-app"), "reports"
    outputs = bench.declare("prd", cluster=a_cluster(database_exists=True), services=["billing"]).stack_outputs
    assert outputs["systemIdentifier"] == SYSTEM_IDENTIFIER


@pytest.mark.parametrize(("environment", "goes"), [("tst", True), ("dev", False), ("qua", False), ("prd", False)])
def test_the_file_of_a_removed_service_goes_only_where_the_service_is_dropped(
    bench: Bench, project: Project, environment: str, goes: bool
) -> None:
    bench.declare(environment, services=["billing", "order"])
    smaller = some_settings(environment, services=["billing"])
    bench.declare(environment, decision=a_decision(smaller, removed=["order"]), services=["billing"])
    assert set(files(project, environment)) == ({"billing"} if goes else {"billing", "order"})
    assert scripts(project, environment) == {"database", "billing"}, "they say what the configuration says"


def test_a_preview_removes_no_file(bench: Bench, project: Project) -> None:
    bench.declare(services=["billing", "order"])
    decision = a_decision(some_settings(services=["billing"]), removed=["order"])
    bench.declare(decision=decision, services=["billing"], preview=True)
    assert set(files(project)) == {"billing", "order"}
    assert scripts(project) == {"database", "billing", "order"}


def test_files_that_can_not_be_written_are_a_readable_error(bench: Bench, project: Project) -> None:
    (project.root / "output").write_text("in the way", encoding="utf-8")
    with pytest.raises(pulumi.RunError, match="connection files can't be written") as raised:
        bench.declare()
    assert "mend:" in str(raised.value)
    assert raised.value.__suppress_context__
    assert set(bench.engine.last.stack_outputs) == {"database", "systemIdentifier", "connections"}
