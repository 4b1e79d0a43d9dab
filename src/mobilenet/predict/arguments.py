"""What a call of a predictor is given."""

from __future__ import annotations

from ..engine.backends import check_count
from ..errors import UsageError, short_repr


def check_settings(threshold: float | None, top: int | None) -> None:
    """UsageError for a threshold outside of 0 to 1, or a `top` that is no integer above 0."""
    check_count("top", top, "leave it out for all")
    valid = isinstance(threshold, (int, float)) and not isinstance(threshold, bool) and 0 <= threshold <= 1
    if threshold is not None and not valid:
        raise UsageError(f"threshold {short_repr(threshold)}: must be a number from 0 to 1, for example 0.5")
