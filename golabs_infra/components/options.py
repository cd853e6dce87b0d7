"""The resource options that a policy asks for, so that plain `pulumi destroy` keeps to it too.

disposable  `deleted_with` the database: it goes first, WITH FORCE, and takes what is in it along.
keep        `retain_on_delete`: destroy and removal forget, and leave everything in place.
guarded     `protect`: destroy, removal and replacement are refused with nothing touched.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_postgresql as postgresql

from ..policy import Policy


def options(
    policy: Policy,
    *,
    parent: pulumi.Resource,
    provider: postgresql.Provider | None = None,
    inside: postgresql.Database | None = None,
    depends_on: Sequence[pulumi.Resource] = (),
    import_: str | None = None,
    delete_before_replace: bool | None = None,
    ignore_changes: Sequence[str] = (),
) -> pulumi.ResourceOptions:
    """Options of one resource. `inside` is the database whose end is the resource's end too."""
    return pulumi.ResourceOptions(
        parent=parent,
        provider=provider,
        protect=policy.protects,
        retain_on_delete=policy.forgets,
        deleted_with=inside if policy.drops else None,
        depends_on=list(depends_on),
        import_=import_,
        delete_before_replace=delete_before_replace,
        ignore_changes=list(ignore_changes),
    )
