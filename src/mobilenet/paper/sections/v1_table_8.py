"""MobileNetV1's Tables 8 and 9: beside GoogLeNet, VGG-16, SqueezeNet and AlexNet; Table 13: detection."""

from __future__ import annotations

from ...network.cost import Cost, cost
from ...network.heads import SSDLiteMobileNetV1
from ...network.layers import Network
from ...network.mobilenet import mobilenet_v1
from ..systems.classifiers import alexnet, googlenet, squeezenet, vgg16
from ..systems.detectors import ssd_vgg16
from .printed import agree
from .section import Compared, Material, Prose, Section, Table, because, counted

COLUMNS = ("network", "top-1 in the paper, %", "MAdds", "params")
KIBI = 1.024  # what a count loses if it is divided by 1024 x 1000 in place of 1000 x 1000


def make(material: Material) -> Section:
    v1, half = cost(mobilenet_v1()), cost(mobilenet_v1(0.5, 160))
    google, vgg, squeeze, alex = googlenet(), vgg16(), squeezenet(), alexnet()
    in_1024 = because(
        "GoogLeNet's own paper counts in thousands of 1024. Ours divided by 1.024 is "
        f"{google.totals.madds / KIBI / 1e6:.0f}M and "
        f"{google.weights / KIBI / 1e6:.2f}M (weights without biases).",
        agree("1550M", google.totals.madds / KIBI, 1e7) and agree("6.8M", google.weights / KIBI),
    )
    convolutions = sum(line.madds for line in vgg.lines if line.operation.startswith("conv"))
    without = because(
        f"Without its three fully connected layers VGG-16 has {convolutions / 1e6:,.0f}M.", agree("15300M", convolutions, 1e8)
    )
    twice = because(
        f"Twice ours is {2 * squeeze.totals.madds / 1e6:,.0f}M: here the paper seems to count multiplications and additions "
        "separately.",
        agree("1700M", 2 * squeeze.totals.madds, 1e8),
    )
    weights = because(
        f"Weights alone are {half.weights / 1e6:.3f}M; the paper's other rows count more.", agree("1.32M", half.weights)
    )
    eight = Table(
        "Table 8",
        COLUMNS,
        (
            ("1.0 MobileNet-224", "70.6", Compared("569M", v1.madds), Compared("4.2M", v1.params)),
            (
                "GoogLeNet",
                "69.8",
                Compared("1550M", google.totals.madds, in_1024, 1e7),
                Compared("6.8M", google.totals.params, in_1024),
            ),
            ("VGG-16", "71.5", Compared("15300M", vgg.totals.madds, without, 1e8), Compared("138M", vgg.totals.params)),
        ),
    )
    nine = Table(
        "Table 9",
        COLUMNS,
        (
            ("0.50 MobileNet-160", "60.2", Compared("76M", half.madds), Compared("1.32M", half.params, weights)),
            (
                "SqueezeNet",
                "57.5",
                Compared("1700M", squeeze.totals.madds, twice, 1e8),
                Compared("1.25M", squeeze.totals.params),
            ),
            ("AlexNet", "57.2", Compared("720M", alex.totals.madds, last=1e7), Compared("60M", alex.totals.params)),
        ),
    )
    text = Prose(
        f"""The other networks are written down from their own papers, layer by layer, and counted by the same rules. AlexNet
        has its two groups of channels, one on each of its two graphics cards; without them it would have
        {alexnet(groups=1).totals.madds / alex.totals.madds:.1f} times the work.

        SqueezeNet has as few parameters as a small MobileNet, but {squeeze.totals.madds / half.madds:.0f} times its work. Few
        parameters make a small file. They do not make a fast network: a convolution uses each weight once for every pixel."""
    )
    claims = ratios(v1, half, twice)
    thirteen = detection()
    return Section(
        "v1-table-8",
        "MobileNetV1 beside GoogLeNet, VGG, SqueezeNet, AlexNet",
        "MobileNetV1, sections 4.3 and 4.6, Tables 8, 9 and 13",
        "MobileNet is nearly as good as VGG-16 with 32 times fewer parameters and 27 times less work, and better than "
        "SqueezeNet and "
        "AlexNet at a small part of their cost.",
        (text, eight, nine, claims, thirteen),
        counted(eight, nine, claims, thirteen),
    )


def ratios(v1: Cost, half: Cost, twice: str) -> Table:
    """How many times smaller and cheaper the text says that MobileNets are."""
    google = googlenet().totals.madds / v1.madds
    more = because("The paper says more than 2.5.", google > 2.5)
    return Table(
        "Times smaller, times less work",
        ("claim", "value"),
        (
            ("VGG-16 by MobileNet, params", Compared("32x", vgg16().totals.params / v1.params)),
            ("VGG-16 by MobileNet, MAdds", Compared("27x", vgg16().totals.madds / v1.madds)),
            ("GoogLeNet by MobileNet, MAdds, more than", Compared("2.5x", google, more)),
            ("AlexNet by 0.50 MobileNet-160, params", Compared("45x", alexnet().totals.params / half.params)),
            ("AlexNet by 0.50 MobileNet-160, MAdds", Compared("9.4x", alexnet().totals.madds / half.madds)),
            ("SqueezeNet by 0.50 MobileNet-160, MAdds", Compared("22x", squeezenet().totals.madds / half.madds, twice)),
        ),
    )


def detection() -> Table:
    """Table 13, SSD at 300 pixels: of its rows those whose architecture is known."""
    settings = SSDLiteMobileNetV1(resolution=300, classes=90)
    mobile = cost(ssd_mobilenet_v1(settings))
    large = ssd_vgg16(300, 90).totals
    unknown = "The number of default boxes that this row was counted with is not printed."
    return Table(
        "Table 13, SSD at 300 pixels",
        ("network", "mAP in the paper, %", "MAdds", "params"),
        (
            ("VGG-16", "21.1", Compared("34.9B", large.madds), Compared("33.1M", large.params, unknown)),
            ("MobileNet", "19.3", Compared("1.2B", mobile.madds), Compared("6.8M", mobile.params)),
        ),
        "90 classes and a background, as in the released TensorFlow configuration. The rows of Faster R-CNN and Inception "
        "V2 are not "
        "derived: their configurations are not given.",
    )


def ssd_mobilenet_v1(settings: SSDLiteMobileNetV1) -> Network:
    """SSD with ordinary convolutions between the maps and 1x1 predictors, TensorFlow's ``ssd_mobilenet_v1_coco``."""
    backbone = mobilenet_v1(settings.width, settings.resolution, None)
    return settings.finish(backbone, ("layer_11.pointwise", "layer_13.pointwise"), "full", 1)
