"""Proves an environment's isolation twice: by the catalogs, and by logging in as every user. Changes nothing that is there.

`prove` gives the findings, `report` in the verdict all that `golabs verify` shows. Which privilege who should have is the
model's; the two proofs and their comparison stand in modules of their own.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

import psycopg
from pydantic import SecretStr

from . import connections
from .agreement import Agreement, reached
from .attempts import Observation, Outcome, Relation
from .authority import Authority
from .catalog_proof import catalog_findings
from .connecting import connect_admin
from .endpoint import Endpoint
from .errors import GolabsError
from .evidence import Evidence, read_evidence
from .expectation import Expectation
from .findings import Finding, Judged, in_order, judge
from .holdings import Holdings
from .identity import check_same_server
from .inspection import Cluster, PasswordProver, read_cluster, read_verifiers
from .names import DATABASE_PREFIX, rebuilt_name
from .probing import Probed, probe
from .project import Project
from .proofs import note_proofs, recall_proofs
from .report import FORMAT, CatalogProof, LiveProof, Report, Target, entries
from .rights import check_valid
from .rules_roles import password_finding
from .scratch import read_relations
from .settings import Settings
from .wording import counted, some

Progress = Callable[[int, int], None]
"""Told how many users have been tried, and how many there are."""


@dataclass(frozen=True)
class Verdict:
    """What was proven, and on what grounds. `probed` is None where nobody logged in."""

    settings: Settings
    endpoint: Endpoint
    evidence: Evidence
    expectation: Expectation
    authority: Authority
    findings: tuple[Finding, ...]
    probed: Probed | None
    ran_at: datetime
    catalog_seconds: float
    seconds: float

    @cached_property
    def judged(self) -> list[Judged]:
        """The findings, each with what accepts it."""
        return judge(self.findings, self.settings.accepted, date.today())[0]

    @property
    def open(self) -> list[Finding]:
        """The findings that nobody has accepted."""
        return [each.finding for each in self.judged if each.accepted is None]

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What there is to know besides: entries of `accepted` that are over, what could not be tried.

        Where nobody logged in, an entry that accepts nothing may accept what only a login shows.
        """
        if self.probed is None:
            return ()
        return (*judge(self.findings, self.settings.accepted, date.today())[1], *_untried(self.probed))

    @cached_property
    def report(self) -> Report:
        """All of it, for people and programs."""
        cluster = self.evidence.cluster
        holdings = Holdings(self.evidence, self.expectation, self.authority)
        return Report(
            format=FORMAT,
            target=Target(
                environment=self.settings.environment,
                policy=self.settings.policy.name,
                database=self.settings.database,
                server=self.endpoint.address,
                version=cluster.version,
                system_identifier=cluster.system_identifier,
                admin=cluster.admin,
                ran_at=self.ran_at.isoformat(timespec="seconds"),
            ),
            catalog=CatalogProof(
                roles=len(self.evidence.roles),
                objects=len(self.evidence.objects),
                privileges=self.evidence.privileges,
                seconds=round(self.catalog_seconds, 3),
            ),
            live=_live(self.probed, len(self.settings.services)),
            services=holdings.services(),
            reach=holdings.reach(reached(self.probed.observations if self.probed else ()), self.findings),
            findings=entries(self.judged),
            warnings=self.warnings,
            seconds=round(self.seconds, 3),
        )


