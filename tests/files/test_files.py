"""Private files: whole or not at all, and nobody else's to read."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from golabs_infra.connections import remove_files, write_files
from golabs_infra.errors import GolabsError
from golabs_infra.files import prepare_private, replace_file, write_private
from golabs_infra.forgetting import forget_environment
from golabs_infra.identity import forget_identity
from golabs_infra.pending import forget_pending
from golabs_infra.project import Project
from golabs_infra.proofs import forget_proofs

from ..support import unwarned


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_private(path, "pässword ✓\n")
    assert path.read_bytes() == "pässword ✓\n".encode()
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_an_open_file_becomes_private_when_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch(mode=0o644)
    write_private(path, "new")
    assert (path.read_text(encoding="utf-8"), mode(path)) == ("new", 0o600)


def test_a_reader_who_has_the_old_file_open_sees_the_old_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private(path, "old")
    with path.open(encoding="utf-8") as reader:
        write_private(path, "new")
        assert reader.read() == "old"


def test_a_prepared_file_is_complete_and_private(tmp_path: Path) -> None:
    prepared = Path(prepare_private(tmp_path, "text"))
    assert prepared.parent == tmp_path
    assert (prepared.read_text(encoding="utf-8"), mode(prepared)) == ("text", 0o600)


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "file"
    write_private(path, "old")
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_private(path, "new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_replaced_keeps_its_mode_and_a_new_one_can_be_read(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    replace_file(path, b"first")
    assert mode(path) == 0o644
    path.chmod(0o664)
    link.symlink_to(path)
    replace_file(link, b"second")
    assert (path.read_bytes(), mode(path), link.is_symlink()) == (b"second", 0o664, True)
    assert sorted(tmp_path.iterdir()) == [path, link]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None], linked: bool) -> None:
    path, link = tmp_path / "there", tmp_path / "link"
    make(path)
    link.symlink_to(path)
    kind = path.stat().st_mode
    with pytest.raises(OSError, match="it is no regular file") as caught:
        replace_file(link if linked else path, b"content")
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, str(path))
    assert path.stat().st_mode == kind
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_a_link_to_itself_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "circle"
    path.symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"):
        replace_file(path, b"content")
    assert path.is_symlink()


def test_a_file_that_we_may_not_write_to_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write to everything
    with pytest.raises(PermissionError) as caught:
        replace_file(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "end",
    [lambda project: write_files(project, "tst", [], warn=unwarned), lambda project: remove_files(project, "tst")],
)
def test_what_a_killed_run_left_half_way_goes_with_the_next(end: Callable[[Project], object], tmp_path: Path) -> None:
    project = Project(tmp_path)
    folder = project.output_folder("tst")
    folder.mkdir(parents=True)
    (folder / "of-somebody-else").touch()
    leftover = Path(prepare_private(folder, "password: c4n4ry"))
    assert leftover.exists()
    end(project)
    assert [path.name for path in folder.iterdir()] == ["of-somebody-else"]


@pytest.mark.parametrize(
    ("forget", "place"),
    [
        (forget_pending, ".golabs/pending/tst.json"),
        (forget_proofs, ".golabs/proofs/tst.json"),
        (forget_identity, ".golabs/identities/tst.json"),
        (remove_files, "output/tst/billing-connections.yaml"),
    ],
)
def test_a_file_that_can_not_be_removed_is_told(
    forget: Callable[[Project, str], object], place: str, tmp_path: Path
) -> None:
    project, path = Project(tmp_path), tmp_path / place
    forget(project, "tst")
    path.mkdir(parents=True)
    with pytest.raises(GolabsError) as caught:
        forget(project, "tst")
    assert str(caught.value) == (
        f"{path}: the file can't be removed: Is a directory\n  mend: remove it by hand, and run this again"
    )
    with pytest.raises(GolabsError, match="the environment is gone, and the file can't be removed: Is a directory"):
        forget_environment(project, "tst")
    path.rmdir()
    forget_environment(project, "tst")
    assert not path.exists()
