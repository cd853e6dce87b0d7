"""The list of all contenders, in the order of table and plot."""

from __future__ import annotations

from .ansible import Ansible
from .contenders import Contender
from .golabs import Direct, Pulumi
from .pgroles import Pgroles
from .scripts import Psql
from .terraform import Terraform

CONTENDERS: tuple[Contender, ...] = (
    Direct(),
    Psql(
        key="psql",
        label="psql, the engine's statements",
        generated=False,
        notes=("only sends what was worked out before: passwords, verifiers and statements are off the clock",),
    ),
    Psql(
        key="psql-script",
        label="psql, script of golabs sql",
        generated=True,
        notes=("the script, which can be run again, was printed before, off the clock",),
    ),
    Pgroles(),
    Terraform(),
    Pulumi(
        key="golabs-pulumi",
        label="golabs, Pulumi engine",
        sizes=(3, 10, 50, 100),
        plain=False,
        notes=("`golabs up --engine pulumi`, which makes the stack too, and `golabs reset`",),
    ),
    Pulumi(
        key="pulumi",
        label="plain pulumi",
        sizes=(3, 10),
        plain=True,
        notes=(
            "the same program by `pulumi up` and `pulumi destroy`, which a reset needs; no change is seen by the state, without a refresh",
        ),
    ),
    Ansible(),
)
