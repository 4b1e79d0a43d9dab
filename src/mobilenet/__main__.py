"""Where the command ``mobilenet`` begins, and ``python -m mobilenet``."""

import atexit
import gc
import sys

from .collector import uncollected


def run() -> None:
    with uncollected():
        from .cli import main
    atexit.register(leave)
    main(prog_name="mobilenet")


def leave() -> None:
    """Lets go of all objects together: else the collector goes through every module first, as long as a photo takes."""
    if "torch" not in sys.modules:  # whose libraries count at the end what is left of theirs
        gc.freeze()


if __name__ == "__main__":
    run()
