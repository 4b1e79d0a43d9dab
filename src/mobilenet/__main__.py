"""Where the command ``mobilenet`` begins, and ``python -m mobilenet``."""

import atexit

from .collector import settle, uncollected


def run() -> None:
    with uncollected():
        from .cli.main import main
    atexit.register(settle)
    main(prog_name="mobilenet")


if __name__ == "__main__":
    run()
