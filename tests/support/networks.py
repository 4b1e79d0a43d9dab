"""Random networks of every style."""

from __future__ import annotations

from hypothesis import strategies as st

from mobilenet.engine.plan.steps import Style
from mobilenet.network.heads import deeplabv3_mobilenet_v1, deeplabv3_mobilenet_v2, ssd_mobilenet_v2, ssdlite_mobilenet_v2
from mobilenet.network.layers import Architecture, Layer, Network, Padding, Resolution
from mobilenet.network.mobilenet import mobilenet_v1, mobilenet_v2


class Custom(Architecture):
    """What a network of hand-written layers needs of its settings."""

    resolution: Resolution
    padding: Padding
    width: float = 1.0
    classes: int | None = None
    epsilon: float | None = None
    min_depth: int = 8

    noun = "custom"

    def build(self) -> Network:
        raise TypeError("settings alone do not say which layers; use `custom`")


def custom(layers: tuple[Layer, ...], resolution: tuple[int, int], padding: Padding, outputs: tuple[str, ...]) -> Network:
    """A network of these layers, which no family builds."""
    return Network(Custom(resolution, padding), layers, outputs)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    resolution = draw(st.tuples(st.integers(1, 70), st.integers(1, 40)))
    shared = {
        "resolution": resolution,
        "classes": draw(st.sampled_from([None, 7])),
        "output_stride": draw(st.sampled_from([8, 16, 32])),
        "padding": draw(st.sampled_from(["pytorch", "tensorflow"])),
    }
    kind = draw(st.sampled_from(["v1", "v2", "detector", "segmenter"]))
    if kind == "detector":
        make = draw(st.sampled_from([ssdlite_mobilenet_v2, ssd_mobilenet_v2]))
        return make(0.35, resolution, classes=draw(st.sampled_from([1, 20])), padding=shared["padding"])
    if kind == "segmenter":
        aspp = draw(st.sampled_from(["none", "full", "separable"]))
        shared["classes"] = 3
        if draw(st.booleans()):
            return deeplabv3_mobilenet_v1(0.25, aspp=aspp, **shared)
        return deeplabv3_mobilenet_v2(0.35, aspp=aspp, **shared)
    if kind == "v1":
        network = mobilenet_v1(0.25, convolution=draw(st.sampled_from(["separable", "full"])), **shared)
    else:
        network = mobilenet_v2(
            draw(st.sampled_from([0.25, 0.5])),
            shortcut=draw(st.sampled_from(["bottleneck", "expansion", "none"])),
            expansion=draw(st.sampled_from([None, 1.0, 2.5])),
            **shared,
        )
    if draw(st.booleans()):
        taps = draw(st.lists(st.sampled_from([layer.name for layer in network.layers]), min_size=1, max_size=3, unique=True))
        network = network.until(*taps)
    return network


STYLES = st.builds(
    Style,
    band=st.integers(1, 5),
    pixels=st.sampled_from([0, 50, 224]),
    whole=st.sampled_from([0, 10, 196]),
    stream=st.sampled_from([10_000, 0, 20, 400]),
)
