"""What is read from shell files is what bash would have read, or is said not to be understood."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from golabs_infra.legacy_lines import Entry, read_entries
from golabs_infra.shell_words import BLANKS

from ..strategies import examples

BASH = shutil.which("bash")
NAMES = [f"V{index}" for index in range(8)]
UNSET = "\x01unset"

FRAGMENTS = st.one_of(
    st.text("abcXYZ019_.,:=/+@%^-", min_size=1, max_size=6),
    st.sampled_from(
        ["#", " #", "$", "$ ", "~", "!", "*", "?", "[", "]", "{a,b}", "{", "}", "é", "ß☃", "\t", " ", "\r"]
    ),
    st.sampled_from(["\\", "\\\\", "\\$", '\\"', "\\'", "\\ ", "\\n", "\\#", "\\\n"]),
    st.sampled_from(["'", '"', "`", ";", "&", "|", "(", ")", "<", ">", "\n"]),
    st.sampled_from(
        ["$V0", "${V0}", "${V1}", "${V1:-d}", "${NONE:-d e}", "${NONE-}", "$NONE", "$$", "$1", "$(echo x)"]
    ),
    st.text('ab #$\\;"`!*~é&', max_size=6).map(lambda text: f"'{text}'"),
    st.text("ab #\\;'!*~é&$", max_size=6).map(lambda text: f'"{text}"'),
    st.text("ab #;!n\\", max_size=5).map(lambda text: f"$'{text}'"),
)
COMMANDS = st.sampled_from(["", "", "", "export ", "declare ", "declare -x ", "readonly ", "  "])
ENDS = st.sampled_from(["\n", "\n", " # a comment\n", "; ", " ;\n", "\n\n# a comment with ' in it\n"])


def entries(text: str) -> dict[str, Entry]:
    """The last entry of each key."""
    return {entry.key: entry for entry in read_entries(text, "file", "dev", {})}


def bash(text: str, folder: Path) -> dict[str, str]:
    """What the variables hold after bash has sourced a file."""
    file = folder / "file.sh"
    file.write_bytes(text.encode())
    show = "; ".join(f'printf "%s\\0" "${{{name}-{UNSET}}}"' for name in NAMES)
    done = subprocess.run(
        [str(BASH), "--norc", "--noprofile", "-c", f'source "$0" >/dev/null 2>&1 </dev/null; {show}', str(file)],
        env={"LC_ALL": "C.UTF-8", "HOME": "/nowhere"},
        cwd=folder,
        capture_output=True,
        timeout=20,
        check=False,
    )
    values = done.stdout.decode().split("\0")[: len(NAMES)]
    return {name: value for name, value in zip(NAMES, values, strict=False) if value != UNSET}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files go that bash sources."""
    return tmp_path_factory.mktemp("sourced")


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
@examples(100)
@given(st.lists(st.tuples(COMMANDS, st.lists(FRAGMENTS, max_size=5).map("".join), ENDS), min_size=1, max_size=8))
@example([("", "a\\", "\n"), ("", "b", "\n")])
@example([("", "'it", "\n"), ("", "x", "\n"), ("", "it's", "\n")])
def test_what_is_understood_is_what_bash_reads(folder: Path, lines: list[tuple[str, str, str]]) -> None:
    # White space around = is no shell, and read all the same.
    written = (
        f"{command}{name}={value.lstrip(BLANKS)}{end}"
        for name, (command, value, end) in zip(NAMES, lines, strict=False)
    )
    text = re.sub(r"\r+\n", "\n", "".join(written))  # a carriage return there is no part of the value here
    values = bash(text, folder)
    for name, entry in entries(text).items():
        if entry.value is not None and name in values:
            assert entry.value == values[name], (name, text)


@examples(100)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1, max_size=8))
def test_every_quoted_value_is_understood(folder: Path, values: list[str]) -> None:
    for quote in (shlex.quote, lambda text: '"' + "".join(f"\\{c}" if c in '$`"\\' else c for c in text) + '"'):
        pairs = dict(zip(NAMES, values, strict=False))
        text = "".join(f"export {name}={quote(value)} # set\n" for name, value in pairs.items())
        assert {name: entry.value for name, entry in entries(text).items()} == pairs
