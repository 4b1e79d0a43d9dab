"""What a plan of an integer network takes from its quantization: layouts, zero points, numbers of steps without weights."""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from ...network import quantization as published
from ...network.grid import SHIFT, GridQuantization, Shortcut, add_multipliers, mean_multiplier, ratio, real_outputs, shortcuts
from ...network.layers import Conv, Network
from ...network.quantization import Affine, Quantization
from .layout import PIXELS, REAL, U8, TensorLayout

BLEND = 2**16  # what a resize's sums are larger than bytes
EVEN, FIXED, DIVIDED = range(3)  # Rounding of native/kernels/i8/calls.h
BLEND_EVEN, BLEND_REAL, BLEND_FINE = range(3)  # Blend of native/core/steps_i8.h
AS_IT_IS = (DIVIDED, 1, 0, 0, 0)  # a byte that keeps its scale

Words = tuple[int, ...]


class Integers(ABC):
    """A quantization as the planner needs it. Every method answers in words of the program: integers, floats as their bits.

    Attributes:
        activations: of every tensor of bytes, by its layer's name; a zero point is a byte.
        pixel_zeros: the bytes that stand for a real 0 in the image.
        real: the outputs that are real numbers.
        shortcuts: by convolution, the addition that follows it at once.
        in_sums: whether that addition goes into the convolution's sums; else it adds bytes.
    """

    activations: Mapping[str, Affine]
    pixel_zeros: tuple[int, int, int]
    real: frozenset[str]
    shortcuts: Mapping[str, Shortcut]
    in_sums: bool

    def layout(self, tensor: str) -> TensorLayout:
        return PIXELS if tensor == "input" else REAL if tensor in self.real else U8

    def zero(self, tensor: str) -> int:
        """Four bytes that stand for a real 0: a pixel of the image, or four channels."""
        if tensor in self.real:
            return 0
        each = (*self.pixel_zeros, 0) if tensor == "input" else (self.activations[tensor].zero_point,) * 4
        return int.from_bytes(bytes(each), "little", signed=True)

    def emit(self, tensor: str) -> Words:
        scale, zero_point = Affine(1.0, 0) if tensor in self.real else self.activations[tensor]
        return zero_point, bits(scale)

    @abstractmethod
    def image(self) -> Words: ...
    @abstractmethod
    def mean(self, source: str, target: str, count: int) -> Words: ...
    @abstractmethod
    def add(self, sources: Sequence[str], target: str) -> Words: ...
    @abstractmethod
    def concat(self, source: str, target: str) -> Words: ...
    @abstractmethod
    def resize(self, source: str, target: str) -> Words: ...


class GridIntegers(Integers):
    """Of a network of our own (`network.grid`)."""

    in_sums = True

    def __init__(self, network: Network, quantization: GridQuantization) -> None:
        self.pixels, self.activations = quantization.pixels, quantization.activations
        self.pixel_zeros = self.pixels.zero_points
        self.real, self.shortcuts = real_outputs(network), shortcuts(network)

    def image(self) -> Words:
        return (EVEN, *(bits(value) for part in self.pixels for value in part))

    def mean(self, source: str, target: str, count: int) -> Words:
        a, b = self.activations[source], self.activations[target]
        return (EVEN, *mean_multiplier(a, b, count), a.zero_point, b.zero_point)

    def add(self, sources: Sequence[str], target: str) -> Words:
        (a, b), result = (self.activations[name] for name in sources), self.activations[target]
        factor_a, factor_b = add_multipliers([a, b], result)
        return EVEN, a.zero_point, factor_a, 0, b.zero_point, factor_b, 0, result.zero_point, 0, 0

    def concat(self, source: str, target: str) -> Words:
        a, b = self.activations[source], self.activations[target]
        return AS_IT_IS if a == b else (EVEN, ratio(a, b), SHIFT, a.zero_point, b.zero_point)

    def resize(self, source: str, target: str) -> Words:
        scale, zero_point = self.activations[source]
        real = (zero_point, bits(scale / BLEND)) if target in self.real else (0, 0)
        return (BLEND_EVEN, *AS_IT_IS, *real)


class PublishedIntegers(Integers):
    """Of a published TensorFlow model (`network.quantization`). Integers of int8 become bytes: each is 128 more."""

    in_sums = False
    real: frozenset[str] = frozenset()

    def __init__(self, network: Network, quantization: Quantization) -> None:
        self.dtype, self.origin = quantization.dtype, quantization.origin
        self.activations = {
            name: Affine(scale, zero_point + self.origin) for name, (scale, zero_point) in quantization.activations.items()
        }
        self.pixel_zeros = (self.activations["input"].zero_point,) * 3
        layers = {layer.name: layer for layer in network.layers}
        self.shortcuts = {
            name: shortcut
            for name, shortcut in shortcuts(network).items()
            if isinstance(conv := layers[name], Conv) and not conv.depthwise and conv.inputs[0] != "input"
        }

    def image(self) -> Words:
        scale, zero_point = self.activations["input"]
        return (DIVIDED, *(bits(scale),) * 3, *(bits(float(zero_point)),) * 3)

    def mean(self, source: str, target: str, count: int) -> Words:
        a, b = self.activations[source], self.activations[target]
        if a == b:
            return DIVIDED, count, 0, self.origin, self.origin
        return (FIXED, *published.mean_multiplier(a, b, count), a.zero_point, b.zero_point)

    def add(self, sources: Sequence[str], target: str) -> Words:
        (a, b), result = (self.activations[name] for name in sources), self.activations[target]
        of_a, of_b, of_sum = published.add_multipliers([a, b], result)
        return FIXED, a.zero_point, *of_a, b.zero_point, *of_b, result.zero_point, *of_sum

    def concat(self, source: str, target: str) -> Words:
        a, b = self.activations[source], self.activations[target]
        return AS_IT_IS if a == b else (FIXED, *published.ratio(a, b), a.zero_point, b.zero_point)

    def resize(self, source: str, target: str) -> Words:
        return (BLEND_FINE if self.dtype == "int8" else BLEND_REAL, *self.concat(source, target), 0, 0)


def integers_of(network: Network, quantization: GridQuantization | Quantization) -> Integers:
    if isinstance(quantization, GridQuantization):
        return GridIntegers(network, quantization)
    return PublishedIntegers(network, quantization)


def bits(value: float) -> int:
    """A float32's bits as a signed integer."""
    (integer,) = struct.unpack("<i", struct.pack("<f", value))
    return int(integer)
