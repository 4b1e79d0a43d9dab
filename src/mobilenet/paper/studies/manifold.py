"""What a ReLU keeps: the spiral of the paper's Figure 1, and its appendix A counted by simulation.

Letters, as in the appendix: x in R^n is embedded by a random matrix B (m x n), and y = ReLU(Bx). A volume survives where
the positive rows of B have rank n; elsewhere it is squeezed into fewer dimensions.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DIMENSIONS = (2, 3, 5, 15, 30)
"""Of the embeddings of Figure 1."""

SEED = 1801  # the first digits of the paper's number on arXiv
Z = 3.290527  # of a normal distribution: an interval of 99.9 %
POINTS = 600


def spiral(points: int = POINTS, turns: float = 2.5) -> Floats:
    """(N, 2): a spiral around the origin, from the center to radius 1."""
    angle = 2 * np.pi * turns * np.sqrt(np.linspace(0.02, 1, points))
    return np.asarray(np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1) / angle[-1])


class Return(NamedTuple):
    """The spiral after its way through m dimensions.

    Attributes:
        points: (N, 2), the pseudo-inverse of B times ReLU(Bx).
        kept: share of the points that could be found again exactly: two positive rows or more, of rank 2.
        error: mean distance from the original points, after the scale that fits best.
    """

    m: int
    points: Floats
    kept: float
    error: float


def there_and_back(m: int, seed: int = SEED) -> Return:
    """The spiral embedded by a normal matrix, through a ReLU, and back."""
    x = spiral()
    matrix = np.random.default_rng([seed, m]).normal(size=(m, 2))
    embedded = np.maximum(x @ matrix.T, 0)
    back = embedded @ np.linalg.pinv(matrix).T
    scale = float((back * x).sum() / max((back * back).sum(), 1e-12))
    error = float(np.sqrt(((scale * back - x) ** 2).sum(axis=1)).mean())
    return Return(m, back, float(survives(matrix[None], x).mean()), error)


def survives(matrices: Floats, points: Floats) -> NDArray[np.bool_]:
    """(N,): whether the positive rows of B have rank n at a point. `matrices` (N or 1, m, n), `points` (N, n)."""
    sums = np.einsum("bmn,bn->bm", np.broadcast_to(matrices, (len(points), *matrices.shape[1:])), points)
    active = np.where((sums > 0)[..., None], matrices, 0.0)
    return np.asarray(np.linalg.matrix_rank(active) == points.shape[1])


def kept_share(n: int, m: int) -> Fraction:
    """The mean share of an n-dimensional volume that survives m dimensions: N / 2^m, N the sum of C(m, k) for k up to m - n."""
    return Fraction(sum(math.comb(m, k) for k in range(m - n + 1)), 2**m)


class Estimate(NamedTuple):
    """A share found by simulation, with the ends of its interval of 99.9 % (Wilson's)."""

    share: float
    low: float
    high: float
    trials: int


def interval(hits: int, trials: int, z: float = Z) -> Estimate:
    """Wilson's interval of a share."""
    share, spread = hits / trials, z * z / trials
    middle = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return Estimate(share, 0.0 if hits == 0 else low, 1.0 if hits == trials else high, trials)


@cache
def simulated_share(n: int, m: int, trials: int = 20_000, seed: int = SEED) -> Estimate:
    """The share that survives, in `trials` pairs of a normal matrix and a point of the unit cube around the origin."""
    random = np.random.default_rng([seed, n, m])
    matrices, points = random.normal(size=(trials, m, n)), random.uniform(-1, 1, size=(trials, n))
    return interval(int(survives(matrices, points).sum()), trials)


class Lemma(NamedTuple):
    """Lemma 2 in trials: where it says that x is the only input of y, and where it says that it is not.

    Attributes:
        unique, recovered: trials where it says so; those of them where least squares on the positive rows found x again.
        many, witnessed: trials where it denies it; those of them where another input with the same output was built.
        error: the largest distance of a recovered input from x.
    """

    unique: int
    recovered: int
    many: int
    witnessed: int
    error: float


@cache
def lemma_2(n: int, m: int, trials: int = 500, seed: int = SEED) -> Lemma:
    """Lemma 2 tried out on normal matrices and points. Each answer is proved by an input, not by the lemma's own condition."""
    random = np.random.default_rng([seed, n, m, 2])
    unique = recovered = many = witnessed = 0
    largest = 0.0
    for _ in range(trials):
        matrix, x = random.normal(size=(m, n)), random.normal(size=n)
        y = np.maximum(matrix @ x, 0)
        rows = matrix[y > 0]
        if len(rows) >= n and np.linalg.matrix_rank(rows) == n:
            unique += 1
            found = np.linalg.lstsq(rows, y[y > 0], rcond=None)[0]
            distance = float(np.abs(found - x).max())
            largest = max(largest, distance)
            # The smallest singular value says how much of the rounding of y a solution can show.
            recovered += int(distance <= 1e3 * np.finfo(np.float64).eps * (1 + np.abs(y).max()) / np.linalg.svd(rows)[1][-1])
        else:
            many += 1
            witnessed += has_other_input(matrix, x, y)
    return Lemma(unique, recovered, many, witnessed, largest)


def has_other_input(matrix: Floats, x: Floats, y: Floats) -> bool:
    """Whether a step that changes no positive row, so short that no other row becomes positive, leads to the same output."""
    rows = matrix[y > 0]
    step = np.linalg.svd(rows)[2][-1] if len(rows) else np.eye(len(x))[0]
    rises = matrix[y <= 0] @ step
    room = -(matrix[y <= 0] @ x)
    length = min([1.0, *(room[rises > 0] / rises[rises > 0] / 2)])
    other = x + length * step
    return bool(length > 0 and np.allclose(np.maximum(matrix @ other, 0), y, atol=1e-12) and not np.array_equal(other, x))


def bounds(n: int, m: int) -> tuple[float, float, float]:
    """The three lower bounds that the appendix gives for `kept_share`, from the closest to the loosest."""
    first = 1 - m ** (n + 1) / (2**m * math.factorial(n))
    return first, 1 - 2 ** ((n + 1) * math.log2(m) - m), 1 - 2 ** (-m / 2)


def holds_from(n: int, limit: int = 200) -> tuple[int, int, int]:
    """For each of the three steps of the chain of bounds the least m from which on it holds, up to `limit`.

    The steps: the share is at least the first bound, the first at least the second, the second at least the third. They are
    compared as logarithms of what they subtract from 1, since that soon becomes too small for a float.
    """
    found = [1, 1, 1]
    for m in range(n, limit + 1):
        lost = 1 - kept_share(n, m)
        logs = (
            math.log2(lost.numerator) - math.log2(lost.denominator) if lost else -math.inf,
            (n + 1) * math.log2(m) - m - math.log2(math.factorial(n)),
            (n + 1) * math.log2(m) - m,
            -m / 2,
        )
        for step in range(3):
            if logs[step] > logs[step + 1] + 1e-12:
                found[step] = m + 1
    return found[0], found[1], found[2]
