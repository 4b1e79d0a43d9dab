"""The entry point of the command ``mobilenet`` and of ``python -m mobilenet``."""

import sys


def run() -> None:
    """Runs the command. Ctrl-C ends it without a traceback at any moment."""
    try:
        import atexit
        import gc

        gc.set_threshold(100_000, 50, 50)  # imports and loading make many objects and hardly any garbage
        atexit.register(gc.freeze)  # the collection at exit would visit all of them for nothing
        from .cli.main import main

        main(prog_name="mobilenet")
    except KeyboardInterrupt:  # while modules are imported: click sees only those that come after
        sys.exit(130)


if __name__ == "__main__":
    run()
