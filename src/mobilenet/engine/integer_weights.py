"""The integers of a quantized network, packed for the native core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from ..network.grid import GridQuantization, limits
from ..network.layers import Conv, Linear, Network
from ..network.quantization import Quantization, activation_limits, fixed_point
from .plan.fuse import StemUnit, weighted

if TYPE_CHECKING:
    from ..tensors import Array
    from .plan.integers import Integers


def pack_integers(
    network: Network,
    tensors: Mapping[str, Array],
    quantization: GridQuantization | Quantization,
    integers: Integers,
    isa: str,
) -> dict[str, _core.Weights]:
    """The weights of every layer as the int8 kernels of `isa` read them."""
    if isinstance(quantization, GridQuantization):
        return pack_grid(network, tensors, quantization, integers, isa)
    return pack_published(network, tensors, quantization, integers, isa)


def pack_published(
    network: Network, tensors: Mapping[str, Array], quantization: Quantization, integers: Integers, isa: str
) -> dict[str, _core.Weights]:
    """Of a published TensorFlow model: weights less their zero points, biases with the inputs' zero points folded in."""
    packed, slab = dict[str, "_core.Weights"](), _core.Slab()
    for name, (unit, layer) in weighted(network, integers).items():
        stem = layer.prefix
        weight = tensors[f"{stem}.weight"].astype(np.int16) - np.int16(quantization.zero_points[f"{stem}.weight"])
        taps = weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
        source, result = integers.activations[layer.inputs[0]], integers.activations[name]
        bias = (tensors[f"{stem}.bias"] - taps * source.zero_point).astype(np.int32)
        fraction, exponent = (
            np.broadcast_to(part, len(weight)).astype(np.int32)
            for part in fixed_point(quantization.multipliers(layer, f"{stem}.weight"))
        )
        activation = layer.activation if isinstance(layer, Conv) else "linear"
        low, high = activation_limits(activation, result, (0, 255))
        limits = result.zero_point, low, high
        if isinstance(layer, Conv) and layer.depthwise:
            packed[name] = _core.IntegerDepthwiseWeights(weight, bias, (fraction, exponent), *limits, isa)
        else:
            image = isinstance(unit, StemUnit)
            packed[name] = _core.IntegerProductWeights(weight, bias, (fraction, exponent), None, 0, *limits, image, isa, slab)
    return packed


def pack_grid(
    network: Network, tensors: Mapping[str, Array], quantization: GridQuantization, integers: Integers, isa: str
) -> dict[str, _core.Weights]:
    """Of a network of our own."""
    packed, slab = dict[str, "_core.Weights"](), _core.Slab()
    for name, (unit, layer) in weighted(network, integers).items():
        stem = layer.prefix
        weight, bias = tensors[f"{stem}.weight"], tensors[f"{stem}.bias"]
        if name in integers.real:
            scale = quantization.scales[f"{stem}.weight"]
            packed[name] = _core.IntegerProductWeights(
                weight, bias, scale, None, 0, 0, 0, 255, isinstance(unit, StemUnit), isa, slab
            )
            continue
        multiplier, result = quantization.multipliers[f"{stem}.weight"], quantization.target(network, name)
        shortcut = integers.shortcuts.get(name)
        linear = isinstance(layer, Linear) or shortcut is not None
        low, high = limits("linear" if linear or not isinstance(layer, Conv) else layer.activation, result)
        if isinstance(layer, Conv) and layer.depthwise:
            packed[name] = _core.IntegerDepthwiseWeights(weight, bias, multiplier, result.zero_point, low, high, isa)
            continue
        residual, residual_zero = None, 0
        if shortcut is not None:
            other = quantization.activations[shortcut.residual]
            residual = quantization.residual_multipliers(f"{stem}.weight", other, result).astype(np.int32)
            residual_zero = other.zero_point
        packed[name] = _core.IntegerProductWeights(
            weight,
            bias,
            multiplier,
            residual,
            residual_zero,
            result.zero_point,
            low,
            high,
            isinstance(unit, StemUnit),
            isa,
            slab,
        )
    return packed
