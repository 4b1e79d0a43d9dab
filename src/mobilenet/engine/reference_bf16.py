"""What bfloat16 means here: products read bfloat16, and everything else is float32.

A product is a full or 1 x 1 convolution or a linear layer, but not the first convolution, which reads the image. Its weights,
after batch normalization is folded in, and the tensors that it reads are rounded once; it adds in float32. Depthwise
convolutions and all other layers compute in float32, from whatever their inputs hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..network.layers import Conv, Layer, Network
from .fold import Folded
from .plan.fuse import rounded_tensors
from .reference import Reference, checked_images, run_layer, run_layers

if TYPE_CHECKING:
    from ..tensors import Floats, Plain


class Bf16Reference(Reference):
    """Runs `network` as `Reference` does, with products in bfloat16."""

    name, precision = "bf16 reference", "bf16"

    def __init__(self, network: Network, tensors: Mapping[str, Floats]) -> None:
        super().__init__(network, tensors)
        self.rounded = rounded_tensors(network)
        self.folded = {
            name: both if keeps_float32(network, name) else Folded(round_to_bf16(both.weight), both.bias)
            for name, both in self.folded.items()
        }

    def __call__(self, images: Plain) -> dict[str, Floats]:
        def run(layer: Layer, inputs: list[Floats]) -> Floats:
            result = run_layer(layer, inputs, self.folded, self.network.padding)
            return round_to_bf16(result) if layer.name in self.rounded else result

        return run_layers(self.network, checked_images(images), run)


def keeps_float32(network: Network, name: str) -> bool:
    """Whether the weights of layer `name` stay float32: those of depthwise convolutions and of the first one."""
    layer = network[name]
    return isinstance(layer, Conv) and (layer.depthwise or layer.inputs == ("input",))


def round_to_bf16(values: Floats) -> Floats:
    """Every float32 as the nearest bfloat16, halves to the even one, still stored as float32. Numbers below 2^-126 become 0."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    upper = (bits + np.uint32(0x7FFF) + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    upper = np.where(np.isnan(values), bits | np.uint32(0x400000), upper).astype(np.uint32)
    upper[np.abs(values) < np.float32(2.0**-126)] &= np.uint32(0x80000000)
    return upper.view(np.float32)
