"""The paper's other two systems as networks: SSD and SSDLite detection (section 6.2), Mobile DeepLabv3 (section 6.3).

A head is layers on named taps of a backbone, so a whole detector or segmenter is a `Network` like any other. Layouts follow
the released TensorFlow code (object detection API, DeepLab); where torchvision differs, a setting says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..errors import UsageError
from ..settings import Rules
from .layers import (
    EPSILON_RULE,
    Architecture,
    Concat,
    GlobalPool,
    Heads,
    Network,
    Padding,
    Resize,
    Resolution,
    builder,
    valid_epsilon,
)
from .mobilenet import MOBILENET_V2, MobileNetV1, MobileNetV2, Row, Stack

if TYPE_CHECKING:
    from dataclasses import KW_ONLY

Anchors = Literal["tensorflow", "torchvision"]
Separable = Literal["separable", "full"]
Aspp = Literal["none", "full", "separable"]

EXTRAS = (512, 256, 256, 128)
"""Channels of the feature maps that SSD adds behind the backbone, each half as large as the one before."""

BOXES = {"tensorflow": (3, 6, 6, 6, 6, 6), "torchvision": (6, 6, 6, 6, 6, 6)}
"""Default boxes of each cell, map by map. TensorFlow's first map leaves the three large ones out."""

HEAD_CHANNELS = 256  # of every branch of DeepLabv3's head, at any width


