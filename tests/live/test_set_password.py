"""`golabs set-password`: one password gets into the stack's file, encrypted, by a prompt or a pipe, and nowhere else."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import UsageError
from golabs_infra.passphrase import create
from golabs_infra.project import Project
from golabs_infra.stackfile import StackFile
from golabs_infra.storing import MAX_BYTES, password_of

from ..support import write_stack
from . import tools

PHRASE = "the team's own passphrase"
PASSWORD = "Canary4Passwords"
ODD = '  it\'s "odd": ${x} `y` \\ #% é 日本 \t{secure: no}  '
STACK = """\
# what follows is looked after by the platform team
config:
  golabs-infra:host:   db.example.org   # ask them
  golabs-infra:adminPassword: Admin4Everybody
  golabs-infra:services:
  - billing   # the oldest
  - {name: catalog, retired: true}
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Everything that it printed."""
        return self.out + self.err


def environ(**variables: str) -> dict[str, str]:
    """The environment of a user who has the stack's passphrase and no Pulumi CLI."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "GOLABS_"))}
    nothing = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PULUMI_CONFIG_PASSPHRASE": PHRASE}
    return {**kept, **nothing, **variables}


def command(project: Project, *words: str) -> list[str]:
    return [sys.executable, "-m", "golabs_infra", "--project", str(project.root), "set-password", *words]


def piped(project: Project, *words: str, given: str | bytes = PASSWORD, **variables: str) -> Ran:
    """Runs the command with a password on its standard input."""
    text = given.encode() if isinstance(given, str) else given
    ended = subprocess.run(
        command(project, *words), input=text, env=environ(**variables), capture_output=True, check=False, timeout=60
    )
    ran = Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
    assert "Traceback" not in ran.text, ran
    return ran


def typed(project: Project, *words: str, lines: tuple[str, ...]) -> Ran:
    """Runs the command on a terminal, where somebody types these lines as they are asked for."""
    child, terminal = pty.fork()
    if child == 0:
        arguments = command(project, *words)
        os.execve(arguments[0], arguments, environ())  # noqa: S606
    shown = b""
    waiting = list(lines)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other side has ended
            break
        if waiting and shown.count(b"password of") == len(lines) - len(waiting) + 1 and shown.endswith(b": "):
            os.write(terminal, waiting.pop(0).encode())
    os.close(terminal)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ran(code, shown.decode(), "")


def decrypted(project: Project, environment: str = "dev") -> dict[str, object]:
    """What the direct engine reads from the stack's file."""
    raw = StackFile.read(project, environment).decrypted({"PULUMI_CONFIG_PASSPHRASE": PHRASE})
    return dict(raw.values)


def password_in(project: Project, service: str = "billing", kind: str = "app") -> str:
    """One user's password as it stands in the stack's file, which has to be encrypted."""
    passwords = decrypted(project)["passwords"]
    assert isinstance(passwords, dict)
    value = passwords[service][kind]
    assert isinstance(value, SecretStr), "it stands there in plain text"
    return value.get_secret_value()


@pytest.fixture
def stack(project: Project) -> Path:
    """A stack's file that people have written by hand, without any secret."""
    path = project.stack_file("dev")
    path.write_text(STACK, encoding="utf-8")
    return path


def test_a_password_is_written_encrypted_and_every_other_byte_stays(project: Project, stack: Path) -> None:
    ran = piped(project, "dev", "billing", "app", given=f"{PASSWORD}\n")
    assert ran.code == 0, ran
    assert "Pulumi.dev.yaml: passwords.billing.app is written, encrypted" in ran.out
    assert "it is the password of billing_app_dev_user" in ran.out
    assert "no server was touched; next: golabs up dev" in ran.out
    text = stack.read_text(encoding="utf-8")
    assert PASSWORD not in ran.text + text
    assert all(line in text.splitlines() for line in STACK.splitlines())
    assert text.count("encryptionsalt: v1:") == 1, "the stack had none"
    assert password_in(project) == PASSWORD
    first = text
    assert piped(project, "dev", "catalog", "migration", given="Another4Catalog").code == 0
    text = stack.read_text(encoding="utf-8")
    assert set(first.splitlines()) <= set(text.splitlines()), "the salt and the first password are as they were"
    assert password_in(project, "catalog", "migration") == "Another4Catalog"


