"""Wrong usage: one error that says what was wrong, and the help of the command that was meant."""

from __future__ import annotations

import pytest

from golabs_infra.cli import main


@pytest.mark.parametrize(
    ("words", "what", "mend"),
    [
        ("server", "name one of start, status, stop", "golabs server --help"),
        ("server start --port x", "Invalid value for '--port'", "golabs server start --help"),
        ("server sleep", "No such command 'sleep'.", "golabs server --help"),
        ("import-legacy tst", "Missing argument 'DIR'.", "golabs import-legacy --help"),
        ("upp tst", "No such command 'upp'.", "golabs --help"),
        ("--project . up", "Missing argument 'ENV'.", "golabs up --help"),
        ("up tst --frobnicate", "No such option: --frobnicate", "golabs up --help"),
    ],
)
def test_the_mend_is_the_help_of_what_was_meant(
    words: str, what: str, mend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 64
    error, *_, last = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {what}")
    assert last == f"  mend: {mend}"
