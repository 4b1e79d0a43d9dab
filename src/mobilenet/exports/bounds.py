"""How far an exported network may lie from the engine, by precision: derived in docs/numerics.md, never tuned."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..engine.fold import fold
from ..errors import assert_never
from ..network.layers import Conv, Linear
from ..network.rounding import FLOAT32, tolerance
from ..values import Value

if TYPE_CHECKING:
    from ..network.layers import Network
    from ..tensors import Array
    from .formats import Format, Precision

INTEGER_NOISE = math.sqrt(0.05)
"""Two computations in integers that round a few bytes otherwise: 5 % of the energy, the rounding noise of integers itself."""
HALF_NOISE = 2
"""Times the noise that float16 weights alone bring: a product has two rounded factors, and sums are rounded once stored."""


class Bound(Value):
    """What an exported network must keep.

    Attributes:
        kind: "largest": the largest difference of an output over the output's largest magnitude. "noise": the root mean square
            of the difference over that of the output.
        limit: neither may be above it.
        why: the derivation in a few words.
    """

    kind: str
    limit: float
    why: str

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "limit": self.limit, "why": self.why}


def bound(kind: Format, network: Network, precision: Precision, half_noise: float = 0.0) -> Bound:
    """The bound for `network` in a format, against the engine in float32, or in integers for int8.

    Args:
        half_noise: for fp16, the noise of the engine's outputs with `half_weights`, on the same images: networks amplify
            roundings more or less.
    """
    match precision:
        case "fp32":
            height, width = network.resolution
            digits = 10 if kind.winograd else 1
            limit = digits * tolerance(network, 1.0) + math.sqrt(height * width) * FLOAT32
            return Bound("largest", limit, "float32 roundings of all sums" + (", Winograd's algorithm" if digits > 1 else ""))
        case "fp16":
            return Bound("noise", HALF_NOISE * half_noise, "twice the noise of weights in float16")
        case "int8":
            return Bound("noise", INTEGER_NOISE, "bytes that are rounded otherwise")
        case _:
            assert_never(precision)


def half_weights(network: Network, tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The tensors with the convolutions' weights changed so that, with batch normalization folded in, they are float16."""
    changed, folded = dict(tensors), fold(network, tensors)
    for layer in network.layers:
        if isinstance(layer, (Conv, Linear)):
            name = f"{layer.prefix}.weight"
            weight = np.asarray(folded[layer.name].weight, np.float32).reshape(tensors[name].shape)
            share = np.divide(weight.astype(np.float16), weight, out=np.ones_like(weight), where=weight != 0)
            changed[name] = tensors[name] * share
    return changed
