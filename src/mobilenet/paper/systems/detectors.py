"""The detectors and the segmenter that the papers compare with."""

from __future__ import annotations

from ...network.layers import Shape
from .classifiers import VGG16
from .sketch import Sketch

SSD_EXTRAS = {
    300: ((256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 1, 0), (128, 256, 3, 1, 0)),
    512: ((256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 4, 1, 1)),
}
"""Maps behind VGG: channels of the 1x1 convolution; channels, kernel, stride and padding of the next one."""

SSD_BOXES = {300: (4, 6, 6, 6, 4, 4), 512: (4, 6, 6, 6, 6, 4, 4)}
"""Default boxes of a cell, map by map."""


def ssd_vgg16(resolution: int, classes: int = 80) -> Sketch:
    """SSD300 or SSD512 on VGG-16 (arXiv 1512.02325); a slot for the background is added to `classes`."""
    net = Sketch(resolution, norm=False)
    x, maps = net.image, list[Shape]()
    for stage, (channels, repeats) in enumerate(VGG16):
        for _ in range(repeats):
            x = net.conv(x, channels, 3)
        if stage == 3:
            maps.append(net.scale(x))
        x = net.pool(x, 3, 1) if stage == 4 else net.pool(x, 2, 2, 0, ceil=True)
    x = net.conv(net.conv(x, 1024, 3, dilation=6), 1024)
    maps.append(x)
    for squeeze, channels, kernel, stride, padding in SSD_EXTRAS[resolution]:
        x = net.conv(net.conv(x, squeeze), channels, kernel, stride, padding)
        maps.append(x)
    for each, boxes in zip(maps, SSD_BOXES[resolution], strict=True):
        for numbers in (4, classes + 1):
            net.conv(each, boxes * numbers, 3)
    return net


DARKNET19 = ((32,), (64,), (128, 64, 128), (256, 128, 256), (512, 256, 512, 256, 512), (1024, 512, 1024, 512, 1024))
"""Table 6 of arXiv 1612.08242 by stage: 3x3 and 1x1 convolutions in turns; a pooling stands between the stages."""


def yolo_v2(resolution: int = 416, classes: int = 80, passed: int | None = 64) -> Sketch:
    """YOLOv2 (arXiv 1612.08242), five boxes in a cell.

    Args:
        passed: channels to which the finer map is reduced before it joins the coarser one, as in the released configuration;
            None for the design in the paper's text, which passes all 512.
    """
    net = Sketch(resolution, norm=True)
    x = fine = net.image
    for stage, row in enumerate(DARKNET19):
        if stage:
            fine, x = x, net.pool(x, 2, 2)
        for number, channels in enumerate(row):
            x = net.conv(x, channels, 1 if number % 2 else 3)
    x = net.conv(net.conv(x, 1024, 3), 1024, 3)
    fine = net.fold(fine if passed is None else net.conv(fine, passed), 2)
    x = net.conv(net.concat(fine, x), 1024, 3)
    net.conv(x, 5 * (5 + classes), norm=False)
    return net


RESNET101 = ((64, 3, 2), (128, 4, 2), (256, 23, 2), (512, 3, 1))
"""Channels, units and stride of the blocks; as in TensorFlow-slim the stride is that of a block's last unit."""


def deeplab_resnet101(resolution: int = 513, output_stride: int = 16, grid: tuple[int, int, int] = (1, 2, 4),
                      classes: int = 21) -> Sketch:  # fmt: skip
    """DeepLabv3 (arXiv 1706.05587) on ResNet-101, as the released DeepLab code builds it.

    Its ResNet ("beta") begins with three 3x3 convolutions in place of one of 7x7.

    Args:
        grid: factors of the rates of the last block's three units.
    """
    net = Sketch(resolution, norm=True)
    x = net.conv(net.conv(net.conv(net.image, 64, 3, 2), 64, 3), 128, 3)
    x = net.pool(x, 3, 2)
    stride, rate = 4, 1
    for inner, units, last in RESNET101:
        for unit in range(units):
            step = last if unit == units - 1 else 1
            here, unit_stride = (rate * grid[unit] if inner == 512 else rate), 1
            if stride == output_stride:
                rate *= step
            else:
                unit_stride, stride, here = step, stride * step, 1
            x = resnet_unit(net, x, inner, unit_stride, here)
    head = 256
    branches = [net.conv(net.global_pool(x), head), net.conv(x, head)]
    branches += [net.conv(x, head, 3, dilation=rate * 96 // output_stride) for rate in (1, 2, 3)]
    joined = net.write("concat", Shape(head * len(branches), x.height, x.width))  # the pooled branch is resized to the map
    net.conv(net.conv(joined, head), classes, norm=False)
    return net


def resnet_unit(net: Sketch, x: Shape, inner: int, stride: int, rate: int) -> Shape:
    """Three convolutions; the shortcut is a convolution where channels change, else a sampling."""
    y = net.conv(net.conv(net.conv(x, inner), inner, 3, stride, dilation=rate), 4 * inner)
    same = x.channels == 4 * inner
    return net.add(y, (net.pool(x, 1, stride) if stride > 1 else x) if same else net.conv(x, 4 * inner, 1, stride))
