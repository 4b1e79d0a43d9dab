"""The entry point of the command ``mobilenet`` and of ``python -m mobilenet``."""

import sys


def skip_last_collection() -> None:
    """Spares the collection at exit, which would visit all objects for nothing. PyTorch's packages report them as leaks."""
    import gc

    if "torch" not in sys.modules:
        gc.freeze()


def run() -> None:
    """Runs the command. Ctrl-C ends it without a traceback at any moment."""
    try:
        import atexit
        import gc

        gc.set_threshold(100_000, 50, 50)  # imports and loading make many objects and hardly any garbage
        atexit.register(skip_last_collection)
        from .cli.main import main

        main(prog_name="mobilenet")
    except KeyboardInterrupt:  # while modules are imported: click sees only those that come after
        sys.exit(130)


if __name__ == "__main__":
    run()
