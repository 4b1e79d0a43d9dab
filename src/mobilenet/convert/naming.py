"""The rule by which foreign names become canonical ones: recognize the layout, match the member of the family.

A `SourceLayout` says for every layer of a `Network` under which prefix a library stores its convolution and batch norm.
`recognize` finds the layout by one telling name. `match` then tries the members of the family (widths and variants) until every
name and every shape fits; the error for a file that fits no member names the nearest one and the tensors that differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import MobilenetError
from ..images.preprocessing import IMAGENET_TORCHVISION, Preprocessing
from ..network import catalog
from ..network.layers import Conv, Layer, Linear, Network

Array = NDArray[np.generic]
"""A tensor of a file, of the file's own type."""

Settings = Mapping[str, object]
"""Arguments of an architecture's builder."""

WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25, 1.4, 1.3, 1.1, 1.2, 1.25)  # published ones first, then everything up to 4
GRID = (*WIDTHS, *(round(0.01 * i, 2) for i in range(5, 401) if round(0.01 * i, 2) not in WIDTHS))
MAX_PROBLEMS = 3  # differences that an error lists


class LayoutError(MobilenetError):
    """The tensors are not those of a member of the family in a known layout."""


class Place(NamedTuple):
    """Where a layer's tensors are: prefix of the convolution or linear layer, and of its batch norm."""

    conv: str
    norm: str = ""


class Origin(NamedTuple):
    """Where one tensor comes from.

    Attributes:
        canonical: the name here.
        source: the name in the file.
        shape: in the file.
        axes: the transposition from the file's order of axes to the canonical one.
    """

    canonical: str
    source: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class SourceLayout:
    """One library's way of naming one architecture.

    Attributes:
        name: the library, for messages and provenance.
        architecture: the builder's name.
        mark: a name that stands in every file of this layout and in no other's.
        places: each layer's `Place`, in any order.
        settings: what the tensors do not tell: padding style, epsilon.
        variants: settings that change channel counts, tried with every width.
        preprocessing: how the library's published weights expect their images.
        keras: tensors are stored with the spatial axes first (H, W, in, out) and named as Keras does.
    """

    name: str
    architecture: str
    mark: str
    places: Callable[[Network], Iterator[tuple[Layer, Place]]]
    settings: Settings
    variants: Sequence[Settings] = ({},)
    preprocessing: Preprocessing = IMAGENET_TORCHVISION
    keras: bool = False

    def origins(self, network: Network) -> Iterator[Origin]:
        """The origin of every tensor of `network`."""
        for layer, place in self.places(network):
            for canonical, shape in (*layer.parameters(), *layer.statistics()):
                owner, _, part = canonical.rpartition(".")
                prefix = place.norm if owner.endswith(".norm") else place.conv
                axes = keras_axes(layer, len(shape)) if self.keras else tuple(range(len(shape)))
                stored = tuple(shape[axes.index(i)] for i in range(len(axes)))
                name = f"{prefix}/{keras_part(owner, part)}" if self.keras else f"{prefix}.{part}"
                yield Origin(canonical, name, stored, axes)


def keras_part(owner: str, part: str) -> str:
    """Keras's name of a tensor of a layer or of its batch norm."""
    if owner.endswith(".norm"):
        return {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}[part]
    return "bias" if part == "bias" else "kernel"


def keras_axes(layer: Layer, rank: int) -> tuple[int, ...]:
    """Keras stores (H, W, in, out), depthwise (H, W, channels, 1), dense (in, out); canonical is (out, in, H, W)."""
    if rank == 4:
        return (2, 3, 0, 1) if isinstance(layer, Conv) and layer.depthwise else (3, 2, 0, 1)
    return tuple(range(rank))[::-1]


def recognize(tensors: Mapping[str, Array], source: str, layouts: Sequence[SourceLayout]) -> SourceLayout:
    """The first layout whose mark is a name of the file. Raises LayoutError if there is none."""
    for layout in layouts:
        if layout.mark in tensors:
            return layout
    known = ", ".join(dict.fromkeys(f"{layout.name} {layout.architecture}" for layout in layouts))
    begins = ", ".join(f"{name:.80}" for name in sorted(tensors)[:3])
    raise LayoutError(f"{source}: its names fit no known layout (it begins {begins}); known: {known}")


