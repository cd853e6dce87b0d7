"""`golabs` on the Pulumi engine: what it prints for people and for programs, and whose variables it respects."""

from __future__ import annotations

import shutil
from pathlib import Path

from golabs_infra.endpoint import Endpoint

from ..support import free_port
from .checkout import Checkout, Ran
from .database import databases, execute, login, migrate, users


def test_the_commands_say_which_engine_ran_and_give_json_on_standard_output_alone(checkout: Checkout) -> None:
    checkout.golabs("server", "start", "--port", str(free_port()), "--json")
    server = checkout.embedded()

    shown = checkout.golabs("preview", "tst", "--json")
    assert shown.json["engine"] == "pulumi"
    assert {"symbol": "+", "text": "Role billing-app"} in shown.json["changes"]
    assert "engine: pulumi (" in shown.err
    assert databases(server) == set()
    assert not checkout.project.output_folder("tst").exists()

    came_up = checkout.golabs("up", "tst")
    assert came_up.out.startswith("engine: pulumi (the Pulumi CLI and its plugins are here (")
    assert "output/tst/order-connections.yaml" in came_up.out
    assert _changes(checkout.golabs("up", "tst", "--json")) == []

    files = {str(path) for path in checkout.project.output_folder("tst").glob("*-connections.yaml")}
    shutil.rmtree(checkout.project.output_folder("tst"))
    exported = checkout.golabs("export", "tst", "--json")
    assert set(exported.json["files"]) == files
    login(checkout.connections("tst")["order"], "app").close()

    examined = checkout.golabs("doctor", "tst", "--json")
    assert examined.json["ok"]
    assert {check["name"]: check["verdict"] for check in examined.json["checks"]}["server"] == "ok"

    declined = checkout.golabs("destroy", "tst", typed="no\n", fails=True)
    assert "not confirmed; nothing was changed" in declined.text
    assert databases(server) == {"go-labs-tst"}
    migrate(checkout.connections("tst")["billing"])
    session = login(checkout.connections("tst")["billing"], "app")
    gone = checkout.golabs("destroy", "tst", "--yes", "--json")
    session.close()
    assert {"symbol": "-", "text": "Database go-labs-tst"} in gone.json["changes"]
    assert databases(server) == users(server) == set()
    assert not checkout.project.output_folder("tst").exists()


def test_the_users_own_variables_are_respected(checkout: Checkout, server: Endpoint, tmp_path: Path) -> None:
    checkout.services("tst", "billing")
    checkout.point_at("tst", server)
    own = tmp_path / "own backend"
    own.mkdir()
    variables = {"PULUMI_BACKEND_URL": own.as_uri()}
    printed = checkout.golabs("env", "tst", variables=variables)
    assert "PULUMI_BACKEND_URL" not in printed.out, "it is exported already"
    checkout.golabs("up", "tst", variables=variables)
    assert list((own / ".pulumi" / "stacks").rglob("tst.json"))
    assert not checkout.project.state_folder.exists()

    refused = checkout.golabs(
        "up", "tst", "--json", fails=True, variables={**variables, "PULUMI_CONFIG_PASSPHRASE": "another"}
    )
    assert "the passphrase is not the one of this stack" in refused.err
    assert refused.out == "", "errors leave standard output to the result"


def test_destroy_of_tst_works_where_the_server_lost_everything_already(checkout: Checkout, server: Endpoint) -> None:
    checkout.services("tst", "billing")
    checkout.point_at("tst", server)
    checkout.golabs("up", "tst")
    execute(server, 'DROP DATABASE "go-labs-tst" WITH (FORCE)')
    execute(server, 'DROP ROLE "billing_app_tst_user"')
    checkout.golabs("destroy", "tst", "--yes")
    assert databases(server) == users(server) == set()
    assert checkout.resources("tst") == {}


def _changes(ran: Ran) -> list[dict[str, str]]:
    changes = ran.json["changes"]
    assert isinstance(changes, list)
    return changes
