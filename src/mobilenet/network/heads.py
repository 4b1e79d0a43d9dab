"""The paper's other two systems as networks: SSD and SSDLite detection (section 6.2), Mobile DeepLabv3 (section 6.3).

A head is layers on named taps of a backbone, so a whole detector or segmenter is a `Network` like any other. Layouts follow
the released TensorFlow code (object detection API, DeepLab); where torchvision differs, a setting says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from .layers import Activation, Concat, Conv, GlobalPool, Layer, Network, Padding, Resize, Resolution, is_count
from .mobilenet import MOBILENET_V2, check, check_epsilon, mobilenet_v1, mobilenet_v2

Anchors = Literal["tensorflow", "torchvision"]
Separable = Literal["separable", "full"]
Aspp = Literal["none", "full", "separable"]

EXTRAS = (512, 256, 256, 128)
"""Channels of the feature maps that SSD adds behind the backbone, each half as large as the one before."""

BOXES = {"tensorflow": (3, 6, 6, 6, 6, 6), "torchvision": (6, 6, 6, 6, 6, 6)}
"""Default boxes of each cell, map by map. TensorFlow's first map leaves the three large ones out."""

HEAD_CHANNELS = 256  # of every branch of DeepLabv3's head, at any width


def ssdlite_mobilenet_v2(
    width: float = 1.0,
    resolution: Resolution = 320,
    classes: int = 80,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    anchors: Anchors = "tensorflow",
    scale_last: bool = False,
    min_depth: int = 8,
) -> Network:
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
        ValueError: an argument outside its range, naming value, rule and remedy.
    """
    settings = dict(locals())
    backbone = mobilenet_v2(width, resolution, None, 32, padding, epsilon, scale_last=scale_last, min_depth=min_depth)
    return _ssd("ssdlite_mobilenet_v2", settings, backbone, ("layer_15.expand", "layer_19"))


def ssdlite_mobilenet_v1(
    width: float = 1.0,
    resolution: Resolution = 320,
    classes: int = 80,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    anchors: Anchors = "tensorflow",
    min_depth: int = 8,
) -> Network:
    """SSDLite on MobileNetV1, on ``layer_11`` (stride 16) and ``layer_13`` (stride 32); all else as `ssdlite_mobilenet_v2`."""
    settings = dict(locals())
    backbone = mobilenet_v1(width, resolution, None, 32, padding, epsilon, min_depth=min_depth)
    return _ssd("ssdlite_mobilenet_v1", settings, backbone, ("layer_11.pointwise", "layer_13.pointwise"))


def ssd_mobilenet_v2(
    width: float = 1.0,
    resolution: Resolution = 320,
    classes: int = 80,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    anchors: Anchors = "tensorflow",
    scale_last: bool = False,
    min_depth: int = 8,
    extras: Separable = "full",
    kernel: int = 3,
) -> Network:
    """SSD with ordinary convolutions on MobileNetV2: what Table 5 compares SSDLite with.

    It takes the arguments of `ssdlite_mobilenet_v2`, and two more.

    Args:
        extras: "full" (Table 5: ``extra_1.reduce``, ``extra_1.expand``), or "separable" as in SSDLite, which the released
            ``ssd_mobilenet_v2_coco`` has.
        kernel: of the predictors, 3 (Table 5) or 1.
    """
    settings = dict(locals())
    check(extras in get_args(Separable), "extras", extras, f"must be one of {get_args(Separable)}", "'full'")
    check(type(kernel) is int and kernel in (1, 3), "kernel", kernel, "must be 3 or 1", "3")
    backbone = mobilenet_v2(width, resolution, None, 32, padding, epsilon, scale_last=scale_last, min_depth=min_depth)
    return _ssd("ssd_mobilenet_v2", settings, backbone, ("layer_15.expand", "layer_19"), extras, kernel)


def deeplabv3_mobilenet_v2(
    width: float = 1.0,
    resolution: Resolution = 513,
    classes: int = 21,
    output_stride: int = 16,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    aspp: Aspp = "none",
    head_epsilon: float | None = 1e-5,
    divisible_by: int = 8,
    min_depth: int = 8,
    rows: Sequence[Sequence[float]] = MOBILENET_V2,
) -> Network:
    """Mobile DeepLabv3 on MobileNetV2's second-last map, ``layer_18`` (section 6.3 of arXiv 1801.04381).

    Beside each other on the map: ``image_pool`` (parts ``mean``, ``project``, ``resize``) and the 1x1 convolution ``aspp_0``,
    with `aspp` also the atrous 3x3 ``aspp_1`` to ``aspp_3`` at rates 6, 12, 18 (doubled at output stride 8). Then ``concat``,
    ``projection``, ``logits``, and ``upsample``, the output: (N, classes, H, W) logits at the picture's own size.

    Args:
        width, resolution, padding, epsilon, divisible_by, min_depth: as for `mobilenet_v2`; the head keeps its 256 channels at
            any width. DeepLab's own code has a divisible_by of 1 at every width but 1.
        classes: what the labels count, a background among them: 21 for VOC.
        output_stride: 16 or 8 (or 32): pixels of the picture for one of the map.
        aspp: "none" (the paper's recommended head), "full" 3x3 convolutions (its Table 7), or "separable" ones (the default
            of the released code).
        head_epsilon: of batch normalisation in the head; None for folded, as for `epsilon`.
        rows: (t, c, n, s) of Table 2, or of another backbone: the head stands on its last block.

    Raises:
        ValueError: an argument outside its range, naming value, rule and remedy.
    """
    settings = dict(locals())
    backbone = mobilenet_v2(width, resolution, None, output_stride, padding, epsilon,
                            divisible_by=divisible_by, min_depth=min_depth, rows=rows)  # fmt: skip
    settings["rows"] = backbone.settings["rows"]
    return _deeplabv3("deeplabv3_mobilenet_v2", settings, backbone, list(backbone.blocks())[-2])


def deeplabv3_mobilenet_v1(
    width: float = 1.0,
    resolution: Resolution = 513,
    classes: int = 21,
    output_stride: int = 16,
    padding: Padding = "pytorch",
    epsilon: float | None = 1e-5,
    *,
    aspp: Aspp = "full",
    head_epsilon: float | None = 1e-5,
    min_depth: int = 8,
) -> Network:
    """DeepLabv3 on MobileNetV1's last map, ``layer_13``, as Table 7 has it; all else as `deeplabv3_mobilenet_v2`."""
    settings = dict(locals())
    backbone = mobilenet_v1(width, resolution, None, output_stride, padding, epsilon, min_depth=min_depth)
    return _deeplabv3("deeplabv3_mobilenet_v1", settings, backbone, "layer_13.pointwise")


