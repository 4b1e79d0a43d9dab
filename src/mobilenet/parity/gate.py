"""Whether an exported file is what was exported: past its bound it is not written."""

from __future__ import annotations

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


def check_whole(comparison: Comparison, path: Path) -> None:
    """ParityError if too many answers are not those that the same network gives, prepared and decoded here."""
    agreement = comparison.agreement
    if not agreement.share >= MIN_AGREEMENT:
        raise ParityError(
            f"{path}: not written: {agreement.same} of {agreement.all} {agreement.what} are those of the same network prepared "
            f"and decoded here; at least {MIN_AGREEMENT:.0%} must be"
        )
