"""The two proofs must agree: whatever a login shows that the catalogs do not say is a finding of its own."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from golabs_infra.agreement import Agreement
from golabs_infra.attempts import Observation, Outcome
from golabs_infra.authority import Authority
from golabs_infra.catalog_proof import catalog_findings
from golabs_infra.endpoint import Endpoint
from golabs_infra.findings import Finding, Severity
from golabs_infra.probing import Probed
from golabs_infra.project import Project
from golabs_infra.verification import Verdict, Verifier

from .tools import DATABASE, as_superuser, engine, migrate, user

APP = user("order", "app")


@pytest.fixture
def verifier(provisioned: Endpoint, project: Project) -> Verifier:
    return Verifier(project, engine(project, provisioned).settings, provisioned)


def compare(catalogs: Verdict, logins: Verdict) -> list[Finding]:
    """What the logins of one proof say against the catalogs of another one."""
    authority = Authority(catalogs.evidence)
    found = catalog_findings(catalogs.evidence, catalogs.expectation, authority)
    assert logins.probed is not None
    return list(Agreement(catalogs.evidence, catalogs.expectation, authority, found).findings(logins.probed))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("GRANT USAGE ON SCHEMA billing TO {0}", {"use-schema"}),
        ("GRANT USAGE ON SCHEMA billing TO PUBLIC", {"use-schema"}),
        (f'GRANT TEMPORARY ON DATABASE "{DATABASE}" TO {{0}}', {"temporary-table"}),
        ("GRANT billing_app_tst_user TO {0}", {"become-role", "use-schema"}),
        ("ALTER ROLE {0} CREATEDB", {"create-database"}),
        ("ALTER ROLE {0} CREATEROLE", {"create-role"}),
        ("ALTER ROLE {0} NOLOGIN", {"log-in"}),
        ("ALTER ROLE {0} CONNECTION LIMIT 0", {"log-in"}),
        ('REVOKE SELECT ON "order".invoice FROM {0}', {"read"}),
        ("ALTER ROLE {0} SET search_path TO billing", {"search_path"}),
        ("ALTER ROLE {0} SUPERUSER", {"superuser", "become-role", "create-role", "create-in-schema"}),
        (
            'ALTER DEFAULT PRIVILEGES FOR ROLE order_migration_tst_user IN SCHEMA "order" REVOKE INSERT ON TABLES FROM {0}',
            {"insert"},
        ),
    ],
)
def test_what_changes_between_the_two_proofs_is_a_disagreement_both_ways(
    provisioned: Endpoint, verifier: Verifier, statement: str, found: set[str]
) -> None:
    before = verifier.prove()
    assert before.findings == ()
    as_superuser(provisioned, statement.format(APP), database=DATABASE)
    after = verifier.prove()
    assert after.findings != ()
    assert not [each for each in after.findings if each.rule == "disagreement"]
    for catalogs, logins in ((before, after), (after, before)):
        told = [each for each in compare(catalogs, logins) if each.id.startswith(f"disagreement/{APP}/")]
        actions = {each.id.rpartition("/")[2] for each in told}
        # A user that can't log in makes no other attempt.
        assert found <= actions or (catalogs is before and logins is after and actions == {"log-in"})
        assert {each.severity for each in told} == {Severity.CRITICAL}


def test_what_nothing_in_the_catalogs_explains_is_told_though_both_proofs_say_it(verifier: Verifier) -> None:
    verdict = verifier.prove()
    assert verdict.probed is not None
    wrong = [
        replace(each, attempt=replace(each.attempt, expected=not each.attempt.expected))
        for each in verdict.probed.observations
        if each.user == APP and each.attempt.action == "temporary-table"
    ]
    told = compare(verdict, replace(verdict, probed=replace(verdict.probed, observations=tuple(wrong))))
    assert [each.id for each in told] == [f"disagreement/{APP}/temporary-table"]
    assert "no rule on the catalogs has found why" in told[0].what


def test_what_could_not_be_decided_is_no_finding_and_is_told(verifier: Verifier) -> None:
    verdict = verifier.prove()
    assert verdict.probed is not None
    locked = [
        Observation(each.user, each.attempt, Outcome.UNDECIDED, "a lock", "55P03")
        for each in verdict.probed.observations
    ]
    undecided = replace(verdict, probed=replace(verdict.probed, observations=tuple(locked)))
    assert compare(verdict, undecided) == []
    (warning,) = undecided.warnings
    assert warning.startswith(f"{len(locked)} attempts could not be decided (a lock): ")
    assert not undecided.report.proven


def test_a_hundred_services_are_proven_with_progress_well_within_a_minute(server: Endpoint, project: Project) -> None:
    names = [f"service{number:03d}" for number in range(100)]
    provisioned = engine(project, server, services=names)
    provisioned.up()
    migrate(project, names)
    steps: list[tuple[int, int]] = []
    began = time.monotonic()
    verdict = Verifier(project, provisioned.settings, server).prove(progress=lambda *step: steps.append(step))
    seconds = time.monotonic() - began
    assert verdict.findings == ()
    assert isinstance(verdict.probed, Probed)
    report = verdict.report
    assert report.live is not None
    assert (report.live.logins, report.live.pairs, report.live.undecided) == (200, 9900, 0)
    assert steps == [(done, 200) for done in range(1, 201)]
    # Other work may go on beside the tests; benchmarks/results/proofs.md has what a quiet machine needs.
    assert verdict.catalog_seconds < 6
    assert seconds < 60