def match(layout: SourceLayout, tensors: Mapping[str, Array], source: str, settings: Settings) -> Network:
    """The member of the family that these tensors are: every name and shape fits.

    Args:
        settings: fixed beforehand, by the user or by a configuration beside the file.

    Raises:
        LayoutError: no member fits; names the nearest one and what differs.
    """
    nearest: tuple[int, str, Network] | None = None
    heads: dict[int, Head] = {}
    for width in [settings["width"]] if "width" in settings else GRID:
        for i, variant in enumerate(layout.variants):
            chosen = {**layout.settings, "width": width, **variant, **settings}
            if "classes" not in chosen:
                if i not in heads:
                    heads[i] = head(layout, chosen)
                chosen["classes"] = num_classes(heads[i], tensors)
            network = catalog.build(layout.architecture, **chosen)
            differences = num_differences(layout, network, tensors)
            if not differences:
                return network
            if nearest is None or differences < nearest[0]:
                description = ", ".join(f"{k} {v}" for k, v in {"width": width, **variant}.items())
                nearest = differences, f"{layout.architecture} ({description})", network
    assert nearest is not None, "a layout has at least one variant"
    count, name, network = nearest
    listed = "; ".join(problems(layout, network, tensors)[:MAX_PROBLEMS])
    more = f"; and {count - MAX_PROBLEMS} more" if count > MAX_PROBLEMS else ""
    raise LayoutError(f"{source}: {layout.name} names, nearest {name}: {listed}{more}")


def num_differences(layout: SourceLayout, network: Network, tensors: Mapping[str, Array]) -> int:
    """How many `problems` there are. Its cost depends on the network alone, not on the file: it runs for every member."""
    origins = list(layout.origins(network))
    present = [origin for origin in origins if origin.source in tensors]
    wrong = sum(not same_shape(tensors[origin.source].shape, origin.shape) for origin in present)
    return len(origins) - len(present) + wrong + len(tensors) - len(present)


def problems(layout: SourceLayout, network: Network, tensors: Mapping[str, Array]) -> list[str]:
    """Every missing tensor, every wrong shape and every tensor without a place, by name."""
    origins = {origin.source: origin for origin in layout.origins(network)}
    missing = [
        f"no tensor {o.source!r} {o.shape}, which is {o.canonical!r}" for o in origins.values() if o.source not in tensors
    ]
    misshapen = [
        f"tensor {name!r} is {array.shape}, must be {origins[name].shape} for {origins[name].canonical!r}"
        for name, array in tensors.items()
        if name in origins and not same_shape(array.shape, origins[name].shape)
    ]
    left_over = [f"tensor {name!r:.80} {array.shape} is left over" for name, array in tensors.items() if name not in origins]
    return missing + misshapen + left_over


def same_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Equal, except for the 1x1 that turns a linear layer into a convolution (Keras's V1, older checkpoints)."""
    return shape == expected or (len(expected) == 2 and shape in ((*expected, 1, 1), (1, 1, *expected)))


class Head(NamedTuple):
    """The layer that decides the classes: the name of its bias in a file, its channels for one class, the task."""

    bias: str
    channels: int
    task: str


def head(layout: SourceLayout, settings: Settings) -> Head:
    probe = catalog.build(layout.architecture, **{**settings, "classes": 1})
    decider = next(layer for layer in probe.layers if isinstance(layer, (Conv, Linear)) and layer.name in probe.heads.classes)
    place = next(place for layer, place in layout.places(probe) if layer is decider)
    return Head(f"{place.conv}/bias" if layout.keras else f"{place.conv}.bias", decider.out_channels, probe.task)


def num_classes(head: Head, tensors: Mapping[str, Array]) -> int | None:
    """How many classes the file's head has; None for a backbone without one."""
    bias = tensors.get(head.bias)
    if bias is None:
        return None if head.task == "classification" else 1
    outputs = math.prod(bias.shape)
    return outputs if head.task != "detection" else max(outputs * 2 // head.channels - 1, 1)  # less the background slot


def canonical(layout: SourceLayout, network: Network, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors under canonical names and in canonical order; floats as float32, integers as they are."""
    arranged = {}
    for origin in layout.origins(network):
        array = tensors[origin.source].reshape(origin.shape).transpose(origin.axes)
        dtype = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        arranged[origin.canonical] = np.ascontiguousarray(array, dtype)
    return {name: arranged[name] for name in network.tensors()}
