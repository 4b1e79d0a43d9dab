"""Figure 1 and appendix A: simulation against the closed form, Lemma 2 proved by inputs, the chain of bounds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binomtest

from mobilenet.paper.studies.manifold import (
    DIMENSIONS,
    holds_from,
    interval,
    kept_share,
    lemma_2,
    simulated_share,
    spiral,
    survives,
    there_and_back,
)


def test_the_closed_form_has_the_values_of_the_appendix():
    assert [float(kept_share(2, m)) for m in (2, 3, 5)] == [0.25, 0.5, 0.8125]
    assert float(kept_share(2, 15)) == pytest.approx(0.99951, abs=5e-6)
    assert 1 - kept_share(2, 30) == Fraction(31, 2**30)
    assert kept_share(4, 3) == 0


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("m", DIMENSIONS)
def test_simulation_contains_the_closed_form(n, m):
    found = simulated_share(n, m, trials=4000)
    assert found.low <= kept_share(n, m) <= found.high
    assert found.high - found.low < 0.06


@pytest.mark.parametrize(("hits", "trials"), [(0, 50), (17, 50), (50, 50), (3999, 4000)])
def test_the_interval_is_wilsons(hits, trials):
    ours, theirs = interval(hits, trials), binomtest(hits, trials).proportion_ci(0.999, method="wilson")
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


def test_a_simulation_of_another_law_is_not_in_the_interval():
    """The interval is narrow enough to tell neighbors apart."""
    found = simulated_share(2, 3, trials=4000)
    assert not found.low <= kept_share(2, 4) <= found.high
    assert not found.low <= kept_share(3, 3) <= found.high


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (3, 5), (2, 15)])
def test_lemma_2_holds_in_every_trial(n, m):
    found = lemma_2(n, m, trials=120)
    assert (found.recovered, found.witnessed) == (found.unique, found.many)
    assert found.unique > 0
    assert found.unique + found.many == 120
    assert found.many > 0 or m == 15


def test_the_bounds_hold_from_some_m_on_and_the_last_one_not_at_once():
    for n in (1, 2, 3, 5):
        share, second, third = holds_from(n)
        assert share == second == 1
        assert n < third < 80
    assert holds_from(2)[2] == next(m for m in range(2, 99) if all(3 * np.log2(k) <= k / 2 for k in range(m, 99)))


def test_the_spiral_comes_back_better_from_more_dimensions():
    assert np.abs(np.hypot(*spiral().T)).max() == pytest.approx(1)
    kept = [there_and_back(m).kept for m in DIMENSIONS]
    assert kept[0] < 0.6
    assert kept[-2:] == [1.0, 1.0]
    first = there_and_back(15)
    assert np.array_equal(first.points, there_and_back(15).points)


def test_survival_needs_rows_of_full_rank():
    double = np.array([[[1.0, 1.0], [2.0, 2.0]]])
    assert survives(double, np.array([[1.0, 1.0]])).tolist() == [False], "two positive rows of rank 1"
    assert survives(np.eye(2)[None], np.array([[1.0, 1.0], [1.0, -1.0]])).tolist() == [True, False]
