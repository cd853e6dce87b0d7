"""What the server has of a role's options."""

from __future__ import annotations

from golabs_infra.project import Project

from . import tools

OTHERS = ("catalog", "order")


def shown(project: Project, service: str, kind: str, setting: str) -> str:
    """A setting as a session of a service's user has it."""
    with tools.login(project, service, kind) as session:
        row = session.execute("SELECT current_setting(%s)", [setting]).fetchone()
        assert row is not None
        value: str = row[0]
        return value
