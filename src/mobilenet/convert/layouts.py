"""How other libraries name the tensors of this family: each layout recognised by its names, read by one rule.

A layout says, for every layer of a `Network`, under which prefix the convolution and its batch norm are stored. Which
width, depth and number of classes a file holds is found by trying the members of the family until every name and shape
fits; what fits nothing is refused with the tensors that stand in the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..images.preprocessing import IMAGENET_TORCHVISION, Preprocessing
from ..network import catalogue
from ..network.layers import Conv, Layer, Linear, Network, decides
from ..network.mobilenet import Row, repeats

Array = NDArray[Any]
HALF = (0.5, 0.5, 0.5)
WIDTHS = (1.0, 0.75, 0.5, 0.35, 0.25, 1.4, 1.3, 1.1, 1.2, 1.25)  # published ones first, then everything up to 4
GRID = (*WIDTHS, *(round(0.01 * i, 2) for i in range(5, 401) if round(0.01 * i, 2) not in WIDTHS))


class LayoutError(ValueError):
    """Tensors that are no member of the family in any layout known here."""


class Place(NamedTuple):
    """Where a layer's tensors are: prefix of the convolution or linear layer, and of its batch norm."""

    conv: str
    norm: str = ""


class Step(NamedTuple):
    """One line of a mapping: canonical name, name and shape in the source, order of its axes that is ours."""

    canonical: str
    source: str
    shape: tuple[int, ...]
    axes: tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """One library's way of naming one architecture.

    Attributes:
        name: the library, for messages and provenance.
        architecture: the builder's name.
        recognise: a name that stands in every file of this layout and in no other's.
        places: each layer's `Place`, in any order.
        settings: what the tensors do not tell: padding style, epsilon.
        variants: settings that change channel counts, tried with every width.
        preprocessing: how the library's published weights want their pictures.
        keras: tensors are stored rows first (H, W, in, out) and named as Keras does.
    """

    name: str
    architecture: str
    recognise: str
    places: Callable[[Network], Iterator[tuple[Layer, Place]]]
    settings: Mapping[str, Any]
    variants: Sequence[Mapping[str, Any]] = ({},)
    preprocessing: Preprocessing = IMAGENET_TORCHVISION
    keras: bool = False

    def steps(self, network: Network) -> Iterator[Step]:
        """The mapping of every tensor of `network`."""
        for layer, place in self.places(network):
            for canonical, shape in (*layer.parameters(), *layer.statistics()):
                owner, _, part = canonical.rpartition(".")
                prefix = place.norm if owner.endswith(".norm") else place.conv
                axes = keras_axes(layer, len(shape)) if self.keras else tuple(range(len(shape)))
                stored = tuple(shape[axes.index(i)] for i in range(len(axes)))
                name = f"{prefix}/{keras_part(owner, part)}" if self.keras else f"{prefix}.{part}"
                yield Step(canonical, name, stored, axes)


def convs(block: tuple[Layer, ...]) -> list[Conv]:
    return [layer for layer in block if isinstance(layer, Conv)]


def trunk(network: Network) -> tuple[list[list[Conv]], Linear | None]:
    """Blocks as lists of convolutions, stem first, and the classifier where there is one."""
    blocks = [convs(block) for block in network.blocks().values() if convs(block)]
    last = network.layers[-1]
    return blocks, last if isinstance(last, Linear) else None


def torchvision_v2(network: Network) -> Iterator[tuple[Layer, Place]]:
    blocks, linear = trunk(network)
    for i, parts in enumerate(blocks):
        for j, layer in enumerate(parts):
            inner = f"features.{i}" if len(parts) == 1 else f"features.{i}.conv"
            if len(parts) > 1 and j == len(parts) - 1:  # the projection has no activation, so no container of its own
                yield layer, Place(f"{inner}.{j}", f"{inner}.{j + 1}")
            else:
                inner = inner if len(parts) == 1 else f"{inner}.{j}"
                yield layer, Place(f"{inner}.0", f"{inner}.1")
    if linear:
        yield linear, Place("classifier.1")


def dli14_v2(network: Network) -> Iterator[tuple[Layer, Place]]:
    blocks, linear = trunk(network)
    for i, parts in enumerate(blocks):
        for j, layer in enumerate(parts):
            prefix = "conv" if i == len(blocks) - 1 else f"features.{i}" if i == 0 else f"features.{i}.conv"
            yield layer, Place(f"{prefix}.{3 * j}", f"{prefix}.{3 * j + 1}")
    if linear:
        yield linear, Place("classifier")


def timm_v2(network: Network) -> Iterator[tuple[Layer, Place]]:
    (stem, *blocks, last), linear = trunk(network)
    yield stem[0], Place("conv_stem", "bn1")
    rows = [Row(*row) for row in network.settings["rows"]]
    counts = repeats(rows, network.settings["depth"], network.settings["fix_ends"])
    names = [f"blocks.{stage}.{i}" for stage, count in enumerate(counts) for i in range(count)]
    for name, parts in zip(names, blocks, strict=True):
        kinds = ("conv_dw", "conv_pw") if len(parts) == 2 else ("conv_pw", "conv_dw", "conv_pwl")
        for j, (layer, kind) in enumerate(zip(parts, kinds, strict=True), start=1):
            yield layer, Place(f"{name}.{kind}", f"{name}.bn{j}")
    yield last[0], Place("conv_head", "bn2")
    if linear:
        yield linear, Place("classifier")


