"""The quantization of a network: the scale and zero point of every weight and every activation.

real = scale * (integer - zero_point). A quantized model has integer weights (int8, or uint8 from TensorFlow's older
quantizer) and int32 biases. A bias has zero point 0 and the scale of its accumulator, input scale times weight scale. The two
integer types are never converted into each other: their arithmetic differs if an average or a blend lies exactly between two
integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import MobilenetError, assert_never
from ..settings import Settings, parse
from .layers import Activation, Add, Concat, Conv, GlobalPool, Layer, Linear, Network, Resize

if TYPE_CHECKING:
    from ..tensors import Floats

    Numbers = NDArray[np.float32] | NDArray[np.int32] | NDArray[np.int8] | NDArray[np.uint8]  # of a model file
Integer = Literal["int8", "uint8"]
MAX_ACCUMULATOR = 2**31 - 1
ADD_SHIFT = 20
"""Bits that the inputs of an addition gain before they are scaled."""
MAX_FACTOR = 2.0**30
"""Of an accumulator: its exponent fits the shift of 32 bits."""
MAX_RATIO = 2**16
"""Of two scales that a layer without weights brings together; 64 bits hold its sums up to here."""


class QuantizationError(MobilenetError):
    """Scales, zero points or integers that do not fit a network; the message names tensor, value and rule."""


class Affine(NamedTuple):
    """real = scale * (integer - zero_point), one scale for a whole tensor; a float32's value."""

    scale: float
    zero_point: int


class Stored(Settings):
    """What a model file's metadata hold of a quantization."""

    noun = "quantization"

    dtype: Integer
    activations: Mapping[str, object]
    zero_points: Mapping[str, object]


