"""The catalogs' proof: every rule on one set of evidence. Pure; what the rules find is listed in docs/reference/findings.md."""

from __future__ import annotations

from .authority import Authority
from .evidence import Evidence
from .expectation import Expectation
from .findings import Finding, in_order
from .rules_bridges import bridge_findings
from .rules_databases import database_findings
from .rules_future import default_findings, setting_findings
from .rules_objects import ObjectRules
from .rules_roles import role_findings


def catalog_findings(evidence: Evidence, expectation: Expectation, authority: Authority) -> list[Finding]:
    """What in the catalogs is not as the model says, the worst first."""
    found = [
        *database_findings(evidence, expectation, authority),
        *role_findings(evidence, expectation, authority),
    ]
    if evidence.inside:
        found += ObjectRules(evidence, expectation, authority).findings()
        found += default_findings(evidence, expectation, authority)
        found += setting_findings(evidence, expectation)
        found += bridge_findings(evidence, expectation, authority)
    return in_order(found)
