"""Bilinear resize of feature maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..network.layers import Corners

if TYPE_CHECKING:
    from ..tensors import Floats


def bilinear_taps(size: int, target: int, corners: Corners) -> tuple[list[int], list[int], list[float]]:
    """For each of `target` pixels: the pixel before, the pixel after, and the weight of the one after (0 to 1).

    Positions are made in double precision; past an edge the edge pixel itself is taken.
    """
    if corners == "aligned":
        step = (size - 1) / (target - 1) if target > 1 else 0.0
        places = [i * step for i in range(target)]
    else:
        places = [max((i + 0.5) * size / target - 0.5, 0.0) for i in range(target)]
    before = [min(int(place), size - 1) for place in places]
    weights = [min(place - i, 1.0) for place, i in zip(places, before, strict=True)]
    return before, [min(i + 1, size - 1) for i in before], weights


def resize(x: Floats, size: tuple[int, ...], corners: Corners) -> Floats:
    """(N, C, H, W) to `size`, bilinearly: first the rows, then the columns, each a blend of two neighbors."""
    for axis, target in zip((2, 3), size, strict=True):
        before, after, weights = bilinear_taps(x.shape[axis], target, corners)
        share = np.array(weights, np.float32).reshape((-1, 1) if axis == 2 else (-1,))
        low, high = x.take(before, axis), x.take(after, axis)
        x = low + (high - low) * share
    return x
