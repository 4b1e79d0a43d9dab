"""A network and an image size become a plan: typed steps on buffers, in the order in which each thread runs them.

A *unit* (see `fuse`) is a group of layers that run as one. A *chain* is consecutive units through which rows stream: each
keeps only the rows that its successor still needs. A chain runs in bands of a few output rows; the rows that a band needs
from the unit before are computed just then (`stream`). Small images (14 x 14 and below) run *whole* instead, panel by panel
of the expanded channels (`whole`). Every output value is computed by the same arithmetic however rows, bands and threads are
divided, so all plans give the same bits.

A stage begins when the one before it is done; within a stage no thread's part reads what another's writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...network.layers import Network
from .draft import Draft
from .geometry import share
from .layout import F32, TensorLayout
from .memory import aligned, place
from .steps import DepthwiseStep, EmitStep, ExpandDepthwiseStep, Plan, ProductStep, Style, Window
from .stream import chains, run_chain, streams_alone
from .whole import run_whole

if TYPE_CHECKING:
    from .integers import Integers

IMAGE_ITEMSIZE = 4  # bytes: the image is float32 whatever the tensors are


def make_plan(
    network: Network,
    resolution: tuple[int, int],
    threads: int,
    style: Style,
    layout: TensorLayout = F32,
    integers: Integers | None = None,
) -> Plan:
    """The plan for images of `resolution` (height, width) on `threads` threads in `style`: in float32, or in `integers`, which
    needs the layout of bytes."""
    draft = Draft(network, resolution, threads, style, layout, integers)
    for chain in chains(draft):
        draft.label = draft.labels[chain[0].target]
        if len(chain) > 1 or streams_alone(draft, chain[0]):
            run_chain(draft, chain)
        else:
            run_whole(draft, chain[0])
        emit(draft, chain[-1].target)
    height, width = draft.shapes["input"].height, draft.shapes["input"].width
    rows = (b.row_bytes for b in draft.buffers.values())
    zeros = aligned(max(width * IMAGE_ITEMSIZE, *rows)) if integers is None else 0
    borders = borders_of(draft) if integers else ()
    placed, end = place(tuple(draft.buffers.values()), zeros + sum(size for _, size in borders))
    return Plan(
        resolution=(height, width),
        threads=draft.threads,
        style=draft.style,
        layout=draft.layout,
        labels=(*(unit.target for unit in draft.units), "outputs"),
        buffers=placed,
        stages=tuple(draft.stages),
        outputs=tuple((name, draft.shapes[tensor]) for name, tensor in draft.outputs.items()),
        zeros=zeros,
        borders=borders,
        bytes=end,
    )


def emit(draft: Draft, tensor: str) -> None:
    """Adds a stage that writes `tensor` to the outputs that it is, unless they have been written already."""
    names = [name for name, source in draft.outputs.items() if source == tensor and tensor in draft.buffers]
    if names:
        draft.read(tensor)
        label, height = len(draft.units), draft.shapes[tensor].height
        real = draft.integers.emit(tensor) if draft.integers else ()
        draft.each(lambda t: [EmitStep(label, tensor, name, share(height, t, draft.threads), real) for name in names])


def borders_of(draft: Draft) -> tuple[tuple[int, int], ...]:
    """For each zero point that windows read above and below the image: its four bytes, and the longest row of such a buffer."""
    longest: dict[int, int] = {}
    for step in (step for stage in draft.stages for steps in stage for step in steps):
        match step:
            case ProductStep() | DepthwiseStep() if step.window != Window():
                read = draft.buffers[step.source]
            case ExpandDepthwiseStep():
                read = draft.buffers[step.ring]
            case _:
                continue
        longest[read.zero] = max(longest.get(read.zero, 0), aligned(read.row_bytes))
    return tuple(sorted(longest.items()))
