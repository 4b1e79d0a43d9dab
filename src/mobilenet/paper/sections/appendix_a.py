"""Appendix A: how much volume a ReLU keeps on average, when its input can be found again, and the bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..studies.manifold import (
    DIMENSIONS,
    SEED,
    Estimate,
    bounds,
    holds_from,
    kept_share,
    lemma_2,
    simulated_share,
)
from .colors import BLUE, GREEN, ORANGE, PURPLE, QUIET
from .section import Figure, Material, Prose, Section, Table, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

SIZES = (1, 2, 3, 5)
COLORS = dict(zip(SIZES, (BLUE, ORANGE, GREEN, PURPLE), strict=True))
LEMMA_PAIRS = ((1, 2), (2, 3), (2, 15), (3, 5), (5, 5), (5, 15))


def make(material: Material) -> Section:
    found = {(n, m): simulated_share(n, m) for n in SIZES for m in DIMENSIONS if m >= n}
    inside = sum(each.low <= kept_share(n, m) <= each.high for (n, m), each in found.items())
    trials = next(iter(found.values())).trials
    shares = Table(
        "The share of the volume that survives",
        ("n", "m", "N / 2^m", "simulated", "interval of 99.9 %", "closest bound", "loosest bound"),
        tuple(share_row(n, m, each) for (n, m), each in found.items()),
        f"{trials:,} pairs of a normal matrix and a point for each row, seed {SEED}. A bound below 0 says nothing.",
    )
    lemmas = {(n, m): lemma_2(n, m) for n, m in LEMMA_PAIRS}
    lemma = Table(
        "Lemma 2 in trials",
        ("n", "m", "says: one input", "found again", "says: several inputs", "another one built"),
        tuple((str(n), str(m), each.unique, each.recovered, each.many, each.witnessed) for (n, m), each in lemmas.items()),
        "Where the lemma says that the output has one input, least squares on the positive rows finds it to rounding. Where it "
        "says that there are several, a second input with the same output is built.",
    )
    lemma_holds = all(each.unique == each.recovered and each.many == each.witnessed for each in lemmas.values())
    starts = {n: holds_from(n) for n in SIZES}
    chain_holds = all(first == second == 1 for first, second, _ in starts.values())
    from_m = ", ".join(f"{third} for n = {n}" for n, (*_, third) in starts.items())
    words = (
        f"{inside} of {len(found)} simulated shares have the closed form in their interval of 99.9 %. Lemma 2 is "
        f"{'right in every trial' if lemma_holds else 'wrong in some trials'}. The first two bounds hold "
        f"{'for all m' if chain_holds else 'not for all m'}; the last, 1 - 2^(-m/2), follows from the one before only for m "
        f"from {from_m} on, which the appendix does not say."
    )
    return Section(
        "appendix-a",
        "How much volume survives a ReLU",
        "MobileNetV2, appendix A, Lemma 2 and Theorem 1",
        "After a random embedding of n dimensions in m and a ReLU, a share N / 2^m of the volume is left on average, N the sum "
        "of the binomials C(m, k) for k = 0 to m - n. The share tends to 1 quickly as m grows.",
        (
            Prose(
                "At a point, each row of the matrix is positive or negative with equal chance. Where fewer than n rows are "
                "positive, the ReLU squeezes n dimensions into fewer, and the volume there is lost."
            ),
            Figure(
                "appendix-a",
                "Volume that survives",
                "Four curves rise from near 0 to 1 as the number of channels grows; the simulated points lie on them, and the "
                "dotted bounds of the appendix below.",
                draw_shares,
                width=6.0,
                height=3.8,
            ),
            shares,
            lemma,
        ),
        Verdict("holds" if inside == len(found) and lemma_holds and chain_holds else "holds in part", words),
    )


def share_row(n: int, m: int, found: Estimate) -> tuple[str, ...]:
    first, _, third = bounds(n, m)
    return (
        str(n),
        str(m),
        f"{float(kept_share(n, m)):.5f}",
        f"{found.share:.5f}",
        f"{found.low:.5f} to {found.high:.5f}",
        f"{first:.5f}",
        f"{third:.5f}",
    )


def draw_shares(canvas: Canvas) -> None:
    axes = canvas.subplots()
    for n in SIZES:
        every = range(n, DIMENSIONS[-1] + 1)
        axes.plot(every, [float(kept_share(n, m)) for m in every], color=COLORS[n], label=f"n = {n}", linewidth=1.5)
        useful = range(max(m for m in every if bounds(n, m)[0] < 0), every.stop)
        axes.plot(useful, [bounds(n, m)[0] for m in useful], color=COLORS[n], linestyle=":", linewidth=1.2)
        simulated = {m: simulated_share(n, m) for m in DIMENSIONS if m >= n}
        middle = [each.share for each in simulated.values()]
        below = [each.share - each.low for each in simulated.values()]
        above = [each.high - each.share for each in simulated.values()]
        axes.errorbar(list(simulated), middle, yerr=[below, above], fmt="o", markersize=4, capsize=3, color=COLORS[n])
    axes.plot([], [], color=QUIET, linestyle=":", label="closest bound")
    axes.errorbar([], [], yerr=[], fmt="o", markersize=4, capsize=3, color=QUIET, label="simulated")
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("channels m")
    axes.set_ylabel("share of the volume that survives")
    axes.legend(loc="lower right")
