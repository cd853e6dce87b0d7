"""Whatever stands in a stack's file: an error of ours or a correct run, never a traceback, never SQL that was not meant."""

from __future__ import annotations

import io
import re
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings

from golabs_infra import cli
from golabs_infra.endpoint import Endpoint
from golabs_infra.errors import GolabsError
from golabs_infra.project import Project
from golabs_infra.settings import read_settings
from golabs_infra.stackfile import StackFile

from ..live import tools
from ..psql import psql
from ..support import REPOSITORY, wipe
from .bad_input import CORPUS, HOSTILE, PASSWORD, acceptable, broken_files, configurations
from .ledger import Faults

BOUND_S = 10.0
LONGEST = 20_000
"""Characters of a message at most; the longest lists thousands of faults, each of a line."""
MEANT = re.compile(
    r"(CREATE|ALTER|DROP|GRANT|REVOKE|SELECT|SET|RESET|BEGIN|COMMIT|COMMENT|\\(connect|if|else|endif|gset|set|getenv|unset|echo|warn|quit))\b"
)
"""How a line of a script may begin that is not the continuation of another one."""
CONFIGURATIONS, BROKEN = 400, 200


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def golabs(*words: str) -> Ran:
    """Runs the command in this process, where an exception that is not ours would be seen."""
    out, err = io.StringIO(), io.StringIO()
    began = time.monotonic()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
        cli.main(list(words))
    assert time.monotonic() - began < BOUND_S
    assert isinstance(ended.value.code, int)
    return Ran(ended.value.code, out.getvalue(), err.getvalue())


def judged(project: Project, content: bytes, *, secret: str = PASSWORD) -> str:
    """Reads a stack's file with this content and makes its SQL; gives "run" or "error" once it has ended as it must."""
    project.stack_file("tst").write_bytes(content)
    ran = golabs("--project", str(project.root), "sql", "tst")
    shown = ran.out + ran.err
    assert secret not in shown
    assert "Traceback" not in shown
    if ran.code == 0:
        return "run"
    assert ran.code == 1, ran
    assert ran.out == "", "an error prints nothing else"
    assert len(ran.err) < LONGEST, ran.err[:500]
    assert ran.err.count("error: ") == 1, ran.err[:500]
    assert "mend: " in ran.err, ran.err[:500]
    assert "Pulumi.tst.yaml" in ran.err or "stack" in ran.err, ran.err[:500]
    return "error"


@pytest.mark.parametrize("wrong", CORPUS)
def test_each_file_of_the_corpus_ends_in_an_error_or_a_run(wrong: str, project: Project, faults: Faults) -> None:
    began = time.monotonic()
    ending = judged(project, CORPUS[wrong])
    told = {"run": "exit 0: it is as it should be", "error": "exit 1: one message with place and mend"}[ending]
    faults.record("bad input: the corpus", "both", told, time.monotonic() - began)


