"""Each way to break the isolation or a service's rights is found, named rightly, and gone after the SQL that is offered."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from golabs_infra.direct import DirectEngine
from golabs_infra.endpoint import Endpoint
from golabs_infra.findings import Finding
from golabs_infra.passwords import random_salt, scram_verifier
from golabs_infra.repairing import mending_script
from golabs_infra.sql import verifier_variable
from golabs_infra.verification import Verifier

from ..psql import psql
from ..support import REPOSITORY, make_project, wipe
from . import realistic, tools
from .breaking import Mutation
from .catalog import snapshot
from .mutations import MUTATIONS
from .tools import DATABASE, as_superuser

ROWS: dict[str, str] = defaultdict(str)
for line in (REPOSITORY / "docs" / "reference" / "findings.md").read_text(encoding="utf-8").splitlines():
    if line.startswith("| `"):
        ROWS[line.split("`")[1].partition("/")[0]] += line.split("|")[3]
"""What the documentation says of each rule's severity."""

ELSEWHERE = {
    "missing-membership": "needs a second login: test_rotation_overlap",
    "missing-schema": "its data would be gone: test_verify",
    "call": "no SQL settles it: test_bridges",
    "untried": "no SQL settles it: test_bridges",
    "leftover-user": "needs another configuration: test_verify",
    "disagreement": "the two proofs agree on all that is here: test_agreement",
}
"""Rules that no statements in this environment bring about."""


@dataclass(frozen=True)
class Environment:
    """The environment that is broken and mended again and again."""

    server: Endpoint
    engine: DirectEngine
    catalogs: dict[str, object]

    def prove(self) -> list[Finding]:
        """What both proofs find."""
        verdict = Verifier(self.engine.project, self.engine.settings, self.server).prove()
        assert verdict.probed is not None
        assert verdict.probed.left_behind == ()
        return list(verdict.findings)

    def look(self) -> list[Finding]:
        """What the catalogs' proof finds; where they are as they were, so are logins."""
        return list(Verifier(self.engine.project, self.engine.settings, self.server).prove(live=False).findings)

    def mend(self, findings: list[Finding]) -> None:
        """Runs the offered script with psql, as somebody who has read it would."""
        known = Verifier(self.engine.project, self.engine.settings, self.server).passwords()
        script = re.sub(r"(?m)^-- (ALTER|DROP|GRANT|REVOKE|RESET|SET) ", r"\1 ", mending_script(DATABASE, findings))
        given = {
            verifier_variable(user): scram_verifier(password.get_secret_value(), random_salt())
            for user, password in known.items()
        }
        psql(self.server, script, *(word for name, value in given.items() for word in ("-v", f"{name}={value}")))


@pytest.fixture(scope="module")
def _whole() -> list[Environment]:
    """Holds the environment, or nothing where a mutation could not be mended and it has to be made anew."""
    return []


@pytest.fixture
def environment(_whole: list[Environment], postgresql: Endpoint, tmp_path: Path) -> Iterator[Environment]:
    """A whole environment; it is made anew after a test that has left it otherwise."""
    if not _whole:
        wipe(postgresql)
        project = make_project(tmp_path / "project")
        engine = tools.engine(project, postgresql, services=realistic.SERVICES)
        engine.up()
        tools.engine(project, postgresql, "ci", policy="disposable").up()
        realistic.migrate(project)
        realistic.administer(postgresql)
        engine.up()
        _whole.append(Environment(postgresql, engine, snapshot(postgresql, DATABASE)))
    yield _whole[0]
    if snapshot(postgresql, DATABASE) != _whole[0].catalogs:
        _whole.clear()


def test_a_clean_environment_with_realistic_migrations_has_no_findings(environment: Environment) -> None:
    assert environment.prove() == []


@pytest.mark.parametrize(
    "mutation", [each for each in MUTATIONS if each.since <= 18 < each.below], ids=lambda mutation: mutation.name
)
def test_what_breaks_it_is_found_named_and_mended(environment: Environment, mutation: Mutation) -> None:
    server = environment.server
    make, drop = mutation.role or ("", "")
    as_superuser(server, *([make] if make else []), *mutation.statements, database=DATABASE)
    found = environment.prove()
    assert {(each.id, each.object) for each in found} == mutation.found
    for each in found:
        assert each.severity in ROWS[each.rule]
        assert each.object in each.what or each.who in each.what
        assert each.who
        assert each.cause
        assert each.statements or (mutation.by_up and each.advice == "golabs up")
    if mutation.by_up:
        as_superuser(server, *mutation.after, database=DATABASE)
        environment.engine.up()
    else:
        environment.mend(found)
    left = environment.prove() if mutation.leaves else environment.look()
    assert {each.rule for each in left} == set(mutation.leaves)
    as_superuser(server, *(() if mutation.by_up else mutation.after), *([drop] if drop else []), database=DATABASE)
    assert snapshot(server, DATABASE) == environment.catalogs


def test_the_mutations_are_many_and_distinct() -> None:
    assert len({each.name for each in MUTATIONS}) == len(MUTATIONS)
    assert len({(each.role, each.statements) for each in MUTATIONS}) == len(MUTATIONS)
    assert len(MUTATIONS) >= 160


def test_every_rule_of_the_documentation_is_found_by_a_mutation() -> None:
    found = {identity.partition("/")[0] for each in MUTATIONS for identity, _ in each.found}
    assert found | ELSEWHERE.keys() == ROWS.keys()
    assert found & ELSEWHERE.keys() == set()


def test_every_rule_that_the_source_makes_is_documented() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "golabs_infra").glob("*.py")))
    made = set(re.findall(r'id=f?"([a-z-]+)/', source))
    assert made == ROWS.keys()
