"""``mobilenet compare``."""

from __future__ import annotations

import sys

import click

from ..runtimes.backends import limit_numpy
from .shell import command, json_option, print_json, progress, say


@command
@click.argument("a")
@click.argument("b")
@click.option("--data", type=click.Path(), help="Images, labeled or not; by default photos of mobilenet's own.")
@json_option
def compare(a: str, b: str, data: str | None, as_json: bool) -> None:
    """Compare two models, runtimes or exported files on the same images.

    A and B are a model's name or file; or a backend (native, reference, dequantized, onnxruntime, openvino, torch) or an
    exported file, which run the model of the other side. Each works on one thread. With labels, both are scored.
    """
    limit_numpy("native", None)
    from ..parity.pair import compare as beside  # imports numpy, whose threads are limited now
    from .comparison import comparison_table

    result = beside(a, b, data, watch=lambda looks: progress(looks, "comparing"))
    if as_json:
        print_json(result.to_json())
    else:
        click.echo(comparison_table(result))
    for reason in result.failed:
        say(f"mobilenet: {reason}")
    if result.failed:
        sys.exit(1)
