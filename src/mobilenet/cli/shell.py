"""What the commands share: errors as exit status, options and their parsers, progress.

Exit status: 0 for success, 1 if the work failed for some inputs (each is named, the others are done), 2 for wrong usage, and
130, 143 or 141 if Ctrl-C, SIGTERM or a closed pipe ended the command (see ``__main__``).
An error is one line on stderr; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import MobilenetError, one_line, printable

if TYPE_CHECKING:
    from ..network.layers import Resolution

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
MAX_QUIET = 5  # items that need no progress bar


def command(function: Callable[..., None]) -> click.Command:
    """A command named like its function, whose errors are one line and an exit status."""

    @functools.wraps(function)
    def guarded(*args: Any, debug: bool, **kwargs: Any) -> None:
        if not debug:
            silence_pillow()
        try:
            function(*args, **kwargs)
        except (ValueError, OSError, MemoryError) as error:
            if debug or isinstance(error, BrokenPipeError):  # stdout's; see __main__
                raise
            message = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            say(f"mobilenet: {one_line(message)}")
            sys.exit(status(error))

    option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    return click.command(name=function.__name__)(option(guarded))


def silence_pillow() -> None:
    """Pillow warns of what is odd in an image in lines of its own: an image is read, or refused in one line."""
    import logging
    import warnings

    logging.getLogger("PIL").addHandler(logging.NullHandler())
    warnings.filterwarnings("ignore", module=r"PIL\.")


def status(error: Exception) -> int:
    """The exit status for an error: its own, or 1 for one of the system."""
    return error.status if isinstance(error, MobilenetError) else 1


def print_json(value: object) -> None:
    """Prints JSON with readable letters, and escapes that are safe for a terminal."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    click.echo("\n".join(map(printable, text.split("\n"))))


def say(line: str) -> None:
    """Prints a line on stderr."""
    click.echo(printable(line), err=True)


def tell(line: str) -> None:
    """Prints a line on stdout, whatever a name in it may hold."""
    click.echo(printable(line))


def parse_resolution(context: click.Context, parameter: click.Parameter, value: str | None) -> Resolution | None:
    """``224`` for a square, or height and width as ``513x385``."""
    if value is None:
        return None
    sides = value.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise click.BadParameter(f"{value!r} must be a side or HEIGHTxWIDTH in pixels, for example 224 or 384x512")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def parse_bytes(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A number of bytes, also in ``kB``, ``MB``, ``GB`` (1000) or ``KiB``, ``MiB``, ``GiB`` (1024 of the unit before)."""
    if value is None:
        return None
    text = value.strip().lower().removesuffix("b")
    step = 1024 if text.endswith("i") else 1000
    text = text.removesuffix("i")
    power = "kmg".find(text[-1:]) + 1 if text else 0
    try:
        number = float(text[:-1] if power else text) * step**power
    except ValueError:
        number = 0.0
    if not 1 <= number < 2**63 or (step == 1024 and not power):  # not-a-number too
        raise click.BadParameter(f"{value!r} must be a number of bytes of at least 1, for example 2000000, 2MB or 1.5MiB")
    return int(number)


def refuse_nan(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """The number, unless it is none: click's ranges let NaN through."""
    if value is not None and not value == value:
        raise click.BadParameter("nan is no number; give one, for example 5")
    return value


def parse_pairs(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """``key=value`` to key and text; the last value of a key counts."""
    pairs: dict[str, str] = {}
    for item in values:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{item!r} must be key=value, for example shortcut=none")
        pairs[key] = value
    return pairs


def parse_settings(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, object]:
    """As `parse_pairs`, with each value read as JSON if it is JSON."""
    settings = dict[str, object]()
    for key, value in parse_pairs(context, parameter, values).items():
        settings[key] = value
        with contextlib.suppress(ValueError, RecursionError):
            settings[key] = json.loads(value)
    return settings


model_option = click.option("--model", default="imagenet", show_default=True, help="Name of a known model, or a model file.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
layout_option = click.option(
    "--layout", metavar="NAME", help="Layout of the data, if it can be read in several ways: the message names them."
)
resolution_option = click.option("--resolution", callback=parse_resolution, metavar="SIDE|HxW", help="Image size in pixels.")
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads for one image; by default all big cores, or one for the few images of predict.",
)


def set_option(what: str, example: str, callback: Callable[..., Any]) -> Callable[[F], F]:
    """The option ``--set KEY=VALUE`` of a command, with its values read by `callback`."""
    words = f"Change a setting of the {what}, for example {example}."
    return click.option("--set", "settings", multiple=True, callback=callback, metavar="KEY=VALUE", help=words)


def progress(items: Sequence[T], label: str) -> Iterable[T]:
    """The items, with a progress bar on stderr if there are many and stderr is a terminal."""
    if len(items) <= MAX_QUIET or not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, label=label, file=sys.stderr, show_pos=True) as bar:
        yield from bar


def process_peak() -> str:
    """The most memory that this process has held, as the system counts it."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status_file:
        for line in status_file:
            if line.startswith("VmHWM:"):  # getrusage's peak begins with that of the parent, which may have been larger
                return f"{int(line.split()[1]) / 2**10:.0f} MiB"
    try:
        import resource
    except ImportError:  # Windows
        return "not measured here"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{peak / 2**20:.0f} MiB"
