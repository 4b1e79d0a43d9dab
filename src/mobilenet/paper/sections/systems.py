"""The systems that the papers compare with, each beside the numbers of its own authors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...network.cost import cost
from ...network.mobilenet import mobilenet_v1, mobilenet_v2
from ..systems.classifiers import alexnet, googlenet, nasnet_a, shufflenet, squeezenet, vgg16, xception
from ..systems.detectors import deeplab_resnet101, ssd_vgg16, yolo_v2
from ..systems.sketch import Sketch
from .colors import SERIES
from .section import Compared, Figure, Material, Prose, Section, Table, counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas


def make(material: Material) -> Section:
    large, wide = shufflenet(1.5), shufflenet(2, stem=48)
    rows: tuple[tuple[str, str, Sketch, str, str], ...] = (
        ("AlexNet", "the released Caffe model", alexnet(), "60,965,224", ""),
        ("VGG-16", "arXiv 1409.1556, Table 2", vgg16(), "138M", ""),
        ("GoogLeNet", "the released Caffe model", googlenet(), "6,998,552", ""),
        ("SqueezeNet 1.0", "torchvision, at 227 pixels", squeezenet(), "1,248,424", ""),
        ("Xception", "arXiv 1610.02357, Table 3", xception(), "22,855,952", ""),
        ("ShuffleNet 1.5x, g = 3", "arXiv 1707.01083, Table 5", large, "", "292M"),
        ("ShuffleNet 2x, g = 3", "arXiv 1707.01083, Table 5", wide, "", "524M"),
        ("NASNet-A (4 @ 1056)", "arXiv 1707.07012, Table 1", nasnet_a(), "5.3M", "564M"),
        ("SSD300, 91 classes", "torchvision", ssd_vgg16(300, 90), "35,641,826", "34.86B"),
        ("SSD512, 81 classes", "no figure known", ssd_vgg16(512), "", ""),
        ("YOLOv2, COCO", "the released weights", yolo_v2(), "50,962,889", ""),
        ("ResNet-101 DeepLabv3", "MobileNetV2, Table 7", deeplab_resnet101(), "58.16M", ""),
    )
    table = Table(
        "Twelve systems",
        ("network", "source of the number", "params", "MAdds"),
        tuple(
            (name, source, Compared(params, net.totals.params), Compared(madds, net.totals.madds))
            for name, source, net, params, madds in rows
        ),
        "A dash where the source prints nothing. Resolutions: 227 for AlexNet and SqueezeNet, 299 for Xception, 300 and 512 "
        "for SSD, 416 for "
        "YOLOv2, 513 for DeepLabv3, else 224.",
    )
    text = Prose(
        """To compare with a system one must know what it costs, counted by the same rules. So each of them is written down
        here as a plain description, layer by layer, from its own paper or its authors' code (`paper/systems`), and one ledger
        counts them all. None of them needs weights or a library to be counted. Tests compare the counts with other people's
        programs, to the last parameter: torchvision has VGG-16, SqueezeNet, GoogLeNet, SSD300 and DeepLabv3, timm has
        Xception, Keras has NASNet-A.

        The picture shows why small networks were a new direction: before them, work and parameters were spent together and
        freely."""
    )
    points = {name: (net.totals.params / 1e6, net.totals.madds / 1e6) for name, _, net, *_ in rows[:8]}
    for name, network in (("MobileNetV1", mobilenet_v1()), ("MobileNetV2", mobilenet_v2())):
        ledger = cost(network)
        points[name] = (ledger.params / 1e6, ledger.madds / 1e6)
    figure = Figure(
        "systems",
        "Classifiers by parameters and work",
        "Both axes are logarithmic. VGG-16 and AlexNet have the most parameters, VGG-16 and Xception do the most work; the "
        "mobile networks "
        "stand together at the lower left.",
        lambda canvas: draw(canvas, points),
        5.6,
        4.0,
    )
    return Section(
        "systems",
        "The others, counted by the same rules",
        "MobileNetV1, Tables 8 and 9; MobileNetV2, Tables 3, 4, 6 and 7",
        "The papers compare with other systems and quote their costs.",
        (text, figure, table),
        counted(table),
    )


PLACES = {
    "ShuffleNet 2x, g = 3": (8, -7),
    "NASNet-A (4 @ 1056)": (8, 4),
    "MobileNetV1": (-8, -4),
    "MobileNetV2": (-8, 2),
    "ShuffleNet 1.5x, g = 3": (-5, -14),
    "GoogLeNet": (8, 4),
    "VGG-16": (-9, -3),
}
"""Where names stand beside crowded points, in points of print."""


def draw(canvas: Canvas, points: dict[str, tuple[float, float]]) -> None:
    axes = canvas.subplots()
    for name, (params, madds) in points.items():
        color = SERIES[0] if name.startswith("Mobile") else SERIES[1]
        axes.plot(params, madds, "o", color=color)
        place = PLACES.get(name, (8, -3))
        axes.annotate(
            name.partition(",")[0],
            (params, madds),
            place,
            textcoords="offset points",
            ha="right" if place[0] < 0 else "left",
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.8, 400)
    axes.set_xticks([1, 3, 10, 30, 100, 300], ["1", "3", "10", "30", "100", "300"])
    axes.set_yticks([300, 1000, 3000, 10000], ["300", "1,000", "3,000", "10,000"])
    axes.minorticks_off()
    axes.set_ylim(150, 30000)
    axes.set_xlabel("parameters, millions, logarithmic")
    axes.set_ylabel("MAdds, millions, logarithmic")
