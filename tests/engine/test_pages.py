"""Every command of the documentation that needs the Pulumi CLI is run, and prints what the page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from golabs_infra.toolchain import Toolchain

from ..docs.following import Reader, read, readers


@pytest.mark.timeout(900)
@pytest.mark.parametrize("reader", [reader for reader in readers() if reader.has_pulumi], ids=str)
def test_its_commands_do_what_it_says(
    reader: Reader, toolchain: Toolchain, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    read(reader, toolchain, tmp_path, request)
