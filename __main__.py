"""The Pulumi program of golabs-infra; everything is in `golabs_infra.program`."""

import os
import signal

from golabs_infra.program import run

# When a resource has failed, the engine interrupts the program: a traceback then would hide what failed.
signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))
run()