def _with_examples(number: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=max(number, settings().max_examples if settings().max_examples > 100 else 0),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def test_generated_configurations_end_in_an_error_or_a_run(project: Project, faults: Faults) -> None:
    endings: Counter[str] = Counter()

    @_with_examples(CONFIGURATIONS)
    @given(configurations())
    def hold(content: bytes) -> None:
        endings[judged(project, content)] += 1

    began = time.monotonic()
    hold()
    _record(faults, "bad input: generated configurations", endings, CONFIGURATIONS, time.monotonic() - began)
    assert endings["run"] > 20, endings
    assert endings["error"] > 100, endings


def test_files_after_an_accident_end_in_an_error_or_a_run(project: Project, faults: Faults) -> None:
    endings: Counter[str] = Counter()

    @_with_examples(BROKEN)
    @given(broken_files())
    def hold(content: bytes) -> None:
        endings[judged(project, content, secret=f": {PASSWORD}")] += 1

    began = time.monotonic()
    hold()
    _record(faults, "bad input: files after an accident", endings, BROKEN, time.monotonic() - began)


def _record(faults: Faults, kind: str, endings: Counter[str], wanted: int, seconds: float) -> None:
    assert endings.total() >= wanted
    each = seconds / endings.total()
    for _ in range(endings["run"]):
        faults.record(kind, "both", "exit 0: a correct run", each)
    for _ in range(endings["error"]):
        faults.record(kind, "both", "exit 1: one message with place and mend", each)


def test_what_is_accepted_makes_nothing_but_what_was_meant(server: Endpoint, project: Project, faults: Faults) -> None:
    """On a server with something else in it, by the direct engine and by psql."""
    applied: Counter[str] = Counter()
    tools.as_superuser(server, "CREATE ROLE bystander LOGIN", "CREATE DATABASE bystander")
    tools.as_superuser(server, "CREATE TABLE t AS SELECT 1 AS n", database="bystander")

    def seen() -> tuple[object, ...]:
        others = tools.answer(
            server,
            r"SELECT array_agg(rolname ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^[a-z][a-z0-9_]*_(app|migration)_tst_user$'",
        )
        bases = tools.answer(
            server, "SELECT array_agg(datname ORDER BY datname) FROM pg_database WHERE datname <> 'go-labs-tst'"
        )
        return others, bases, tools.answer(server, "SELECT n FROM t", database="bystander")

    before = seen()

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(acceptable())
    def hold(content: bytes) -> None:
        project.stack_file("tst").write_bytes(content)
        try:
            read = read_settings(StackFile.read(project, "tst").decrypted({}))
        except GolabsError:
            return
        script = golabs("--project", str(project.root), "sql", "tst")
        assert script.code == 0, script
        assert all(MEANT.match(line) or not re.match(r"[A-Z\\]", line) for line in script.out.splitlines()), script.out
        psql(server, script.out)
        assert seen() == before
        schemas = tools.answer(
            server,
            "SELECT array_agg(nspname::text) FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema$|public$)'",
            database="go-labs-tst",
        )
        assert set(schemas or ()) == {service.name for service in read.services}
        tools.as_superuser(server, 'DROP DATABASE "go-labs-tst" WITH (FORCE)')
        for user in read.users:
            tools.as_superuser(server, f'DROP ROLE "{user}"')
        applied["run"] += 1

    began = time.monotonic()
    hold()
    assert applied["run"] >= 20, applied
    for _ in range(applied["run"]):
        faults.record(
            "hostile configurations that are accepted, run by psql",
            "both",
            "exit 0: nothing but what was meant",
            time.monotonic() - began,
        )
    wipe(server)


@pytest.mark.parametrize(
    "words", [("up",), ("sql",), ("rotate", "tst"), ("retire", "tst"), ("set-password", "tst", "billing")], ids=" ".join
)
def test_hostile_words_on_the_command_line_are_wrong_usage_or_one_error(
    words: tuple[str, ...], project: Project
) -> None:
    project.stack_file("tst").write_bytes(CORPUS["Windows' line ends"])
    for hostile in (text for text in HOSTILE if "\0" not in text and not text.startswith("-")):
        ran = golabs("--project", str(project.root), *words, hostile)
        assert ran.code in (1, 64), (hostile, ran)
        assert "Traceback" not in ran.err
        assert ran.err.count("error: ") == 1, (hostile, ran.err[:300])
        assert len(ran.err) < LONGEST
    assert not project.server_home.exists()


@pytest.mark.parametrize("wrong", ["a billion laughs", "two thousand services", "deep lists", "UTF-16", "random bytes"])
def test_the_whole_command_stays_small_and_says_one_thing(wrong: str, project: Project) -> None:
    project.stack_file("tst").write_bytes(CORPUS[wrong])
    ended = subprocess.run(
        [sys.executable, "-m", "golabs_infra", "--project", str(project.root), "preview", "tst", "--engine", "direct"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30)),
    )
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("error: ") == 1, ended.stderr[:500]
