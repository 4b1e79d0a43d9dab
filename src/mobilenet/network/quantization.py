"""What makes a network's integers numbers: the scale and zero point of every weight and every activation.

real = scale * (integer - zero_point). A quantised model keeps integer weights (int8, or uint8 as TensorFlow's older
quantiser made them) and int32 biases; a bias has the scale of its accumulator, input scale times weight scale, and zero
point 0. Nothing is converted between the two integer types: their arithmetic differs where an average or a blend lies
exactly between two integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from .layers import Conv, Linear, Network

if TYPE_CHECKING:
    from ..tensors import Floats

Integer = Literal["int8", "uint8"]
LARGEST_ACCUMULATOR = 2**31 - 1


class QuantizationError(ValueError):
    """Scales, zero points or integers that do not fit a network; the message names tensor, value and rule."""


class Affine(NamedTuple):
    """real = scale * (integer - zero_point), one scale for a whole tensor; a float32's value."""

    scale: float
    zero_point: int


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
        """The least and the largest integer."""
        return (-128, 127) if self.dtype == "int8" else (0, 255)

    def to_json(self) -> dict[str, Any]:
        """All but the weights' scales, which a model file holds as tensors, in JSON's types; equal values, equal text."""
        return {
            "dtype": self.dtype,
            "activations": {name: list(affine) for name, affine in sorted(self.activations.items())},
            "zero_points": dict(sorted(self.zero_points.items())),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], scales: Mapping[str, Floats]) -> Quantization:
        """The reverse of `to_json`; ValueError, TypeError or KeyError where `data` is not what it writes."""
        if set(data) != {"dtype", "activations", "zero_points"}:
            raise ValueError(f"must have dtype, activations and zero_points, has {', '.join(map(repr, data))[:80]}")
        if data["dtype"] not in get_args(Integer):
            raise ValueError(f"dtype {data['dtype']!r:.40} must be one of {', '.join(get_args(Integer))}")
        activations = {name: Affine(*pair) for name, pair in data["activations"].items()}
        return cls(data["dtype"], activations, dict(scales), dict(data["zero_points"].items()))

    def check(self, network: Network, tensors: Mapping[str, NDArray[Any]]) -> None:
        """QuantizationError unless everything here and in `tensors` fits `network` and no accumulator can overflow."""
        if self.dtype not in get_args(Integer):
            raise QuantizationError(f"quantisation: dtype {self.dtype!r}: must be one of {', '.join(get_args(Integer))}")
        if network.statistics():
            raise QuantizationError(f"quantisation: {network.architecture} has batch norm; fold it first (epsilon None)")
        wanted = ["input", *(layer.name for layer in network.layers)]
        self.check_names("activation", wanted, self.activations)
        weights = {f"{stem}.weight": layer for layer, stem in weighted(network)}
        self.check_names("scale", list(weights), self.scales)
        self.check_names("zero point", list(weights), self.zero_points)
        for name, affine in self.activations.items():
            scale = np.array([affine.scale if isinstance(affine.scale, float) else np.nan])
            self.check_affine(f"activation {name!r}", scale, affine.zero_point)
        for name, layer in weights.items():
            scale = self.scales[name]
            if scale.dtype != np.float32 or scale.shape not in ((1,), (layer.out_channels,)):
                raise QuantizationError(
                    f"quantisation: the scale of {name!r} is {scale.dtype}{scale.shape}, must be float32, (1,) or (out,)"
                )
            self.check_affine(f"weight {name!r}", scale, self.zero_points[name])
            self.check_accumulator(name, layer, tensors)

    def check_names(self, kind: str, wanted: list[str], given: Mapping[str, Any]) -> None:
        for name in wanted:
            if name not in given:
                raise QuantizationError(f"quantisation: no {kind} for {name!r}, which the network has")
        for name in given:
            if name not in wanted:
                raise QuantizationError(f"quantisation: {kind} for {name!r:.80}, which the network has not")

    def check_affine(self, what: str, scale: NDArray[Any], zero_point: object) -> None:
        least, largest = self.range
        if scale.dtype.kind != "f" or not (np.isfinite(scale).all() and (scale > 0).all()):
            raise QuantizationError(f"quantisation: the scale of {what} must be a float above 0 and finite")
        if (scale.astype(np.float32) != scale).any():
            raise QuantizationError(f"quantisation: the scale of {what}, {scale[0]!r}, must be a float32's value")
        if not isinstance(zero_point, int) or isinstance(zero_point, bool) or not least <= zero_point <= largest:
            raise QuantizationError(
                f"quantisation: the zero point of {what} is {zero_point!r:.40}, must be an int from {least} to {largest}"
            )

    def check_accumulator(self, name: str, layer: Conv | Linear, tensors: Mapping[str, NDArray[Any]]) -> None:
        """No input may overflow the 32-bit accumulator, nor the multiplier that scales it back."""
        bound = accumulator_bound(tensors[name], self.zero_points[name], tensors[name.removesuffix("weight") + "bias"])
        factor = self.multipliers(layer, name).max()
        if not bound * max(2.0 ** math.frexp(factor)[1], 1.0) <= LARGEST_ACCUMULATOR:
            raise QuantizationError(
                f"quantisation: {name!r} reaches {bound} times {factor:.3g}, past 32 bits; its scales or weights are damaged"
            )

    def multipliers(self, layer: Conv | Linear, weight: str) -> NDArray[np.float64]:
        """What takes an accumulator of `layer` to its output's integers: (1,) or (out,).

        TensorFlow's runtime makes the product of the two scales in float32 for uint8, in double precision for int8.
        """
        source, result = self.activations[layer.inputs[0]], self.activations[layer.name]
        accumulator = self.scales[weight].astype(np.float64) * source.scale
        if self.dtype == "uint8":
            accumulator = accumulator.astype(np.float32).astype(np.float64)
        return np.asarray(accumulator / result.scale)


def weighted(network: Network) -> Iterator[tuple[Conv | Linear, str]]:
    """Every layer with weights and the stem of its tensors' names, to which ``.weight`` and ``.bias`` belong."""
    for layer in network.layers:
        if isinstance(layer, Conv):
            yield layer, f"{layer.name}.conv"
        elif isinstance(layer, Linear):
            yield layer, layer.name


def accumulator_bound(weight: NDArray[Any], zero_point: int, bias: NDArray[Any]) -> int:
    """The largest magnitude that any accumulator and any of its partial sums can reach: inputs differ by up to 255."""
    taps = np.abs(weight.astype(np.int64) - zero_point).reshape(len(weight), -1).sum(axis=1)
    return int((taps * 255 + np.abs(bias.astype(np.int64))).max())


def dequantized(network: Network, quantization: Quantization, tensors: Mapping[str, NDArray[Any]]) -> dict[str, Floats]:
    """The same weights and biases as real numbers, each rounded once to float32."""
    real: dict[str, Floats] = {}
    for layer, stem in weighted(network):
        weight, bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]
        scale = quantization.scales[f"{stem}.weight"].astype(np.float64)
        shifted = weight.astype(np.float64) - quantization.zero_points[f"{stem}.weight"]
        real[f"{stem}.weight"] = (shifted * scale.reshape(-1, *(1,) * (weight.ndim - 1))).astype(np.float32)
        real[f"{stem}.bias"] = (bias * scale * quantization.activations[layer.inputs[0]].scale).astype(np.float32)
    return real
