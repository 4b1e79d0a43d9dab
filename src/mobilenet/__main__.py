"""The entry point of the command ``mobilenet`` and of ``python -m mobilenet``, and how the command ends early.

Ctrl-C, SIGTERM and a closed pipe behind stdout end it as they end other Unix tools: without a traceback, by the signal itself
(a shell shows 130, 143 and 141), after files half written are removed.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as in the package itself: what is imported before `run` is the time in which Ctrl-C is Python's
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn


def skip_last_collection() -> None:
    """Spares the collection at exit, which would visit all objects for nothing. PyTorch's packages report them as leaks."""
    import gc

    if "torch" not in sys.modules:
        gc.freeze()


class Stopped(BaseException):
    """A signal asked the process to end. No Exception, so that nothing keeps going; holds the signal's number."""


def run() -> NoReturn:
    """Runs the command, and ends the process."""
    import _signal  # type: ignore[import-not-found]  # `signal` without its enums, for whose import there is a handler then

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    import signal

    process = os.getpid()
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if received or os.getpid() != process:  # a second one waits for nothing; a forked child has nothing to remove
            end_by(number)
        received.append(number)
        raise Stopped(number)

    status = 1
    try:
        for each in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(each) is not signal.SIG_IGN:  # as nohup and background jobs ask
                signal.signal(each, stop)
        status = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        received.append(signal.SIGINT)
    except BrokenPipeError:
        received.append(getattr(signal, "SIGPIPE", signal.SIGTERM))
    except BaseException:
        if not received:  # else it is what some library made of Stopped
            raise
    if received:
        end_by(received[0])
    sys.exit(status)


def command() -> int:
    """Runs the command as `sys.argv` says; its exit status."""
    import atexit
    import gc

    gc.set_threshold(100_000, 50, 50)  # imports and loading make many objects and hardly any garbage
    atexit.register(skip_last_collection)
    import click

    from .cli.main import main

    stdout = sys.stdout
    try:
        status = main(prog_name="mobilenet", standalone_mode=False)
    except click.ClickException as error:
        import io

        from .errors import printable

        error.show(text := io.StringIO())
        print("\n".join(map(printable, text.getvalue().rstrip().split("\n"))), file=sys.stderr)  # it may quote an argument
        return error.exit_code
    except SystemExit as end:
        if sys.stdout is not stdout:  # so click notes that its pipe is closed
            raise BrokenPipeError from None
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return status if isinstance(status, int) else 0


def end_by(number: int) -> NoReturn:
    """Ends this process by a signal, so that whoever started it sees why it ended."""
    import signal

    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # what is left in stdout's buffer has no reader
    if os.name == "posix":
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(128 + number)


if __name__ == "__main__":
    run()
