"""The classifiers that the papers compare with, each as its own paper or released code describes it."""

from __future__ import annotations

from ...network.layers import Shape
from .sketch import Sketch


def alexnet(resolution: int = 227, classes: int = 1000, groups: int = 2) -> Sketch:
    """AlexNet (Krizhevsky et al. 2012) with its two groups of channels, one on each of its two graphics cards."""
    net = Sketch(resolution, norm=False)
    x = net.conv(net.image, 96, 11, 4, "valid")
    x = net.conv(net.pool(x, 3, 2, "valid"), 256, 5, groups=groups)
    x = net.conv(net.pool(x, 3, 2, "valid"), 384, 3)
    x = net.conv(x, 384, 3, groups=groups)
    x = net.conv(x, 256, 3, groups=groups)
    x = net.linear(net.pool(x, 3, 2, "valid"), 4096)
    net.linear(net.linear(x, 4096), classes)
    return net


VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and repeats of the five stages; a pooling stands behind each."""


def vgg16(resolution: int = 224, classes: int = 1000) -> Sketch:
    """VGG-16 (arXiv 1409.1556), configuration D."""
    net = Sketch(resolution, norm=False)
    x = net.image
    for channels, repeats in VGG16:
        for _ in range(repeats):
            x = net.conv(x, channels, 3)
        x = net.pool(x, 2, 2)
    net.linear(net.linear(net.linear(x, 4096), 4096), classes)
    return net


INCEPTION = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
"""Table 1 of arXiv 1409.4842 by stage: 1x1, reduction and 3x3, reduction and 5x5, projection behind the pooling."""


def googlenet(resolution: int = 224, classes: int = 1000, norm: bool = False, largest: int = 5) -> Sketch:
    """GoogLeNet (arXiv 1409.4842) without the two classifiers that help its training.

    Args:
        norm: with batch normalization, as torchvision has it.
        largest: kernel of the third branch; torchvision has 3.
    """
    net = Sketch(resolution, norm)
    x = net.pool(net.conv(net.image, 64, 7, 2), 3, 2)
    x = net.conv(net.conv(x, 64), 192, 3)
    for stage in INCEPTION:
        x = net.pool(x, 3, 2)
        for one, reduce_3, three, reduce_5, five, project in stage:
            branches = (
                net.conv(x, one),
                net.conv(net.conv(x, reduce_3), three, 3),
                net.conv(net.conv(x, reduce_5), five, largest),
                net.conv(net.pool(x, 3, 1), project),
            )
            x = net.concat(*branches)
    net.linear(net.global_pool(x), classes)
    return net


FIRE = (((16, 64), (16, 64), (32, 128)), ((32, 128), (48, 192), (48, 192), (64, 256)), ((64, 256),))
"""Table 1 of arXiv 1602.07360: squeeze and expand channels of the fire modules, by stage."""


def squeezenet(resolution: int = 227, classes: int = 1000) -> Sketch:
    """SqueezeNet 1.0 (arXiv 1602.07360)."""
    net = Sketch(resolution, norm=False)
    x = net.conv(net.image, 96, 7, 2, "valid")
    for stage in FIRE:
        x = net.pool(x, 3, 2, 0, ceil=True)
        for squeeze, expand in stage:
            s = net.conv(x, squeeze)
            x = net.concat(net.conv(s, expand), net.conv(s, expand, 3))
    net.global_pool(net.conv(x, classes))
    return net


def xception(resolution: int = 299, classes: int = 1000) -> Sketch:
    """Xception (arXiv 1610.02357). Nothing stands between a depthwise convolution and its pointwise one."""
    net = Sketch(resolution, norm=True)

    def separable(x: Shape, channels: int) -> Shape:
        return net.conv(net.depthwise(x, bare=True), channels)

    def block(x: Shape, *channels: int) -> Shape:
        y = x
        for each in channels:
            y = separable(y, each)
        return net.add(net.pool(y, 3, 2), net.conv(x, channels[-1], 1, 2))

    x = net.conv(net.conv(net.image, 32, 3, 2, "valid"), 64, 3, 1, "valid")
    for channels in (128, 256, 728):
        x = block(x, channels, channels)
    for _ in range(8):
        x = net.add(x, separable(separable(separable(x, 728), 728), 728))
    x = separable(separable(block(x, 728, 1024), 1536), 2048)
    net.linear(net.global_pool(x), classes)
    return net


SHUFFLENET = {2: (200, 400, 800), 3: (240, 480, 960)}
"""Table 1 of arXiv 1707.01083: channels of the three stages, by groups."""


def shufflenet(width: float, groups: int = 3, resolution: int = 224, classes: int = 1000, stem: int = 24) -> Sketch:
    """ShuffleNet (arXiv 1707.01083). The first pointwise convolution of the network is not grouped.

    Args:
        stem: channels of the first convolution. The authors' released code has 24 at 1.5x and 48 at 2x.
    """
    net = Sketch(resolution, norm=True)
    x = net.pool(net.conv(net.image, stem, 3, 2, bias=False), 3, 2)
    for stage, (full, repeats) in enumerate(zip(SHUFFLENET[groups], (4, 8, 4), strict=True)):
        channels = int(full * width)
        for repeat in range(repeats):
            first = repeat == 0
            after = channels - x.channels if first else channels
            y = net.conv(x, channels // 4, groups=1 if stage == 0 and first else groups)
            y = net.depthwise(net.shuffle(y, groups), stride=2 if first else 1)
            y = net.conv(y, after, groups=groups)
            x = net.concat(net.pool(x, 3, 2), y) if first else net.add(x, y)
    net.linear(net.global_pool(x), classes)
    return net


def nasnet_a(resolution: int = 224, classes: int = 1000, cells: int = 4, filters: int = 44, stem: int = 32) -> Sketch:
    """NASNet-A (4 @ 1056), the mobile one (arXiv 1707.07012): three stages of `cells`, of 44, 88 and 176 filters."""
    net = Sketch(resolution, norm=True)
    x = net.conv(net.image, stem, 3, 2, "valid")
    p: Shape | None = None
    for each in (filters // 4, filters // 2):
        x, p = reduction_cell(net, x, p, each), x
    for stage, factor in enumerate((1, 2, 4)):
        if stage:
            before, x = x, reduction_cell(net, x, p, filters * factor)
            p = before
        for _ in range(cells):
            x, p = normal_cell(net, x, p, filters * factor), x
    net.linear(net.global_pool(x), classes)
    return net


def adjusted(net: Sketch, p: Shape | None, x: Shape, filters: int) -> Shape:
    """The cell before the last one, with the size and the channels that this cell needs."""
    if p is None:
        return x
    if p.height != x.height:  # two shifted samplings, half of the channels from each; one normalization behind both
        halves = [net.conv(net.pool(p, 1, 2), filters // 2, norm=False, bias=False) for _ in range(2)]
        return net.normalized(net.concat(*halves))
    return p if p.channels == filters else net.conv(p, filters)


def twice(net: Sketch, x: Shape, filters: int, kernel: int, stride: int = 1) -> Shape:
    """Two separable convolutions; nothing between a depthwise convolution and its pointwise one."""
    for step in (stride, 1):
        x = net.conv(net.depthwise(x, kernel, step, bare=True), filters)
    return x


def normal_cell(net: Sketch, x: Shape, before: Shape | None, filters: int) -> Shape:
    """Figure 4 of arXiv 1707.07012, left."""
    p = adjusted(net, before, x, filters)
    h = net.conv(x, filters)
    one = net.add(twice(net, h, filters, 5), twice(net, p, filters, 3))
    two = net.add(twice(net, p, filters, 5), twice(net, p, filters, 3))
    three = net.add(net.pool(h, 3, 1), p)
    four = net.add(net.pool(p, 3, 1), net.pool(p, 3, 1))
    five = net.add(twice(net, h, filters, 3), h)
    return net.concat(p, one, two, three, four, five)


def reduction_cell(net: Sketch, x: Shape, before: Shape | None, filters: int) -> Shape:
    """Figure 4 of arXiv 1707.07012, right."""
    p = adjusted(net, before, x, filters)
    h = net.conv(x, filters)
    one = net.add(twice(net, h, filters, 5, 2), twice(net, p, filters, 7, 2))
    two = net.add(net.pool(h, 3, 2), twice(net, p, filters, 7, 2))
    three = net.add(net.pool(h, 3, 2), twice(net, p, filters, 5, 2))
    four = net.add(net.pool(one, 3, 1), two)
    five = net.add(twice(net, one, filters, 3), net.pool(h, 3, 2))
    return net.concat(two, three, four, five)