def _ssd(
    name: str,
    settings: dict[str, Any],
    backbone: Network,
    taps: Sequence[str],
    extras: Separable = "separable",
    kernel: int | None = None,
) -> Network:
    """Extras and predictors on two taps; `kernel` None for SSDLite's separable predictors."""
    width, classes, anchors, epsilon = (settings[key] for key in ("width", "classes", "anchors", "epsilon"))
    _check_classes(classes)
    check(anchors in get_args(Anchors), "anchors", anchors, f"must be one of {get_args(Anchors)}", "'tensorflow'")
    layers: list[Layer] = list(backbone.layers)
    shapes = backbone.shapes()

    def conv(name: str, source: str, before: int, after: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> str:
        layers.append(Conv(name, (source,), before, after, kernel, stride, 1, groups, epsilon))
        return name

    def scaled(channels: int) -> int:  # TensorFlow's feature map generator: cut down, not rounded
        return max(int(channels * width), int(settings["min_depth"]))

    maps = [(tap, shapes[tap].channels) for tap in taps]
    for number, depth in enumerate(EXTRAS, start=1):
        x, before = maps[-1]
        block, inner, after = f"extra_{number}", scaled(depth // 2), scaled(depth)
        x = conv(f"{block}.reduce", x, before, inner)
        if extras == "separable":
            x = conv(f"{block}.depthwise", x, inner, inner, 3, 2, groups=inner)
            x = conv(f"{block}.expand", x, inner, after)
        else:
            x = conv(f"{block}.expand", x, inner, after, 3, 2)
        maps.append((x, after))

    outputs: list[str] = []
    for i, ((x, channels), boxes) in enumerate(zip(maps, BOXES[anchors], strict=True)):
        for kind, numbers in (("box", 4), ("class", classes + 1)):
            source = conv(f"{kind}_{i}.depthwise", x, channels, channels, 3, groups=channels) if kernel is None else x
            predict = f"{kind}_{i}.predict"
            layers.append(Conv(predict, (source,), channels, boxes * numbers, kernel or 1, epsilon=None, activation="linear"))
            outputs.append(predict)
    return _finished(name, settings, backbone, layers, outputs)


def _deeplabv3(name: str, settings: dict[str, Any], backbone: Network, tap: str) -> Network:
    """The head on one tap, and the logits back at the picture's size."""
    classes, aspp, head_epsilon = settings["classes"], settings["aspp"], settings["head_epsilon"]
    _check_classes(classes)
    check(aspp in get_args(Aspp), "aspp", aspp, f"must be one of {get_args(Aspp)}", "'none'")
    check_epsilon("head_epsilon", head_epsilon)
    backbone = backbone.until(tap)
    tap = backbone[tap].name  # a block's last layer
    channels = backbone.shapes()[tap].channels
    layers: list[Layer] = list(backbone.layers)

    def conv(name: str, source: str, before: int, after: int, kernel: int = 1, rate: int = 1, groups: int = 1) -> str:
        activation: Activation = "relu"
        layers.append(Conv(name, (source,), before, after, kernel, 1, rate, groups, head_epsilon, activation))
        return name

    layers.append(GlobalPool("image_pool.mean", (tap,)))
    pooled = conv("image_pool.project", "image_pool.mean", channels, HEAD_CHANNELS)
    layers.append(Resize("image_pool.resize", (pooled, tap), "aligned"))
    branches = ["image_pool.resize", conv("aspp_0", tap, channels, HEAD_CHANNELS)]
    if aspp != "none":
        for number in (1, 2, 3):
            block, rate = f"aspp_{number}", number * 96 // settings["output_stride"]
            if aspp == "full":
                branches.append(conv(block, tap, channels, HEAD_CHANNELS, 3, rate))
            else:
                depthwise = conv(f"{block}.depthwise", tap, channels, channels, 3, rate, channels)
                branches.append(conv(f"{block}.pointwise", depthwise, channels, HEAD_CHANNELS))
    layers.append(Concat("concat", tuple(branches)))
    projected = conv("projection", "concat", HEAD_CHANNELS * len(branches), HEAD_CHANNELS)
    layers.append(Conv("logits", (projected,), HEAD_CHANNELS, classes, epsilon=None, activation="linear"))
    layers.append(Resize("upsample", ("logits", "input"), "aligned"))
    return _finished(name, settings, backbone, layers, ["upsample"])


def _finished(name: str, settings: dict[str, Any], backbone: Network, layers: list[Layer], outputs: list[str]) -> Network:
    settings = {**settings, "resolution": list(backbone.resolution)}
    return Network(name, settings, tuple(layers), backbone.resolution, backbone.padding, tuple(outputs))


def _check_classes(classes: object) -> None:
    check(is_count(classes), "classes", classes, "must be at least 1", "80")
