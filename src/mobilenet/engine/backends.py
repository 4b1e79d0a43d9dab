"""What does the work: the native core, or numpy where the core was not built. Neither is imported before it is needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..tensors import built

if TYPE_CHECKING:
    from ..network.layers import Network
    from ..tensors import Floats

Runtime = Callable[[Any], dict[str, Any]]
"""(N, 3, H, W) float32 -> each output by name."""


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
    from .native import Native

    return Native(network, tensors, threads, memory_budget)


def warn_of_the_reference() -> None:
    import warnings

    warnings.warn(
        "the native core was not built when mobilenet was installed; the numpy reference runs in its place, many "
        "times slower. Install a C++20 compiler, then reinstall mobilenet",
        RuntimeWarning,
        stacklevel=3,
    )


def planned_bytes(network: Network, threads: int = 1) -> int:
    """Bytes of activations that the engine plans for one picture of `network.resolution`. Needs no native core."""
    from .plan.budget import choose

    return choose(network, network.resolution, threads, None).bytes
