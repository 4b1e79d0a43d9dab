"""What a model is, on one page: its network, size, cost, labels, preprocessing, source and accuracy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import printable
from ..network import catalog
from ..network.cost import cost
from ..runtimes.backends import choose
from ..tasks.labels import Labels, without_unused
from ..zoo.load import load_model

if TYPE_CHECKING:
    from ..modelfile import ModelFile
    from ..runtimes.backends import Runtime

MAX_LABELS = 5  # that are listed as examples


@dataclass(frozen=True)
class Info:
    """A model's card. `str(info)` is a table.

    Attributes:
        name: of the known model, or None.
        title: what the publisher calls it, or None.
        task: "classification", "detection" or "segmentation".
        architecture: of the network; `settings` are those it was built with.
        resolution: height and width of the network's input, in pixels.
        params: trainable parameters. `madds`: multiply-adds for one image.
        weights_bytes: of all tensors in memory. `activation_bytes`: what the runtime plans for one image.
        precision: of the weights, "fp32" or "int8". `runtime`: what runs it.
        labels, label_ids: of the classes, as results have them.
        preprocessing: how an image becomes the input, as JSON types.
        source: where the weights come from: official address, library, file and its sha256, or the recipe of a training.
        licence: of the weights, or None if unknown.
        accuracy: as the publisher measured it, in fractions of 1.
        metrics: as measured when the file was made, for example at the end of a training.
    """

    name: str | None
    title: str | None
    task: str
    architecture: str
    settings: dict[str, object]
    resolution: tuple[int, int]
    params: int
    madds: int
    weights_bytes: int
    activation_bytes: int
    precision: str
    runtime: str
    labels: tuple[str, ...]
    label_ids: tuple[str, ...]
    preprocessing: dict[str, object]
    source: dict[str, object]
    licence: str | None
    accuracy: dict[str, float]
    metrics: dict[str, object]

    def to_dict(self) -> dict[str, object]:
        """The contract of ``mobilenet info --json``."""
        lists = {name: list(getattr(self, name)) for name in ("resolution", "labels", "label_ids")}
        return {**vars(self), **lists}

    def rows(self) -> list[tuple[str, str]]:
        """(what, value) of every line of the table."""
        height, width = self.resolution
        examples = ", ".join(self.labels[:MAX_LABELS]) + (", ..." if len(self.labels) > MAX_LABELS else "")
        ids = f"; ids {self.label_ids[0]} to {self.label_ids[-1]}" if self.label_ids else ""
        rows = [
            ("model", self.name),
            ("title", self.title),
            ("task", f"{self.task}, {len(self.labels)} classes"),
            ("labels", examples + ids),
            ("network", f"{self.architecture} at {width} x {height} px, {_pairs(self._unusual())}"),
            ("parameters", f"{self.params:,}"),
            ("MAdds", f"{self.madds:,}"),
            ("weights", f"{self.weights_bytes / 2**20:.1f} MiB, {self.precision}"),
            ("activations", f"{self.activation_bytes / 2**20:.1f} MiB ({self.runtime})"),
            ("preprocessing", _pairs(self.preprocessing)),
            ("published", _pairs(self.accuracy)),
            ("measured", _pairs(self.metrics)),
            ("license", self.licence),
            *((key, value if isinstance(value, str) else _pairs(value)) for key, value in self.source.items()),
        ]
        return [(name, value) for name, value in rows if value]

    def _unusual(self) -> dict[str, object]:
        """The width, and the settings that are not the architecture's defaults."""
        usual = {**catalog.build(self.architecture).settings.to_json(), "width": None}
        unlike = {key: value for key, value in self.settings.items() if value != usual[key]}
        return {key: value for key, value in unlike.items() if key not in ("resolution", "classes")}

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(printable(f"{name:{width}}  {value}") for name, value in rows)


def _pairs(values: object) -> str:
    """JSON values in short: numbers of four digits, entries as ``key value``."""
    match values:
        case dict():
            return ", ".join(f"{key} {_pairs(value)}" for key, value in values.items())
        case list() | tuple():
            return f"[{', '.join(map(_pairs, values))}]"
        case float():
            return f"{values:.4g}"
        case _:
            return str(values)


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None  # a file's provenance may hold anything


def as_fractions(value: object) -> dict[str, float]:
    found = value if isinstance(value, dict) else {}
    return {str(name): number for name, number in found.items() if isinstance(number, (int, float))}


def info(source: str | os.PathLike[str]) -> Info:
    """The card of a known model, which is fetched on first use, or of a model file. Raises as `mobilenet.load`."""
    model = load_model(os.fspath(source))
    return info_of(model, choose(model, num_images=1))


def info_of(model: ModelFile, runtime: Runtime) -> Info:
    """The card of a model that `runtime` runs."""
    network, origin = model.network, dict(model.provenance)
    settings = network.settings.to_json()
    labels, label_ids = without_unused(Labels(model.labels, model.label_ids))
    height, width = model.preprocessing.size
    ledger = cost(network, (height, width))
    return Info(
        name=as_text(origin.pop("name", None)),
        title=as_text(origin.pop("title", None)),
        task=network.task,
        architecture=network.architecture,
        settings=settings,
        resolution=(height, width),
        params=ledger.params,
        madds=ledger.madds,
        weights_bytes=sum(tensor.nbytes for tensor in model.tensors.values()),
        activation_bytes=runtime.planned_bytes((height, width)),
        precision="fp32" if model.quantization is None else "int8",
        runtime=runtime.name,
        labels=labels,
        label_ids=label_ids,
        preprocessing=model.preprocessing.to_json(),
        licence=as_text(origin.pop("licence", None)),
        accuracy=as_fractions(origin.pop("published", None)),
        metrics=dict(model.metrics),
        source=origin,
    )
