"""Ways from one service to another that no list of privileges shows: what calls another schema's functions, and what only a
login shows. No SQL settles them without a person's decision."""

from __future__ import annotations

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project
from golabs_infra.verification import Verifier

from .tools import DATABASE, as_superuser, engine, user

FUNCTION = (
    "CREATE FUNCTION \"order\".secret(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true'",
    'ALTER FUNCTION "order".secret(integer) OWNER TO order_migration_tst_user',
)


def found(server: Endpoint, project: Project) -> set[tuple[str, str]]:
    """The ids and objects of what is found."""
    verdict = Verifier(project, engine(project, server).settings, server).prove()
    return {(each.id, each.object) for each in verdict.findings}


@pytest.mark.parametrize(
    ("statements", "caller"),
    [
        (
            (
                'CREATE VIEW billing.spy AS SELECT "order".secret(1)',
                "ALTER VIEW billing.spy OWNER TO billing_migration_tst_user",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON billing.spy TO billing_app_tst_user",
            ),
            "view of billing.spy",
        ),
        (('ALTER TABLE billing.customer ADD good boolean DEFAULT "order".secret(1)',), "default of billing.customer"),
        (
            ('ALTER TABLE billing.invoice ADD CONSTRAINT good CHECK ("order".secret(id))',),
            "constraint good of billing.invoice",
        ),
        (('CREATE INDEX good ON billing.invoice (("order".secret(id)))',), "index good of billing.invoice"),
        (
            ('ALTER TABLE billing.invoice ADD good boolean GENERATED ALWAYS AS ("order".secret(id)) STORED',),
            "default of billing.invoice",
        ),
        (
            (
                'CREATE DOMAIN billing.good AS integer CHECK ("order".secret(VALUE))',
                "ALTER DOMAIN billing.good OWNER TO billing_migration_tst_user",
            ),
            "constraint good_check of billing.good",
        ),
        (
            ('CREATE RULE good AS ON INSERT TO billing.customer DO ALSO SELECT "order".secret(1)',),
            "rule good of billing.customer",
        ),
    ],
)
def test_what_calls_another_services_function_is_found(
    provisioned: Endpoint, project: Project, statements: tuple[str, ...], caller: str
) -> None:
    as_superuser(provisioned, *FUNCTION, *statements, database=DATABASE)
    told = found(provisioned, project)
    assert ("call/order", caller) in told
    assert {identity.partition("/")[0] for identity, _ in told} <= {"call", "untried"}


def test_a_policy_that_calls_another_services_function_is_found(provisioned: Endpoint, project: Project) -> None:
    as_superuser(
        provisioned,
        *FUNCTION,
        "ALTER TABLE billing.invoice ENABLE ROW LEVEL SECURITY",
        'CREATE POLICY good ON billing.invoice USING ("order".secret(id))',
        database=DATABASE,
    )
    assert ("call/order", "policy good of billing.invoice") in found(provisioned, project)


def test_what_a_user_may_do_and_can_not_is_found(provisioned: Endpoint, project: Project) -> None:
    """A publication makes UPDATE of tables without a key fail, whatever the privileges are."""
    as_superuser(provisioned, "CREATE PUBLICATION everything FOR ALL TABLES", database=DATABASE)
    told = found(provisioned, project)
    assert {identity.rpartition("/")[0] for identity, _ in told} == {
        f"untried/{user(service, 'app')}" for service in ("billing", "catalog", "order")
    }


def test_a_login_that_a_trigger_refuses_is_found(provisioned: Endpoint, project: Project) -> None:
    as_superuser(
        provisioned,
        "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS "
        "'BEGIN IF session_user LIKE ''billing%'' THEN RAISE EXCEPTION ''not today''; END IF; END'",
        "CREATE EVENT TRIGGER refuse ON login EXECUTE FUNCTION public.refuse()",
        "GRANT USAGE ON SCHEMA public TO billing_app_tst_user",
        database=DATABASE,
    )
    verdict = Verifier(project, engine(project, provisioned).settings, provisioned).prove()
    refused = [each for each in verdict.findings if each.id.endswith("/REFUSED")]
    assert {each.who for each in refused} == {user("billing", "app"), user("billing", "migration")}
    assert all("not today" in each.what for each in refused)
    assert not verdict.report.proven


def test_a_type_or_policy_with_a_line_in_its_name_ends_no_comment_of_the_script(
    provisioned: Endpoint, project: Project
) -> None:
    from golabs_infra.repairing import mending_script

    evil = "x\nALTER ROLE billing_migration_tst_user SUPERUSER;\n--"
    as_superuser(
        provisioned,
        "ALTER TABLE billing.invoice ENABLE ROW LEVEL SECURITY",
        f'CREATE POLICY "{evil}" ON billing.invoice AS RESTRICTIVE USING (false)',
        f"CREATE TYPE billing.\"{evil}\" AS ENUM ('a')",
        f'ALTER TYPE billing."{evil}" OWNER TO billing_migration_tst_user',
        f"CREATE FUNCTION billing.f(billing.\"{evil}\") RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        database=DATABASE,
    )
    verdict = Verifier(project, engine(project, provisioned).settings, provisioned).prove()
    script = mending_script(DATABASE, verdict.findings)
    assert not [line for line in script.splitlines() if line.startswith("ALTER ROLE")]
    (policy,) = [each for each in verdict.findings if each.rule == "row-security"]
    as_superuser(provisioned, *(text for each in verdict.findings for text in each.statements), database=DATABASE)
    assert policy.statements[0].startswith('DROP POLICY U&"x\\+00000aALTER ROLE')
    left = Verifier(project, engine(project, provisioned).settings, provisioned).prove().findings
    assert [each.rule for each in left] == ["row-security"]  # the table still has row security, and no policy