class Verifier:
    """Proofs of one stack on one server."""

    def __init__(self, project: Project, settings: Settings, endpoint: Endpoint) -> None:
        self._project = project
        self._settings = settings
        self._endpoint = endpoint

    def prove(self, *, live: bool = True, progress: Progress = lambda _done, _total: None) -> Verdict:
        """Both proofs, or the catalogs' alone.

        Raises IdentityError on another server than the stack's, GolabsError where a user's password is not known, and
        ServerConnectionError where the server does not answer.
        """
        began, ran_at = time.monotonic(), datetime.now(UTC)
        settings, endpoint = self._settings, self._endpoint
        passwords = self.passwords()
        if live:
            self._check_known(passwords)
        evidence, relations, refuted = self._look(passwords)
        expectation = Expectation(settings, evidence.roles)
        authority = Authority(evidence)
        found = catalog_findings(evidence, expectation, authority)
        found += [
            password_finding(user, "WRONG PASSWORD")
            for user in expectation.users.values()
            if user.name in refuted and user.role.login and not user.leftover
        ]
        catalog_seconds = time.monotonic() - began
        probed = None
        own = evidence.databases.get(settings.database)
        if live and own is not None and own.allows_connections:
            probed = probe(
                endpoint,
                expectation.desired,
                passwords,
                relations,
                other_databases=self._other_environments(evidence),
                scratch=settings.policy.drops and not evidence.cluster.in_recovery,
                progress=progress,
            )
            found += Agreement(evidence, expectation, authority, found).findings(probed)
        return Verdict(
            settings,
            endpoint,
            evidence,
            expectation,
            authority,
            tuple(in_order(found)),
            probed,
            ran_at,
            catalog_seconds,
            time.monotonic() - began,
        )

    def passwords(self) -> dict[str, SecretStr]:
        """What is known here of the users' passwords: the connection files', and before them the configuration's."""
        kept = connections.known_passwords(connections.read_records(self._project, self._settings.environment))
        known = {**kept, **self._settings.passwords}
        return {user: known[user] for user in self._settings.users if user in known}

    def _check_known(self, passwords: Mapping[str, SecretStr]) -> None:
        active = [
            name
            for each in self._settings.services
            if not each.retired
            for name in self._settings.users_of(each.name)
            if name not in self._settings.closed
        ]
        if unknown := [user for user in active if user not in passwords]:
            more = f" and of {len(unknown) - 1} more" if len(unknown) > 1 else ""
            raise GolabsError(
                f"no password is known here of {unknown[0]}{more}, and the live proof logs in as every user",
                where=self._settings.source,
                mend=f"golabs export {self._settings.environment} writes the connection files from the stack's state; where "
                f"nothing was brought up yet: golabs up {self._settings.environment}; or prove by the catalogs alone: --no-login",
            )

    def _look(self, passwords: Mapping[str, SecretStr]) -> tuple[Evidence, tuple[Relation, ...], frozenset[str]]:
        """What the catalogs hold, what can be tried on, and whose password is another one."""
        settings = self._settings
        with connect_admin(self._endpoint) as admin:
            cluster = read_cluster(admin, settings.environment, settings.database, settings.users)
            self._check_identity(cluster)
            check_valid(settings, self._endpoint, cluster)
            verifiers = read_verifiers(admin, cluster) if cluster.superuser else {}
            passwordless = [user for user, verifier in verifiers.items() if verifier is None]
            refuted = self._refuted(admin, cluster, passwords, passwordless) if cluster.superuser else frozenset()
            if not (cluster.database_exists and cluster.allows_connections):
                return read_evidence(admin, cluster, settings.database, passwordless), (), refuted
        with connect_admin(self._endpoint, settings.database) as connection:
            evidence = read_evidence(connection, cluster, settings.database, passwordless)
            relations = read_relations(connection, [service.name for service in settings.services])
        return evidence, relations, refuted

    def _check_identity(self, cluster: Cluster) -> None:
        found = cluster.system_identifier
        check_same_server(
            self._project, self._settings, self._endpoint.address, found, "its users' passwords were tried nowhere"
        )

    def _refuted(
        self,
        admin: psycopg.Connection[Any],
        cluster: Cluster,
        passwords: Mapping[str, SecretStr],
        passwordless: list[str],
    ) -> frozenset[str]:
        """Users whose known password is not the stored one. Only a superuser's connection can tell."""
        environment = self._settings.environment
        noted = recall_proofs(self._project, environment)
        proves = PasswordProver(self._endpoint, self._settings.database, cluster, admin, noted)
        there = {
            user: password for user, password in passwords.items() if user in cluster.roles and user not in passwordless
        }
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            proves.compare(there, workers)
        refuted = frozenset(user for user, password in there.items() if not proves(user, password))
        note_proofs(self._project, environment, proves.proofs, self._settings.users)
        return refuted

    def _other_environments(self, evidence: Evidence) -> list[str]:
        own = self._settings.database
        return [
            name
            for name, database in sorted(evidence.databases.items())
            if name.startswith(DATABASE_PREFIX) and name not in (own, rebuilt_name(own)) and database.allows_connections
        ]


def _live(probed: Probed | None, services: int) -> LiveProof | None:
    if probed is None:
        return None
    outcomes = {outcome: sum(each.outcome is outcome for each in probed.observations) for outcome in Outcome}
    return LiveProof(
        logins=len(probed.logins),
        attempts=len(probed.observations),
        permitted=outcomes[Outcome.PERMITTED],
        denied=outcomes[Outcome.DENIED],
        undecided=outcomes[Outcome.UNDECIDED],
        pairs=services * (services - 1),
        scratch=bool(probed.scratch),
        seconds=round(probed.seconds, 3),
        unproven=sum(_leaves_open(each) for each in probed.observations),
    )


def _leaves_open(observation: Observation) -> bool:
    """Whether it matters for the isolation that an attempt could not be decided."""
    deciding = observation.attempt.action == "log-in" or not observation.attempt.expected
    return deciding and observation.outcome is Outcome.UNDECIDED


def _untried(probed: Probed) -> list[str]:
    """What the live proof could not decide, by reason, and what it could not do, in words."""
    undecided: dict[str, list[Observation]] = defaultdict(list)
    for each in probed.observations:
        if each.outcome is Outcome.UNDECIDED:
            undecided[each.detail].append(each)
    told = [
        f"{counted(len(alike), 'attempt')} could not be decided ({detail or 'no reason was given'}): "
        f"{some([_in_words(each) for each in alike])}"
        for detail, alike in undecided.items()
    ]
    told += [f"no table could be made in {service}: {reason}" for service, reason in probed.without_scratch.items()]
    told += [f"a table of this proof could not be dropped: {table}" for table in probed.left_behind]
    return told


def _in_words(observation: Observation) -> str:
    return f"{observation.user} {observation.attempt.action} {observation.attempt.object}"
