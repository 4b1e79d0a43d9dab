"""Figure 7: shares of positive channels against torch, and what fresh weights must give."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet.network.mobilenet import Row, mobilenet_v2
from mobilenet.paper.contents import maker
from mobilenet.paper.sections.section import Material
from mobilenet.paper.studies.positive import positive, positive_at_start

SMALL = mobilenet_v2(1.0, 32, 10, rows=(Row(1, 16, 1, 1), Row(6, 24, 2, 2)))
IMAGES = np.random.default_rng(3).normal(size=(4, 3, 32, 32)).astype(np.float32)


def test_shares_are_those_that_torch_counts():
    torch = pytest.importorskip("torch")
    from mobilenet import nn

    torch.manual_seed(0)
    net = nn.module(SMALL).eval()
    found = positive(SMALL, net.arrays(), IMAGES)
    assert [each.layer for each in found] == [
        layer.name for layer in SMALL.layers if getattr(layer, "activation", "linear") != "linear"
    ]
    with torch.inference_mode():
        for each in found:
            output = net.taps(each.layer)(torch.from_numpy(IMAGES))[each.layer]
            shares = (output > 0).double().mean(1)
            assert each.channels == output.shape[1]
            assert each.mean == pytest.approx(shares.mean().item(), abs=2e-3)  # a value at 0 may round to either side
            assert each.deviation == pytest.approx(shares.std(correction=0).item(), abs=2e-3)


def test_before_training_half_of_the_channels_are_positive():
    found = positive_at_start(SMALL, IMAGES)
    assert found == positive_at_start(SMALL, IMAGES)
    assert found != positive_at_start(SMALL, IMAGES, seed=1)
    assert np.mean([each.mean for each in found]) == pytest.approx(0.5, abs=0.03)
    assert all(0 <= each.least <= each.mean for each in found)


def test_without_rows_the_section_is_open_and_without_data_nothing_is_counted(tmp_path):
    said = list[str]()
    material = Material(tmp_path, say=said.append)
    maker("figure-7").record(material)
    assert "give --data IMAGENETTE" in said[0]
    assert maker("figure-7").make(material).verdict.outcome == "open"