def timm_v1(network: Network) -> Iterator[tuple[Layer, Place]]:
    (stem, *blocks), linear = trunk(network)
    yield stem[0], Place("conv_stem", "bn1")
    stage, i = 0, -1
    for (stride, _), (depthwise, pointwise) in zip(network.settings["rows"], blocks, strict=True):
        stage, i = (stage + 1, 0) if stride == 2 else (stage, i + 1)
        yield depthwise, Place(f"blocks.{stage}.{i}.conv_dw", f"blocks.{stage}.{i}.bn1")
        yield pointwise, Place(f"blocks.{stage}.{i}.conv_pw", f"blocks.{stage}.{i}.bn2")
    if linear:
        yield linear, Place("classifier")


def transformers_place(prefix: str) -> Place:
    return Place(f"{prefix}.convolution", f"{prefix}.normalization")


def transformers_v2(network: Network) -> Iterator[tuple[Layer, Place]]:
    (stem, first, *blocks, last), linear = trunk(network)
    yield stem[0], transformers_place("mobilenet_v2.conv_stem.first_conv")
    for parts, prefix in zip([first, *blocks], ["conv_stem", *(f"layer.{i}" for i in range(len(blocks)))], strict=True):
        for layer, part in zip(parts, ("expand_1x1", "conv_3x3", "reduce_1x1")[-len(parts) :], strict=True):
            yield layer, transformers_place(f"mobilenet_v2.{prefix}.{part}")
    yield last[0], transformers_place("mobilenet_v2.conv_1x1")
    if linear:
        yield linear, Place("classifier")


def transformers_v1(network: Network) -> Iterator[tuple[Layer, Place]]:
    (stem, *blocks), linear = trunk(network)
    yield stem[0], transformers_place("mobilenet_v1.conv_stem")
    for i, layer in enumerate(layer for parts in blocks for layer in parts):
        yield layer, transformers_place(f"mobilenet_v1.layer.{i}")
    if linear:
        yield linear, Place("classifier")


def keras_v2(network: Network) -> Iterator[tuple[Layer, Place]]:
    (stem, *blocks, last), linear = trunk(network)
    yield stem[0], Place("Conv1", "bn_Conv1")
    for i, parts in enumerate(blocks):
        prefix = f"block_{i}" if i else "expanded_conv"
        for layer in parts:
            part = f"{prefix}_{layer.name.rpartition('.')[2]}"
            yield layer, Place(part, f"{part}_BN")
    yield last[0], Place("Conv_1", "Conv_1_bn")
    if linear:
        yield linear, Place("predictions")


def keras_v1(network: Network) -> Iterator[tuple[Layer, Place]]:
    (stem, *blocks), linear = trunk(network)
    yield stem[0], Place("conv1", "conv1_bn")
    for i, (depthwise, pointwise) in enumerate(blocks, start=1):
        yield depthwise, Place(f"conv_dw_{i}", f"conv_dw_{i}_bn")
        yield pointwise, Place(f"conv_pw_{i}", f"conv_pw_{i}_bn")
    if linear:
        yield linear, Place("conv_preds")


def keras_part(owner: str, part: str) -> str:
    if owner.endswith(".norm"):
        return {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}[part]
    if part == "bias":
        return "bias"
    return "kernel"


def keras_axes(layer: Layer, rank: int) -> tuple[int, ...]:
    """Keras stores (H, W, in, out), depthwise (H, W, channels, 1), dense (in, out); ours is (out, in, H, W)."""
    if rank == 4:
        return (2, 3, 0, 1) if isinstance(layer, Conv) and layer.depthwise else (3, 2, 0, 1)
    return tuple(range(rank))[::-1]


TENSORFLOW = {"padding": "tensorflow", "epsilon": 1e-3}
PYTORCH = {"padding": "pytorch", "epsilon": 1e-5}
V2_VARIANTS: Sequence[Mapping[str, Any]] = ({}, {"scale_last": True})
TIMM_V2_VARIANTS: Sequence[Mapping[str, Any]] = ({}, {"depth": 1.2, "fix_ends": True}, {"depth": 1.4, "fix_ends": True})
TIMM = Preprocessing(size=(224, 224), fit="center_crop", resize=256, interpolation="bicubic")
TIMM_V1 = Preprocessing(size=(224, 224), fit="center_crop", resize=256, interpolation="bicubic", mean=HALF, std=HALF)
TRANSFORMERS = Preprocessing(size=(224, 224), fit="center_crop", resize=256, mean=HALF, std=HALF)
KERAS = Preprocessing(size=(224, 224), fit="central_fraction", fraction=0.875, mean=HALF, std=HALF)

