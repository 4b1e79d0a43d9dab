"""Blocks in parts: the same answers at the same cost, on every runtime, with the memory of the formula."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mobilenet.engine.native import Native
from mobilenet.engine.plan.steps import Style
from mobilenet.engine.reference import Reference
from mobilenet.errors import UsageError
from mobilenet.network.cost import cost
from mobilenet.network.mobilenet import Row, mobilenet_v2
from mobilenet.paper.sections import splits
from mobilenet.paper.sections.section import Material
from mobilenet.paper.studies.splits import (
    WHOLE,
    layerwise,
    planned,
    random_tensors,
    spans,
    split_network,
    split_tensors,
)
from mobilenet.paper.studies.splitting import engine_run

SMALL = mobilenet_v2(1.0, 32, 10, epsilon=None, rows=(Row(1, 16, 1, 1), Row(6, 24, 2, 2), Row(4, 32, 1, 2)))
IMAGES = np.random.default_rng(3).normal(size=(2, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("t", [1, 2, 3, 5, 64])
def test_a_split_network_gives_the_same_answers_at_the_same_cost(t):
    tensors = random_tensors(SMALL)
    split, arrays = split_network(SMALL, t), split_tensors(SMALL, tensors, t)
    assert cost(split).madds == cost(SMALL).madds
    assert {name: array.shape for name, array in arrays.items()} == dict(split.tensors())
    expected = Reference(SMALL, tensors)(IMAGES)["classifier"]
    for runtime in (Reference(split, arrays), Native(split, arrays, style=WHOLE), Native(split, arrays)):
        # The inner sums are the same; t partial sums are added in another order, each with a rounding.
        tolerance = 64 * t * np.finfo(np.float32).eps * np.abs(expected).max()
        np.testing.assert_allclose(runtime(IMAGES)["classifier"], expected, atol=tolerance)


def test_plans_of_any_style_give_the_same_bits():
    tensors = random_tensors(SMALL)
    a, b = (Native(SMALL, tensors, style=style)(IMAGES)["classifier"] for style in (WHOLE, Style(band=1, whole=0, stream=1)))
    np.testing.assert_array_equal(a, b)


def test_a_style_and_a_budget_exclude_each_other():
    with pytest.raises(UsageError, match="leave one of the two out"):
        Native(SMALL, random_tensors(SMALL), memory_budget=10**6, style=WHOLE)


def test_parts_cover_all_channels_in_vectors_of_the_engine():
    assert spans(96, 4) == [(0, 16), (16, 48), (48, 64), (64, 96)]
    assert spans(24, 5)[-1] == (19, 24)
    for channels, t in ((96, 3), (144, 5), (960, 8), (24, 24)):
        found = spans(channels, t)
        assert [last for _, last in found[:-1]] == [first for first, _ in found[1:]]
        assert found[0][0] == 0
        assert found[-1][1] == channels
        assert all(first < last for first, last in found)


def test_too_many_parts_and_networks_with_batch_norm_are_refused():
    with pytest.raises(UsageError, match="split 100: must be 1 to 96"):
        split_network(SMALL, 100)
    with pytest.raises(UsageError, match="epsilon=None"):
        split_network(mobilenet_v2(), 2)


def test_the_working_set_of_layers_is_the_ledgers_and_parts_lower_it():
    whole = mobilenet_v2(epsilon=None)
    assert max(moment.bytes for moment in layerwise(whole)) == cost(whole).layerwise_bytes
    assert max(moment.bytes for moment in layerwise(split_network(whole, 4))) < cost(whole).layerwise_bytes * 0.6
    for style in (WHOLE, Style()):
        plan, moments = planned(whole, style)
        assert moments[0].begin == 0
        assert moments[-1].end == pytest.approx(1), "every layer is in one stage"
        assert max(moment.bytes for moment in moments) <= plan.bytes


def test_the_engine_is_measured_by_what_its_plan_allocates():
    run, allocated = engine_run(SMALL, random_tensors(SMALL), IMAGES[:1], WHOLE)
    run()
    assert allocated == planned(SMALL, WHOLE)[0].bytes


def test_the_section_says_what_the_rows_say(tmp_path):
    def row(runtime: str, t: int, size: float, ms: float) -> str:
        other = {"rounds": 1, "processor": "P", "load": 0.1}
        return json.dumps({"runtime": runtime, "t": t, "bytes": size, "ms": ms, **other}) + "\n"

    rows = [row(runtime, t, 8e6 / t, 10.0 + t) for runtime in ("torch", "engine") for t in (1, 2, 4)]
    (tmp_path / "paper_splits.jsonl").write_text("".join([*rows, row("bands", 1, 1e6, 9.0)]))
    section = splits.make(Material(tmp_path))
    assert section.verdict.outcome == "holds"
    assert "4 parts need 4.0 times less memory" in section.verdict.words
    assert [len(table.rows) for table in section.tables()] == [4]
    assert splits.make(Material(tmp_path / "none")).verdict.outcome == "open"
