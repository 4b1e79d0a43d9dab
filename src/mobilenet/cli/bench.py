"""``mobilenet bench``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..bench import measure
from ..bench.peers import PEERS, unavailable
from ..bench.roofline import layer_times
from ..errors import UsageError
from ..runtimes.backends import default_threads
from ..zoo.load import load_model
from .shell import command, json_option, model_option, resolution_option, say, threads_option
from .tables import bench_table, layer_table, whole_table

if TYPE_CHECKING:
    from ..network.layers import Resolution


@command
@model_option
@resolution_option
@threads_option
@click.option("--precision", default="fp32", show_default=True, help="fp32; the engine has no other yet.")
@click.option(
    "--against", help=f"Other runtimes, separated by commas: {', '.join(PEERS)}; by default those that are installed."
)
@click.option("--seconds", type=click.FloatRange(0), default=5.0, show_default=True, help="Time for the runs of each engine.")
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
    if precision != "fp32":
        raise UsageError(f"--precision {precision}: the engine runs fp32 only so far; leave it out")
    if whole:
        bench_whole(model, photo or Path("photos/coffee.jpg"), threads or 1, seconds, as_json, record)
        return
    names = against.split(",") if against else PEERS
    if reason := unavailable("native"):
        raise UsageError(reason)
    reasons = {name: unavailable(name) for name in names if name != "native"}
    content = load_model(model, say).dequantized()
    if layers:
        times = layer_times(content.network, content.tensors, resolution)
        click.echo(json.dumps([asdict(row) for row in times], indent=2) if as_json else layer_table(times))
        return
    for reason in filter(None, reasons.values()):
        say(f"skipped {reason}")
    peers = [name for name, reason in reasons.items() if reason is None]
    rows = measure.bench(content.network, content.tensors, resolution, threads or default_threads(), peers, seconds)
    if save is not None:
        measure.save_figure(rows, save)
    if record:
        say(f"appended to {measure.append_rows(rows, model, Path.cwd())}")
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else bench_table(rows))


def bench_whole(model: str, photo: Path, threads: int, seconds: float, as_json: bool, record: bool) -> None:
    """``bench --whole``."""
    from ..bench import whole

    rows = whole.bench_whole(load_model(model, say), photo, threads, seconds)
    if record:
        say(f"appended to {whole.append_rows(rows, model, photo, Path.cwd())}")
    click.echo(json.dumps([asdict(row) for row in rows], indent=2) if as_json else whole_table(rows))
