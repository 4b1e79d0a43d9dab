"""Figures 2 to 4: every box has the channels of its layer, and follows the network."""

from __future__ import annotations

from matplotlib.figure import Figure as Canvas

from mobilenet.network import mobilenet
from mobilenet.network.mobilenet import MOBILENET_V2, Row, mobilenet_v2
from mobilenet.paper.sections import figure_2, figure_3, figure_4
from mobilenet.paper.sections.blocks_drawn import THICKNESS, draw_blocks, placed, scale_of
from mobilenet.paper.studies.blocks import (
    block_diagram,
    first_block,
    nasnet_cell,
    residual_block,
    shufflenet_unit,
)


def channels(diagram) -> list[int]:
    return [tensor.shape.channels for tensor in diagram.tensors]


def test_boxes_are_the_layers_of_the_network():
    network = mobilenet_v2()
    shapes = network.shapes()
    for name, layers in network.blocks().items():
        if not name.startswith("layer"):
            continue
        found = block_diagram("", network, name)
        assert {each.name: each.shape for each in found.tensors if each.column} == {
            each.name: shapes[each.name] for each in layers
        }
        linear = {each.name for each in found.tensors if each.column and each.linear}
        assert linear == {each.name for each in layers if getattr(each, "activation", "linear") == "linear"}


def test_other_families_have_the_channels_of_their_papers():
    assert channels(residual_block()) == [256, 64, 64, 256, 256]
    assert channels(shufflenet_unit(1)) == [480, 120, 120, 480, 480]
    assert channels(shufflenet_unit(2)) == [240, 120, 120, 240, 240, 480]
    assert shufflenet_unit(2).tensors[-1].shape.height == 14
    assert channels(nasnet_cell())[-1] == 264


def test_thickness_goes_with_channels_and_height_with_rows():
    diagrams = figure_4.diagrams()[1:]
    scale, most = scale_of(diagrams), max(max(channels(each)) for each in diagrams)
    for each in diagrams:
        for tensor in each.tensors:
            width, height = placed(each, scale)[tensor.name][1]
            assert abs(width - THICKNESS * tensor.shape.channels / most) < 1e-9
            assert abs(height / tensor.shape.height - scale.row) < 1e-9


def test_the_figures_show_what_the_paper_shows():
    full, separable, linear, expanded = figure_2.diagrams()
    assert (len(full.tensors), len(separable.tensors), len(linear.tensors), len(expanded.tensors)) == (2, 3, 3, 4)
    assert not separable.tensors[-1].linear
    assert linear.tensors[-1].linear
    thick, inverted = figure_3.diagrams()
    assert channels(thick)[0] > channels(thick)[1]
    assert channels(inverted)[0] < channels(inverted)[1]
    assert [any(edge.words == "" for edge in each.edges) for each in figure_4.diagrams()] == [
        True,
        False,
        True,
        True,
        True,
        False,
    ]


def test_another_expansion_changes_the_boxes():
    narrow = mobilenet_v2(expansion=3)
    found = block_diagram("", narrow, first_block(narrow, 1, True))
    assert channels(found) == [24, 72, 72, 24, 24]


def test_one_changed_table_changes_every_figure(monkeypatch):
    rows = tuple(Row(3 if row.t == 6 else row.t, *row[1:]) for row in MOBILENET_V2)
    monkeypatch.setitem(mobilenet.MobileNetV2.field_options, "rows", {"default": rows, "kw_only": True})
    assert channels(figure_3.diagrams()[1]) == [24, 72, 72, 24, 24]


def test_every_box_is_drawn():
    canvas = Canvas()
    draw_blocks(figure_2.diagrams())(canvas)
    assert [axes.get_title(loc="left") for axes in canvas.axes] == [each.title for each in figure_2.diagrams()]
    for axes, each in zip(canvas.axes, figure_2.diagrams(), strict=True):
        faces = sum(4 if tensor.linear else 3 for tensor in each.tensors)
        assert len(axes.patches) == faces
        words = {text.get_text() for text in axes.texts}
        assert {f"{t.shape.height}x{t.shape.width}x{t.shape.channels}" for t in each.tensors} <= words
