"""TensorFlow-slim's names: the scopes of V1, V2 and the heads that the object detection API and DeepLab put on them.

Exported graphs carry these scopes in the names of their weights. All of them fold batch norm into the convolutions, so these
layouts describe networks without batch norm (`epsilon` None); each layer has one weight and one bias: ``<scope>.weight``,
``<scope>.bias``. A new layout of a graph is a function from a layer's block and part to its scope, and a row of `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..images.preprocessing import Preprocessing
from ..network.heads import EXTRAS
from ..network.layers import Conv, Layer, Linear, Network
from .libraries import HALF, V2_VARIANTS
from .naming import Place, Settings, SourceLayout

Places = Iterator[tuple[Layer, Place]]
Scope = Callable[[str, str], str]

HEADS = {"image_pool": "image_pooling", "projection": "concat_projection", "logits": "logits/semantic"}
PREDICTORS = {"box": "BoxEncodingPredictor", "class": "ClassPredictor"}


def places(scope: Scope) -> Callable[[Network], Places]:
    """The place of every layer with weights, by the block and the part of its name."""

    def of(network: Network) -> Places:
        for layer in network.layers:
            if isinstance(layer, (Conv, Linear)):
                block, _, part = layer.name.partition(".")
                yield layer, Place(scope(block, part))

    return of


def v2_scope(block: str, part: str) -> str:
    """``layer_2.depthwise`` is ``expanded_conv/depthwise``, ``layer_3`` and on ``expanded_conv_1``; heads follow."""
    if block == "classifier":
        return "MobilenetV2/Logits/Conv2d_1c_1x1"
    if block.startswith("layer_"):
        number = int(block.removeprefix("layer_"))
        if not part:
            return "MobilenetV2/Conv" if number == 1 else "MobilenetV2/Conv_1"
        return f"MobilenetV2/expanded_conv{'' if number == 2 else f'_{number - 2}'}/{part}"
    return head_scope(block, part)


def v2_scope_of_tf2(block: str, part: str) -> str:
    """The TensorFlow 2 rewrite, which counts all layers from 0."""
    if block == "classifier":
        return "MobileNetV2/top/Conv2d_1x1_output"
    number = int(block.removeprefix("layer_"))
    if not part:
        return "MobileNetV2/Conv2d_0_0" if number == 1 else "MobileNetV2/Conv2d_18_1"
    return f"MobileNetV2/expanded_conv_{number - 1}/{part}"


def v1_scope(block: str, part: str) -> str:
    if block == "classifier":
        return "MobilenetV1/Logits/Conv2d_1c_1x1"
    return f"Conv2d_{block.removeprefix('layer_')}" + (f"_{part}" if part else "")


def head_scope(block: str, part: str) -> str:
    """SSD's extras and predictors, DeepLab's branches."""
    if block in HEADS:
        return HEADS[block]
    kind, _, number = block.partition("_")
    if kind == "aspp":
        return f"aspp{number}" + (f"_{part}" if part else "")
    if kind == "extra":
        depth, index = EXTRAS[int(number) - 1], int(number) + 1
        if part == "reduce":
            return f"MobilenetV2/layer_19_1_Conv2d_{index}_1x1_{depth // 2}"
        return f"MobilenetV2/layer_19_2_Conv2d_{index}_3x3_s2_{depth}" + ("_depthwise" if part == "depthwise" else "")
    return f"BoxPredictor_{number}/{PREDICTORS[kind]}" + ("_depthwise" if part == "depthwise" else "")


SSDLITE_MARK = "BoxPredictor_0/BoxEncodingPredictor_depthwise.weight"
TF2_MARK = "MobileNetV2/Conv2d_0_0.weight"
FOLDED: Settings = {"padding": "tensorflow", "epsilon": None}
DEEPLAB: Settings = {**FOLDED, "head_epsilon": None}
CLASSIFIER = Preprocessing(size=(224, 224), fit="central_part", fraction=0.875, mean=HALF, std=HALF)
DETECTOR = Preprocessing(size=(300, 300), fit="squash", mean=HALF, std=HALF)
SEGMENTER = Preprocessing(size=(513, 513), fit="pad", fill=127, enlarge=1.0, mean=HALF, std=HALF)
DEEPLAB_VARIANTS: Sequence[Settings] = tuple(
    {"aspp": aspp, "divisible_by": divisor} for aspp in ("none", "full", "separable") for divisor in (8, 1)
)

V2 = places(v2_scope)
LAYOUTS: Sequence[SourceLayout] = (
    SourceLayout("tensorflow", "deeplabv3_mobilenet_v2", "image_pooling.weight", V2, DEEPLAB, DEEPLAB_VARIANTS, SEGMENTER),
    SourceLayout("tensorflow", "ssdlite_mobilenet_v2", SSDLITE_MARK, V2, FOLDED, V2_VARIANTS, DETECTOR),
    SourceLayout("tensorflow", "mobilenet_v2", "MobilenetV2/Conv.weight", V2, FOLDED, V2_VARIANTS, CLASSIFIER),
    SourceLayout("tensorflow 2", "mobilenet_v2", TF2_MARK, places(v2_scope_of_tf2), FOLDED, V2_VARIANTS, CLASSIFIER),
    SourceLayout("tensorflow", "mobilenet_v1", "Conv2d_0.weight", places(v1_scope), FOLDED, ({},), CLASSIFIER),
)
"""In the order they are tried: a network with a head also has the backbone's names."""
