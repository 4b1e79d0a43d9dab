"""``mobilenet convert``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import modelfile
from ..convert import convert as conversions
from ..errors import UsageError
from ..files import remove_leftovers
from .shell import command, parse_settings, resolution_option, set_option, tell
from .tables import table

if TYPE_CHECKING:
    from ..network.layers import Resolution


@command
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The model file to write.")
@click.option("--labels", type=click.Path(path_type=Path), help="A text file with one label per line.")
@resolution_option
@click.option("--entry", help="Key of the state dict, for a checkpoint that holds several.")
@set_option("architecture", "shortcut=none", parse_settings)
@click.option("--mapping", is_flag=True, help="Print the origin of every tensor.")
def convert(
    source: Path,
    out: Path,
    labels: Path | None,
    resolution: Resolution | None,
    entry: str | None,
    settings: dict[str, object],
    mapping: bool,
) -> None:
    """Convert weights of other libraries to a model file.

    SOURCE is a checkpoint of torchvision, timm, transformers, Keras or d-li14, a TFLite file or a tfjs model; or the
    checkpoint.pt of a training, whose network is taken as it was then.
    """
    if out.suffix != ".safetensors":
        raise UsageError(f"--out {out}: a model file ends in .safetensors")
    names = None if labels is None else read_labels(labels)
    conversion = conversions.convert(source, labels=names, resolution=resolution, entry=entry, settings=settings)
    remove_leftovers(out.parent, out.name)
    modelfile.write(conversion.model, out)
    if mapping:
        rows = [(origin.source, "x".join(map(str, origin.shape)), origin.canonical) for origin in conversion.origins]
        click.echo(table(rows, (f"in {conversion.layout.name}", "shape", "here"), ("left",) * 3))
    network = conversion.model.network
    settings = {key: getattr(network.settings, key) for key in ("width", "classes", "padding", "epsilon")}
    summary = ", ".join(f"{key} {value}" for key, value in settings.items())
    tell(f"{out}: {network.architecture} from {conversion.layout.name} ({summary}), {len(conversion.origins)} tensors")


def read_labels(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--labels {path}: cannot be read as text ({error}); give one label on each line") from error