def test_what_is_there_already_is_left_to_the_byte(project: Project, stack: Path) -> None:
    piped(project, "dev", "billing", "app")
    before = stack.read_bytes()
    ran = piped(project, "dev", "billing", "app")
    assert ran.code == 0
    assert "is this password already, encrypted; nothing was changed" in ran.out
    assert stack.read_bytes() == before
    assert piped(project, "dev", "billing", "app", given="Another4Billing").code == 0
    assert password_in(project) == "Another4Billing"


def test_a_password_in_plain_text_is_replaced_by_an_encrypted_one(project: Project, stack: Path) -> None:
    plain = f"{STACK}  golabs-infra:passwords:\n    billing:\n      app: {PASSWORD}   # soon\n"
    stack.write_text(plain, encoding="utf-8")
    assert piped(project, "dev", "billing", "app").code == 0
    assert piped(project, "dev", "--admin", given="Admin4Everybody").code == 0
    text = stack.read_text(encoding="utf-8")
    assert PASSWORD not in text
    assert "Admin4Everybody" not in text
    assert "# soon" in text
    assert password_in(project) == PASSWORD
    assert decrypted(project)["adminPassword"] == SecretStr("Admin4Everybody")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("billing", "billing_app_dev_user"), "passwords.billing.app"),
        (("billing_migration_dev_user",), "passwords.billing.migration"),
        (("billing", "appTwin"), "passwords.billing.appTwin"),
        (("billing", "billing_migration_dev_twin"), "passwords.billing.migrationTwin"),
        (("catalog", "app"), "passwords.catalog.app"),
        (("--admin",), "adminPassword"),
    ],
)
def test_every_login_can_be_named(project: Project, stack: Path, words: tuple[str, ...], key: str) -> None:
    overlap = "  golabs-infra:logins:\n    billing: {app: [user, twin], migration: [twin]}\n"
    stack.write_text(STACK + overlap * ("Twin" in key), encoding="utf-8")
    ran = piped(project, "dev", *words, "--json")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert (told["key"], told["file"], told["written"], told["encryptedBy"]) == (key, stack.name, True, "golabs")
    assert told["next"] == "golabs up dev"
    assert PASSWORD not in ran.text


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("biling", "app"),
            "there is no such service; the nearest known one is 'billing'\n  mend: name one of billing, catalog",
        ),
        (("billing", "ap"), "billing has no such user; the nearest known one is 'app'\n  mend: name migration or app"),
        (("billing",), "name the user whose password it is\n  mend: golabs set-password dev SERVICE migration or app"),
        (("billing", "catalog_app_dev_user"), "that is a user of catalog in dev"),
        (("billing", "billing_app_prd_user"), "that is a user of billing in prd"),
        ((), "name a service and a user, or --admin"),
        (("--admin", "billing", "app"), "--admin goes without a service and a user"),
    ],
)
def test_what_does_not_exist_is_wrong_usage(project: Project, stack: Path, words: tuple[str, ...], told: str) -> None:
    ran = piped(project, "dev", *words)
    assert ran.code == 64, ran
    assert told in ran.err
    assert stack.read_text(encoding="utf-8") == STACK


def test_a_login_that_is_closed_gets_no_password(project: Project, stack: Path) -> None:
    never = piped(project, "dev", "billing", "appTwin")
    assert "nobody logs in as billing_app_dev_twin, but as billing_app_dev_user" in never.err
    assert "mend: golabs set-password dev billing app\n" in never.err
    stack.write_text(f"{STACK}  golabs-infra:logins: {{billing: {{app: [twin]}}}}\n", encoding="utf-8")
    closed = piped(project, "dev", "billing", "app")
    assert "nobody logs in as billing_app_dev_user, but as billing_app_dev_twin" in closed.err
    assert "mend: golabs set-password dev billing appTwin\n" in closed.err
    assert (never.code, closed.code) == (64, 64)
    assert "encryptionsalt" not in stack.read_text(encoding="utf-8")


