"""Folders that can't be written to, as on a file system that was mounted read-only: one message, and the next `up` converges."""

from __future__ import annotations

import time

import pytest

from golabs_infra.endpoint import Endpoint
from golabs_infra.project import Project

from ..live import proofs, tools
from .disks import read_only
from .ledger import Faults


@pytest.mark.parametrize("where", ["output/dev", "output", ".golabs/pending", ".golabs"])
def test_a_folder_that_is_read_only_loses_no_password(
    where: str, server: Endpoint, project: Project, capsys: pytest.CaptureFixture[str], faults: Faults
) -> None:
    stack = proofs.Stack(project, server, server, "dev", capsys)
    stack.write()
    stack.up()
    words = tools.secret_words(project, "dev")
    stack.write(services=[*proofs.SERVICES, "returns"])
    with read_only(project.root / where):
        began = time.monotonic()
        code, out, err = stack.golabs("up", "--engine", "direct")
        seconds = time.monotonic() - began
    assert code == 1, (out, err)
    assert seconds < 15
    assert err.count("error: ") == 1, err
    assert "Read-only file system" in err
    assert "mend: free space or mend permissions there" in err
    assert tools.can_log_in(project, environment="dev")
    assert stack.golabs("up", "--engine", "direct")[0] == 0
    assert words < tools.secret_words(project, "dev")
    assert tools.can_log_in(project, [*proofs.SERVICES, "returns"], "dev")
    faults.record(f"{where} is read-only: `up`", "direct", "exit 1: Read-only file system", seconds)
