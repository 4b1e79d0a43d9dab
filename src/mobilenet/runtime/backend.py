"""What does the work: the native core, or numpy where the core was not built. Neither is imported before it is needed."""

from __future__ import annotations

import importlib.util
import os
from array import array
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..tensors import zeros

if TYPE_CHECKING:
    from ..network import Network
    from ..tensors import Plain, View
    from .fold import Floats

Runtime = Callable[[Any], dict[str, Any]]
"""(N, 3, H, W) float32 -> each output by name."""


def built() -> bool:
    """Whether the native core was built when mobilenet was installed."""
    return importlib.util.find_spec(f"{__package__}._core") is not None


def cores() -> int:
    """Cores that this process may use: the engine's threads unless told otherwise."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, 256)


def native(network: Network, tensors: Mapping[str, Floats], threads: int = 1, memory_budget: int | None = None) -> Runtime:
    """The native engine (see `engine.Native`); where its core was not built, the reference, with a warning."""
    if not built():
        from .reference import Reference

        warn_of_the_reference()
        return Reference(network, tensors)
    from .engine import Native

    return Native(network, tensors, threads, memory_budget)


def bounds(values: Plain) -> tuple[float, float]:
    """The least and the largest of float32 values, which are at least one; NaN where one of them is."""
    if built():
        from . import _core

        return _core.bounds(values)
    import numpy as np

    array = np.asarray(values)
    return float(array.min()), float(array.max())


def planes(pixels: bytes, size: tuple[int, int], levels: array[float]) -> View:
    """A batch of one picture, (1, 3, H, W) float32, from the H x W x 3 bytes of its `size` (H, W).

    `levels`: what the 256 values of a byte become in red, green and blue, (768,) float32.
    """
    batch = zeros((1, 3, *size))
    if built():
        from . import _core

        _core.planes(pixels, levels, batch)
        return batch
    import numpy as np

    colours = np.frombuffer(pixels, np.uint8).reshape(*size, 3)
    for plane, level in enumerate(np.asarray(levels).reshape(3, 256)):
        np.asarray(batch)[0, plane] = level[colours[:, :, plane]]
    return batch


def warn_of_the_reference() -> None:
    import warnings

    warnings.warn(
        "the native core was not built when mobilenet was installed; the numpy reference runs in its place, many "
        "times slower. Install a C++17 compiler, then reinstall mobilenet",
        RuntimeWarning,
        stacklevel=3,
    )


def planned_bytes(network: Network, threads: int = 1) -> int:
    """Bytes of activations that the engine plans for one picture of `network.resolution`. Needs no native core."""
    from .budget import choose

    return choose(network, network.resolution, threads, None).bytes