def test_a_stack_that_has_no_passphrase_yet_says_what_to_export(project: Project, stack: Path) -> None:
    given = environ(PULUMI_HOME="/nonexistent")
    del given["PULUMI_CONFIG_PASSPHRASE"]
    ended = subprocess.run(
        command(project, "dev", "billing", "app"),
        input=PASSWORD,
        env=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "there is no passphrase to encrypt with" in ended.stderr
    assert "mend: export PULUMI_CONFIG_PASSPHRASE=" in ended.stderr
    assert stack.read_text(encoding="utf-8") == STACK


@pytest.mark.parametrize("words", [("billing", PASSWORD), ("billing", "app", PASSWORD), ("--admin", PASSWORD)])
def test_a_password_on_the_command_line_is_refused_and_not_repeated(
    project: Project, stack: Path, words: tuple[str, ...]
) -> None:
    ran = piped(project, "dev", *words, given="")
    assert ran.code == 64
    assert "mend:" in ran.err
    assert PASSWORD not in ran.text
    assert stack.read_text(encoding="utf-8") == STACK


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"\r\n", "it is empty"),
        (b"a\0b", "it holds a NUL character"),
        (b"Canary4\xff", "byte 7 is not UTF-8"),
        (b"Canary4\xed\xa0\x80", "byte 7 is not UTF-8"),
        (b"Canary4\nCanary4\n", "it has more than one line"),
        (b"Canary4\n\n", "it has more than one line"),
        (b"C" * (MAX_BYTES + 1), "it has more than 65535 bytes"),
    ],
)
def test_what_can_be_no_password_is_refused_and_not_shown(given: bytes, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        password_of(given)
    assert told in str(caught.value)
    assert "nothing was written; give the password alone" in caught.value.mend
    assert "Canary4" not in str(caught.value)


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1).filter(lambda text: text[-1] != "\r"),
    st.sampled_from(["", "\n", "\r\n"]),
)
def test_a_line_is_taken_as_it_is_without_its_end(text: str, end: str) -> None:
    assert password_of(f"{text}{end}".encode()).get_secret_value() == text


def test_what_is_refused_leaves_the_file_as_it_is(project: Project, stack: Path) -> None:
    ran = piped(project, "dev", "billing", "app", given="Canary4\nPasswords")
    assert (ran.code, "it has more than one line" in ran.err, "Canary4" in ran.text) == (64, True, False)
    assert stack.read_text(encoding="utf-8") == STACK


def test_the_rules_of_new_passwords_are_warnings_as_it_may_be_an_older_one(project: Project, stack: Path) -> None:
    ran = piped(project, "dev", "billing", "app", given=ODD)
    assert ran.code == 0, ran
    assert "warning: passwords.billing.app: the password has characters other than letters" in ran.err
    assert "up refuses it, unless billing_app_dev_user exists already and has it" in ran.err
    assert password_in(project) == ODD
    assert not [word for word in ODD.split() if len(word) > 3 and word in ran.text]
    assert "warning" not in piped(project, "dev", "--admin", given="a b").text, "the admin's is as it is"


def test_a_wrong_passphrase_is_told_before_anybody_types(project: Project, stack: Path) -> None:
    stack.write_text(f"{STACK}encryptionsalt: {create(PHRASE)[1]}\n", encoding="utf-8")
    before = stack.read_bytes()
    ran = piped(project, "dev", "billing", "app", given="", PULUMI_CONFIG_PASSPHRASE="another")
    assert ran.code == 1
    assert "the passphrase is not the one of this stack" in ran.err
    published = piped(project, "dev", "billing", "app", PULUMI_CONFIG_PASSPHRASE="golabs-tst")
    assert (published.code, "which is published" in published.err) == (1, True)
    assert stack.read_bytes() == before


def test_another_secrets_provider_needs_the_cli(project: Project, stack: Path) -> None:
    stack.write_text(f"secretsprovider: awskms://alias/x\nencryptedkey: abc\n{STACK}", encoding="utf-8")
    before = stack.read_bytes()
    ran = piped(project, "dev", "billing", "app", PULUMI_HOME="/nonexistent")
    assert ran.code == 1
    assert "the secrets of this stack are held by awskms://alias/x, which only the Pulumi CLI can ask" in ran.err
    assert "mend: install the Pulumi CLI (golabs setup), and run this again" in ran.err
    assert stack.read_bytes() == before


