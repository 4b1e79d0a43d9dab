"""The integers of one layer: its multipliers first, then the weights' scales that follow from them, then weights and biases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..network.grid import MAX_RESIDUAL, MAX_SUM, ONE, sum_bounds
from ..network.quantization import Affine
from .draft import Reals

MIN_MULTIPLIER = 256
"""A smaller multiplier is a coarse number, and a weight of 1 then changes no byte."""
SHARES = np.linspace(0.6, 1.0, 17)
"""Parts of a channel's largest weight that are tried as the range of its integers."""


class Source(NamedTuple):
    """The input of a layer as its weights see it.

    Attributes:
        scale: the real number that 1 stands for; 1 for the image, whose weights count pixels.
        zero_points: (1,), or one real number for each channel of the image: what real 0 is.
        square, mean: (in,) of each channel, in real numbers.
    """

    scale: float
    zero_points: Reals
    square: Reals
    mean: Reals


@dataclass
class Integers:
    """Attributes:
    weight, bias: int8 and int32, as a model file has them.
    multiplier: (out,) int32, or None if the output is real.
    step: (out,) the real number that 1 in a weight stands for.
    """

    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    multiplier: NDArray[np.int32] | None
    step: Reals


def steps(
    limit: Reals, source: Source, result: Affine | None, residual: float | None
) -> tuple[NDArray[np.int32] | None, Reals]:
    """Multipliers and the weights' scales for scales of about `limit` (out,).

    With a residual its multiplier t is chosen first, at most residual's scale / the sum's scale, and the multiplier k from it,
    so that t * k misses the residual's scale by less than 1 / 2^9 even where t is small.
    """
    if result is None:
        scale = np.maximum(limit * source.scale, 2.0**-100).astype(np.float32)
        return None, scale.astype(np.float64) / source.scale
    k = np.clip(np.ceil(limit * source.scale / result.scale * ONE), MIN_MULTIPLIER, ONE)
    if residual is not None:
        exact = residual * ONE / result.scale
        factor = np.clip(np.floor(exact / k), 1, MAX_RESIDUAL)
        k = np.clip(np.rint(exact / factor), MIN_MULTIPLIER, ONE)
    return k.astype(np.int32), k * result.scale / (ONE * source.scale)


def integers(
    weight: Reals, bias: Reals, depthwise: bool, source: Source, result: Affine | None, residual: Affine | None
) -> Integers:
    """The integers of a layer. Its bias takes up what rounding its weights does to the mean of each output channel.

    Args:
        weight: (out, in / groups, ...), of the input's real numbers, or of an image's pixels.
        depthwise: each output channel reads the input channel of its number alone.
        result: of the bytes that the sums become, or None if they are real.
        residual: of the tensor that an addition puts into the sums.
    """
    square, mean = (each[:, None] if depthwise else each[None, :] for each in (source.square + 1e-12, source.mean))
    flat = weight.reshape(*weight.shape[:2], -1)
    largest = np.maximum(np.abs(flat).max(axis=(1, 2)), 1e-30)
    added = None if residual is None else residual.scale
    best, least = largest / 127, np.full(len(weight), np.inf)
    for share in SHARES:
        _, step = steps(largest * share / 127, source, result, added)
        error = (square[:, :, None] * (nearest(flat, step) * step[:, None, None] - flat) ** 2).sum(axis=(1, 2))
        best, least = np.where(error < least, largest * share / 127, best), np.minimum(error, least)
    while True:
        multiplier, step = steps(best, source, result, added)
        whole = nearest(flat, step)
        taps = whole.sum(axis=2)
        shift = ((taps * step[:, None] - flat.sum(axis=2)) * mean).sum(axis=1)
        start = np.rint((bias - shift) / (step * source.scale) - (taps * source.zero_points).sum(axis=1))
        reach = sum_reach(whole, start, source, step, residual)
        if (reach <= MAX_SUM).all():
            break
        assert multiplier is None or (multiplier[reach > MAX_SUM] < ONE).all()  # `ranges.largest_step` left room
        best = np.where(reach > MAX_SUM, step * np.maximum(reach / MAX_SUM, 1.01) * 1.01, best)
    return Integers(whole.reshape(weight.shape).astype(np.int8), start.astype(np.int32), multiplier, step)


def nearest(flat: Reals, step: Reals) -> Reals:
    return np.clip(np.rint(flat / step[:, None, None]), -127, 127)


def sum_reach(whole: Reals, start: Reals, source: Source, step: Reals, residual: Affine | None) -> Reals:
    """(out,) the largest magnitude of a sum."""
    low, high = sum_bounds(whole, np.zeros(len(whole)))
    below, above = start + low, start + high
    if residual is not None:
        factor = np.rint(residual.scale / (step * source.scale))
        below, above = below - factor * residual.zero_point, above + factor * (255 - residual.zero_point)
    return np.maximum(np.abs(below), np.abs(above)).astype(np.float64)
