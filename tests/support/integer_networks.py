"""Small networks without batch normalization: every task, both paddings, shortcuts of every kind, resizes."""

from __future__ import annotations

from mobilenet.network.heads import deeplabv3_mobilenet_v2, ssd_mobilenet_v2, ssdlite_mobilenet_v1
from mobilenet.network.layers import Conv, GlobalPool, Network, Resize
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2
from support.networks import custom


def folded(network: Network) -> Network:
    epsilons = {name: None for name in ("epsilon", "head_epsilon") if hasattr(network.settings, name)}
    return network.settings.changed(**epsilons).build()


NETWORKS = {
    "v2": folded(mobilenet_v2(0.35, resolution=33, classes=10)),
    "tensorflow": folded(mobilenet_v2(0.35, resolution=(64, 33), classes=10, padding="tensorflow", output_stride=8)),
    "ablations": folded(mobilenet_v2(0.35, resolution=33, classes=10, shortcut="expansion", projection="relu6")),
    "v1": folded(mobilenet_v1(0.25, resolution=33, classes=10, activation="relu")),
    "ssdlite": folded(ssdlite_mobilenet_v1(0.25, resolution=65, classes=3)),
    "ssd": folded(ssd_mobilenet_v2(0.35, resolution=(48, 33), classes=3, padding="tensorflow")),
    "deeplab": folded(deeplabv3_mobilenet_v2(0.35, resolution=(65, 50), classes=4, aspp="full")),
    "taps": folded(mobilenet_v2(0.35, resolution=33, classes=10)).until("layer_4", "layer_15.expand", "classifier"),
    "half pixel": custom(
        (
            Conv("a", ("input",), 3, 4, epsilon=None),
            GlobalPool("mean", ("a",)),
            Resize("up", ("mean", "a"), "half_pixel"),
            Resize("down", ("a", "mean")),
        ),
        (5, 8),
        "pytorch",
        ("up", "down"),
    ),
}
