"""The views of an image that a segmenter may average."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..errors import UsageError, short_repr
from ..values import Value


class Views(Value):
    """The views of one image whose probabilities are averaged (arXiv 1801.04381, section 6.3: six scales, each mirrored too).

    Attributes:
        scales: of the network's resolution, 0.05 to 8; a side becomes int((side - 1) * scale + 1), as in DeepLab.
        flip: whether each scale's mirror image is a view too.

    Raises UsageError for scales that are none or out of range.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(isinstance(scale, (int, float)) and 0.05 <= scale <= 8 for scale in self.scales):
            scales = short_repr(self.scales)
            raise UsageError(f"scales {scales}: must be one or more numbers from 0.05 to 8; for example (0.75, 1, 1.25)")

    def __iter__(self) -> Iterator[tuple[float, bool]]:
        """(scale, whether mirrored) of each view."""
        return ((scale, mirrored) for scale in self.scales for mirrored in ((False, True) if self.flip else (False,)))


ONE_VIEW = Views()
