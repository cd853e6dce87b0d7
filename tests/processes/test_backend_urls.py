"""Whatever the Pulumi CLI says of a state's backend, no password in its URL is in our message."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from golabs_infra.errors import EngineError
from golabs_infra.project import Project
from golabs_infra.stacks import PulumiEngine
from golabs_infra.toolchain import Toolchain

from ..support import write_stack

SECRET = "c4n4ry"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgres://u:{SECRET}@h:5432/db", "postgres://u:***@h:5432/db"),
        (f"postgres://u:{SECRET[:3]}@{SECRET[3:]}@h/db", "postgres://u:***@h/db"),
        (f"postgres://u:{SECRET}@@h/db", "postgres://u:***@h/db"),
        (f"postgres://u:{SECRET}:{SECRET}/{SECRET}?@h/db", "postgres://u:***@h/db"),
        (f"postgres://me@corp:{SECRET}@h/db", "postgres://me@corp:***@h/db"),
        (f"postgres://:{SECRET}@h/db", "postgres://:***@h/db"),
        (f"postgres://h/db?password={SECRET}&sslmode=require", "postgres://h/db?password=***&sslmode=require"),
        (f"postgres://h/db?user=u&password={SECRET}&x", "postgres://h/db?user=u&password=***&x"),
        ("postgres://u@h:5432/db", "postgres://u@h:5432/db"),
        ("s3://bucket/folder", "s3://bucket/folder"),
    ],
)
@pytest.mark.parametrize("quoted", ["{}", '"{}"', "({}):"])
def test_a_password_is_masked_up_to_the_host(
    project: Project, url: str, shown: str, quoted: str, tmp_path: Path
) -> None:
    write_stack(project, "dev", services=["billing"])
    cli = tmp_path / "pulumi"
    said = f"error: {quoted.format(url)} is closed, ask me@example.org"
    cli.write_text(f"#!/bin/sh\necho {shlex.quote(said)} >&2; exit 1\n")
    cli.chmod(0o755)
    engine = PulumiEngine(project, "dev", Toolchain(cli, cli, ()), {"PULUMI_BACKEND_URL": url})
    with pytest.raises(EngineError) as caught:
        engine.prepare()
    assert caught.value.what == f"pulumi stack select failed: {quoted.format(shown)} is closed, ask me@example.org"
