"""The entry point of the command ``mobilenet`` and of ``python -m mobilenet``."""

import atexit
import gc


def run() -> None:
    gc.set_threshold(100_000, 50, 50)  # imports and loading make many objects and hardly any garbage
    atexit.register(gc.freeze)  # the collection at exit would visit all of them for nothing
    from .cli.main import main

    main(prog_name="mobilenet")


if __name__ == "__main__":
    run()
