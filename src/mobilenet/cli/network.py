"""``mobilenet cost``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import modelfile
from ..network import catalog, cost as ledgers
from ..runtimes.backends import planned_bytes
from ..zoo.load import load_model
from ..zoo.published import models
from .shell import command, json_option, parse_settings, resolution_option, say, set_option
from .tables import ledger_table

if TYPE_CHECKING:
    from ..network.grid import GridQuantization
    from ..network.layers import Network, Resolution
    from ..network.quantization import Quantization


@command
@click.argument("arch_or_file")
@click.option("--width", type=float, help="Width multiplier.")
@resolution_option
@click.option("--classes", type=int, help="Outputs of the classifier; 0 for none.")
@click.option("--output-stride", type=int, help="32, 16 or 8.")
@click.option("--precision", help="Of the memory columns: fp32, fp16, bf16 or int8; by default what the model file has.")
@set_option("architecture", "shortcut=none", parse_settings)
@json_option
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Draw memory and MAdds (.png, .svg, .pdf).")
def cost(
    arch_or_file: str,
    width: float | None,
    resolution: Resolution | None,
    classes: int | None,
    output_stride: int | None,
    precision: str | None,
    settings: dict[str, object],
    as_json: bool,
    save: Path | None,
) -> None:
    """Count parameters, multiply-adds and activation memory, layer by layer.

    ARCH_OR_FILE is an architecture such as mobilenet_v2, a model file, or a known model such as coco.
    """
    options = {"width": width, "classes": classes, "output_stride": output_stride}
    settings = {**{key: value for key, value in options.items() if value is not None}, **settings}
    if settings.get("classes") == 0:
        settings["classes"] = None
    network, stored, integers = network_of(arch_or_file, settings)
    chosen: Any = stored if precision is None else precision
    ledger = ledgers.cost(network, resolution, chosen)
    if chosen in ("fp32", "bf16") or (chosen == "int8" and integers is not None):
        planned = planned_bytes(ledger.network, quantization=integers if chosen == "int8" else None, bf16=chosen == "bf16")
        ledger = replace(ledger, planned_bytes=planned)
    if save is not None:
        ledgers.save_figure(ledger, save)
    click.echo(json.dumps(ledger.to_json(), indent=2) if as_json else ledger_table(ledger))


def network_of(
    arch_or_file: str, settings: dict[str, object]
) -> tuple[Network, ledgers.Precision, GridQuantization | Quantization | None]:
    """The network of an architecture, a known model or a model file, with `settings` in place of its own; its number type; and
    its quantization, if its integers are ours and no setting changed.
    """
    model = None
    if arch_or_file in models():
        model = load_model(arch_or_file, say)
    elif arch_or_file not in catalog.ARCHITECTURES and os.path.isfile(arch_or_file):
        model = modelfile.read(arch_or_file)
    if model is None:
        return catalog.build(arch_or_file, **settings), "fp32", None
    network = catalog.from_description({**model.network.description, **settings})
    return network, "int8" if model.quantization else "fp32", None if settings else model.quantization
