"""What the old scripts' files say and may mean otherwise is neither guessed nor shown."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golabs_infra.errors import ConfigError

from .legacy_texts import problems, read, values


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("BILLING_APP_PASSWORD=$(pass show billing)", "it is what a command prints"),
        ("BILLING_APP_PASSWORD=`cat secret`", "it is what a command prints"),
        ("BILLING_APP_PASSWORD=$VAULT", "a variable in it is not set in the files"),
        ("BILLING_APP_PASSWORD=${SECRET:-hunter2}", "a password is not guessed"),
        ("BILLING_APP_PASSWORD=hunter2-$ENV", "a password is not guessed"),
        ("BILLING_APP_PASSWORD=${VAULT%x}", "the shell works this ${...} out"),
        ("BILLING_APP_PASSWORD=hunter2 hunter3", "are quotes missing?"),
        ("BILLING_APP_PASSWORD=hunter2&hunter3", "are quotes missing?"),
        ("BILLING_APP_PASSWORD='hunter2", "a quote is not closed"),
        ("BILLING_APP_PASSWORD='hunter2\nmore'", "a quote may be missing"),
        ("BILLING_APP_PASSWORD = hunter2 # x", "a password is not guessed"),
        ("BILLING_APP_PASSWORD = hunter$2", "outside of shell syntax"),
        ("BILLING_APP_PASSWORD=~hunter2", "home folder"),
        ("BILLING_APP_PASSWORD=", "it is empty"),
        ("BILLING_APP_PASSWORD=(hunter2 hunter3)", "it is a list"),
        ("BILLING_APP_PASSWORD=hunter2\nBILLING_APP_PASSWORD=$(x)", "it is what a command prints"),
        ("BILLING_APP_PASSWORD=hunter2\nBILLING_APP_PASSWORD+=$X", "a variable in it is not set"),
        ("BILLING_APP_PASSWORD=hunter2\nunset BILLING_APP_PASSWORD", "it is unset there"),
        ("BILLING_APP_PASSWORD=hunter2\nif [ -f x ]; then BILLING_APP_PASSWORD=hunter3; fi", "a condition"),
        ("BILLING_APP_PASSWORD=hunter2\n[ -f x ] && BILLING_APP_PASSWORD=hunter3", "sets no variable in a form"),
        ("declare -u BILLING_APP_PASSWORD=hunter2", "changes its values"),
        ("BILLING_APP_PASSWORD=hunter2 ./run", "are quotes missing?"),
        ("BILLING_PASSWORD=hunter2", "does not say of which service's migration or app user"),
        ("APP_PASSWORD=hunter2", "does not say of which service's migration or app user"),
        ("DATABASE_URL=postgres://a:hunter2@b/c", "no key that is known here"),
        ("source ../hunter2", "the command 'source'"),
        ("hunter2 hunter2", "a line that sets no variable"),
    ],
)
def test_no_password_is_guessed_nor_shown(line: str, reason: str) -> None:
    legacy = read("", f"DB_USER=x\n{line}\nDB_HOST=y\n")
    assert [path for path in values(legacy) if path.startswith("passwords")] == []
    shown = "\n".join([*problems(legacy), *legacy.notes])
    assert reason in shown
    assert "hunter" not in shown + repr(legacy)
    assert ".env.dev:" in shown


HEADING = "env|host|port|password\n"


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        (f"{HEADING}dev|db.dev|5433|hunter2|hunter3\n", "more cells than the heading"),
        (f"{HEADING}dev|db.dev|5433|hunter2|\n", "more cells than the heading"),
        (f"{HEADING}dev|hunter2\n", "fewer cells than the heading"),
        ("env host password port\ndev db.dev hunter2 hunter3 5433\n", "more cells than the heading"),
        ("env|host|password|password\ndev|db.dev|hunter2|hunter3\n", "names a column twice"),
        ("env|billing_app_password\ndev|hunter2|hunter3\n", "more cells than the heading"),
        ("env|geheim\ndev|hunter2|x\n", "more cells than the heading"),
        (f"{HEADING}[dev]\ndev|db.dev|5433|hunter2\n", "the table has no heading"),
        (f"{HEADING}dev;db.dev;5433;hunter2\n", "the table has no heading"),
        ("dev|db.dev|5433|provisioner|hunter2\n", "the table has no heading"),
        ("dev|db.dev|hunter2\n", "the table has no heading"),
        ("dev:5432:5433\n", "the table has no heading"),
        ("[passwords]\ndev|hunter2|5433\n", "the table has no heading"),
        ("dev,prd\n", "a line that sets no variable"),
    ],
)
def test_nothing_in_a_table_is_guessed_nor_shown(conf: str, reason: str) -> None:
    legacy = read(conf)
    assert values(legacy) == {}
    assert reason in "\n".join(problems(legacy))
    assert "hunter" not in "\n".join([*problems(legacy), *legacy.notes])


def test_a_password_in_a_fitting_row_is_taken_as_it_is() -> None:
    conf = "# env;billing_app_password;host\nprd;x;y\ndev;a|b=c(d):e;db.dev\n"
    assert values(read(conf)) == {"host": "db.dev", "passwords.billing.app": "a|b=c(d):e"}
    assert "quotes" in problems(read("env|billing_app_password\ndev|'a'\n"))[0]


@pytest.mark.parametrize(
    "key", ["DB_HOST", "DB_PORT", "DB_USER", "DB_ADMIN_DATABASE", "DB_NAME", "PGSSLROOTCERT", "ENVS"]
)
@pytest.mark.parametrize("value", ["postgres://a:hunter2@b/c", "/a@hunter2", "host=hunter2", "/hunter2 hunter3"])
def test_a_value_without_its_keys_shape_is_not_taken_nor_shown(key: str, value: str) -> None:
    legacy = read(f"{key}='{value}'\n")
    shown = "\n".join([*problems(legacy), *legacy.notes, *(fact.value for fact in legacy.facts)])
    assert values(legacy) == {}
    assert f"environments.conf:1: {key}: " in shown
    assert "hunter" not in shown


def test_only_what_stands_on_the_same_line_is_a_second_command() -> None:
    legacy = read("DB_PORT = 1\nA=1\n# x\nB=2; C=3\n[dev]\nd=4\n  x\nE=5\n")
    assert [line.key for line in legacy.not_understood] == ["A", "", "B", "[dev] d", "", "[dev] E"]


@pytest.mark.parametrize(
    "line",
    [
        *("BILLING_APP_PASSWORD=abc;hunter=2", "BILLING_APP_PASSWORD=abc;host=hunter2", "TOKEN=abc;PORT=1;hunter=2"),
        *(
            "BILLING_APP_PASSWORD=abc hunter=2",
            "BILLING_APP_PASSWORD=abc;hunter=$(x)",
            "BILLING_APP_PASSWORD=a$hunter2",
        ),
        *(
            "BILLING_APP_PASSWORD=abc; x && hunter=2",
            "TOKEN=${hunter2:-x}$hunter3",
            "BILLING_APP_PASSWORD=a${hunter2-}",
        ),
        *("BILLING_APP_PASSWORD=abc;HUNTER_APP_PASSWORD=x", "x && HUNTER_APP_PASSWORD=x"),
        *("BILLING_APP_PASSWORD=abc;SERVICES=hunter", "BILLING_APP_PASSWORD=abc;DB_NAME=hunter2"),
    ],
)
def test_what_may_be_the_tail_of_a_password_is_not_taken_nor_shown(line: str) -> None:
    legacy = read("", f"\n{line}\nDB_PORT=1\n", templates=("billing",))
    shown = "\n".join([*problems(legacy), *legacy.notes, *(fact.value for fact in legacy.facts)])
    assert set(values(legacy)) <= {"port", "passwords.billing.app"}
    assert ".env.dev:2" in shown
    assert "hunter" not in shown.lower()
    assert legacy.services == ("billing",)


def test_a_password_behind_another_one_on_its_line_is_not_taken_from_an_earlier_line_either() -> None:
    legacy = read("", "BILLING_APP_PASSWORD=old\nBILLING_MIGRATION_PASSWORD=a; BILLING_APP_PASSWORD=b\n")
    assert values(legacy) == {"passwords.billing.migration": "a"}
    assert "a second command on the line: it stands behind another value" in problems(legacy)[0]


@pytest.mark.parametrize(
    "command",
    [
        *("read -rp 'Host? ' DB_HOST", "IFS= read -r x DB_HOST", "printf -v DB_HOST '%s' x", 'let "DB_HOST=1"'),
        *("echo x | while read -r DB_HOST; do :; done", "for DB_HOST in a b; do :; done", "(( DB_HOST = 1 ))"),
        *(
            "mapfile -t DB_HOST < x",
            "if read -r DB_HOST; then :; fi",
            "unset DB_HOST # x",
            "unset 'DB_HOST'",
            "while IFS='|' read -r x DB_HOST y; do :; done < file",
        ),
    ],
)
def test_a_variable_that_a_command_sets_is_not_understood(command: str) -> None:
    legacy = read(f"DB_HOST=a\n{command}\nDB_PORT=1\n")
    assert values(legacy) == {"port": "1"}
    assert "environments.conf:2: " in problems(legacy)[0]


@pytest.mark.parametrize("command", ["source", ".", "eval"])
def test_commands_that_may_set_anything_are_named(command: str) -> None:
    legacy = read(f"DB_HOST=a\n{command} ../other.sh\n")
    told = f"the command {command!r}: nothing is run here, so what it sets is not seen"
    assert problems(legacy) == [f"environments.conf:2: {told}"]


PIECES = st.one_of(
    st.sampled_from(
        ["\n", " ", "\t", "=", "+=", "(", ")", "[", "]", "{", "}", ";", ";;", "|", "&&", "#", ":", "\\", "'", '"']
    ),
    st.sampled_from(["$", "${", "`", "$(", "<<EOF", "EOF", "~", "*", ",", "-", "\r\n", "é", "\0", "\x1b", "$'"]),
    st.sampled_from(["case", "in", "esac", "if", "then", "elif", "else", "fi", "for", "do", "done", "function", "f()"]),
    st.sampled_from(
        ["export ", "declare -A ", "readonly ", "unset ", "exit", "read ", ": ", "dev", "prd", "dev)", "[dev]"]
    ),
    st.sampled_from(["DB_HOST", "PGPORT", "BILLING_APP_PASSWORD", "SERVICES", "DB_NAME", "x"]),
)


@given(st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES, max_size=40).map("".join))
def test_no_file_makes_it_fail_otherwise_than_with_an_error_of_ours(conf: str, own: str) -> None:
    with suppress(ConfigError):
        read(conf, own)