class Detector(Architecture):
    """What the detectors share; see `SSDLiteMobileNetV2` for the arguments."""

    width: float = 1.0
    resolution: Resolution = 320
    classes: int = 80
    padding: Padding = "pytorch"
    epsilon: float | None = 1e-5
    _: KW_ONLY
    anchors: Anchors = "tensorflow"
    min_depth: int = 8

    def scaled(self, channels: int) -> int:
        """TensorFlow's feature map generator: cut down, not rounded."""
        return max(int(channels * self.width), self.min_depth)

    def finish(
        self, backbone: Network, taps: tuple[str, str], extras: Separable = "separable", kernel: int | None = None
    ) -> Network:
        """The network with extras and predictors on two taps; `kernel` None for SSDLite's separable predictors."""
        stack, shapes = Stack(self.epsilon, "relu6", backbone.layers), backbone.shapes()
        maps = [(tap, shapes[tap].channels) for tap in taps]
        for number, depth in enumerate(EXTRAS, start=1):
            x, channels = maps[-1]
            block, inner, after = f"extra_{number}", self.scaled(depth // 2), self.scaled(depth)
            x = stack.conv(f"{block}.reduce", x, channels, inner)
            if extras == "separable":
                x = stack.depthwise(f"{block}.depthwise", x, inner, 2)
                x = stack.conv(f"{block}.expand", x, inner, after)
            else:
                x = stack.conv(f"{block}.expand", x, inner, after, 3, 2)
            maps.append((x, after))
        outputs: list[str] = []
        for i, ((x, channels), boxes) in enumerate(zip(maps, BOXES[self.anchors], strict=True)):
            for kind, numbers in (("box", 4), ("class", self.classes + 1)):
                source = stack.depthwise(f"{kind}_{i}.depthwise", x, channels) if kernel is None else x
                outputs.append(stack.predictor(f"{kind}_{i}.predict", source, channels, boxes * numbers, kernel or 1))
        added = tuple(layer.name for layer in stack.layers[len(backbone.layers) :])
        heads = Heads(classes=tuple(outputs[1::2]), boxes=tuple(outputs[::2]), added=added)
        return Network(self, tuple(stack.layers), tuple(outputs), "detection", heads)


class SSDLiteMobileNetV2(Detector):
    """SSDLite on MobileNetV2 (section 6.2 of arXiv 1801.04381).

    The first map is the expansion of ``layer_15`` (stride 16), the second ``layer_19`` (stride 32), then four extras,
    ``extra_1`` to ``extra_4`` with parts ``reduce``, ``depthwise``, ``expand``. On map i stand two predictors, ``box_i``
    and ``class_i`` with parts ``depthwise`` and ``predict``; their outputs are ``box_i.predict``, 4 numbers for each default
    box, and ``class_i.predict``, a slot for the background and one for each class for each default box: (N, boxes x
    numbers, H, W), the numbers of one box side by side.

    Args:
        width, resolution, padding, epsilon, min_depth: as for `mobilenet_v2`; the extras follow the width too. The
            released TensorFlow configuration has 300 px, "tensorflow", 1e-3 and a min_depth of 16.
        classes: what the labels count; the background slot is added here. 80 for COCO, 90 for TensorFlow's configuration
            (COCO's ids with their gaps).
        anchors: "tensorflow" has three default boxes on a cell of the first map and six on the others, "torchvision" six
            on all. It also says how `boxes` orders them.
        scale_last: let ``layer_19`` shrink below width 1 (the released detection code does).

    Raises:
        UsageError: an argument is outside its range; the message has the value, the rule and an example.
    """

    _: KW_ONLY
    scale_last: bool = False

    noun = "ssdlite_mobilenet_v2"

    def build(self) -> Network:
        """The network of these settings."""
        return self.finish(backbone_v2(self, self.scale_last), V2_TAPS)


class SSDLiteMobileNetV1(Detector):
    """SSDLite on MobileNetV1, on ``layer_11`` (stride 16) and ``layer_13`` (stride 32); all else as `SSDLiteMobileNetV2`."""

    noun = "ssdlite_mobilenet_v1"

    def build(self) -> Network:
        """The network of these settings."""
        backbone = MobileNetV1(self.width, self.resolution, None, 32, self.padding, self.epsilon, min_depth=self.min_depth)
        return self.finish(backbone.build(), ("layer_11.pointwise", "layer_13.pointwise"))


class SSDMobileNetV2(Detector):
    """SSD with ordinary convolutions on MobileNetV2: what Table 5 compares SSDLite with.

    It takes the arguments of `ssdlite_mobilenet_v2`, and two more.

    Args:
        extras: "full" (Table 5: ``extra_1.reduce``, ``extra_1.expand``), or "separable" as in SSDLite, which the released
            ``ssd_mobilenet_v2_coco`` has.
        kernel: of the predictors, 3 (Table 5) or 1.
    """

    _: KW_ONLY
    scale_last: bool = False
    extras: Separable = "full"
    kernel: int = 3

    noun = "ssd_mobilenet_v2"

    def rules(self) -> Rules:
        yield from super().rules()
        yield "kernel", self.kernel in (1, 3), "3 or 1; for example 3"

    def build(self) -> Network:
        """The network of these settings."""
        return self.finish(backbone_v2(self, self.scale_last), V2_TAPS, self.extras, self.kernel)


def detector_settings(network: Network) -> Detector:
    """The settings of a detector; UsageError for another network."""
    if not isinstance(network.settings, Detector):
        raise UsageError(f"{network.architecture} is no detector; give one, for example ssdlite_mobilenet_v2")
    return network.settings


V2_TAPS = ("layer_15.expand", "layer_19")


def backbone_v2(settings: Detector, scale_last: bool) -> Network:
    shared = (settings.width, settings.resolution, None, 32, settings.padding, settings.epsilon)
    return MobileNetV2(*shared, scale_last=scale_last, min_depth=settings.min_depth).build()


class Segmenter(Architecture):
    """What the segmenters share; see `DeepLabV3MobileNetV2` for the arguments."""

    width: float = 1.0
    resolution: Resolution = 513
    classes: int = 21
    output_stride: int = 16
    padding: Padding = "pytorch"
    epsilon: float | None = 1e-5
    _: KW_ONLY
    aspp: Aspp = "none"
    head_epsilon: float | None = 1e-5
    min_depth: int = 8

    def rules(self) -> Rules:
        yield from super().rules()
        yield "output_stride", self.output_stride in (8, 16, 32), "8, 16 or 32; for example 16"
        yield "head_epsilon", valid_epsilon(self.head_epsilon), EPSILON_RULE

    def finish(self, backbone: Network, tap: str) -> Network:
        """The network with the head on one tap, and the logits at the image's size."""
        backbone = backbone.until(tap)
        tap = backbone[tap].name  # a block's last layer
        channels, head = backbone.shapes()[tap].channels, HEAD_CHANNELS
        stack = Stack(self.head_epsilon, "relu", backbone.layers)
        pooled = stack.append(GlobalPool("image_pool.mean", (tap,)))
        pooled = stack.conv("image_pool.project", pooled, channels, head)
        branches = [stack.append(Resize("image_pool.resize", (pooled, tap), "aligned"))]
        branches.append(stack.conv("aspp_0", tap, channels, head))
        for number in (1, 2, 3) if self.aspp != "none" else ():
            block, rate = f"aspp_{number}", number * 96 // self.output_stride
            if self.aspp == "full":
                branches.append(stack.conv(block, tap, channels, head, 3, dilation=rate))
            else:
                depthwise = stack.depthwise(f"{block}.depthwise", tap, channels, dilation=rate)
                branches.append(stack.conv(f"{block}.pointwise", depthwise, channels, head))
        joined = stack.append(Concat("concat", tuple(branches)))
        x = stack.conv("projection", joined, head * len(branches), head)
        logits = stack.predictor("logits", x, head, self.classes)
        output = stack.append(Resize("upsample", (logits, "input"), "aligned"))
        return Network(self, tuple(stack.layers), (output,), "segmentation", Heads(classes=(logits,)))


class DeepLabV3MobileNetV2(Segmenter):
    """Mobile DeepLabv3 on MobileNetV2's second-last map, ``layer_18`` (section 6.3 of arXiv 1801.04381).

    Beside each other on the map: ``image_pool`` (parts ``mean``, ``project``, ``resize``) and the 1x1 convolution ``aspp_0``,
    with `aspp` also the atrous 3x3 ``aspp_1`` to ``aspp_3`` at rates 6, 12, 18 (doubled at output stride 8). Then ``concat``,
    ``projection``, ``logits``, and ``upsample``, the output: (N, classes, H, W) logits at the image's own size.

    Args:
        width, resolution, padding, epsilon, divisible_by, min_depth: as for `mobilenet_v2`; the head keeps its 256 channels at
            any width. DeepLab's own code has a divisible_by of 1 at every width but 1.
        classes: what the labels count, a background among them: 21 for VOC.
        output_stride: 16 or 8 (or 32): pixels of the image for one of the map.
        aspp: "none" (the paper's recommended head), "full" 3x3 convolutions (its Table 7), or "separable" ones (the default
            of the released code).
        head_epsilon: of batch normalization in the head; None for folded, as for `epsilon`.
        rows: (t, c, n, s) of Table 2, or of another backbone: the head stands on its last block.

    Raises:
        UsageError: an argument is outside its range; the message has the value, the rule and an example.
    """

    _: KW_ONLY
    divisible_by: int = 8
    rows: tuple[Row, ...] = MOBILENET_V2

    noun = "deeplabv3_mobilenet_v2"

    def build(self) -> Network:
        """The network of these settings."""
        shared = (self.width, self.resolution, None, self.output_stride, self.padding, self.epsilon)
        backbone = MobileNetV2(*shared, divisible_by=self.divisible_by, min_depth=self.min_depth, rows=self.rows).build()
        return self.finish(backbone, list(backbone.blocks())[-2])


class DeepLabV3MobileNetV1(Segmenter):
    """DeepLabv3 on MobileNetV1's last map, ``layer_13``, as Table 7 has it; all else as `DeepLabV3MobileNetV2`."""

    _: KW_ONLY
    aspp: Aspp = "full"

    noun = "deeplabv3_mobilenet_v1"

    def build(self) -> Network:
        """The network of these settings."""
        shared = (self.width, self.resolution, None, self.output_stride, self.padding, self.epsilon)
        return self.finish(MobileNetV1(*shared, min_depth=self.min_depth).build(), "layer_13.pointwise")


ssdlite_mobilenet_v2 = builder(SSDLiteMobileNetV2)
ssdlite_mobilenet_v1 = builder(SSDLiteMobileNetV1)
ssd_mobilenet_v2 = builder(SSDMobileNetV2)
deeplabv3_mobilenet_v2 = builder(DeepLabV3MobileNetV2)
deeplabv3_mobilenet_v1 = builder(DeepLabV3MobileNetV1)
