"""``mobilenet export``."""

from __future__ import annotations

from pathlib import Path

import click

from ..exports.formats import FORMATS
from ..runtimes.backends import limit_numpy
from ..zoo.load import load_model
from .shell import command, json_option, print_json, progress, say, tell


@command
@click.argument("model")
@click.option("--to", required=True, metavar="FORMAT", help=f"{', '.join(FORMATS)}.")
@click.option("--out", type=click.Path(path_type=Path), help="The file to write, or to replace; by default MODEL's name here.")
@click.option("--precision", metavar="NAME", help="fp32, fp16 or int8; by default int8 for a quantized model, else fp32.")
@click.option("--whole", is_flag=True, help="Put preprocessing and decoding inside: an image in; labels, boxes or a mask out.")
@click.option("--page", is_flag=True, help="Put a page beside it that shows the model at work; for web.")
@click.option("--in-place", is_flag=True, help="For c: integer weights that a small board uses where they lie.")
@click.option(
    "--data", type=click.Path(), help="Images to prove it on, labeled or not; by default photos that mobilenet brings."
)
@json_option
def export(
    model: str,
    to: str,
    out: Path | None,
    precision: str | None,
    whole: bool,
    page: bool,
    in_place: bool,
    data: str | None,
    as_json: bool,
) -> None:
    """Write a model in another format, proved by that format's own runtime.

    MODEL is a model's name or file. The file is run on images beside this engine before it gets its name: if its outputs differ
    by more than roundings can explain, nothing is written.
    """
    limit_numpy("native", None)
    load_model(model, say)  # says what it fetches
    from ..parity.export import export as write  # imports numpy, whose threads are limited now
    from .comparison import export_table

    done = write(
        model,
        to,
        out,
        precision=precision,
        whole=whole,
        page=page,
        in_place=in_place,
        data=data,
        watch=lambda looks: progress(looks, "proving"),
    )
    if as_json:
        print_json(done.to_json())
        return
    if done.comparison is not None:
        click.echo(export_table(done))
    verdict = "verified" if done.unverified is None else f"not verified here: {done.unverified}"
    tell(f"{done.path}: {done.bytes / 1e6:.2f} MB, {verdict}")
    if done.script is not None:
        tell(f"{done.script}: checks it where it can run")