@dataclass(frozen=True)
class Quantization:
    """Scales and zero points of a network.

    Attributes:
        dtype: of weights and activations.
        activations: of ``input`` and of every layer's output, by the layer's name.
        scales: of every weight, by its tensor's name: (1,) for all of it, or (out,) for each output channel.
        zero_points: of every weight, by its tensor's name.
    """

    dtype: Integer
    activations: Mapping[str, Affine] = field(repr=False)
    scales: Mapping[str, Floats] = field(repr=False)
    zero_points: Mapping[str, int] = field(repr=False)

    @property
    def range(self) -> tuple[int, int]:
        """The minimum and the maximum of `dtype`."""
        return (-128, 127) if self.dtype == "int8" else (0, 255)

    @property
    def origin(self) -> int:
        """What turns an integer of `dtype` into a byte when it is added."""
        return -self.range[0]

    def to_json(self) -> dict[str, object]:
        """In JSON's types, without the weights' scales, which a model file stores as tensors; equal values give equal text."""
        return {
            "dtype": self.dtype,
            "activations": {name: list(affine) for name, affine in sorted(self.activations.items())},
            "zero_points": dict(sorted(self.zero_points.items())),
        }

    @classmethod
    def from_json(cls, data: object, scales: Mapping[str, Floats]) -> Quantization:
        """The reverse of `to_json`. UsageError names the entry of `data` that is missing, unknown or of the wrong type."""
        stored = Stored.from_json(data)
        activations = {name: parse(Affine, pair, f"activation {name!r:.80}") for name, pair in stored.activations.items()}
        zero_points = {name: parse(int, item, f"zero point {name!r:.80}") for name, item in stored.zero_points.items()}
        return cls(stored.dtype, activations, dict(scales), zero_points)

    def dequantized(self, network: Network, tensors: Mapping[str, Numbers]) -> dict[str, Floats]:
        """The same weights and biases as real numbers, each rounded once to float32."""
        return dequantized(network, self, tensors)

    def check(self, network: Network, tensors: Mapping[str, Numbers]) -> None:
        """QuantizationError unless everything here and in `tensors` fits `network` and no accumulator can overflow."""
        if self.dtype not in get_args(Integer):
            raise QuantizationError(f"quantization: dtype {self.dtype!r}: must be one of {', '.join(get_args(Integer))}")
        if network.statistics():
            raise QuantizationError(f"quantization: {network.architecture} has batch norm; fold it first (epsilon None)")
        check_names("activation", ["input", *(layer.name for layer in network.layers)], self.activations)
        weights = {f"{stem}.weight": layer for layer, stem in weighted(network)}
        check_names("scale", list(weights), self.scales)
        check_names("zero point", list(weights), self.zero_points)
        for name, affine in self.activations.items():
            scale = np.array([affine.scale if isinstance(affine.scale, float) else np.nan])
            self.check_affine(f"activation {name!r}", scale, affine.zero_point)
        for name, layer in weights.items():
            scale = self.scales[name]
            if scale.dtype != np.float32 or scale.shape not in ((1,), (layer.out_channels,)):
                raise QuantizationError(
                    f"quantization: the scale of {name!r} is {scale.dtype}{scale.shape}, must be float32, (1,) or (out,)"
                )
            self.check_affine(f"weight {name!r}", scale, self.zero_points[name])
            self.check_accumulator(name, layer, tensors)
        for each in network.layers:
            self.check_ratios(each)

    def check_affine(self, tensor: str, scale: NDArray[np.float32] | NDArray[np.float64], zero_point: object) -> None:
        low, high = self.range
        if scale.dtype.kind != "f" or not (np.isfinite(scale).all() and (scale > 0).all()):
            raise QuantizationError(f"quantization: the scale of {tensor} must be a float above 0 and finite")
        if (scale.astype(np.float32) != scale).any():
            raise QuantizationError(f"quantization: the scale of {tensor}, {scale[0]!r}, must be a float32's value")
        if not isinstance(zero_point, int) or isinstance(zero_point, bool) or not low <= zero_point <= high:
            raise QuantizationError(
                f"quantization: the zero point of {tensor} is {zero_point!r:.40}, must be an int from {low} to {high}"
            )

    def check_accumulator(self, name: str, layer: Conv | Linear, tensors: Mapping[str, Numbers]) -> None:
        """QuantizationError if an input can overflow the 32-bit accumulator or the multiplication that scales it back."""
        bound = accumulator_bound(tensors[name], self.zero_points[name], tensors[name.removesuffix("weight") + "bias"])
        factor = self.multipliers(layer, name).max()
        if not (factor < MAX_FACTOR and bound * max(2.0 ** math.frexp(factor)[1], 1.0) <= MAX_ACCUMULATOR):
            raise QuantizationError(
                f"quantization: {name!r} reaches {bound} times {factor:.3g}, past 32 bits; its scales or weights are damaged"
            )

    def check_ratios(self, layer: Layer) -> None:
        """QuantizationError for the scales of a layer without weights if 64 bits do not hold products with their ratios."""
        names = layer.inputs[:1] if isinstance(layer, Resize) else layer.inputs
        result, sources = self.activations[layer.name], [self.activations[name] for name in names]
        match layer:
            case Add():
                fits = 2 * max(source.scale for source in sources) < 2**ADD_SHIFT * result.scale
            case Concat() | Resize() | GlobalPool():
                fits = all(source.scale < MAX_RATIO * result.scale for source in sources)
            case Conv() | Linear():
                return
            case _:
                assert_never(layer)
        if not fits:
            raise QuantizationError(
                f"quantization: the scale of activation {layer.name!r}, {result.scale}, is too small beside those of its inputs"
            )

    def multipliers(self, layer: Conv | Linear, weight: str) -> NDArray[np.float64]:
        """The factors from an accumulator of `layer` to the integers of its output: (1,) or (out,).

        TensorFlow's runtime multiplies the scales of input and weight in float32 for uint8, in float64 for int8.
        """
        source, result = self.activations[layer.inputs[0]], self.activations[layer.name]
        accumulator = self.scales[weight].astype(np.float64) * source.scale
        if self.dtype == "uint8":
            accumulator = accumulator.astype(np.float32).astype(np.float64)
        return np.asarray(accumulator / result.scale)


class Multiplier(NamedTuple):
    """A positive real as fraction * 2^(exponent - 31), the fraction from 2^30 to 2^31; arrays (1,) or (channels,)."""

    fraction: NDArray[np.int64]
    exponent: NDArray[np.int64]


