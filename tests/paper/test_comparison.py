"""Runs compared: the paired test and the fitted line against scipy, and verdicts whichever way the runs go."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from mobilenet.paper.contents import maker
from mobilenet.paper.sections import depth, expansion, figure_6
from mobilenet.paper.sections.section import Material
from mobilenet.paper.studies.comparison import fitted, paired_test, t_limit, t_tail
from mobilenet.paper.studies.grid import runs


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9])
def test_the_paired_test_is_scipys(count):
    random = np.random.default_rng(count)
    first, second = random.normal(70, 1, count), random.normal(69.5, 1, count)
    ours, theirs = paired_test(dict(enumerate(first)), dict(enumerate(second))), stats.ttest_rel(first, second)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert ours.difference == pytest.approx((first - second).mean())
    assert ours.detectable == pytest.approx(stats.t.ppf(0.975, count - 1) * stats.sem(first - second), rel=1e-9)


def test_the_paired_test_takes_only_seeds_of_both():
    assert paired_test({0: 1.0, 1: 3.0, 5: 9.0}, {1: 2.0, 0: 0.5}).pairs == 2
    assert paired_test({0: 1.0}, {0: 0.0}).p is None
    assert paired_test({0: 1.0, 1: 2.0}, {0: 0.0, 1: 1.0}).p is None, "no spread, no test"


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 10])
def test_students_t_is_scipys(freedom):
    for t in (0.0, 0.3, 2.1, 9.0):
        assert t_tail(t, freedom) == pytest.approx(2 * stats.t.sf(t, freedom), abs=1e-12)
    assert t_limit(freedom) == pytest.approx(stats.t.ppf(0.975, freedom))


def test_the_line_is_scipys():
    x, y = [1.0, 2.0, 4.0, 7.0], [3.0, 2.5, 6.0, 8.0]
    ours, theirs = fitted(x, y), stats.linregress(x, y)
    assert (ours.a, ours.b, ours.r2) == pytest.approx((theirs.intercept, theirs.slope, theirs.rvalue**2))


def material(folder, variants, score) -> Material:
    """Rows of all runs of the variants; `score(variant, seed)` is their top-1 as a fraction."""
    rows = [
        {
            "run": run.name, "set": run.settings, "seed": run.seed, "top1": score(run.variant, run.seed), "madds": 10**7,
            "scores": [[1.0, 0.1], [5.0, score(run.variant, run.seed)]], "seconds": 60.0, "processor": "P", "machine": "M",
        }
        for run in runs(variants)
    ]  # fmt: skip
    (folder / "paper_runs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Material(folder, say=lambda line: None)


def scores(better: str, gap: float, noise: float):
    """Variants whose name is not `better` are worse by `gap`, and the noise changes with variant and seed."""
    shift = {0: 0.0, 1: 1.0, 2: -1.0, 3: 0.4, 4: -0.6}

    def score(variant, seed):
        own = len(variant.name) % 7 - 3
        return 0.6 + 0.01 * seed + noise * shift[seed] * own - (0.0 if variant.name == better else gap)

    return score


def test_a_verdict_goes_with_the_runs(tmp_path):
    base, relu6 = figure_6.BASE_VARIANT.name, figure_6.RELU6.name
    clear = figure_6.make(material(tmp_path, figure_6.VARIANTS, scores(base, 0.05, 0.001))).verdict
    assert clear.outcome == "holds"
    against = figure_6.make(material(tmp_path, figure_6.VARIANTS, scores(relu6, 0.05, 0.001))).verdict
    assert against.outcome != "holds"
    assert "Against the paper, a linear bottleneck is worse than a ReLU6 in it" in against.words
    unclear = figure_6.make(material(tmp_path, figure_6.VARIANTS, scores(base, 0.001, 0.02))).verdict
    assert unclear.outcome == "open"
    assert "cannot decide" in unclear.words


def test_depth_and_expansion_have_verdicts_of_their_own(tmp_path):
    thin = depth.make(material(tmp_path, depth.DEPTHS, scores(depth.V1_THIN.name, 0.03, 0.002)))
    assert thin.verdict.outcome == "holds"
    assert thin.rows == ("results/paper_runs.jsonl, rows 1, 2, 3, 4, 5, 6",)
    flat = expansion.make(material(tmp_path, expansion.VARIANTS, lambda variant, seed: 0.6 + 0.001 * seed))
    assert flat.verdict.outcome == "does not hold", flat.verdict.words
    assert len(next(flat.tables()).rows) == len(expansion.EXPANDED)


@pytest.mark.parametrize("name", ["figure-6", "depth", "expansion"])
def test_without_rows_a_section_is_open_and_says_how_to_record(tmp_path, name):
    section = maker(name).make(Material(tmp_path, say=lambda line: None))
    assert section.verdict.outcome == "open"
    assert f"mobilenet paper {name} --data IMAGENETTE" in section.verdict.words
    said = list[str]()
    maker(name).record(Material(tmp_path, say=said.append))
    assert "give --data IMAGENETTE" in said[0]
