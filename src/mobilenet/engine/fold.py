"""Batch normalization folded into the convolution before it: inference needs one weight and one bias per layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..network.layers import NORM, Conv, Linear, Network

if TYPE_CHECKING:
    from ..tensors import Floats


class Folded(NamedTuple):
    """`weight` (out, in / groups, k, k), or (out, in) of a linear layer; `bias` (out,). float32."""

    weight: Floats
    bias: Floats


def fold(network: Network, tensors: Mapping[str, Floats]) -> dict[str, Folded]:
    """Weight and bias of every layer that has them, by layer name.

    y = gamma (conv(x) - mean) / sqrt(var + epsilon) + beta is again a convolution. The factors are computed in float64 and
    their products are rounded once, so folding costs at most one rounding of each weight. The native core computes the same
    bits while it packs weights (`BatchNorm` in native/core/weights.cc).
    """
    folded = {}
    for layer in network.layers:
        name = layer.name
        match layer:
            case Linear() | Conv(epsilon=None):
                folded[name] = Folded(tensors[f"{layer.prefix}.weight"], tensors[f"{layer.prefix}.bias"])
            case Conv(epsilon=float(epsilon)):
                gamma, beta, mean, var = (tensors[f"{name}.norm.{part}"].astype(np.float64) for part in NORM)
                scale = gamma / np.sqrt(var + epsilon)
                weight = (tensors[f"{layer.prefix}.weight"] * scale[:, None, None, None]).astype(np.float32)
                folded[name] = Folded(weight, (beta - mean * scale).astype(np.float32))
    return folded
