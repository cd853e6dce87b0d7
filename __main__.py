"""The Pulumi program of golabs-infra; everything is in `golabs_infra.program`."""

from golabs_infra.program import run

run()
