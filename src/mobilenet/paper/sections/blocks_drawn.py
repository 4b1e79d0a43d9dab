"""How diagrams of blocks are drawn: a box for each tensor, as thick as it has channels and as high as it has rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..studies.blocks import Diagram, Edge, Tensor
from .colors import BLUE, INK, ORANGE, PANEL, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

THICKNESS, HEIGHT = 1.3, 1.3  # of the thickest and of the highest box of a figure
CROWDED = 3  # boxes of a column, past which all are drawn smaller
SLANT = 0.22  # of the box's edges that lead away
GAP, FLOOR = 1.5, 0.55  # between columns; between the boxes of a column
THIN = 0.05
STEEP = 0.2  # rise of an arrow
BELOW, ABOVE = 0.45, 0.85  # room for words


class Scale(NamedTuple):
    """Units of the drawing for a channel and for a row."""

    channel: float
    row: float


Places = dict[str, tuple[tuple[float, float], tuple[float, float]]]
"""The lower left corner, and width and height, of each tensor's box."""

INCH = 1.55  # units of the drawing


def is_crowded(diagram: Diagram) -> bool:
    columns = [tensor.column for tensor in diagram.tensors]
    return max(columns.count(column) for column in columns) > CROWDED


def scale_of(diagrams: Sequence[Diagram]) -> Scale:
    """The scale in which the largest boxes of all diagrams fit."""
    shapes = [tensor.shape for each in diagrams for tensor in each.tensors]
    part = 0.5 if any(map(is_crowded, diagrams)) else 1.0
    return Scale(part * THICKNESS / max(s.channels for s in shapes), part * HEIGHT / max(s.height for s in shapes))


def extent(places: Places) -> tuple[float, float]:
    """Width and height of a diagram, with room for its words."""
    width = max(x + size[0] for (x, _), size in places.values())
    height = max(y + size[1] for (_, y), size in places.values()) - min(y for (_, y), _ in places.values())
    return width + SLANT + 0.6, height + ABOVE + BELOW


def figure_size(diagrams: Sequence[Diagram]) -> tuple[float, float]:
    """In inches."""
    sizes = [extent(placed(each, scale_of(diagrams))) for each in diagrams]
    return max(width for width, _ in sizes) / INCH, sum(height + 0.35 for _, height in sizes) / INCH


def draw_blocks(diagrams: Sequence[Diagram]) -> Callable[[Canvas], None]:
    """Draws the diagrams one below the other, all in one scale."""

    def draw(canvas: Canvas) -> None:
        places = [placed(each, scale_of(diagrams)) for each in diagrams]
        sizes = [extent(each) for each in places]
        ratios, widest = [height for _, height in sizes], max(width for width, _ in sizes)
        shared = canvas.subplots(len(diagrams), 1, squeeze=False, height_ratios=ratios)
        for axes, each, place in zip(shared.flat, diagrams, places, strict=True):
            draw_block(axes, each, place)
            axes.set_xlim(-0.5, widest - 0.5)

    return draw


def placed(diagram: Diagram, scale: Scale) -> Places:
    columns: dict[int, list[Tensor]] = {}
    for tensor in diagram.tensors:
        columns.setdefault(tensor.column, []).append(tensor)
    places: Places = {}
    left = 0.0
    for column in sorted(columns):
        sizes = [(max(t.shape.channels * scale.channel, THIN), max(t.shape.height * scale.row, THIN)) for t in columns[column]]
        total = sum(height for _, height in sizes) + (FLOOR + SLANT) * (len(sizes) - 1)
        y = (total if is_crowded(diagram) else sizes[0][1]) / 2
        for tensor, (width, height) in zip(columns[column], sizes, strict=True):
            places[tensor.name] = (left, y - height), (width, height)
            y -= height + FLOOR + SLANT
        left += max(width for width, _ in sizes) + GAP
    return places


def draw_block(axes: Axes, diagram: Diagram, places: Places) -> None:
    for edge in diagram.edges:
        draw_edge(axes, diagram, edge, places)
    for tensor in diagram.tensors:
        draw_box(axes, tensor, *places[tensor.name])
    axes.set_title(diagram.title, loc="left", color=INK)
    low = min(y for (_, y), _ in places.values())
    high = max(y + height for (_, y), (_, height) in places.values())
    axes.set_ylim(low - BELOW, high + ABOVE)
    axes.set_aspect("equal")
    axes.set_axis_off()


def draw_box(axes: Axes, tensor: Tensor, corner: tuple[float, float], size: tuple[float, float]) -> None:
    from matplotlib.patches import Polygon

    (x, y), (width, height) = corner, size
    color = ORANGE if tensor.linear else BLUE
    front = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    top = [(x, y + height), (x + width, y + height), (x + width + SLANT, y + height + SLANT), (x + SLANT, y + height + SLANT)]
    side = [(x + width, y), (x + width + SLANT, y + SLANT), (x + width + SLANT, y + height + SLANT), (x + width, y + height)]
    for face in (front, top, side):
        axes.add_patch(Polygon(face, closed=True, facecolor=PANEL, edgecolor=color, linewidth=0.9))
    if tensor.linear:
        axes.add_patch(Polygon(front, closed=True, fill=False, edgecolor=color, linewidth=0.9, hatch="////"))
    channels, rows, columns = tensor.shape
    axes.text(x + width / 2, y - 0.12, f"{rows}x{columns}x{channels}", ha="center", va="top", fontsize=7, color=QUIET)


def draw_edge(axes: Axes, diagram: Diagram, edge: Edge, places: Places) -> None:
    """A straight arrow to the next column; to a later one a bow, over the boxes between or below them."""
    (x0, y0), (width0, height0) = places[edge.source]
    (x1, y1), (_, height1) = places[edge.target]
    crowded, bow = is_crowded(diagram), ""
    begin = (x0 + width0 + SLANT / 2, y0 + height0 / 2 + SLANT / 4)
    end = (x1, y1 + height1 / 2 + SLANT / 4)
    if diagram.column(edge.target) - diagram.column(edge.source) > 1 and not crowded:
        if begin[1] < end[1] - SLANT:
            bow, end = "arc3,rad=0.2", (x1, y1 + height1 / 4)
        else:
            bow = f"arc3,rad={-0.9 / max(x1 - x0, 1):.3f}"
            begin, end = (x0 + width0 / 2 + SLANT, y0 + height0 + SLANT), (x1 + SLANT, y1 + height1 + SLANT)
    style = {"arrowstyle": "-|>", "color": QUIET, "linewidth": 0.9, "shrinkA": 1, "shrinkB": 1, "mutation_scale": 8}
    axes.annotate("", end, begin, arrowprops={**style, "connectionstyle": bow} if bow else style)
    operation, _, activation = edge.words.partition("\n")
    if abs(begin[1] - end[1]) > STEEP:  # beside a steep arrow there is no room: what makes a box stands above it
        width1 = places[edge.target][1][0]
        axes.text(x1 + (width1 + SLANT) / 2, y1 + height1 + SLANT, edge.words, ha="center", va="bottom", fontsize=7, color=INK)
        return
    x, y = (begin[0] + end[0]) / 2, (begin[1] + end[1]) / 2
    axes.text(x, y + 0.07, operation, ha="center", va="bottom", fontsize=7, color=INK)
    axes.text(x, y - 0.07, activation, ha="center", va="top", fontsize=7, color=QUIET)
