"""Holds the two proofs against each other: what happened at logins, and what the catalogs say must happen. Pure.

They are made by different means and must agree. Where both find the same, the catalogs' finding tells the cause; where
they don't, or where no rule explains what happened, that is a finding of its own, for then one of the proofs is wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from .attempts import ACTIONS, FULL, WAITED, Observation, Outcome
from .authority import Authority
from .connecting import RefusalReason
from .evidence import Evidence
from .expectation import Expectation, User
from .findings import Finding, Severity
from .inspection import search_path_elements
from .probing import LoginSeen, Probed
from .rules_roles import password_finding

_OF_EVERYBODY = ("setting/database/", "setting/all/")


class Agreement:
    """One comparison. `found` is what the catalogs' proof has found."""

    def __init__(
        self, evidence: Evidence, expectation: Expectation, authority: Authority, found: Sequence[Finding]
    ) -> None:
        self._evidence = evidence
        self._expectation = expectation
        self._authority = authority
        self._explained = {finding.who for finding in found}
        self._affected = {finding.service for finding in found if finding.service}
        self._concerns_all = any(each.rule == "database" or each.id.startswith(_OF_EVERYBODY) for each in found)

    def findings(self, probed: Probed) -> Iterator[Finding]:
        """What the logins have shown that the catalogs can't know, and where the two don't agree."""
        logins = {login.user: login for login in probed.logins}
        for login in probed.logins:
            yield from self._login(login)
        yield from self._refused(probed.observations)
        yield from self._untried(probed.observations)
        for observation in probed.observations:
            if observation.outcome is Outcome.UNDECIDED or self._is_told(observation, logins[observation.user]):
                continue
            yield from self._compare(observation, logins[observation.user])

    def _login(self, login: LoginSeen) -> Iterator[Finding]:
        user = self._expectation.users[login.user]
        known = self._evidence.roles.get(login.user)
        if known is None:
            return
        wrong = login.refusal is not None and login.refusal.reason is RefusalReason.WRONG_PASSWORD
        if wrong and not known.expired and login.user not in self._evidence.passwordless and user.role.login:
            yield password_finding(user, "WRONG PASSWORD")
        if login.accepted and not login.password_asked:
            yield password_finding(user, "PASSWORD NOT ASKED")
        if login.facts is not None:
            yield from self._session(user, login)

    def _refused(self, observations: Iterable[Observation]) -> Iterator[Finding]:
        """Users who were refused for a reason that no rule on the catalogs knows, and not because all was taken."""
        for each in observations:
            user = self._expectation.users[each.user]
            undecided = each.attempt.action == "log-in" and each.outcome is Outcome.UNDECIDED
            refused = undecided and each.state not in WAITED | FULL
            if refused and user.role.login and not self._concerns_all:
                yield password_finding(user, "REFUSED", each.detail)

    def _untried(self, observations: Iterable[Observation]) -> Iterator[Finding]:
        """What a user should be able to do, and what fails for another reason than a lock."""
        failed: dict[tuple[str, str], list[Observation]] = defaultdict(list)
        for each in observations:
            waited = each.state in WAITED | FULL
            tried = each.outcome is Outcome.UNDECIDED and each.attempt.expected and each.attempt.schema
            if tried and not waited and not self._is_explained(self._expectation.users[each.user], each.attempt.schema):
                failed[each.user, each.detail].append(each)
        for (name, detail), attempts in failed.items():
            user, first = self._expectation.users[name], attempts[0].attempt
            more = f" and {len(attempts) - 1} more" if len(attempts) > 1 else ""
            yield Finding(
                id=f"untried/{name}/{first.action}",
                severity=Severity.HIGH,
                object=first.object,
                who=name,
                what=f"{name} has the privilege, and could not {first.action} {first.object}{more}: {detail}",
                cause="something beside privileges: a setting, a publication, a trigger, what a view is built on",
                advice="see what the server says, mend that, and run golabs verify again",
                service=user.service,
            )

    def _session(self, user: User, login: LoginSeen) -> Iterator[Finding]:
        """What a session is like from its start, against the settings that the catalogs have."""
        facts = login.facts
        if facts is None:
            return
        if (stored := self._setting(user.name, "search_path")) is not None:
            wanted = tuple(search_path_elements(stored))
            if (seen := tuple(search_path_elements(facts.search_path))) != wanted:
                what = f"its search_path is {', '.join(seen)}, and the catalogs say {', '.join(wanted)}"
                yield self._disagreement(
                    user, "search_path", f"role {user.name}", f"in a session of {user.name} {what}"
                )
        if facts.current_user == user.name and facts.is_superuser != self._is_superuser(user.name):
            whose = "a superuser's" if facts.is_superuser else "no superuser's"
            what = f"a session of {user.name} is {whose}, and the catalogs say otherwise"
            yield self._disagreement(user, "superuser", f"role {user.name}", what)

    def _is_superuser(self, name: str) -> bool:
        known = self._evidence.roles.get(name)
        return known is not None and known.superuser

    def _setting(self, user: str, name: str) -> str | None:
        """The value that wins: of the role here, of the role, of the database, of everybody."""
        stored = {(each.role, each.database): each.value for each in self._evidence.settings if each.name == name}
        own = self._evidence.database
        places = ((user, own), (user, ""), ("", own), ("", ""))
        return next((stored[place] for place in places if place in stored), None)

    def _is_told(self, observation: Observation, login: LoginSeen) -> bool:
        """Whether a refused login was judged by what the server said of it: the catalogs know no password."""
        refusal = login.refusal
        return (
            observation.attempt.action == "log-in"
            and refusal is not None
            and refusal.reason in (RefusalReason.WRONG_PASSWORD, RefusalReason.HOST_REFUSED)
        )

    def _predicted(self, observation: Observation, login: LoginSeen) -> bool:
        user, attempt = observation.user, observation.attempt
        # A setting may have made it another role from the beginning; SET ROLE asks who has logged in all the same.
        logs_in = attempt.action in ("log-in", "connect-elsewhere")
        acting = user if logs_in or login.facts is None else login.facts.current_user
        has = all(self._authority.may(user if need.kind == "role" else acting, need) for need in attempt.needs)
        if not logs_in:
            return has
        known = self._evidence.roles.get(user)
        database = self._evidence.databases.get(attempt.object.removeprefix("database "))
        if known is None or database is None:
            return False
        full = not known.superuser and 0 in (known.connection_limit, database.connection_limit)
        return has and not known.expired and not full and database.allows_connections

    def _compare(self, observation: Observation, login: LoginSeen) -> Iterator[Finding]:
        attempt, user = observation.attempt, self._expectation.users[observation.user]
        happened = observation.outcome is Outcome.PERMITTED
        told = f"{user.name} {ACTIONS[attempt.action]}: {attempt.object}"
        said = f" ({observation.detail})" if observation.detail else ""
        if happened != self._predicted(observation, login):
            catalogs = "refused" if happened else "permitted"
            what = f"{told}: {observation.outcome}{said}, and by the catalogs it is {catalogs}"
            yield self._disagreement(user, attempt.action, attempt.object, what)
        elif happened != attempt.expected and not self._is_explained(user, attempt.schema):
            what = f"{told}: {observation.outcome}{said}, and the model says otherwise; no rule on the catalogs has found why"
            yield self._disagreement(user, attempt.action, attempt.object, what)

    def _is_explained(self, user: User, schema: str) -> bool:
        service = self._expectation.service_of(schema)
        concerned = {user.service, *([service.name] if service is not None else [])}
        names = {user.name, "PUBLIC", *self._authority.reaches(user.name)}
        return bool(names & self._explained or concerned & self._affected) or self._concerns_all

    @staticmethod
    def _disagreement(user: User, action: str, what_object: str, what: str) -> Finding:
        return Finding(
            id=f"disagreement/{user.name}/{action}",
            severity=Severity.CRITICAL,
            object=what_object,
            who=user.name,
            what=what,
            cause="the two proofs don't agree: something changed between them, or one of them is wrong",
            advice="run golabs verify again; if it stays, look at the object with \\dp, \\du and \\drds in psql",
            service=user.service,
        )


def reached(observations: Iterable[Observation]) -> Iterator[tuple[str, str, str]]:
    """User, schema and action of what was permitted at a login and should not have been."""
    for each in observations:
        if each.outcome is Outcome.PERMITTED and not each.attempt.expected and each.attempt.schema:
            yield each.user, each.attempt.schema, each.attempt.action