def test_the_embedded_server_has_its_own_admin(project: Project) -> None:
    project.stack_file("tst").write_text("config:\n  golabs-infra:server: embedded\n", encoding="utf-8")
    ran = piped(project, "tst", "--admin")
    assert (ran.code, "the embedded server brings its own admin" in ran.err) == (64, True)


def test_on_a_terminal_it_is_asked_for_twice_and_never_shown(project: Project, stack: Path) -> None:
    ran = typed(project, "dev", "billing", "app", lines=(f"{PASSWORD}\n", f"{PASSWORD}\n"))
    assert ran.code == 0, ran
    assert "the password of billing_app_dev_user: " in ran.out
    assert "again, the password of billing_app_dev_user: " in ran.out
    assert PASSWORD not in ran.out
    assert password_in(project) == PASSWORD


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ((f"{PASSWORD}\n", f"{PASSWORD}x\n"), "was typed in two ways"),
        (("\n", "\n"), "it is empty"),
        ((f"{PASSWORD}\n", "\x04"), "it did not come to its end"),
        ((f"{PASSWORD}\n", "\x03"), "interrupted"),
    ],
)
def test_what_is_not_typed_to_its_end_is_not_written(
    project: Project, stack: Path, lines: tuple[str, ...], told: str
) -> None:
    ran = typed(project, "dev", "billing", "app", lines=lines)
    assert ran.code != 0
    assert told in ran.out, ran
    assert PASSWORD not in ran.out
    assert stack.read_text(encoding="utf-8") == STACK


def test_up_applies_it_and_the_login_works(server: Endpoint, project: Project) -> None:
    stack = project.stack_file("dev")
    stack.write_text(
        f"config:\n  golabs-infra:host: {server.host}\n  golabs-infra:port: {server.port}\n"
        f"  golabs-infra:adminUser: {server.admin_user}\n  golabs-infra:sslMode: {server.ssl_mode}\n"
        "  golabs-infra:services: [billing]\n",
        encoding="utf-8",
    )
    assert piped(project, "dev", "--admin", given=server.admin_password.get_secret_value()).code == 0
    for password in ("First4Passwords", "Second4Passwords"):
        assert piped(project, "dev", "billing", "app", given=password).code == 0
        assert golabs(project, "up", "dev").returncode == 0
        assert tools.record(project, "billing", "dev")["users"]["app"]["password"] == password
        with psycopg.connect(tools.url(project, "billing", "app", "dev")) as session:
            assert session.execute("SELECT current_user").fetchone() == ("billing_app_dev_user",)


@pytest.mark.parametrize("unknown", [("app",), ("app", "migration")], ids=["one", "both"])
@pytest.mark.parametrize("way", ["set-password", "rotate"])
def test_each_way_out_of_an_unknown_password_that_is_offered_leads_out(
    server: Endpoint, project: Project, way: str, unknown: tuple[str, ...]
) -> None:
    write_stack(project, "dev", server, services=["billing"])
    assert golabs(project, "up", "dev").returncode == 0
    for kind in unknown:
        tools.as_superuser(server, f"ALTER ROLE {tools.user('billing', kind, 'dev')} PASSWORD 'Own4Clients-2026'")
    project.identity_file("dev").unlink()  # as where somebody else made the users
    refused = golabs(project, "up", "dev")
    assert refused.returncode == 1
    offered = re.findall(rf"golabs ({way} [^;\n]*)", refused.stderr)
    assert len(offered) == len(unknown), refused.stderr
    for words in dict.fromkeys(offered):
        ran = golabs(project, *words.split(), given="Own4Clients-2026")
        assert ran.returncode == 0, ran
    up = golabs(project, "up", "dev")
    assert up.returncode == 0, up
    assert tools.can_log_in(project, ["billing"], "dev")


def golabs(project: Project, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """Runs any other command on the direct engine."""
    engine = [] if words[0] == "set-password" else ["--engine", "direct"]
    whole = [sys.executable, "-m", "golabs_infra", "--project", str(project.root), *words, *engine]
    return subprocess.run(whole, input=given, env=environ(), capture_output=True, text=True, check=False, timeout=60)
