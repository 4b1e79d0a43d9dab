"""What every command shares: the group, the errors' exit status, options and their parsers.

Exit status 0 success, 1 the work failed for some inputs (each named, the rest done), 2 wrong usage. Errors are one line
on stderr; ``--debug`` shows the traceback.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click

from ..errors import MobilenetError

T = TypeVar("T")
A_HANDFUL = 5  # inputs; past them a progress bar


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="mobilenet")
def main() -> None:
    """MobileNets from the paper to the device: name pictures, count costs, read weights."""


def command(function: Callable[..., None]) -> click.Command:
    """A subcommand whose errors are one line, with the exit status that fits their kind."""

    @functools.wraps(function)
    def guarded(*args: Any, debug: bool, **kwargs: Any) -> None:
        try:
            function(*args, **kwargs)
        except ValueError as error:
            if debug:
                raise
            stop(str(error), error.status if isinstance(error, MobilenetError) else 2 if type(error) is ValueError else 1)
        except (OSError, MemoryError) as error:
            if debug:
                raise
            stop(f"{type(error).__name__}: {error}", 1)

    option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    return main.command(name=function.__name__)(option(guarded))


def stop(message: str, status: int) -> None:
    say(f"mobilenet: {message}")
    sys.exit(status)


def say(line: str) -> None:
    click.echo(line, err=True)


def parse_resolution(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """``224`` or ``height x width`` as ``513x385``."""
    if value is None:
        return None
    sides = value.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise click.BadParameter(f"{value!r} must be a side or HEIGHTxWIDTH in pixels, for example 224 or 384x512")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def parse_settings(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, Any]:
    """``key=value`` with the value in JSON's syntax, or as it stands."""
    settings: dict[str, Any] = parse_pairs(context, parameter, values)
    for key, value in settings.items():
        with contextlib.suppress(ValueError):
            settings[key] = json.loads(value)
    return settings


def parse_pairs(context: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """``key=value`` with the value as it stands; of a key given twice the last one counts."""
    pairs: dict[str, str] = {}
    for item in values:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{item!r} must be key=value, for example shortcut=none")
        pairs[key] = value
    return pairs


model_option = click.option("--model", default="imagenet", show_default=True, help="A known model's name, or a model file.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
resolution_option = click.option("--resolution", callback=parse_resolution, metavar="SIDE|HxW", help="Picture size in pixels.")
set_option = click.option("--set", "settings", multiple=True, callback=parse_settings, metavar="KEY=VALUE",
                          help="A setting of the architecture, for example shortcut=none.")  # fmt: skip
threads_option = click.option("--threads", type=click.IntRange(1, 256), help="Threads of the runtime; default all cores.")


def progress(items: Sequence[T], label: str) -> Iterable[T]:
    """A bar on stderr past a handful of items, where somebody watches."""
    if len(items) <= A_HANDFUL or not sys.stderr.isatty():
        yield from items
        return
    with click.progressbar(items, label=label, file=sys.stderr, show_pos=True) as bar:
        yield from bar


def process_peak() -> str:
    """The most memory this process has held, as the system counts it."""
    try:
        import resource
    except ImportError:  # Windows
        return "not measured here"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return f"{peak / 2**20:.0f} MiB"
