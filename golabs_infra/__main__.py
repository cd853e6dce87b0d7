"""`golabs`, also as `python -m golabs_infra`: what makes every command start faster, and then the command."""

import gc
import os
import signal


def main() -> None:
    """Runs the command. Exits with its code."""
    # Ctrl-C while we import ends the process at once, and not in the middle of somebody's module. Then `run` takes it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Looking for garbage takes a tenth of a command's time, and at its end a quarter: it goes with the process anyway.
    gc.disable()
    # We use none of them, and looking for them reads the metadata of every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from .cli import main as run

    try:
        run()
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
