"""The views of a picture that a segmenter may average."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..values import Value


class Views(Value):
    """The views of one picture whose probabilities are averaged (section 6.3: six scales, each with its mirror image).

    Attributes:
        scales: of the network's own resolution; a side becomes int((side - 1) * scale + 1), as DeepLab has it.
        flip: look at the mirror image too.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not all(isinstance(scale, (int, float)) and 0.05 <= scale <= 8 for scale in self.scales):
            raise ValueError(f"scales {self.scales!r}: must be one or more numbers from 0.05 to 8; for example (0.75, 1, 1.25)")

    def __iter__(self) -> Iterator[tuple[float, bool]]:
        return ((scale, mirrored) for scale in self.scales for mirrored in ((False, True) if self.flip else (False,)))


ONE_VIEW = Views()