def fixed_point(real: NDArray[np.float64]) -> Multiplier:
    """Positive reals -> 31-bit fractions, rounded to the nearest, halves away from zero; below 2^-32 they become 0."""
    fraction, exponent = np.frexp(real)
    whole = np.floor(fraction * 2**31 + 0.5).astype(np.int64)
    carried = whole == 2**31
    whole, exponent = np.where(carried, whole // 2, whole), exponent.astype(np.int64) + carried
    return Multiplier(np.where(exponent < -31, 0, whole), np.where(exponent < -31, 0, exponent))


def of_one(real: float) -> tuple[int, int]:
    """Fraction and exponent of one real number."""
    fraction, exponent = fixed_point(np.array([real]))
    return int(fraction[0]), int(exponent[0])


def ratio(source: Affine, result: Affine) -> tuple[int, int]:
    """The multiplier from one scale to another."""
    return of_one(source.scale / result.scale)


def add_multipliers(sources: list[Affine], result: Affine) -> list[tuple[int, int]]:
    """Those of an addition's inputs, which become ADD_SHIFT bits finer and come to twice the larger scale; then their sum's."""
    common = 2.0 * max(source.scale for source in sources)
    return [*(of_one(source.scale / common) for source in sources), of_one(common / (2**ADD_SHIFT * result.scale))]


def mean_multiplier(source: Affine, result: Affine, count: int) -> tuple[int, int]:
    """The multiplier from the sum over `count` pixels to their mean on another scale; its fraction is rounded down."""
    fraction, exponent = ratio(source, result)
    shift = min(count.bit_length() - 1, 32, 31 + exponent)
    return (fraction << shift) // count, exponent - shift


def activation_limits(activation: Activation, result: Affine, limits: tuple[int, int]) -> tuple[int, int]:
    """The range of integers that the activation allows, within the type's own `limits`."""
    low, high = limits
    if activation in ("relu", "relu6"):
        low = max(low, result.zero_point)
    if activation == "relu6":
        high = min(high, result.zero_point + math.floor(float(np.float32(6) / np.float32(result.scale)) + 0.5))
    return low, high


def weighted(network: Network) -> Iterator[tuple[Conv | Linear, str]]:
    """Every layer with weights, and the stem of its tensors' names: ``{stem}.weight`` and ``{stem}.bias``."""
    yield from ((layer, layer.prefix) for layer in network.layers if isinstance(layer, Conv | Linear))


def accumulator_bound(weight: Numbers, zero_point: int, bias: Numbers) -> int:
    """The maximum magnitude of an accumulator and of its partial sums: an input is at most 255 from its zero point."""
    taps = np.abs(weight.astype(np.int64) - zero_point).reshape(len(weight), -1).sum(axis=1)
    return int((taps * 255 + np.abs(bias.astype(np.int64))).max())


def dequantized(network: Network, quantization: Quantization, tensors: Mapping[str, Numbers]) -> dict[str, Floats]:
    """The same weights and biases as real numbers, each rounded once to float32."""
    real: dict[str, Floats] = {}
    for layer, stem in weighted(network):
        weight, bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]
        scale = quantization.scales[f"{stem}.weight"].astype(np.float64)
        shifted = weight.astype(np.float64) - quantization.zero_points[f"{stem}.weight"]
        real[f"{stem}.weight"] = (shifted * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
        real[f"{stem}.bias"] = (bias * scale * quantization.activations[layer.inputs[0]].scale).astype(np.float32)
    return real


def check_names(
    kind: str,
    expected: list[str],
    entries: Mapping[str, object],
    needed: str = "which the network has",
    no_place: str = "which the network does not have",
) -> None:
    """QuantizationError unless `entries` has an entry for each expected name and no other; the last two end its message."""
    for name in expected:
        if name not in entries:
            raise QuantizationError(f"quantization: no {kind} for {name!r}, {needed}")
    for name in entries:
        if name not in expected:
            raise QuantizationError(f"quantization: {kind} for {name!r:.80}, {no_place}")
