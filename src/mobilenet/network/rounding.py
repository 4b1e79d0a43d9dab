"""How far two correct computations of a network may lie apart; docs/numerics.md derives it."""

from __future__ import annotations

import math

from .layers import Conv, Linear, Network

FLOAT32 = 2.0**-24
"""The unit roundoff of float32: half of the distance from 1 to the next number."""


def tolerance(network: Network, scale: float, unit: float = FLOAT32) -> float:
    """How far two correct evaluations of `network` may lie apart, absolutely, where outputs have magnitude `scale`.

    A sum of K products in any order has a relative error of about sqrt(K) roundings of half a unit in the last place
    (the probabilistic bound of Higham and Mary, 2019); batch norm and activation add a few more. Layers in sequence add
    their squares, and normalization keeps the gain between them near one. The factor 8 covers both sides (sqrt 2) and
    the largest of some thousand outputs (about five standard deviations).
    """
    terms = sum(
        layer.in_channels // layer.groups * layer.kernel**2 + 4 if isinstance(layer, Conv) else layer.in_channels
        for layer in network.layers
        if isinstance(layer, (Conv, Linear))
    )
    return 8 * math.sqrt(terms) * unit * scale
