"""The integers of a quantized network, packed for the native core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _core
from ..network.grid import GridQuantization, limits
from ..network.layers import Conv, Linear, Network
from ..network.quantization import Quantization, activation_limits, fixed_point
from .plan.fuse import StemUnit, weighted

if TYPE_CHECKING:
    from ..tensors import Array
    from .plan.integers import Integers


class Constants(NamedTuple):
    """A layer's integers as the core takes them.

    Attributes:
        factors: from sums to bytes, int32 multipliers or fractions with their exponents; or to real numbers, float32 scales.
        residual: (out,) int32 factors of the residual in the sums, or None; then its zero point.
        limits: zero point, least and largest value of the result.
    """

    weight: Array
    bias: Array
    factors: Array | tuple[Array, Array]
    residual: Array | None
    residual_zero: int
    limits: tuple[int, int, int]


def pack_integers(
    network: Network,
    tensors: Mapping[str, Array],
    quantization: GridQuantization | Quantization,
    integers: Integers,
    isa: str,
) -> dict[str, _core.Weights]:
    """The weights of every layer as the int8 kernels of `isa` read them."""
    packed, slab = dict[str, "_core.Weights"](), _core.Slab()
    for name, (unit, layer) in weighted(network, integers).items():
        c = layer_constants(quantization, integers, layer, tensors)
        if isinstance(layer, Conv) and layer.depthwise:
            packed[name] = _core.IntegerDepthwiseWeights(c.weight, c.bias, c.factors, *c.limits, isa)
        else:
            image = isinstance(unit, StemUnit)
            packed[name] = _core.IntegerProductWeights(
                c.weight, c.bias, c.factors, c.residual, c.residual_zero, *c.limits, image, isa, slab
            )
    return packed


def layer_constants(
    quantization: GridQuantization | Quantization, integers: Integers, layer: Conv | Linear, tensors: Mapping[str, Array]
) -> Constants:
    weight, bias = tensors[f"{layer.prefix}.weight"], tensors[f"{layer.prefix}.bias"]
    if isinstance(quantization, GridQuantization):
        return grid_constants(quantization, integers, layer, weight, bias)
    return published_constants(quantization, integers, layer, weight, bias)


def published_constants(
    quantization: Quantization, integers: Integers, layer: Conv | Linear, weight: Array, bias: Array
) -> Constants:
    """Of a published TensorFlow model: weights less their zero points, biases with the inputs' zero points folded in."""
    weight = weight.astype(np.int16) - np.int16(quantization.zero_points[f"{layer.prefix}.weight"])
    taps = weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
    source, result = integers.activations[layer.inputs[0]], integers.activations[layer.name]
    fraction, exponent = (
        np.broadcast_to(part, len(weight)).astype(np.int32)
        for part in fixed_point(quantization.multipliers(layer, f"{layer.prefix}.weight"))
    )
    activation = layer.activation if isinstance(layer, Conv) else "linear"
    low, high = activation_limits(activation, result, (0, 255))
    folded = (bias - taps * source.zero_point).astype(np.int32)
    return Constants(weight, folded, (fraction, exponent), None, 0, (result.zero_point, low, high))


def grid_constants(
    quantization: GridQuantization, integers: Integers, layer: Conv | Linear, weight: Array, bias: Array
) -> Constants:
    """Of a network of our own."""
    if layer.name in integers.real:
        return Constants(weight, bias, quantization.scales[f"{layer.prefix}.weight"], None, 0, (0, 0, 255))
    shortcut = integers.shortcuts.get(layer.name)
    multiplier, result = quantization.multipliers[f"{layer.prefix}.weight"], quantization.target(layer.name, shortcut)
    if shortcut is not None:
        other = quantization.activations[shortcut.residual]
        factor = quantization.residual_multipliers(f"{layer.prefix}.weight", other, result).astype(np.int32)
        return Constants(weight, bias, multiplier, factor, other.zero_point, (result.zero_point, *limits("linear", result)))
    activation = layer.activation if isinstance(layer, Conv) else "linear"
    return Constants(weight, bias, multiplier, None, 0, (result.zero_point, *limits(activation, result)))
