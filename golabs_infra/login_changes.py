"""Changes users' logins on a server, and proves them by logging in. Nothing else of the environment is touched.

It runs as the admin, in one transaction, with verifiers in place of passwords. Which logins change to what is decided in
`rotation`, and what is written down when in `rotating`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from .applying import Applier, Progress
from .changes import Change, SetPassword
from .connecting import LoginAnswer, connect_admin, try_login
from .endpoint import Endpoint
from .errors import AdoptionError, ApplyError, Fault
from .inspection import Cluster, PasswordProver, read_cluster
from .model import expand
from .passwords import new_verifier
from .plan import plan_logins
from .rights import check_server, unadministered, whereabouts
from .sessions import Session, close_sessions, open_sessions, sessions_left
from .settings import Settings
from .statement import remedy


@dataclass(frozen=True)
class LoginChanger:
    """The logins of one stack on one server."""

    settings: Settings
    endpoint: Endpoint

    def look(self) -> Cluster:
        """The server, with the users that there are. Raises ServerConnectionError."""
        with connect_admin(self.endpoint) as admin:
            return read_cluster(admin, self.settings.environment, self.settings.database, self.settings.users)

    def check(self, cluster: Cluster, users: Collection[str]) -> None:
        """Refuses, before anything is changed, what the server would refuse. Raises AdoptionError, ApplyError."""
        check_server(self.endpoint, cluster)
        where = whereabouts(cluster, self.endpoint)
        there = [user for user in users if user in cluster.roles]
        faults = [] if (lack := unadministered(cluster, there)) is None else [lack]
        if not (cluster.superuser or cluster.create_role):
            statement = remedy("ALTER ROLE {} CREATEROLE", cluster.admin)
            faults.append(Fault("admin", "it lacks CREATEROLE", f"as a superuser: {statement}"))
        if faults:
            raise AdoptionError(faults, where=where)
        if not (cluster.database_exists and cluster.allows_connections):
            raise ApplyError(
                f"nobody can log in to {self.settings.database} "
                f"({'it allows no connections' if cluster.database_exists else 'it does not exist'}), so that no password can "
                "be proven; nothing was changed",
                where=where,
                mend=f"golabs up {self.settings.environment}",
            )

    def proven(self, cluster: Cluster, candidates: Mapping[str, Iterable[SecretStr]]) -> dict[str, SecretStr]:
        """Of what is known of each user, the password that it has now. Raises ServerConnectionError."""
        proves = PasswordProver(self.endpoint, self.settings.database, cluster)
        found: dict[str, SecretStr] = {}
        for user, passwords in candidates.items():
            if user in cluster.roles:
                for password in passwords:
                    if user not in found and proves(user, password):
                        found[user] = password
        return found

    def change(self, users: Collection[str], passwords: Mapping[str, SecretStr], progress: Progress) -> None:
        """Makes users what the model says of them and sets passwords, of others too: all or nothing. Raises ApplyError."""
        verifiers = {user: new_verifier(password) for user, password in passwords.items()}
        applier = Applier(self.endpoint, self.settings.database)
        with connect_admin(self.endpoint) as admin, applier.lock(admin):
            cluster = read_cluster(admin, self.settings.environment, self.settings.database, self.settings.users)
            applier.in_one_transaction(admin, self._planned(cluster, users, verifiers), progress)

    def ahead(self, cluster: Cluster, users: Collection[str], to_set: Collection[str]) -> list[Change]:
        """What `change` would do, to be shown."""
        return self._planned(cluster, users, dict.fromkeys(to_set))

    def _planned(self, cluster: Cluster, users: Collection[str], verifiers: Mapping[str, str | None]) -> list[Change]:
        alone = [SetPassword(user, verifier) for user, verifier in verifiers.items() if user not in users]
        return [*plan_logins(expand(self.settings), cluster, users, verifiers), *alone]

    def log_in(self, passwords: Mapping[str, SecretStr]) -> list[str]:
        """Logs in as each user. Gives those that were let in without being asked, which proves nothing.

        Raises ApplyError where a password is refused, ServerConnectionError where the server can't be asked.
        """
        unasked: list[str] = []
        for user, password in passwords.items():
            answer = try_login(self.endpoint, self.settings.database, user, password)
            if answer is LoginAnswer.WRONG_PASSWORD:
                raise ApplyError(
                    f"the server refuses the password of {user}, although it has stored this one",
                    where=f"{self.endpoint.address}/{self.settings.database}",
                    mend="see its log: pg_hba.conf may ask for another method than scram-sha-256, or the user's rights to "
                    "log in have changed",
                )
            if answer is LoginAnswer.NO_PASSWORD_ASKED:
                unasked.append(user)
        return unasked

    def sessions(self, users: Collection[str]) -> tuple[Session, ...]:
        """The sessions that are open by these logins."""
        with connect_admin(self.endpoint) as admin:
            return open_sessions(admin, self.settings.database, users)

    def end_sessions(self, users: Collection[str]) -> tuple[tuple[Session, ...], tuple[Session, ...]]:
        """Ends the sessions by these logins that the admin may end; gives them, and those that are left.

        Raises ServerConnectionError where the server is lost meanwhile.
        """
        with connect_admin(self.endpoint) as admin:
            ended = close_sessions(admin, self.settings.database, users)
            return ended, sessions_left(admin, self.settings.database, users, ended)
