"""How far an exported network may lie from the engine, by precision: derived in docs/numerics.md, never tuned."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import assert_never
from ..network.rounding import FLOAT16, FLOAT32, rounded_products, tolerance
from ..values import Value

if TYPE_CHECKING:
    from ..network.layers import Network
    from .formats import Format, Precision

INTEGER_NOISE = math.sqrt(0.05)
"""Two computations in integers that round a few bytes otherwise: 5 % of the energy, the rounding noise of integers itself."""


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


def bound(kind: Format, network: Network, precision: Precision) -> Bound:
    """The bound for `network` in a format, against the engine in float32, or in integers for int8."""
    match precision:
        case "fp32":
            height, width = network.resolution
            digits = 10 if kind.winograd else 1
            limit = digits * tolerance(network, 1.0) + math.sqrt(height * width) * FLOAT32
            return Bound("largest", limit, "float32 roundings of all sums" + (", Winograd's algorithm" if digits > 1 else ""))
        case "fp16":
            return Bound("noise", 2 * rounded_products(network, FLOAT16), "two factors of each product rounded to float16")
        case "int8":
            return Bound("noise", INTEGER_NOISE, "bytes that are rounded otherwise")
        case _:
            assert_never(precision)
