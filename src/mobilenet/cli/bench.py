"""``mobilenet bench``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..bench import measure
from ..bench.peers import PEERS, unavailable
from ..bench.roofline import layer_times, layer_times_of_integers
from ..errors import UsageError
from ..runtimes.backends import PRECISIONS, default_threads
from ..zoo.load import load_model
from .shell import command, json_option, model_option, refuse_nan, resolution_option, say, threads_option
from .tables import bench_table, integer_table, layer_table, whole_table

if TYPE_CHECKING:
    from ..network.layers import Resolution


@command
@model_option
@resolution_option
@threads_option
@click.option("--precision", default="fp32", show_default=True, help="fp32, bf16 or int8.")
@click.option("--calibration", help="For int8: images from which integers are made, as for quantize.")
@click.option(
    "--against", help=f"Other runtimes, separated by commas: {', '.join(PEERS)}; by default those that are installed."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 86_400),
    default=5.0,
    callback=refuse_nan,
    show_default=True,
    help="Time for the runs of each engine.",
)
@click.option("--layers", is_flag=True, help="Time the engine step by step instead, on one thread.")
@click.option("--whole", is_flag=True, help="Time file to answer instead, beside ONNX Runtime and the usual code around it.")
@click.option("--photo", type=click.Path(path_type=Path), help="For --whole; by default photos/coffee.jpg of a checkout.")
@json_option
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Draw latency and memory (.png, .svg, .pdf).")
@click.option("--record", is_flag=True, help="Append the rows to results/bench.jsonl of the checkout in this folder.")
def bench(
    model: str,
    resolution: Resolution | None,
    threads: int | None,
    precision: str,
    calibration: str | None,
    against: str | None,
    seconds: float,
    layers: bool,
    whole: bool,
    photo: Path | None,
    as_json: bool,
    save: Path | None,
    record: bool,
) -> None:
    """Time the engine and other runtimes on the same weights and image.

    They run in turns, in one process; the memory of each is measured in a process of its own.
    """
    if photo is not None and not whole:
        raise UsageError(f"--photo {photo}: only --whole takes one; add it, or leave the photo out")
    check_precision(precision, calibration, whole)
    if whole:
        bench_whole(model, photo or Path("photos/coffee.jpg"), threads or 1, seconds, as_json, record)
        return
    if precision == "int8":
        bench_int8(model, calibration, resolution, threads, against, seconds, layers, as_json, save, record)
        return
    names = against.split(",") if against else PEERS
    if reason := unavailable("native"):
        raise UsageError(reason)
    reasons = {name: unavailable(name) for name in names if name != "native"}
    content = load_model(model, say).dequantized()
    if layers:
        times = layer_times(content.network, content.tensors, resolution, bf16=precision == "bf16")
        click.echo(json.dumps([asdict(row) for row in times], indent=2) if as_json else layer_table(times))
        return
    for reason in filter(None, reasons.values()):
        say(f"skipped {reason}")
    peers = [name for name, reason in reasons.items() if reason is None]
    threads = threads or default_threads()
    say(measure.conditions(content.network, resolution, threads))
    rows = measure.bench(content.network, content.tensors, resolution, threads, peers, seconds, precision=precision)
    if save is not None:
        measure.save_figure(rows, model, save)
    if record:
        say(f"appended to {measure.append_rows(rows, model, Path.cwd())}")
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else bench_table(rows))


def check_precision(precision: str, calibration: str | None, whole: bool) -> None:
    """UsageError for a precision that the engine does not have, or that --whole does not time."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision {precision}: must be fp32, bf16 or int8")
    if calibration is not None and precision != "int8":
        raise UsageError(f"--calibration {calibration}: only integers need images; add --precision int8, or leave it out")
    if whole and precision != "fp32":
        raise UsageError(f"--precision {precision} with --whole: it runs the model as it is; leave the precision out")


def bench_int8(
    model: str,
    calibration: str | None,
    resolution: Resolution | None,
    threads: int | None,
    against: str | None,
    seconds: float,
    layers: bool,
    as_json: bool,
    save: Path | None,
    record: bool,
) -> None:
    """``bench --precision int8``."""
    from ..bench import integer_peers, integers

    content = load_model(model, say)
    if layers:
        times = layer_times_of_integers(integers.in_integers(model, content, calibration), resolution)
        click.echo(json.dumps([asdict(row) for row in times], indent=2) if as_json else layer_table(times))
        return
    names = against.split(",") if against else list(integer_peers.RUNTIMES)
    reasons = {name: integer_peers.unavailable(name) for name in names}
    for reason in filter(None, reasons.values()):
        say(f"skipped {reason}")
    peers = [name for name, reason in reasons.items() if reason is None]
    threads = threads or default_threads()
    rows = integers.bench_integers(model, content, calibration, resolution, threads, peers, seconds, say=say)
    if save is not None:
        measure.save_figure(rows, model, save)
    if record:
        say(f"appended to {integers.append_rows(rows, model, Path.cwd())}")
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else integer_table(rows))


def bench_whole(model: str, photo: Path, threads: int, seconds: float, as_json: bool, record: bool) -> None:
    """``bench --whole``."""
    from ..bench import whole

    rows = whole.bench_whole(load_model(model, say), photo, threads, seconds)
    if record:
        say(f"appended to {whole.append_rows(rows, model, photo, Path.cwd())}")
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else whole_table(rows))
