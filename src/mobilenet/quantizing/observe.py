"""What the tensors of a float network hold while it looks at images: ranges, means and samples, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MobilenetError
from ..network.grid import byte_tensors
from ..runtimes.backends import default_threads, native
from .draft import Draft, Reals

if TYPE_CHECKING:
    from ..tensors import Array, Floats

PLACES = 32
"""Pixels of each image whose values are kept as samples."""


@dataclass
class Observed:
    """One tensor over all images.

    Attributes:
        low, high, square: (C,) the least, the largest and the mean square of each channel.
        means: (N, C) the mean of each channel in each image.
        samples: (S, C) values at some pixels of each image.
    """

    low: Reals
    high: Reals
    square: Reals
    means: Reals
    samples: Floats

    def scaled(self, factors: Reals) -> Observed:
        """The same tensor with channel c multiplied by factors[c], all above 0."""
        return Observed(
            self.low * factors,
            self.high * factors,
            self.square * factors**2,
            self.means * factors,
            self.samples * factors.astype(np.float32),
        )


def runner(draft: Draft, more: Iterable[str] = (), threads: int | None = 1) -> Callable[[Floats], dict[str, Array]]:
    """Runs the float network: (N, 3, H, W) -> all tensors that will be bytes and `more`, by layer's name."""
    names = [*byte_tensors(draft.network), *more]
    run = native(draft.network.until(*names), draft.tensors(), default_threads() if threads is None else threads)
    return lambda images: dict(run(images))


def observe(draft: Draft, images: Iterable[Floats], threads: int | None = None) -> dict[str, Observed]:
    """Statistics of the image ("input") and of every tensor that will be bytes, over (1, 3, H, W) images."""
    run, parts = runner(draft, threads=threads), dict[str, list[list[Any]]]()
    for number, image in enumerate(images):
        for name, value in {"input": image, **run(image)}.items():
            flat = value.reshape(value.shape[1], -1)  # of one image
            places = (np.arange(min(PLACES, flat.shape[1])) * flat.shape[1] // PLACES + number * 7919) % flat.shape[1]
            square = np.einsum("cp,cp->c", flat, flat, dtype=np.float64) / flat.shape[1]
            statistics = [flat.min(axis=1), flat.max(axis=1), square, flat.mean(axis=1, dtype=np.float64), flat[:, places].T]
            parts.setdefault(name, []).append(statistics)
    for name, rows in parts.items():
        if not all(np.isfinite(row[2]).all() for row in rows):
            raise MobilenetError(
                f"layer {name!r} overflows float32 on a calibration image; the training diverged, train it again"
            )
    found = {}
    for name, rows in parts.items():
        low, high, square, means, samples = zip(*rows, strict=True)
        found[name] = Observed(
            np.min(low, axis=0).astype(np.float64),
            np.max(high, axis=0).astype(np.float64),
            np.mean(square, axis=0),
            np.array(means),
            np.concatenate(samples),
        )
    return found
