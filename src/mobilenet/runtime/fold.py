"""Batch normalisation folded into the convolution before it: inference needs one weight and one bias a layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..network import Conv, Linear, Network

Floats = NDArray[np.float32]


Factors = NDArray[np.float64]


class Folded(NamedTuple):
    """`weight` (out, in / groups, k, k), or (out, in) of a linear layer; `bias` (out,). float32."""

    weight: Floats
    bias: Floats


class Scaled(NamedTuple):
    """`weight` as the file has it, the factor (out,) float64 that folding gives each output, or None, and `bias`."""

    weight: Floats
    scale: Factors | None
    bias: Floats


def scaled(network: Network, tensors: Mapping[str, Floats]) -> dict[str, Scaled]:
    """Weight, factor and bias of every layer that has them, by layer name.

    y = gamma (conv(x) - mean) / sqrt(var + epsilon) + beta is a convolution again. The factors are made in float64; a
    product with them is rounded once, so that folding itself costs at most one rounding of each weight.
    """
    found = {}
    for layer in network.layers:
        name = layer.name
        if isinstance(layer, Linear):
            found[name] = Scaled(tensors[f"{name}.weight"], None, tensors[f"{name}.bias"])
        elif not isinstance(layer, Conv):
            continue
        elif layer.epsilon is None:
            found[name] = Scaled(tensors[f"{name}.conv.weight"], None, tensors[f"{name}.conv.bias"])
        else:
            gamma, beta, mean, var = (
                tensors[f"{name}.norm.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(var + layer.epsilon)
            found[name] = Scaled(tensors[f"{name}.conv.weight"], scale, (beta - mean * scale).astype(np.float32))
    return found


def fold(network: Network, tensors: Mapping[str, Floats]) -> dict[str, Folded]:
    """Weight and bias of every layer that has them, by layer name, the factors of `scaled` multiplied in."""
    folded = {}
    for name, (weight, scale, bias) in scaled(network, tensors).items():
        product = weight if scale is None else (weight * scale[:, None, None, None]).astype(np.float32)
        folded[name] = Folded(product, bias)
    return folded
