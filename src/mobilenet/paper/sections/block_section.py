"""A section that draws blocks, with a table of what is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from ..studies.blocks import Diagram
from .blocks_drawn import draw_blocks, figure_size, is_crowded
from .section import Figure, Prose, Section, Table, Verdict


def block_section(name: str, title: str, source: str, claim: str, diagrams: Sequence[Diagram]) -> Section:
    """The section; its verdict is only that the boxes are the layers'."""
    rows = tuple(
        (each.title, " -> ".join(f"{t.shape.height}x{t.shape.width}x{t.shape.channels}" for t in each.tensors))
        for each in diagrams
    )
    crowded, plain = [each for each in diagrams if is_crowded(each)], [each for each in diagrams if not is_crowded(each)]
    figures = [figure_of(name, title, plain)] + [figure_of(f"{name}-{i}", each.title, [each]) for i, each in enumerate(crowded)]
    return Section(
        name,
        title,
        source,
        claim,
        (
            Prose(
                "Drawn from the layers, all boxes of a figure in one scale. MobileNet's blocks are those of the networks of "
                "this project; the others are written down as their own papers describe them."
            ),
            *figures,
            Table("The tensors that are drawn", ("block", "rows x columns x channels"), rows, "In the order of the layers."),
        ),
        Verdict("holds", "Every box has the channels and rows of its layer: the figure cannot differ from the network."),
    )


def figure_of(name: str, title: str, diagrams: Sequence[Diagram]) -> Figure:
    width, height = figure_size(diagrams)
    words = (
        f"Boxes for tensors, as thick as they have channels and as high as they have rows: "
        f"{'; '.join(d.title for d in diagrams)}. "
        "Hatched ones have no activation before them."
    )
    return Figure(name, title, words, draw_blocks(diagrams), width, height)
