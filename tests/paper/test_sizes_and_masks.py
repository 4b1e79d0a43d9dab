"""Figure 5 from published rows and from ours, Figure 8 from recorded masks."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure as Canvas
from support.paths import ROOT

from mobilenet.paper.sections import figure_5, figure_8
from mobilenet.paper.sections.figure_8 import packed, tinted, unpacked
from mobilenet.paper.sections.section import Material
from mobilenet.paper.studies.grid import SIZES, runs


def test_the_published_points_have_our_counts():
    points = figure_5.published()
    assert sum(map(len, points.values())) == 22
    assert points["1.4"] == [(582.195824, 75.0, 0.0)]
    assert min(points["0.35"]) == (11.934128, 45.5, 0.0)
    section = figure_5.make(Material(ROOT / "nowhere"))
    assert section.verdict.outcome == "holds"
    assert "not all recorded yet" in section.verdict.words


def test_our_points_stand_beside_and_can_go_against_the_claim(tmp_path):
    def score(variant) -> float:
        width, side = next(key for key, each in SIZES.items() if each == variant)
        return 0.4 + 0.1 * math.log2(float(width) * int(side) / 64)

    rows = [
        {
            "run": run.name, "set": run.settings, "seed": run.seed, "top1": score(run.variant), "scores": [[5.0, 0.5]],
            "madds": int(1e7 * float(run.settings["network.settings.width"]) ** 2 * int(run.settings["resolution"]) ** 2),
            "seconds": 60.0, "processor": "P", "machine": "M",
        }
        for run in runs(figure_5.VARIANTS)
    ]  # fmt: skip
    (tmp_path / "paper_runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    section = figure_5.make(Material(tmp_path))
    assert section.verdict.outcome == "holds"
    canvas = Canvas(figsize=(7, 4))
    next(section.figures()).draw(canvas)
    assert [axes.get_ylabel() for axes in canvas.axes] == ["top-1 on ImageNet, %", "top-1 on Imagenette, %"]
    assert "$" not in "".join(label.get_text() for axes in canvas.axes for label in axes.get_xticklabels())
    against = figure_5.verdict(figure_5.published(), {"1": [(1, 10, 0), (2, 90, 0), (4, 5, 0), (8, 70, 0), (16, 30, 0)]})
    assert against.outcome == "holds in part"


def test_a_mask_keeps_its_classes_on_the_way_through_a_row():
    mask = np.zeros((figure_8.SIDE // 2, figure_8.SIDE), np.uint8)
    mask[:10, :7] = 15
    np.testing.assert_array_equal(unpacked({"mask": packed(mask)}), mask)
    large = np.repeat(np.repeat(mask, 3, 0), 3, 1)
    assert unpacked({"mask": packed(large)}).shape == mask.shape
    assert set(np.unique(unpacked({"mask": packed(large)}))) == {0, 15}


def test_background_keeps_the_photo_and_a_class_is_tinted(tmp_path):
    mask = np.array([[0, 8], [0, 0]], np.uint8)
    drawn = tinted(tmp_path / "missing.jpg", mask)
    assert (drawn[mask == 0] == 255).all()
    assert (drawn[0, 1] != 255).any()


def scores(**by_name):
    """s16_one=0.5: a row of the mean IoU 0.5 at stride 16 with one view; s8_many: at stride 8 with two."""
    places = {"s16_one": (16, "1"), "s16_many": (16, "1,2"), "s8_one": (8, "1"), "s8_many": (8, "1,2")}
    return [
        {"model": "voc-small", "output_stride": stride, "views": views, "metrics": {"mIoU": by_name[name]}}
        for name, (stride, views) in places.items()
        if name in by_name
    ]


@pytest.mark.parametrize("rows", [[], scores(s8_one=0.5), scores(s8_one=0.5, s8_many=0.6)])
def test_without_scores_at_both_strides_the_masks_decide_nothing(rows):
    assert figure_8.verdict(rows).outcome == "open"


def test_scores_decide_whether_stride_8_and_many_views_are_better():
    better = {"s16_one": 0.5, "s16_many": 0.55, "s8_one": 0.54, "s8_many": 0.6}
    assert figure_8.verdict(scores(**better)).outcome == "holds"
    assert figure_8.verdict(scores(**{**better, "s8_many": 0.52, "s16_many": 0.51})).outcome == "holds in part"
    assert figure_8.verdict(scores(**{**better, "s8_one": 0.48})).outcome == "holds in part"
    assert figure_8.verdict(scores(s16_one=0.5, s16_many=0.45, s8_one=0.48, s8_many=0.4)).outcome == "does not hold"
