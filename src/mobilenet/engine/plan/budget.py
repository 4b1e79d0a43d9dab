"""Plans of one network from the fastest to the smallest, and the first of them that fits a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UsageError
from ...network.layers import Network
from .layout import F32, TensorLayout
from .plan import make_plan
from .steps import Plan, Style

if TYPE_CHECKING:
    from .integers import Integers


def candidates(resolution: tuple[int, int], threads: int, layout: TensorLayout = F32) -> tuple[Style, ...]:
    """Styles from the fastest to the one of least memory, as measured (docs/engine.md)."""
    usual = Style()
    stream = max(usual.stream, resolution[0] * resolution[1] // 20)
    return tuple(
        Style(band, pixels, whole, stream // part)
        for whole in (usual.whole, usual.whole // 4, 0)
        for part in (1, 4, 16, 64)
        for band, pixels in ((layout.band, usual.pixels // threads), (1, 0))
    )


def best_plan(
    network: Network,
    resolution: tuple[int, int],
    threads: int,
    budget: int | None,
    layout: TensorLayout = F32,
    integers: Integers | None = None,
) -> Plan:
    """The fastest plan within `budget` bytes.

    Raises:
        UsageError: no plan fits; the message names the smallest budget that does.
    """
    smallest: Plan | None = None
    for style in candidates(resolution, threads, layout):
        plan = make_plan(network, resolution, threads, style, layout, integers)
        if budget is None or plan.bytes <= budget:
            return plan
        if smallest is None or plan.bytes < smallest.bytes:
            smallest = plan
    assert smallest is not None
    assert budget is not None
    working = "1 thread" if threads == 1 else f"{threads} threads"
    raise UsageError(
        f"memory_budget {budget}: {network.architecture} on {resolution[0]} x {resolution[1]} pixels and {working} needs at "
        f"least {smallest.bytes} bytes; raise the budget, or lower resolution, width or threads"
    )