LAYOUTS = (
    Layout("torchvision", "mobilenet_v2", "features.1.conv.0.0.weight", torchvision_v2, PYTORCH, V2_VARIANTS),
    Layout("d-li14", "mobilenet_v2", "features.1.conv.0.weight", dli14_v2, PYTORCH, V2_VARIANTS),
    Layout("timm", "mobilenet_v2", "blocks.1.0.conv_pwl.weight", timm_v2, PYTORCH, TIMM_V2_VARIANTS, TIMM),
    Layout("timm", "mobilenet_v1", "blocks.0.0.conv_dw.weight", timm_v1, PYTORCH, ({"divisible_by": 8}, {}), TIMM_V1),
    Layout("transformers", "mobilenet_v2", "mobilenet_v2.conv_stem.first_conv.convolution.weight", transformers_v2,
           TENSORFLOW, V2_VARIANTS, TRANSFORMERS),
    Layout("transformers", "mobilenet_v1", "mobilenet_v1.conv_stem.convolution.weight", transformers_v1,
           TENSORFLOW, ({},), TRANSFORMERS),
    Layout("keras", "mobilenet_v2", "Conv1/kernel", keras_v2, TENSORFLOW, V2_VARIANTS, KERAS, keras=True),
    Layout("keras", "mobilenet_v1", "conv1/kernel", keras_v1, TENSORFLOW, ({},), KERAS, keras=True),
)  # fmt: skip


def recognise(names: Sequence[str], source: str, layouts: Sequence[Layout] = LAYOUTS) -> Layout:
    """The layout of a file by its names; timm's V2 before its V1, whose mark both carry. LayoutError where none fits."""
    for layout in layouts:
        if layout.recognise in names:
            return layout
    known = ", ".join(f"{layout.name} {layout.architecture}" for layout in layouts)
    raise LayoutError(f"{source}: its names fit no known layout (it begins {', '.join(sorted(names)[:3])}); known: {known}")


def problems(layout: Layout, network: Network, tensors: Mapping[str, Array]) -> list[str]:
    """Every gap, leftover and wrong shape between a network and the tensors of a file, by name."""
    steps = {step.source: step for step in layout.steps(network)}
    found = [f"no tensor {s.source!r} {s.shape}, which is {s.canonical!r}" for s in steps.values() if s.source not in tensors]
    found += [
        f"tensor {name!r} is {array.shape}, must be {steps[name].shape} for {steps[name].canonical!r}"
        for name, array in tensors.items()
        if name in steps and not same_shape(array.shape, steps[name].shape)
    ]
    return found + [f"tensor {name!r} {array.shape} is left over" for name, array in tensors.items() if name not in steps]


def same_shape(found: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Equal, but for the 1x1 that turns a linear layer into a convolution (Keras's V1, older checkpoints)."""
    return found == wanted or (len(wanted) == 2 and found in ((*wanted, 1, 1), (1, 1, *wanted)))


def match(layout: Layout, tensors: Mapping[str, Array], source: str, settings: Mapping[str, Any]) -> Network:
    """The member of the family that these tensors are: every name and shape fits.

    `settings` are fixed beforehand (by the user, or a configuration beside the file). Raises LayoutError with the
    nearest member and what does not fit.
    """
    best: tuple[int, str, list[str]] = (1 << 30, "", [])
    for width in [settings["width"]] if "width" in settings else GRID:
        for variant in layout.variants:
            chosen = {**layout.settings, "width": width, **variant, **settings}
            classes = settings["classes"] if "classes" in settings else outputs(layout, chosen, tensors)
            network = catalogue.build(layout.architecture, **chosen, **{} if "classes" in chosen else {"classes": classes})
            wrong = problems(layout, network, tensors)
            if not wrong:
                return network
            if len(wrong) < best[0]:
                described = ", ".join(f"{k} {v}" for k, v in {"width": width, **variant}.items())
                best = len(wrong), f"{layout.architecture} ({described})", wrong
    count, name, wrong = best
    more = f"; and {count - 3} more" if count > 3 else ""
    raise LayoutError(f"{source}: {layout.name} names, nearest {name}: {'; '.join(wrong[:3])}{more}")


def outputs(layout: Layout, chosen: Mapping[str, Any], tensors: Mapping[str, Array]) -> int | None:
    """How many classes the file's head has; None for a backbone without one."""
    probe = catalogue.build(layout.architecture, **{**chosen, "classes": 1})
    head = next(layer for layer in probe.layers if isinstance(layer, (Conv, Linear)) and decides(layer))
    place = next(place for layer, place in layout.places(probe) if layer is head)
    bias = tensors.get(f"{place.conv}/bias" if layout.keras else f"{place.conv}.bias")
    if bias is None:
        return None if probe.task == "classification" else 1
    found = math.prod(bias.shape)
    return found if probe.task != "detection" else max(found * 2 // head.out_channels - 1, 1)  # less the background slot


def canonical(layout: Layout, network: Network, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors under canonical names and in canonical order; floats as float32, integers as they are."""
    arranged = {}
    for step in layout.steps(network):
        array = tensors[step.source].reshape(step.shape).transpose(step.axes)
        kind = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        arranged[step.canonical] = np.ascontiguousarray(array, kind)
    return {name: arranged[name] for name in network.tensors()}
