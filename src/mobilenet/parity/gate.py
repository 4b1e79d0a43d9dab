"""Whether an exported file is what was exported: past its bound it is not written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..errors import MobilenetError
from ..exports.bounds import Bound
from .compare import Comparison, Difference

MIN_AGREEMENT = 0.99
"""Of the answers of a whole file with those of the same network, prepared and decoded here."""


class ParityError(MobilenetError):
    """An exported file gives other outputs than the engine, so it was not written."""


def check_plain(comparison: Comparison, limit: Bound, path: Path) -> None:
    """ParityError if an output is past the bound."""

    def measured(difference: Difference) -> float:
        return difference.relative if limit.kind == "largest" else difference.noise_ratio

    if not comparison.outputs:
        raise ParityError(f"{path}: not written: its outputs have other names or shapes than the network's")
    worst = max(comparison.outputs, key=measured)
    if not measured(worst) <= limit.limit:  # NaN too
        of = "the largest difference" if limit.kind == "largest" else "the noise"
        raise ParityError(
            f"{path}: not written: {of} of output {worst.name!r} is {measured(worst):.2g} of its magnitude, at most "
            f"{limit.limit:.2g} can be roundings; report it with the model and the versions of the packages"
        )


def check_whole(comparison: Comparison, network: Comparison, limit: Bound, path: Path) -> None:
    """ParityError if too many answers are not those that the same network gives, prepared and decoded here.

    Few images cannot show 99 %: of 21, one would have to differ by a fifth. That one is let pass if it is a near tie.

    Args:
        network: the engine and the network alone, whose outputs say how far two logits may move by `limit`.
    """
    agreement = comparison.agreement
    num_different = agreement.all - agreement.same
    few = num_different <= math.ceil((1 - MIN_AGREEMENT) * agreement.all)
    ties = (
        few
        and len(agreement.moves) == num_different
        and max(agreement.moves, default=0.0) <= largest_move(network.outputs, limit)
    )
    if not (agreement.share >= MIN_AGREEMENT or ties):
        raise ParityError(
            f"{path}: not written: {agreement.same} of {agreement.all} {agreement.what} are those of the same network prepared "
            f"and decoded here; at least {MIN_AGREEMENT:.0%} must be"
        )


def largest_move(outputs: Sequence[Difference], limit: Bound) -> float:
    """How far the difference of two numbers of an output may move, if each moves by the bound."""
    if limit.kind == "largest":
        return 2 * limit.limit * max(each.magnitude for each in outputs)
    return limit.limit * math.sqrt(2 * max(each.mean_square for each in outputs))
