"""Curves and calibration against scikit-learn and torchmetrics, and cases whose values are plain."""

from __future__ import annotations

import numpy as np
import pytest

from mobilenet.analysis.claims import NUM_BINS, Claims, calibration, curve


def claims(scores, right, sizes=None) -> Claims:
    count = len(scores)
    sizes = np.ones(count) if sizes is None else np.array(sizes, np.float64)
    return Claims(np.zeros(count, np.int64), np.array(scores, np.float64), sizes, np.array(right, np.float64))


def random_claims(seed: int, count: int = 300) -> Claims:
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 60, count) / 59  # with ties, 0 and 1
    return claims(scores, (generator.random(count) < scores).astype(float))


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_is_scikit_learns(seed):
    peer = pytest.importorskip("sklearn.metrics")
    given = random_claims(seed)
    ours = curve(given, given.right.sum())
    precision, recall, thresholds = peer.precision_recall_curve(given.right, given.scores)
    np.testing.assert_array_equal(ours.thresholds[::-1], thresholds)
    np.testing.assert_allclose(ours.precision[::-1], precision[:-1], rtol=1e-15)
    np.testing.assert_allclose(ours.recall[::-1], recall[:-1], rtol=1e-15)
    # a sum of at most 60 terms of at most 1, in another order
    assert ours.average_precision == pytest.approx(peer.average_precision_score(given.right, given.scores), abs=60 * 2.3e-16)


@pytest.mark.parametrize("seed", range(3))
def test_the_calibration_error_is_that_of_torchmetrics(seed):
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("torchmetrics.functional.classification").binary_calibration_error
    generator = np.random.default_rng(seed)
    scores = generator.uniform(0.5, 1, 400).astype(np.float32)
    right = generator.random(400) < 0.7
    expected = peer(torch.tensor(scores), torch.tensor(right).int(), n_bins=NUM_BINS)
    # torchmetrics sums 400 values of at most 1 in float32
    assert calibration(claims(scores, right)).error == pytest.approx(float(expected), abs=400 * 6e-8)


@pytest.mark.parametrize("seed", range(2))
def test_the_bins_are_scikit_learns(seed):
    peer = pytest.importorskip("sklearn.calibration").calibration_curve
    generator = np.random.default_rng(seed)
    scores = generator.random(500)
    given = claims(scores, (generator.random(500) < scores).astype(float))
    right, mean = peer(given.right, scores, n_bins=NUM_BINS)
    ours = calibration(given)
    np.testing.assert_allclose(ours.right[ours.sizes > 0], right, rtol=1e-12)
    np.testing.assert_allclose(ours.scores[ours.sizes > 0], mean, rtol=1e-12)


def test_what_was_never_claimed_lowers_recall_only():
    ours = curve(claims([0.9, 0.8, 0.8], [1, 1, 0]), 4)
    assert ours.thresholds.tolist() == [0.9, 0.8]
    assert ours.precision.tolist() == [1, 2 / 3]
    assert ours.recall.tolist() == [0.25, 0.5]
    assert ours.average_precision == 0.25 + 0.25 * 2 / 3
    assert ours.at(0.9) == (1, 0.25, 0.4)
    assert ours.at(0.85) == (1, 0.25, 0.4)
    assert ours.at(0.95) is None
    assert ours.best() == 1


def test_sizes_weigh():
    ours = curve(claims([0.9, 0.5], [30, 10], [40, 60]), 80)
    assert (ours.precision.tolist(), ours.recall.tolist()) == ([0.75, 0.4], [0.375, 0.5])
    bins = calibration(claims([0.9, 0.9], [30, 10], [40, 60]))
    assert bins.error == pytest.approx(0.5)
    assert bins.sizes.sum() == 100


def test_nothing_claimed_and_nothing_true():
    empty = claims([], [])
    assert curve(empty, 0) is None
    assert curve(claims([0.5], [0]), 0) is None
    nothing = curve(empty, 3)
    assert (nothing.best(), nothing.average_precision, nothing.at(0)) == (None, 0, None)
    assert calibration(empty).error is None
    assert calibration(claims([1.0, 0.0], [1, 0])).error == 0
    assert Claims.joined([]).by_class() == {}
