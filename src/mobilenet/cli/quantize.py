"""``mobilenet quantize``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ..charts import check_chart
from ..errors import UsageError
from ..runtimes.backends import limit_numpy
from ..zoo.load import load_model
from .shell import command, json_option, print_json, progress, say, tell, threads_option
from .tables import noise_table


@command
@click.argument("model")
@click.option("--calibration", required=True, help="Images like those the model will see: a folder, file or pattern.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The model file to write.")
@click.option("--data", type=click.Path(path_type=Path), help="Labeled images, to score the model before and after.")
@click.option("--images", type=int, default=64, show_default=True, help="Calibration images to use.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Draw each layer's noise (.png, .svg, .pdf).")
@threads_option
@json_option
def quantize(
    model: str,
    calibration: str,
    out: Path,
    data: Path | None,
    images: int,
    save: Path | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Make an integer model of a float model: int8 weights, uint8 activations.

    MODEL is a model's name or file. The images need no labels. The report says how much noise the integers bring into each
    layer, which channels have most of it, and what saturates.
    """
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: a model file ends in .safetensors")
    if save is not None:
        check_chart(save)
    limit_numpy("native", None)
    content = load_model(model, say)
    from ..quantizing.quantize import quantize as integers  # imports numpy, whose threads are limited now

    result = integers(content, calibration, data=data, num_images=images, threads=threads, watch=progress)
    result.save(out)
    if save is not None:
        from ..quantizing.report import save_figure

        save_figure(result.report, save)
    if as_json:
        print_json(result.report.to_json())
    else:
        click.echo(noise_table(result.report))
        tell(f"{out}: {content.network.architecture} in integers")
    for reason in result.report.failed:
        say(f"mobilenet: {reason}")
    if result.report.failed:
        sys.exit(1)
