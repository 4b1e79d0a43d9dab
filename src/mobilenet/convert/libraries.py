"""How each library names the tensors of this family.

To add a layout of published weights:

1. Write a generator here that yields every layer of a `Network` with its `Place`: the prefix under which the library stores
   the convolution, and the one of its batch norm. `trunk` gives the blocks as lists of convolutions.
2. Add a row to `LAYOUTS`: the library's name, the architecture, a mark (the name of a tensor that stands in every such file and
   in no other), the generator, and what the tensors do not tell (padding style, epsilon, preprocessing). Variants are settings
   that change the channels; every one is tried with every width.
3. Add the library to `tests/convert/test_parity.py`, which compares outputs with the library's own. The tests of
   `tests/convert/test_convert.py` take each row of `LAYOUTS` through a file and back without further lines.

Layouts of exported TensorFlow graphs (TFLite, tfjs) stand in `slim.py`. A file in another container needs a reader in
`readers/` that returns arrays by name, and a line in `convert.read_tensors`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from ..images.preprocessing import Preprocessing
from ..network.layers import Conv, Layer, Linear, Network
from ..network.mobilenet import MobileNetV1, MobileNetV2, repeats
from .naming import Place, Settings, SourceLayout

HALF = (0.5, 0.5, 0.5)
Places = Callable[..., Iterator[tuple[Layer, Place]]]


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
    settings = network.settings
    assert isinstance(settings, MobileNetV2), settings
    counts = repeats(settings.rows, settings.depth, settings.fix_ends)
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
    assert isinstance(network.settings, MobileNetV1), network.settings
    for (stride, _), (depthwise, pointwise) in zip(network.settings.rows, blocks, strict=True):
        stage, i = (stage + 1, 0) if stride == 2 else (stage, i + 1)
        yield depthwise, Place(f"blocks.{stage}.{i}.conv_dw", f"blocks.{stage}.{i}.bn1")
        yield pointwise, Place(f"blocks.{stage}.{i}.conv_pw", f"blocks.{stage}.{i}.bn2")
    if linear:
        yield linear, Place("classifier")


def transformers_place(prefix: str) -> Place:
    return Place(f"{prefix}.convolution", f"{prefix}.normalization")


def transformers_v2(network: Network, model: str = "mobilenet_v2.") -> Iterator[tuple[Layer, Place]]:
    """`model` is the prefix of all but the classifier; a bare model, saved without its head, has none."""
    (stem, first, *blocks, last), linear = trunk(network)
    yield stem[0], transformers_place(f"{model}conv_stem.first_conv")
    for parts, prefix in zip([first, *blocks], ["conv_stem", *(f"layer.{i}" for i in range(len(blocks)))], strict=True):
        for layer, part in zip(parts, ("expand_1x1", "conv_3x3", "reduce_1x1")[-len(parts) :], strict=True):
            yield layer, transformers_place(f"{model}{prefix}.{part}")
    yield last[0], transformers_place(f"{model}conv_1x1")
    if linear:
        yield linear, Place("classifier")


def transformers_v1(network: Network, model: str = "mobilenet_v1.") -> Iterator[tuple[Layer, Place]]:
    (stem, *blocks), linear = trunk(network)
    yield stem[0], transformers_place(f"{model}conv_stem")
    for i, layer in enumerate(layer for parts in blocks for layer in parts):
        yield layer, transformers_place(f"{model}layer.{i}")
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


TENSORFLOW: Settings = {"padding": "tensorflow", "epsilon": 1e-3}
PYTORCH: Settings = {"padding": "pytorch", "epsilon": 1e-5}
V2_VARIANTS: Sequence[Settings] = ({}, {"scale_last": True})
TIMM_V2_VARIANTS: Sequence[Settings] = ({}, {"depth": 1.2, "fix_ends": True}, {"depth": 1.4, "fix_ends": True})
TIMM_V1_VARIANTS: Sequence[Settings] = ({"divisible_by": 8}, {})
TIMM = Preprocessing(size=(224, 224), fit="center_crop", resize=256, interpolation="bicubic")
TIMM_V1 = Preprocessing(size=(224, 224), fit="center_crop", resize=256, interpolation="bicubic", mean=HALF, std=HALF)
TRANSFORMERS = Preprocessing(size=(224, 224), fit="center_crop", resize=256, mean=HALF, std=HALF)
KERAS = Preprocessing(size=(224, 224), fit="central_fraction", fraction=0.875, mean=HALF, std=HALF)


def transformers(architecture: str, mark: str, places: Places, variants: Sequence[Settings]) -> list[SourceLayout]:
    """The layouts of a whole model and of a bare one."""
    whole = SourceLayout("transformers", architecture, f"{architecture}.{mark}", places, TENSORFLOW, variants, TRANSFORMERS)
    return [whole, replace(whole, mark=mark, places=partial(places, model=""))]


LAYOUTS: Sequence[SourceLayout] = (
    SourceLayout("torchvision", "mobilenet_v2", "features.1.conv.0.0.weight", torchvision_v2, PYTORCH, V2_VARIANTS),
    SourceLayout("d-li14", "mobilenet_v2", "features.1.conv.0.weight", dli14_v2, PYTORCH, V2_VARIANTS),
    SourceLayout("timm", "mobilenet_v2", "blocks.1.0.conv_pwl.weight", timm_v2, PYTORCH, TIMM_V2_VARIANTS, TIMM),
    SourceLayout("timm", "mobilenet_v1", "blocks.0.0.conv_dw.weight", timm_v1, PYTORCH, TIMM_V1_VARIANTS, TIMM_V1),
    *transformers("mobilenet_v2", "conv_stem.first_conv.convolution.weight", transformers_v2, V2_VARIANTS),
    *transformers("mobilenet_v1", "conv_stem.convolution.weight", transformers_v1, ({},)),
    SourceLayout("keras", "mobilenet_v2", "Conv1/kernel", keras_v2, TENSORFLOW, V2_VARIANTS, KERAS, keras=True),
    SourceLayout("keras", "mobilenet_v1", "conv1/kernel", keras_v1, TENSORFLOW, ({},), KERAS, keras=True),
)
"""In the order they are tried: timm's V2 stands before its V1, whose mark both carry."""
