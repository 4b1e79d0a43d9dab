"""What a plan of an integer network takes from its quantization: layouts, zero points, numbers of steps without weights."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ...network.grid import (
    SHIFT,
    GridQuantization,
    add_multipliers,
    mean_multiplier,
    ratio,
    real_outputs,
    shortcuts,
)
from ...network.layers import Network
from ...network.quantization import Affine
from .layout import PIXELS, REAL, U8, TensorLayout

BLEND = 2**16  # what a resize's sums are larger than bytes


class Integers:
    """A quantization as the planner needs it. Every method answers in words of the program: integers, floats as their bits."""

    def __init__(self, network: Network, quantization: GridQuantization) -> None:
        self.pixels, self.activations = quantization.pixels, quantization.activations
        self.real, self.shortcuts = real_outputs(network), shortcuts(network)

    def layout(self, tensor: str) -> TensorLayout:
        return PIXELS if tensor == "input" else REAL if tensor in self.real else U8

    def zero(self, tensor: str) -> int:
        """Four bytes that stand for a real 0: a pixel of the image, or four channels."""
        if tensor in self.real:
            return 0
        each = (*self.pixels.zero_points, 0) if tensor == "input" else (self.activations[tensor].zero_point,) * 4
        return int.from_bytes(bytes(each), "little", signed=True)

    def image(self) -> tuple[int, ...]:
        return tuple(bits(value) for part in self.pixels for value in part)

    def mean(self, source: str, target: str, count: int) -> tuple[int, ...]:
        a, b = self.activations[source], self.activations[target]
        return (*mean_multiplier(a, b, count), a.zero_point, b.zero_point)

    def add(self, sources: Sequence[str], target: str) -> tuple[int, ...]:
        (a, b), result = (self.activations[name] for name in sources), self.activations[target]
        factor_a, factor_b = add_multipliers([a, b], result)
        return factor_a, a.zero_point, factor_b, b.zero_point, result.zero_point

    def concat(self, source: str, target: str) -> tuple[int, ...]:
        a, b = self.activations[source], self.activations[target]
        return (0, 1, 0, 0) if a == b else (ratio(a, b), SHIFT, a.zero_point, b.zero_point)

    def resize(self, source: str, target: str) -> tuple[int, ...]:
        scale, zero_point = self.activations[source]
        return (zero_point, bits(scale / BLEND)) if target in self.real else (0, 0)

    def emit(self, tensor: str) -> tuple[int, ...]:
        scale, zero_point = Affine(1.0, 0) if tensor in self.real else self.activations[tensor]
        return zero_point, bits(scale)


def bits(value: float) -> int:
    """A float32's bits as a signed integer."""
    (integer,) = struct.unpack("<i", struct.pack("<f", value))
    return int(integer)
